"""Weighted vote: the answer whose solutions' scores add up to most (Li et al. 2022, arXiv 2206.02336).

The sum runs over solutions with the same vote key. An unscored solution does not vote, unless none is scored: then each
has one vote. By `logprob` a solution weighs its probability per token, exp of the mean log-probability.
"""

from __future__ import annotations

from typing import ClassVar

from actorcritic.search.base import SAMPLING
from actorcritic.search.options import Option, integer
from actorcritic.search.ranking import AGGREGATE, SCORE, Rank, ranked
from actorcritic.search.voting import VotePolicy
from actorcritic.types import Outcome

__all__ = ["WeightedVote"]


class WeightedVote(VotePolicy):
    """The answer with the highest sum of scores over `n` samples."""

    NAME = "weighted-vote"
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        SCORE,
        AGGREGATE,
        integer("n", None, "number of samples"),
        *SAMPLING,
    )

    @property
    def needs_critic(self) -> bool:
        """Whether votes weigh the critic's score."""
        return self.source == "critic"

    def _weight(self, outcome: Outcome) -> float | None:
        return self._score(outcome)

    def _rank(self, outcome: Outcome) -> Rank:
        return ranked(outcome, self._score(outcome))
