"""Goes on where an earlier run of a problem broke off: from its events to a session that pays for nothing twice.

The log is the only source; whatever else remembers the run is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actorcritic.budget import Spend
from actorcritic.codec import decode
from actorcritic.exploration import OpenTrial
from actorcritic.graphs.journals import TeeJournal
from actorcritic.graphs.session import Journal, ProblemResult, Session, Watch
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.trial import Attempt
from actorcritic.trajectory.events import Event
from actorcritic.trajectory.replay import PastTrial, Replay, replay
from actorcritic.types import Failure, Outcome, Problem, StopReason

__all__ = ["resume_session"]


def resume_session(
    problem: Problem,
    settings: SearchSettings,
    events: Sequence[Event],
    journal: Journal,
    watch: Watch | None = None,
) -> Session | ProblemResult:
    """Return a session that goes on after these events, or the result where they reach the end.

    Args:
        problem: As it was.
        settings: As they were; other ones make another search.
        events: The problem's, in order.
        journal: Hears of what is still to come.
        watch: Who follows the whole search, what is in the events too; not told of an end that they reach.

    Raises:
        RecordError: the events are of another search.
    """
    session = Session(
        problem=problem,
        policy=settings.policy(problem),
        ledger=settings.ledger(),
        seed=settings.seed,
        journal=journal,
        prices=settings.prices,
    )
    follower = None if watch is None else watch(session)
    if follower is not None:
        session.journal = TeeJournal((journal, follower))

    def settle(item: PastTrial, told: Outcome | Failure | None, spend: Spend) -> None:
        if (attempt := _attempt(item)) is not None:
            session.attempts[item.trial.id] = attempt
        if follower is not None:
            _tell_failures(follower, item)
            follower.committed(item.trial, told, spend)

    past = replay(
        events,
        session.policy,
        session.ledger,
        trial_tokens=settings.trial_tokens,
        trial_steps=settings.trial_steps,
        on_commit=settle,
    )
    _go_on(session, past, follower)
    return session if past.result is None else _result(session, past)


def _go_on(session: Session, past: Replay, follower: Journal | None) -> None:
    """Give a session what was in flight when its log broke off."""
    session.failures = list(past.failures)
    session.open = tuple(
        OpenTrial(
            trial=item.trial,
            lease=past.leases[item.trial.id],
            calls=tuple(item.calls),
            steps=tuple(item.steps),
            failure=item.failure,
        )
        for item in past.open
    )
    session.next_trial = len(past.finished) + len(past.open)
    if _ran_dry(past, session):
        session.spent = session.ledger.spent_limit() or "tokens"
    if follower is not None:
        for item in past.open:
            _tell_failures(follower, item)


def _tell_failures(follower: Journal, item: PastTrial) -> None:
    for failure in item.failures:
        follower.brought(item.trial, failure)


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
