"""The one driver: keeps a window of trials of one policy in flight and settles them in trial order.

A trial is asked only after the commit that made room for it, and all that it may see (policy, ledger, attempts)
changes at commits only. So for a fixed width the tree does not depend on timing. What an attempt is, each kind of
`Search` says for itself. Knows no strategy, no model and no file.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from actorcritic.budget import Lease, Ledger, Spend
from actorcritic.errors import ActorCriticError, BudgetExhausted
from actorcritic.metering import Call, EnvironmentStep
from actorcritic.search.policy import Policy
from actorcritic.types import Failure, Outcome, StopReason, Trial

__all__ = ["Exploration", "OpenTrial", "RunTrial", "Search", "out_of_budget", "without_means"]

A = TypeVar("A")
"""What a finished trial leaves behind; no `Failure`."""

RunTrial: TypeAlias = Callable[[Trial, A | None, Lease], Coroutine[None, None, A | Failure]]
"""Carries out one trial from its parent's attempt within its lease; a failure is a value."""

BUDGET = "budget"
"""Where a trial failed that could not pay for its first call; its type names the limit."""


def without_means(error: BudgetExhausted) -> Failure:
    """Return what a trial comes to that could not pay for its first call."""
    return Failure(where=BUDGET, type=error.limit, message=str(error))


def out_of_budget(result: object) -> bool:
    """Return whether a trial could not pay for its first call, which is no failure of anybody's."""
    return isinstance(result, Failure) and result.where == BUDGET


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTrial:
    """A trial that was in flight when an earlier run broke off."""

    trial: Trial
    lease: Lease
    calls: tuple[Call, ...] = ()
    """What it had paid for; the same requests are answered with it."""
    steps: tuple[EnvironmentStep, ...] = ()
    """What it had done in an environment; the same steps are answered with it."""
    failure: Failure | None = None
    """Set where it had failed already."""

    def charge(self) -> None:
        """Charge what it had spent, where nothing is to be made of it any more."""
        for call in self.calls:
            self.lease.charge(call.charge)
        for step in self.steps:
            self.lease.charge_step(step.replayed)


@dataclass(slots=True, kw_only=True)
class Search(ABC, Generic[A]):
    """One search at work: its policy, its ledger, its attempts. Mutable; trials are settled in the order of their ids.

    A kind of it says what a policy learns of an attempt, and may listen to what happens.
    """

    policy: Policy
    ledger: Ledger
    attempts: dict[int, A] = field(default_factory=dict[int, A])
    """By trial id."""
    failures: list[Failure] = field(default_factory=list[Failure])
    open: tuple[OpenTrial, ...] = ()
    """Trials that an earlier run asked for and did not settle, in order; they come before any new one."""
    next_trial: int = 0
    """Id of the next trial to ask for."""
    spent: StopReason | None = None
    """The limit under which a trial could not pay for its first call; nothing more is asked then."""

    @abstractmethod
    def outcome_of(self, trial: Trial, attempt: A, tokens: int) -> Outcome:
        """Return all that the policy may learn of a finished trial that cost so many logical tokens."""

    def asked(self, trial: Trial) -> None:
        """Hear of a trial before it starts."""

    def committed(self, trial: Trial, told: Outcome | Failure | None, spend: Spend) -> None:
        """Hear of a settled trial and what it was charged, before the policy does; None = it was cancelled."""

    def settle(self, trial: Trial, result: A | Failure | None, spend: Spend | None = None) -> None:
        """Settle a trial: charge it, keep its attempt, tell the policy.

        Args:
            trial: Which one.
            result: None where it was cancelled or could not be paid for.
            spend: What it was charged already; None = commit its lease now.
        """
        if spend is None:
            spend = self.ledger.commit(trial.id)
        told: Outcome | Failure | None = None
        if isinstance(result, Failure):
            told = result
        elif result is not None:
            self.attempts[trial.id] = result
            told = self.outcome_of(trial, result, spend.total.logical_tokens)
        self.committed(trial, told, spend)
        if isinstance(told, Outcome):
            self.policy.tell(trial.id, told)
        elif told is not None:
            self.policy.fail(trial.id, told)

    def reason(self, stopped_by: StopReason) -> StopReason:
        """Return why it ended, given what the driver says: without a single attempt it failed."""
        return "failed" if not self.attempts and self.failures else stopped_by


@dataclass(slots=True, kw_only=True)
class _Running(Generic[A]):
    """A trial in flight, or one that has come back and waits for its turn."""

    trial: Trial
    lease: Lease
    task: asyncio.Task[A | Failure]
    unwanted: bool = False


