"""What a search answers under several token budgets, read off one run under the largest of them.

At a width of 1 a trial that ends within a budget is the same trial in a run under that budget: its seed is made of the
run's seed, the problem and its number, what it sees are the commits before it, and a lease only ever cuts what does not
fit. So both runs agree up to the first trial that the smaller budget cuts: a reading leaves out what comes from there
on, answer and tokens alike (a real run answers with what it could not pay to have judged, where all else is certainly
wrong). At larger widths the end of a budget also narrows the window: there a reading is near, not equal. Not for
policies that plan with the budget (`ANYTIME` is False). Knows no gold answer.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from actorcritic.budget import Budget, Spend
from actorcritic.errors import InputError
from actorcritic.graphs.session import ProblemResult, Session, SilentJournal, Watch
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, solve_all
from actorcritic.graphs.trial import Attempt
from actorcritic.protocols import Actor, Critic
from actorcritic.search.strategies import STRATEGIES, StrategySpec
from actorcritic.types import Failure, Outcome, Payload, Problem, Trial

__all__ = ["BudgetJournal", "OpenSession", "Reading", "ScaledResult", "SharedClock", "is_anytime", "search_budgets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far a search had come when a budget was spent."""

    budget: int
    """Logical tokens, all roles."""
    attempt: Attempt | None
    """The best so far; None where no trial had ended."""
    spend: Spend
    """Of the trials that had ended; at most the budget."""
    trials: int
    """How many had ended, failed and cancelled ones included."""
    seconds: float
    """The problem's share of the time until the last of them had ended: of k problems in flight each takes a k-th.

    Of a problem that goes on where an earlier run broke off: the share of the time since then.
    """
    failures: int
    """What had failed in these trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledResult:
    """One problem, searched once, read at every budget."""

    result: ProblemResult
    readings: tuple[Reading, ...]
    """One per budget, the smallest first."""


class SharedClock:
    """Seconds as one of the problems in flight counts them: it stands for none, and is slower the more there are.

    So the seconds of all problems add up to those of the run. Mutable.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last = now()
        self._shared = 0.0
        self._running = 0

    def read(self) -> float:
        """Return the time."""
        now = self._now()
        if self._running:
            self._shared += (now - self._last) / self._running
        self._last = now
        return self._shared

    def enter(self) -> float:
        """Count one more problem from now on; returns the time."""
        shared = self.read()
        self._running += 1
        return shared

    def leave(self) -> None:
        """Count one problem less from now on."""
        self.read()
        self._running -= 1


class BudgetJournal(SilentJournal):
    """A journal that takes a reading whenever a commit passes a budget. Mutable; belongs to one session."""

    def __init__(self, session: Session, budgets: Iterable[int], clock: SharedClock) -> None:
        """Follow a session from its beginning.

        Args:
            session: A session at its beginning.
            budgets: Logical tokens.
            clock: The clock of all problems in flight.
        """
        self.readings: list[Reading] = []
        """Those taken so far, the smallest budget first."""
        self._session = session
        self._waiting = sorted(budgets, reverse=True)
        self._clock = clock
        self._start = clock.enter()
        self._spend = Spend()
        self._seconds = 0.0
        self._trials = 0
        self._failures = 0
        self._failed: dict[int, int] = {}

    def brought(self, trial: Trial, payload: Payload) -> None:
        """See `Journal.brought`."""
        if isinstance(payload, Failure):
            self._failed[trial.id] = self._failed.get(trial.id, 0) + 1

    def committed(self, trial: Trial, result: Outcome | Failure | None, spend: Spend) -> None:
        """See `Journal.committed`; a session tells its policy only after this, so the best is still that of before."""
        after = self._spend.plus(spend)
        while self._waiting and self._waiting[-1] < after.total.logical_tokens:
            self._read(self._session.policy.best)
        self._spend = after
        self._trials += 1
        self._seconds = self._clock.read() - self._start
        self._failures += self._failed.pop(trial.id, 0)

    def finished(self, result: ProblemResult) -> None:
        """See `Journal.finished`; larger budgets would have brought the same."""
        self._clock.leave()
        while self._waiting:
            self._read(result.best)

    def _read(self, best: int | None) -> None:
        self.readings.append(
            Reading(
                budget=self._waiting.pop(),
                attempt=None if best is None else self._session.attempts[best],
                spend=self._spend,
                trials=self._trials,
                seconds=self._seconds,
                failures=self._failures,
            )
        )


