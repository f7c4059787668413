"""Diverse verifier tree search (Beeching, Tunstall, Rush 2024): independent subtrees, each a greedy best-of-M by steps.

n / beam_width subtrees grow on their own, so that one high score does not crowd out the rest: each writes beam_width
candidates for the next step and goes on from its best, until that one is finished. All candidates stay eligible as
the answer. With beam_width = n this is greedy step-wise best-of-N, with beam_width = 1 it is n plain samples.
Default: beam_width is the paper's; of its n, powers of 4, the program's default of 4 is one subtree and no DVTS, and 16
finishes nothing on small budgets (the embedded pair's 128 tokens), so n is 8: two subtrees. Deviations and why no step
is revised or refined: as for `beam`.
"""

from __future__ import annotations

from typing import ClassVar

from actorcritic.search.beam import check_divides
from actorcritic.search.options import Option, OptionValue, integer
from actorcritic.search.ranking import Rank
from actorcritic.search.stepwise import STEPWISE, Place, StepSearch
from actorcritic.search.tree import Node

__all__ = ["Dvts"]


class Dvts(StepSearch):
    """Keeps the best prefix of each subtree."""

    NAME = "dvts"
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        integer("n", 8, "number of candidates per round; a multiple of beam_width"),
        integer("beam_width", 4, "candidates per subtree"),
        *STEPWISE,
    )

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        check_divides(self.options.whole("n"), self.options.whole("beam_width"))

    def _begin(self) -> list[Place]:
        width = self.options.whole("beam_width")
        return [(place // width, None) for place in range(self.options.whole("n"))]

    def _select(self, nodes: list[tuple[int, Node]]) -> list[Place]:
        leaders: dict[int, Node] = {}
        for subtree, node in nodes:
            if node.outcome is None:
                continue
            if subtree not in leaders or self._standing(node) > self._standing(leaders[subtree]):
                leaders[subtree] = node
        width = self.options.whole("beam_width")
        return [
            (subtree, node.id)
            for subtree, node in leaders.items()
            if node.outcome is not None and not node.outcome.complete
            for _ in range(width)
        ]

    def _standing(self, node: Node) -> Rank:
        """Return how good a candidate is, finished or not; unscored is below every score."""
        value = self._value(node)
        return (0.0, 0.0) if value is None else (1.0, value)
