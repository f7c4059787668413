"""Early-stopping vote: stops sampling once the outcome is decided, and cancels what is in flight.

Adaptive-Consistency (Aggarwal et al. 2023, arXiv 2305.11860): with `rule=beta` it stops once the leading answer beats
the runner-up with probability `threshold` under Beta(votes + 1, votes + 1). `rule=certain` stops only when the
remaining samples cannot change the winner any more, which needs `n`.
"""

from __future__ import annotations

import math
from typing import ClassVar

from actorcritic.search.base import SAMPLING
from actorcritic.search.options import Option, choice, integer, number
from actorcritic.search.tree import Node, Status
from actorcritic.search.voting import VotePolicy
from actorcritic.types import Outcome

__all__ = ["AdaptiveVote", "lead_probability"]


class AdaptiveVote(VotePolicy):
    """Plurality over at most `n` samples."""

    NAME = "adaptive-vote"
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        choice("rule", ("beta", "certain"), "when the outcome counts as decided"),
        number("threshold", 0.95, "probability that ends a beta vote", low=0.5, high=1),
        integer("n", None, "largest number of samples"),
        *SAMPLING,
    )

    @property
    def needs_critic(self) -> bool:
        """Never."""
        return False

    def _told(self, node: Node, outcome: Outcome) -> None:
        super()._told(node, outcome)
        if self._decided():
            self._stop("completed")

    def _failed(self, node: Node) -> None:
        if self._decided():
            self._stop("completed")

    def _decided(self) -> bool:
        """Return whether more samples are not worth it."""
        standing = [weight for _, weight in self._votes.standing()[:2]]
        first, second = int(sum(standing[:1])), int(sum(standing[1:]))
        if self.options.text("rule") == "beta":
            return first > 0 and lead_probability(first, second) >= self.options.real("threshold")
        if self._limit is None:
            return False
        ended = sum(node.status in (Status.DONE, Status.FAILED) for node in self.tree)
        return first - second > self._limit - ended


def lead_probability(first: int, second: int) -> float:
    """Return P(p > 1/2) for p ~ Beta(first + 1, second + 1): how surely the first answer is the more frequent one."""
    tosses = first + second + 1
    wins = sum(math.comb(tosses, heads) for heads in range(first + 1))
    return wins / (1 << tosses)
