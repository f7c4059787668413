"""Self-consistency: sample solutions and take the most frequent answer (Wang et al. 2022, arXiv 2203.11171)."""

from __future__ import annotations

from typing import ClassVar

from actorcritic.search.base import SAMPLING
from actorcritic.search.options import Option, integer
from actorcritic.search.voting import VotePolicy

__all__ = ["Majority"]


class Majority(VotePolicy):
    """Plurality over `n` samples, one vote each."""

    NAME = "majority"
    OPTIONS: ClassVar[tuple[Option, ...]] = (integer("n", None, "number of samples"), *SAMPLING)

    @property
    def needs_critic(self) -> bool:
        """Never."""
        return False
