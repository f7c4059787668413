"""Goes on where an earlier run of a problem broke off: from its events to a session that pays for nothing twice.

The log is the only source; whatever else remembers the run is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actorcritic.codec import decode
from actorcritic.exploration import OpenTrial
from actorcritic.graphs.session import Journal, ProblemResult, Session
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.trial import Attempt
from actorcritic.trajectory.events import Event
from actorcritic.trajectory.replay import PastTrial, Replay, replay
from actorcritic.types import Problem, StopReason

__all__ = ["resume_session"]


def resume_session(
    problem: Problem, settings: SearchSettings, events: Sequence[Event], journal: Journal
) -> Session | ProblemResult:
    """Return a session that goes on after these events, or the result where they reach the end.

    Args:
        problem: As it was.
        settings: As they were; other ones make another search.
        events: The problem's, in order.
        journal: Hears of what is still to come.

    Raises:
        RecordError: the events are of another search.
    """
    policy, ledger = settings.policy(problem), settings.ledger()
    past = replay(events, policy, ledger, trial_tokens=settings.trial_tokens, trial_steps=settings.trial_steps)
    session = Session(
        problem=problem,
        policy=policy,
        ledger=ledger,
        seed=settings.seed,
        journal=journal,
        prices=settings.prices,
        attempts={trial: attempt for trial, item in past.finished.items() if (attempt := _attempt(item))},
        failures=list(past.failures),
        open=tuple(
            OpenTrial(
                trial=item.trial,
                lease=past.leases[item.trial.id],
                calls=tuple(item.calls),
                steps=tuple(item.steps),
                failure=item.failure,
            )
            for item in past.open
        ),
        next_trial=len(past.finished) + len(past.open),
    )
    if _ran_dry(past, session):
        session.spent = ledger.spent_limit() or "tokens"
    return session if past.result is None else _result(session, past)


def _attempt(past: PastTrial) -> Attempt | None:
    """Return what a settled trial left behind; what a cancelled one had brought does not count."""
    return (
        None
        if past.solution is None or past.outcome is None
        else Attempt(solution=past.solution, critique=past.critique, reward=past.reward)
    )


def _ran_dry(past: Replay, session: Session) -> bool:
    """Return whether a trial could not be paid for: settled without a result, though nobody had given it up."""
    unwanted = set(session.policy.cancelled())
    return any(
        item.solution is None and item.failure is None and trial not in unwanted
        for trial, item in past.finished.items()
    )


def _result(session: Session, past: Replay) -> ProblemResult:
    """Return the result that the log ends with."""
    assert past.result is not None  # the caller has looked
    return session.result(decode(_End, {"stopped_by": past.result.get("stopped_by")}).stopped_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """The part of a `finished` event that the replay cannot know."""

    stopped_by: StopReason
