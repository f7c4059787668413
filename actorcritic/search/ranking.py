"""How finished trials are compared: by the critic, by log-probability, by votes. Pure functions of outcomes.

Incomplete solutions lose to complete ones, unscored ones to scored ones; unscored is never read as a number.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from actorcritic.errors import InputError
from actorcritic.search.options import choice
from actorcritic.types import Outcome, Verdict

__all__ = [
    "AGGREGATE",
    "Rank",
    "Votes",
    "aggregate",
    "by_critic",
    "by_logprob",
    "by_value",
    "check_outcome",
    "critic_value",
    "passes",
]

Rank: TypeAlias = tuple[float, ...]
"""Compared from the left; higher is better."""

AGGREGATE = choice(
    "aggregate",
    ("final", "last", "min", "prod"),
    "what counts as a solution's score: the critic's final one, or its steps' last, lowest or product",
)
"""Snell et al. 2024 (arXiv 2408.03314) take the last step's, Lightman et al. 2023 (arXiv 2305.20050) the product."""


def check_outcome(outcome: Outcome) -> None:
    """Refuse numbers that would spoil a search.

    Raises:
        InputError: the score is not in [0, 1], or the log-probability not finite, or an index negative.
    """
    logprob = outcome.logprob
    scores = (outcome.score, *outcome.step_scores) if outcome.step_scores else (outcome.score,)
    for score in scores:
        if score is not None and not 0.0 <= score <= 1.0:
            raise InputError(f"a score must be in [0, 1] or None, not {score}")
    if logprob is not None and not math.isfinite(logprob):
        raise InputError(f"a log-probability must be finite or None, not {logprob}")
    for index in (outcome.first_error, outcome.least_confident):
        if index is not None and index < 0:
            raise InputError(f"a step index must be >= 0, not {index}")


def critic_value(outcome: Outcome) -> float | None:
    """Return the critic's score in [0, 1]; a bare verdict counts as certain; None = unscored."""
    if outcome.score is not None:
        return outcome.score
    if outcome.verdict is Verdict.UNSCORED:
        return None
    return 1.0 if outcome.verdict is Verdict.CORRECT else 0.0


def aggregate(outcome: Outcome, how: str) -> float | None:
    """Return a solution's score in [0, 1], made from its steps' as `AGGREGATE` says; None = unscored.

    Steps without a score of their own leave the others to speak.
    """
    if how == "final":
        return critic_value(outcome)
    scores = [score for score in outcome.step_scores if score is not None]
    if not scores:
        return None
    if how == "last":
        return scores[-1]
    return min(scores) if how == "min" else math.prod(scores)


def by_critic(outcome: Outcome) -> Rank:
    """Rank by the critic's score."""
    return _rank(outcome.complete, critic_value(outcome))


def by_logprob(outcome: Outcome) -> Rank:
    """Rank by the actor's own mean log-probability per token."""
    return _rank(outcome.complete, outcome.logprob)


def by_value(outcome: Outcome, how: str) -> Rank:
    """Rank by a score made as `aggregate` does."""
    return _rank(outcome.complete, aggregate(outcome, how))


def _rank(complete: bool, value: float | None) -> Rank:
    return (float(complete), 0.0, 0.0) if value is None else (float(complete), 1.0, value)


def passes(outcome: Outcome, accept: float | None = None) -> bool:
    """Return whether the critic calls a finished solution correct, with a score of at least `accept` where given."""
    if not outcome.complete or outcome.verdict is not Verdict.CORRECT:
        return False
    value = critic_value(outcome)
    return accept is None or (value is not None and value >= accept)


class Votes:
    """A running count of weighted votes per answer. Mutable."""

    __slots__ = ("_first", "_weights")

    def __init__(self) -> None:
        self._weights: dict[str, float] = {}
        self._first: dict[str, int] = {}

    def add(self, trial: int, key: str, weight: float = 1.0) -> None:
        """Count a vote; the answer's first voter is the lowest trial that voted for it."""
        self._weights[key] = self._weights.get(key, 0.0) + weight
        self._first[key] = min(trial, self._first.get(key, trial))

    @property
    def winner(self) -> int | None:
        """The first voter for the answer with most weight; a tie goes to the answer seen first. None = no votes."""
        if not self._weights:
            return None
        key = max(self._weights, key=lambda key: (self._weights[key], -self._first[key]))
        return self._first[key]

    def standing(self) -> list[tuple[str, float]]:
        """Return the answers with their weights, the leader first."""
        return sorted(self._weights.items(), key=lambda item: (-item[1], self._first[item[0]]))

    def first(self, key: str) -> int:
        """Return the first voter for an answer."""
        return self._first[key]
