"""What a search over a caller's functions tells a log, and asks of it: the calls that an earlier run has made.

The log of a search that nobody keeps is `Log` itself, which knows nothing and forgets everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actorcritic.budget import Charge, Spend
from actorcritic.functions.results import CallFailure, Candidate
from actorcritic.search.tree import NodeCount
from actorcritic.types import Failure, Outcome, Role, StopReason, Trial, Verdict

__all__ = ["End", "Ended", "Log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A call of a caller's function that has ended."""

    where: str
    """The caller's function."""
    role: Role
    charge: Charge | None
    """What it is billed for; None = nothing, as a plain score that reports no cost."""
    seed: int
    seconds: float
    value: Any = None
    """What it returned, or the `Judgement` of it."""
    error: Exception | None = None
    """What it raised."""
    lost: bool = False
    """True where it was cancelled or refused: it is on the bill, and brought neither value nor error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What came of a search."""

    best: Candidate[Any] | None
    attempts: int
    """How many candidates came back."""
    spend: Spend
    stopped_by: StopReason
    failures: Sequence[Failure]
    counts: Mapping[int, NodeCount]
    """By candidate, where the strategy counts visits."""


class Log:
    """Keeps nothing and remembers nothing."""

    def answer(self, trial: Trial) -> Ended | None:
        """Return what the next call of a trial came to in an earlier run; None = it has not been made."""
        return None

    def given_up(self, trial: Trial) -> Sequence[Charge] | None:
        """Return what a trial had cost that an earlier run gave up; None = it did not."""
        return None

    def asked(self, trial: Trial) -> StopReason | None:
        """Hear of a trial before it starts; returns why an earlier run ended with it, if one did."""
        return None

    def called(self, trial: Trial, ended: Ended) -> None:
        """Hear of a call that ended.

        Raises:
            Refusal: what it returned cannot be written.
        """

    def brought(self, trial: Trial, candidate: Candidate[Any], verdict: Verdict | None) -> None:
        """Hear of a value and what is thought of it; None = nobody was asked, or the judge failed."""

    def failed(self, trial: Trial, failure: CallFailure) -> None:
        """Hear of what failed in a trial."""

    def dry(self, trial: Trial) -> None:
        """Hear of a trial that could not pay for its first call."""

    def committed(self, trial: Trial, told: Outcome | Failure | None, spend: Spend) -> None:
        """Hear of a settled trial."""

    def finished(self, end: End) -> None:
        """Hear of the end."""

    def close(self) -> None:
        """Let go of what is open."""
