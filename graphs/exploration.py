"""The one driver: keeps a window of trials of one policy in flight and settles them in trial order.

A trial is asked only after the commit that made room for it, and all that it may see (policy, ledger, attempts)
changes at commits only. So for a fixed width the tree does not depend on timing. Knows no strategy and no file.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from actorcritic.budget import Lease
from actorcritic.errors import BudgetExhausted
from actorcritic.graphs.session import Session
from actorcritic.graphs.trial import Attempt, out_of_budget
from actorcritic.types import Failure, StopReason, Trial

__all__ = ["Exploration", "RunTrial"]

RunTrial = Callable[[Trial, Attempt | None, Lease], Coroutine[None, None, Attempt | Failure]]
"""Carries out one trial from its parent's attempt within its lease; a failure is a value."""


@dataclass(slots=True, kw_only=True)
class _Running:
    """A trial in flight, or one that has come back and waits for its turn."""

    trial: Trial
    lease: Lease
    task: asyncio.Task[Attempt | Failure]
    unwanted: bool = False


@dataclass(slots=True, kw_only=True)
class Exploration:
    """One problem being searched. Mutable; it changes at commits only."""

    session: Session
    run: RunTrial
    width: int = 1
    """How many trials may be in flight, >= 1; logged, since the tree depends on it."""
    trial_tokens: int | None = None
    """What one trial costs at most, in logical tokens; None = unknown: under a token limit trials then run in turn."""
    _window: deque[_Running] = field(default_factory=deque[_Running])

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
                self.session.settle(self._window.popleft().trial, None)
        return self.session.policy.stopped or limit or "exhausted"

    def _take_up(self, tasks: asyncio.TaskGroup) -> None:
        """Start the trials that an earlier run left in flight, with what they had paid for."""
        unwanted = set(self.session.policy.cancelled())
        for past in self.session.open:
            skip = past.trial.id in unwanted
            work = _known(past.failure) if skip or past.failure else self._start(past.trial, past.lease)
            task = tasks.create_task(work)
            self._window.append(_Running(trial=past.trial, lease=past.lease, task=task, unwanted=skip))

    def _start(self, trial: Trial, lease: Lease) -> Coroutine[None, None, Attempt | Failure]:
        """Return the work of a trial."""
        parent = self.session.attempts[trial.parent] if trial.parent is not None else None
        return self.run(trial, parent, lease)

    def _fill(self, tasks: asyncio.TaskGroup) -> StopReason | None:
        """Start trials while there is room in the window and in the budget; returns the limit that was met."""
        session = self.session
        while len(self._window) < self.width and session.policy.stopped is None:
            if session.spent is not None:
                return session.spent
            try:
                lease = session.ledger.lease(session.next_trial, tokens=self.trial_tokens)
            except BudgetExhausted as error:
                return error.limit
            if lease is None:
                return None
            trials = session.policy.ask(1)
            if not trials:
                session.ledger.release(session.next_trial)
                return None
            trial = trials[0]
            session.next_trial = trial.id + 1
            session.journal.asked(trial)
            task = tasks.create_task(self._start(trial, lease))
            self._window.append(_Running(trial=trial, lease=lease, task=task))
        return None

    async def _settle_oldest(self) -> None:
        """Wait for the oldest trial in flight, settle it, and stop those that no longer matter."""
        oldest = self._window[0]
        try:
            result: Attempt | Failure | None = await oldest.task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not oldest.unwanted or (current is not None and current.cancelling()):
                raise
            result = None
        self._window.popleft()
        if isinstance(result, Failure) and out_of_budget(result):
            result = self._without_means(result)
        self.session.settle(oldest.trial, None if oldest.unwanted else result)
        unwanted = set(self.session.policy.cancelled())
        for running in self._window:
            if running.trial.id in unwanted and not running.unwanted:
                running.unwanted = True
                running.task.cancel()

    def _without_means(self, failure: Failure) -> Failure | None:
        """Return what the policy is told of a trial that could not pay for its first call."""
        left, _, _ = self.session.ledger.left()
        if self._window or left:
            return failure  # others hold or have given back more than it had
        self.session.spent = self.session.ledger.spent_limit() or "tokens"
        return None


async def _known(failure: Failure | None) -> Attempt | Failure:
    """Return what an earlier run knows already; the result of an unwanted trial is never looked at."""
    return failure or Failure(where="driver", type="Unwanted", message="its result no longer matters")
