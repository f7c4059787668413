"""One solution at temperature 0: the baseline of every comparison."""

from __future__ import annotations

from typing import ClassVar

from actorcritic.search.base import TreePolicy
from actorcritic.search.options import Option, OptionValue
from actorcritic.search.policy import TEMPERATURE
from actorcritic.types import Action, Trial

__all__ = ["Greedy"]


class Greedy(TreePolicy):
    """Propose once, judge nothing."""

    NAME = "greedy"
    OPTIONS: ClassVar[tuple[Option, ...]] = ()

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        self._limit = 1

    @property
    def needs_critic(self) -> bool:
        """Never."""
        return False

    def _next(self) -> Trial:
        return self._trial(Action.PROPOSE, extra={TEMPERATURE: 0.0})
