"""What comes of a search over a caller's own function: candidates, failures, the best so far. Frozen values.

Knows no strategy and calls nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from actorcritic.budget import Spend
from actorcritic.types import Failure, StopReason

__all__ = ["CallFailure", "Candidate", "PastError", "Progress", "Scaled"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(Generic[T]):
    """One value that the function returned."""

    index: int
    """0, 1, 2 ... in the order in which the calls were made."""
    value: T
    score: float | None = None
    """In [0, 1], 1 = certainly right; None = unscored, which is neither 0 nor a pass."""
    feedback: object = None
    """What the critique said beside its score."""
    parent: int | None = None
    """Index of the candidate that it was made from; None = made afresh."""
    done: bool = True
    """False for a value that the caller's `done` calls unfinished."""
    seconds: float = field(default=0.0, compare=False)
    """How long it took, scoring included."""


class PastError(Exception):
    """What a function raised in an earlier run, as far as the log holds it."""

    def __init__(self, type: str, message: str) -> None:
        super().__init__(message)
        self.type = type
        """Name of the exception's class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailure:
    """A call that brought nothing, as data."""

    index: int
    """Of the candidate that there would have been, or that stands without what failed."""
    where: str
    """The caller's function: "fn", "score", "critique", "revise", "done" or "key"."""
    error: Exception = field(compare=False)
    """What it raised; a `PastError` where that was in an earlier run."""

    def __str__(self) -> str:
        """Return it in one line."""
        return f"call {self.index}: {self.where} failed with {self.failure.type}: {self.error}"

    @property
    def failure(self) -> Failure:
        """The failure without the exception."""
        kind = self.error.type if isinstance(self.error, PastError) else type(self.error).__name__
        return Failure(where=self.where, type=kind, message=str(self.error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Generic[T]):
    """Something that happened, for whoever watches a search."""

    kind: Literal["asked", "returned", "failed", "settled"]
    """`asked`: a call starts. `returned`, `failed`: as they come. `settled`: in the order of asking; it is on the bill
    and the strategy knows of it, or the search has given it up."""
    index: int
    spend: Spend
    """All that is settled so far."""
    candidate: Candidate[T] | None = None
    """With `returned`, and with `settled` where there is one."""
    failure: CallFailure | None = None
    """With `failed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled(Generic[T]):
    """What came of a search: the best value so far, never merely the last, and everything beside it."""

    value: T
    score: float | None
    """Of `value`, in [0, 1]; None = unscored, or a strategy that needs no score."""
    index: int
    """Of the candidate that `value` is."""
    candidates: tuple[Candidate[T], ...]
    """Every value that came back and was still wanted, by index."""
    failures: tuple[CallFailure, ...]
    """Every call that failed, by index; their siblings went on."""
    attempts: int
    """How many candidates were begun: those above, those that failed and those given up."""
    stopped_by: StopReason
    """`completed`: all that was planned. `accepted`: a value was good enough. Else the limit that was met."""
    spend: Spend
    """Calls, tokens and money per role; tokens and money as the functions reported them."""
    seconds: float = field(compare=False)
    """Wall-clock."""
    strategy: str
    seed: int
    width: int

    @property
    def best(self) -> Candidate[T]:
        """The candidate that `value` is."""
        return next(candidate for candidate in self.candidates if candidate.index == self.index)
