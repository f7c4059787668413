"""Step beam search with a step critic (Snell et al. 2024, arXiv 2408.03314).

`n` beams get one step each; the best n / beam_width prefixes go on, copied until there are `n` again; finished
solutions leave the beams. With `lookahead` = k a prefix counts what the critic says of it after k more steps at
temperature 0, which are not kept; only they are judged, and one that finishes may be the answer. Deviations: equal
texts are not merged, since a policy sees none; the sampling temperature is the actor's own unless given (0.8 in the
reference implementation); while budget is left, the next search begins. No step is revised or refined: a prefix that is
judged wrong gives its place to a better one.
"""

from __future__ import annotations

from typing import ClassVar

from actorcritic.errors import InputError
from actorcritic.search.options import Option, OptionValue, integer
from actorcritic.search.stepwise import STEPWISE, Place, StepSearch
from actorcritic.search.tree import Node

__all__ = ["Beam", "check_divides"]


class Beam(StepSearch):
    """Keeps the best prefixes of all beams together."""

    NAME = "beam"
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        integer("n", 4, "number of beams; a multiple of beam_width"),
        integer("beam_width", 4, "continuations of each prefix that is kept"),
        integer("lookahead", 0, "steps at temperature 0 after which a prefix is judged; 0 = as it stands", low=0),
        *STEPWISE,
    )

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        check_divides(self.options.whole("n"), self.options.whole("beam_width"))

    def _begin(self) -> list[Place]:
        return [(place, None) for place in range(self.options.whole("n"))]

    def _select(self, nodes: list[tuple[int, Node]]) -> list[Place]:
        n = self.options.whole("n")
        active = [node for _, node in nodes if node.outcome is not None and not node.outcome.complete]
        active.sort(key=lambda node: (-(self._promise(node) or 0.0), self._promise(node) is None, node.id))
        kept = active[: n // self.options.whole("beam_width")]
        return [(place, kept[place % len(kept)].id) for place in range(n)] if kept else []


def check_divides(n: int, beam_width: int) -> None:
    """Refuse beams that cannot be shared out evenly.

    Raises:
        InputError: `n` is no multiple of `beam_width`.
    """
    if n % beam_width:
        raise InputError(f"option n={n} is refused; allowed: a multiple of beam_width={beam_width}")
