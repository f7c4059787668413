"""Best-of-N: sample solutions and keep the one that scores highest (Cobbe et al. 2021, arXiv 2110.14168).

The score is the critic's, or without a critic the actor's own mean log-probability per token.
"""

from __future__ import annotations

from typing import ClassVar

from actorcritic.search.base import SAMPLING, TreePolicy
from actorcritic.search.options import Option, OptionValue, choice, integer
from actorcritic.types import Action, Trial

__all__ = ["BestOfN"]


class BestOfN(TreePolicy):
    """The highest score of `n` independent samples."""

    NAME = "best-of-n"
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        choice("score", ("critic", "logprob"), "what solutions are compared by"),
        integer("n", None, "number of samples"),
        *SAMPLING,
    )
    COUNT = "n"

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        self.score = self.options.text("score")

    @property
    def needs_critic(self) -> bool:
        """Whether the critic's score decides."""
        return self.score == "critic"

    def _next(self) -> Trial:
        return self._trial(Action.PROPOSE)
