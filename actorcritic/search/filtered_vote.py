"""Critic-filtered vote: only solutions that the critic calls correct may vote.

RefCritic (Tang et al. 2025, arXiv 2507.15024). If none passes, all vote. The fallback and the treatment of unscored
solutions (they do not pass) are this module's.
"""

from __future__ import annotations

from typing import ClassVar

from actorcritic.search.base import SAMPLING
from actorcritic.search.options import Option, integer, number
from actorcritic.search.ranking import passes
from actorcritic.search.voting import VotePolicy
from actorcritic.types import Outcome

__all__ = ["FilteredVote"]


class FilteredVote(VotePolicy):
    """Plurality over those of `n` samples that pass the critic."""

    NAME = "filtered-vote"
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        number("accept", None, "score from which a verdict of correct passes; none = any", low=0, high=1),
        integer("n", None, "number of samples"),
        *SAMPLING,
    )

    def _weight(self, outcome: Outcome) -> float | None:
        return 1.0 if passes(outcome, self.options.maybe_real("accept")) else None
