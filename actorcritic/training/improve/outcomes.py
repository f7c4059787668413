"""What an evaluation found of each held-out problem, and how hard each problem is for the base.

An answer is one greedy solution; `pass@5` and `majority@5` are of five samples. With the critic a solution that it
calls wrong gives way to one revision, any other stays (the gate of the main paper's test time); a sample that is not
complete has no answer. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from actorcritic.metering import derive_seed
from actorcritic.metrics import majority_at_k

__all__ = ["QUINTILES", "SAMPLES", "Answered", "Measured", "Outcome", "quintiles", "voted"]

SAMPLES = 5
"""Of pass@5 and majority@5."""
QUINTILES = 5


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Answered(_Record):
    """A problem, alone or with the critic."""

    right: bool
    """The greedy answer."""
    samples: list[bool]
    """Whether each sample is right."""
    majority: bool
    """Whether the most frequent answer of the samples is."""
    tokens: int
    """Logical tokens of the greedy answer, all roles; what a critique or a revision reads is counted whole."""


class Outcome(_Record):
    """What was found of one problem."""

    problem: str
    alone: Answered
    critic: Answered


class Measured(_Record):
    """The result of an evaluation."""

    outcomes: list[Outcome]
    """Of the held-out test problems, in their order."""
    development: float
    """Share of right samples on the development problems: alone, or with the critic where the critic was trained."""
    promoted: bool
    """Whether that is no less than before the round; a model that is worse explores no further round."""
    seconds: float = 0.0


def voted(keys: Sequence[str | None], right: Sequence[bool]) -> bool:
    """Return whether the most frequent answer is right; where nobody answers it is not.

    Args:
        keys: Canonical answers in the order of the samples; None = no answer.
        right: Of the same samples.
    """
    winner = majority_at_k(keys, len(keys)) if keys else None
    return winner is not None and right[list(keys).index(winner)]


def quintiles(rates: Mapping[str, Sequence[bool]], seed: int = 0) -> dict[str, int]:
    """Return how hard each problem is for the base, from 1 (easiest) to 5 (hardest fifth).

    Problems are ranked by the share of right samples; equal ones by a draw that depends on problem and seed alone, so
    that the fifths are equally large and no other property of a problem decides. The samples are taken once, of the
    base, and none of them counts in any evaluation.

    Args:
        rates: By problem, whether each of the base's samples is right; at least one each.
        seed: Of the draw.
    """
    ranked = sorted(rates, key=lambda problem: (-fmean(rates[problem]), derive_seed(seed, "quintile", problem)))
    return {problem: place * QUINTILES // len(ranked) + 1 for place, problem in enumerate(ranked)}
