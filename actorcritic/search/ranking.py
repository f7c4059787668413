"""How finished trials are compared: by a score, whoever gave it, or by votes. Pure functions of outcomes.

Incomplete solutions lose to complete ones, unscored ones to scored ones, and one that is certainly wrong (score 0) even
to an unscored one; unscored is never read as a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from actorcritic.errors import InputError
from actorcritic.search.options import choice
from actorcritic.types import Outcome, Verdict

__all__ = [
    "AGGREGATE",
    "REWARDED",
    "SCORE",
    "Rank",
    "Score",
    "Votes",
    "by_critic",
    "by_logprob",
    "check_outcome",
    "combine",
    "critic_value",
    "passes",
    "ranked",
    "score_of",
]

Rank: TypeAlias = tuple[float, ...]
"""Compared from the left; higher is better."""

Score: TypeAlias = Callable[[Outcome], float | None]
"""Reads a solution's score in [0, 1] off an outcome; None = unscored."""

SCORE = choice(
    "score",
    ("critic", "logprob", "reward-model", "verifier"),
    "whose score counts: the critic's, the actor's own probability per token, a reward model's, a verifier's",
)
"""With anything but `critic` the critic is asked only where the search needs its critique."""

REWARDED = ("reward-model", "verifier")
"""The sources that the driver asks for a reward."""

AGGREGATE = choice(
    "aggregate",
    ("final", "last", "min", "product", "mean"),
    "what counts as a solution's score: the source's own of the whole, or its steps' last, lowest, product or mean",
)
"""Snell et al. 2024 (arXiv 2408.03314) take the last step's, Wang et al. 2024 (Math-Shepherd, arXiv 2312.08935) the
lowest, Lightman et al. 2023 (arXiv 2305.20050) the product."""


def check_outcome(outcome: Outcome) -> None:
    """Refuse numbers that would spoil a search.

    Raises:
        InputError: the score is not in [0, 1], or the log-probability not finite, or an index negative.
    """
    logprob = outcome.logprob
    for score in (outcome.score, outcome.reward, *outcome.step_scores, *outcome.step_rewards):
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


def combine(steps: Sequence[float | None], how: str) -> float | None:
    """Return one score in [0, 1] for the scores of some steps: their `last`, `min`, `product` or `mean`.

    Steps without a score of their own leave the others to speak; None = no step has one.
    """
    scores = [score for score in steps if score is not None]
    if not scores:
        return None
    if how == "last":
        return scores[-1]
    if how == "min":
        return min(scores)
    return math.prod(scores) if how == "product" else math.fsum(scores) / len(scores)


def score_of(source: str, how: str = "final") -> Score:
    """Return what reads the score of one of the sources of `SCORE`, made from the steps' as `AGGREGATE` says.

    Raises:
        InputError: the source scores no steps.
    """
    if source in ("logprob", "verifier") and how != "final":
        raise InputError(f"option aggregate={how} is refused with score={source}, which scores no steps: leave it out")
    if source == "critic":
        return critic_value if how == "final" else lambda outcome: combine(outcome.step_scores, how)
    if source == "logprob":
        return _probability
    return lambda outcome: _reward(outcome, how)


def _probability(outcome: Outcome) -> float | None:
    """Return the actor's probability per token, the geometric mean over the solution."""
    return None if outcome.logprob is None else math.exp(min(0.0, outcome.logprob))


def _reward(outcome: Outcome, how: str) -> float | None:
    """Return a reward; where only the whole is scored there is nothing to make it from."""
    if how == "final" or not outcome.step_rewards:
        return outcome.reward
    return combine(outcome.step_rewards, how)


def by_critic(outcome: Outcome) -> Rank:
    """Rank by the critic's score."""
    return ranked(outcome, critic_value(outcome))


def by_logprob(outcome: Outcome) -> Rank:
    """Rank by the actor's own mean log-probability per token."""
    return ranked(outcome, _probability(outcome))


def ranked(outcome: Outcome, value: float | None) -> Rank:
    """Rank by a score in [0, 1]; None = unscored, which says less against a solution than 0 does."""
    complete = float(outcome.complete)
    if value is None:
        return (complete, 1.0, 0.0)
    return (complete, 2.0 if value > 0 else 0.0, value)


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