@dataclass(slots=True, kw_only=True)
class Exploration(Generic[A]):
    """One search being carried out. Mutable; it changes at commits only."""

    search: Search[A]
    run: RunTrial[A]
    width: int = 1
    """How many trials may be in flight, >= 1; logged, since the tree depends on it."""
    trial_tokens: int | None = None
    """What one trial costs at most, in logical tokens; None = unknown: under a token limit trials then run in turn."""
    trial_calls: int | None = None
    """How many calls one trial makes at most; None = unknown: under a limit of calls trials then run in turn."""
    trial_steps: int | None = None
    """How many steps in an environment one trial takes at most; None = unknown: under a limit of them trials then run
    in turn."""
    _window: deque[_Running[A]] = field(init=False, default_factory=deque[_Running[A]])

    async def explore(self, seconds: float | None = None) -> StopReason:
        """Search until the policy stops or the budget is spent; cancelling it stops every trial in flight.

        Args:
            seconds: Wall-clock limit; None = none.

        Returns:
            Why it ended.
        """
        limit: StopReason | None = None
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                self._take_up(tasks)
                while True:
                    limit = self._fill(tasks) or limit
                    if not self._window:
                        break
                    await self._settle_oldest()
        except TimeoutError:
            limit = "seconds"
            while self._window:
                self.search.settle(self._window.popleft().trial, None)
        except BaseExceptionGroup as group:
            # One defect, or a refusal by several trials, is said as such: whoever runs one search wants no group.
            errors = list({id(error): error for error in _leaves(group)}.values())
            if len(errors) > 1 and not all(isinstance(error, ActorCriticError) for error in errors):
                raise
            raise errors[0] from errors[0].__cause__
        return self.search.policy.stopped or limit or "exhausted"

    def _take_up(self, tasks: asyncio.TaskGroup) -> None:
        """Start the trials that an earlier run left in flight, with what they had paid for."""
        unwanted = set(self.search.policy.cancelled())
        for past in self.search.open:
            skip = past.trial.id in unwanted
            if skip or past.failure:
                past.charge()
                work: Coroutine[None, None, A | Failure] = _known(past.failure)
            else:
                work = self._start(past.trial, past.lease)
            task = tasks.create_task(work)
            self._window.append(_Running(trial=past.trial, lease=past.lease, task=task, unwanted=skip))

    def _start(self, trial: Trial, lease: Lease) -> Coroutine[None, None, A | Failure]:
        """Return the work of a trial."""
        parent = self.search.attempts[trial.parent] if trial.parent is not None else None
        return self.run(trial, parent, lease)

    def _fill(self, tasks: asyncio.TaskGroup) -> StopReason | None:
        """Start trials while there is room in the window and in the budget; returns the limit that was met."""
        search = self.search
        while len(self._window) < self.width and search.policy.stopped is None:
            if search.spent is not None:
                return search.spent
            try:
                lease = search.ledger.lease(
                    search.next_trial, tokens=self.trial_tokens, calls=self.trial_calls, steps=self.trial_steps
                )
            except BudgetExhausted as error:
                return error.limit
            if lease is None:
                return None
            trials = search.policy.ask(1)
            if not trials:
                search.ledger.release(search.next_trial)
                return None
            trial = trials[0]
            search.next_trial = trial.id + 1
            search.asked(trial)
            task = tasks.create_task(self._start(trial, lease))
            self._window.append(_Running(trial=trial, lease=lease, task=task))
        return None

    async def _settle_oldest(self) -> None:
        """Wait for the oldest trial in flight, settle it, and stop those that no longer matter."""
        oldest = self._window[0]
        try:
            result: A | Failure | None = await oldest.task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not oldest.unwanted or (current is not None and current.cancelling()):
                raise
            result = None
        self._window.popleft()
        if isinstance(result, Failure) and out_of_budget(result):
            result = self._without_means(result)
        self.search.settle(oldest.trial, None if oldest.unwanted else result)
        unwanted = set(self.search.policy.cancelled())
        for running in self._window:
            if running.trial.id in unwanted and not running.unwanted:
                running.unwanted = True
                running.task.cancel()

    def _without_means(self, failure: Failure) -> Failure | None:
        """Return what the policy is told of a trial that could not pay for its first call."""
        if self._window or (self.search.ledger.left().tokens and failure.type != "money"):
            return failure  # others hold or have given back more than it had
        self.search.spent = "money" if failure.type == "money" else self.search.ledger.spent_limit() or "tokens"
        return None


async def _known(failure: Failure | None) -> Failure:
    """Return what an earlier run knows already; the result of an unwanted trial is never looked at."""
    return failure or Failure(where="driver", type="Unwanted", message="its result no longer matters")


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the exceptions in a group and in the groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