OpenSession: TypeAlias = Callable[[Problem, SearchSettings, Watch], Session | ProblemResult]
"""Opens a problem for somebody who follows it: at its beginning, where it broke off, or with the result it has."""


def _begin(problem: Problem, settings: SearchSettings, watch: Watch) -> Session:
    return new_session(problem, settings, SilentJournal(), watch)


def is_anytime(spec: StrategySpec) -> bool:
    """Return whether one run of a strategy tells what smaller budgets would bring."""
    return STRATEGIES[spec.name].ANYTIME


async def search_budgets(
    problems: Iterable[Problem],
    actor: Actor,
    critic: Critic | None,
    settings: SearchSettings,
    budgets: Sequence[int],
    *,
    concurrency: int = 64,
    open_session: OpenSession = _begin,
) -> AsyncIterator[ScaledResult]:
    """Search every problem once under the largest budget and read what each budget would have brought.

    Args:
        problems: Taken one by one as there is room.
        actor: Who writes.
        critic: Who judges; may be None where the strategy needs none.
        settings: How to search; the token limit is replaced by the largest budget.
        budgets: Logical tokens per problem, all roles.
        concurrency: Problems in flight, >= 1.
        open_session: How a problem is taken up; by default at its beginning, without a log.

    Yields:
        Results as problems end.

    Raises:
        InputError: there is no budget, or several for a policy that plans with its budget.
    """
    if not budgets:
        raise InputError("give at least one budget")
    if len(budgets) > 1 and not is_anytime(settings.strategy):
        raise InputError(f"{settings.strategy} plans with its budget: search once per budget")
    limits: Budget = replace(settings.budget, tokens=max(budgets))
    settings = replace(settings, budget=limits)
    readers = _Readers(budgets)
    sessions = readers.open(problems, settings, open_session)
    async for result in solve_all(sessions, actor, critic, settings, concurrency=concurrency):
        yield readers.scaled(result)
        for ended in readers.take_ended():
            yield ended
    for ended in readers.take_ended():
        yield ended


class _Readers:
    """Who reads the budgets off the problems in flight. Mutable."""

    def __init__(self, budgets: Sequence[int]) -> None:
        self._budgets = budgets
        self._journals: dict[str, BudgetJournal] = {}
        self._ended: list[ProblemResult] = []
        self._clock = SharedClock()

    def open(
        self, problems: Iterable[Problem], settings: SearchSettings, open_session: OpenSession
    ) -> Iterator[Session]:
        """Yield a session for each problem that is still to be searched."""
        for problem in problems:
            opened = open_session(problem, settings, self._follow)
            if isinstance(opened, Session):
                yield opened
            else:
                self._journals[problem.id].finished(opened)
                self._ended.append(opened)

    def scaled(self, result: ProblemResult) -> ScaledResult:
        """Return a result with what was read off its search."""
        return ScaledResult(result=result, readings=tuple(self._journals.pop(result.problem.id).readings))

    def take_ended(self) -> list[ScaledResult]:
        """Return the problems that had ended in an earlier run, each once."""
        ended, self._ended = self._ended, []
        return [self.scaled(result) for result in ended]

    def _follow(self, session: Session) -> BudgetJournal:
        self._journals[session.problem.id] = journal = BudgetJournal(session, self._budgets, self._clock)
        return journal
