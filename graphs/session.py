"""One problem at work: its policy, its ledger, its attempts, and the journal that hears of everything.

Shared by the graphs that search; it settles each trial in turn and says in the end what came of it all. Knows no
LangGraph and makes no model call itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from actorcritic.budget import Lease, Price, Spend
from actorcritic.exploration import Search
from actorcritic.graphs.trial import Attempt, outcome_of
from actorcritic.metering import Call, CallMeter, EnvironmentStep, StepMeter, derive_seed
from actorcritic.search.tree import NodeCount, node_counts
from actorcritic.types import Failure, Outcome, Payload, Problem, StopReason, Trial

__all__ = ["Journal", "ProblemResult", "Session", "SilentJournal", "Watch"]


class Journal(Protocol):
    """Who hears of everything that happens to one problem, in the order in which a resume needs it."""

    def asked(self, trial: Trial) -> None:
        """Hear of a trial before its first call."""
        ...

    def called(self, trial: Trial, call: Call) -> None:
        """Hear of a finished call."""
        ...

    def stepped(self, trial: Trial, step: EnvironmentStep) -> None:
        """Hear of a step in an environment that ended."""
        ...

    def brought(self, trial: Trial, payload: Payload) -> None:
        """Hear of what a trial brought forth."""
        ...

    def committed(self, trial: Trial, result: Outcome | Failure | None, spend: Spend) -> None:
        """Hear of a settled trial and what it was charged; None = it was cancelled."""
        ...

    def finished(self, result: ProblemResult) -> None:
        """Hear of the end."""
        ...


class SilentJournal:
    """A journal that forgets."""

    def asked(self, trial: Trial) -> None:
        """Forget it."""

    def called(self, trial: Trial, call: Call) -> None:
        """Forget it."""

    def stepped(self, trial: Trial, step: EnvironmentStep) -> None:
        """Forget it."""

    def brought(self, trial: Trial, payload: Payload) -> None:
        """Forget it."""

    def committed(self, trial: Trial, result: Outcome | Failure | None, spend: Spend) -> None:
        """Forget it."""

    def finished(self, result: ProblemResult) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemResult:
    """What came of one problem: the best so far, and what it took."""

    problem: Problem
    best: int | None
    """The trial that wrote the answer."""
    attempt: Attempt | None
    attempts: int
    """How many trials brought a solution."""
    spend: Spend
    stopped_by: StopReason
    failures: tuple[Failure, ...]
    first: Attempt | None = None
    """The first trial's solution, as it was before any critique."""
    counts: Mapping[int, NodeCount] = field(default_factory=dict[int, NodeCount])
    """By trial, where the strategy counts visits."""

    @property
    def answer(self) -> str | None:
        """The answer of the best solution; None where there is none or it was cut off."""
        if self.attempt is None or not self.attempt.solution.complete:
            return None
        return self.attempt.solution.answer


@dataclass(slots=True, kw_only=True)
class Session(Search[Attempt]):
    """One problem at work. Mutable."""

    problem: Problem
    seed: int
    """The run's seed; each trial's is derived from it, the problem's id and the trial's."""
    journal: Journal = field(default_factory=SilentJournal)
    prices: Mapping[str, Price] = field(default_factory=dict[str, Price])
    ended: ProblemResult | None = None
    """What came of it, once the search has ended or was interrupted."""

    def meter(self, trial: Trial, lease: Lease) -> CallMeter:
        """Return the meter through which a trial makes its calls."""
        past = next((past for past in self.open if past.trial.id == trial.id), None)
        steps = StepMeter(
            lease,
            past=() if past is None else past.steps,
            on_step=lambda step: self.journal.stepped(trial, step),
        )
        return CallMeter(
            lease,
            steps=steps,
            seed=derive_seed(self.seed, self.problem.id, trial.id),
            prices=dict(self.prices),
            past=() if past is None else past.calls,
            on_call=lambda call: self.journal.called(trial, call),
        )

    def brought(self, trial: Trial, payload: Payload) -> None:
        """Take what a trial brings forth."""
        if isinstance(payload, Failure):
            self.failures.append(payload)
        self.journal.brought(trial, payload)

    def outcome_of(self, trial: Trial, attempt: Attempt, tokens: int) -> Outcome:
        """See `Search.outcome_of`."""
        return outcome_of(attempt, tokens)

    def asked(self, trial: Trial) -> None:
        """See `Search.asked`."""
        self.journal.asked(trial)

    def committed(self, trial: Trial, told: Outcome | Failure | None, spend: Spend) -> None:
        """See `Search.committed`."""
        self.journal.committed(trial, told, spend)

    def conclude(self, stopped_by: StopReason) -> ProblemResult:
        """Return the best so far and tell the journal."""
        self.ended = self.result(self.reason(stopped_by))
        self.journal.finished(self.ended)
        return self.ended

    def break_off(self) -> ProblemResult:
        """Return the best so far of a search that somebody stopped; for the journal it has not ended, to be resumed.

        What trials in flight had spent is in the log, and is charged when the search goes on.
        """
        self.ended = self.result("interrupted")
        return self.ended

    def result(self, stopped_by: StopReason) -> ProblemResult:
        """Return what has come of the problem, given why it ended."""
        best = self.policy.best
        return ProblemResult(
            problem=self.problem,
            best=best,
            attempt=None if best is None else self.attempts[best],
            attempts=len(self.attempts),
            spend=self.ledger.spend,
            stopped_by=stopped_by,
            failures=tuple(self.failures),
            first=self.attempts.get(0),
            counts=node_counts(self.policy),
        )


Watch: TypeAlias = Callable[[Session], Journal]
"""Makes the journal of somebody who follows a session from its beginning.

It is called before anything has happened. Where the session is an earlier run's, the journal then hears again of what
failed and what was settled there, in order, before it hears of anything new.
"""
