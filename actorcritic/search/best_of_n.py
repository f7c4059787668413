"""Best-of-N: sample solutions and keep the one that scores highest (Cobbe et al. 2021, arXiv 2110.14168).

The score is the critic's, a reward model's or a verifier's, or without any of them the actor's own mean log-probability
per token.
"""

from __future__ import annotations

from typing import ClassVar

from actorcritic.search.base import SAMPLING, STOP_AT, TreePolicy
from actorcritic.search.options import Option, integer
from actorcritic.search.ranking import AGGREGATE, SCORE, Rank, by_logprob, ranked
from actorcritic.search.tree import Node
from actorcritic.types import Action, Outcome, Trial

__all__ = ["BestOfN"]


class BestOfN(TreePolicy):
    """The highest score of `n` independent samples."""

    NAME = "best-of-n"
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        SCORE,
        AGGREGATE,
        integer("n", None, "number of samples"),
        STOP_AT,
        *SAMPLING,
    )
    COUNT = "n"

    @property
    def needs_critic(self) -> bool:
        """Whether the critic's score decides."""
        return self.source == "critic"

    def _next(self) -> Trial:
        return self._trial(Action.PROPOSE)

    def _told(self, node: Node, outcome: Outcome) -> None:
        if self._good_enough(outcome):
            self._stop("accepted")

    def _rank(self, outcome: Outcome) -> Rank:
        return by_logprob(outcome) if self.source == "logprob" else ranked(outcome, self._score(outcome))
