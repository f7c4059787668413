"""Particle filtering and particle Gibbs over steps (Puri et al. 2025, arXiv 2502.01618).

`n` particles get one step each; then all of them, finished ones included, are drawn anew with weights
softmax(logit(score) / weight_temperature). With `gibbs_rounds` > 1 one particle drawn by the same weights is kept as
the reference of the next round, where it takes place 0 step by step. A particle without a score is not drawn unless
none has one. Deviations: four resampling methods; the sampling temperature is the actor's own unless given. No step is
revised or refined: a particle's weight speaks of what the actor itself would write, and a low one is not drawn again.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from actorcritic.search.options import Option, OptionValue, choice, integer, number
from actorcritic.search.resampling import RESAMPLING
from actorcritic.search.stepwise import STEPWISE, Place, StepSearch
from actorcritic.search.tree import Node
from actorcritic.types import JsonValue

__all__ = ["Particle"]

EPSILON = 1e-6
"""Scores are clipped to [EPSILON, 1 - EPSILON], since the logit of 0 and 1 is infinite."""


class Particle(StepSearch):
    """Resamples all particles after each step."""

    NAME = "particle"
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        integer("n", 4, "number of particles"),
        choice("resampling", tuple(RESAMPLING), "how particles are drawn"),
        number("weight_temperature", 1.0, "above 1 flattens the weights", low=0, open_low=True),
        integer("gibbs_rounds", 1, "rounds of one search; from the second on with a reference particle"),
        *STEPWISE,
    )

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        self._particles: list[int | None] = []
        """The node of each place; None = not begun, or lost to a failure."""
        self._reference: list[int] = []
        """The nodes on the way to the reference particle, which holds place 0; empty = none."""
        self._gibbs = 0
        super().__init__(seed=seed, **options)

    def _begin(self) -> list[Place]:
        n = self.options.whole("n")
        self._particles = [None] * n
        return [(place, None) for place in range(1 if self._reference else 0, n)]

    def _select(self, nodes: list[tuple[int, Node]]) -> list[Place]:
        for place, node in nodes:
            self._particles[place] = node.id if node.outcome is not None else None
        if self._reference:
            self._particles[0] = self._reference[min(self._iteration, len(self._reference)) - 1]
        weights = self._weights()
        if not any(weights):
            return []
        free = range(1 if self._reference else 0, len(weights))
        chosen = RESAMPLING[self.options.text("resampling")](weights, len(free), self.random)
        before = list(self._particles)
        for place, source in zip(free, chosen, strict=True):
            self._particles[place] = before[source]
        places = [(place, self._particles[place]) for place in free]
        return [(place, trial) for place, trial in places if trial is not None and self._open(trial)]

    def _open(self, trial: int) -> bool:
        """Return whether a solution is still to be gone on with."""
        outcome = self.tree[trial].outcome
        return outcome is not None and not outcome.complete

    def _weights(self) -> list[float]:
        """Return the weight of each place, 0 for a lost one."""
        nodes = [None if trial is None else self.tree[trial] for trial in self._particles]
        values = [None if node is None else self._value(node) for node in nodes]
        logits = [
            None if value is None else _logit(value) / self.options.real("weight_temperature") for value in values
        ]
        highest = max((logit for logit in logits if logit is not None), default=None)
        if highest is None:
            return [0.0 if node is None else 1.0 for node in nodes]
        return [0.0 if logit is None else math.exp(logit - highest) for logit in logits]

    def _end_search(self) -> None:
        # After resampling, every particle stands for its weight: a plain draw is a weighted one.
        alive = [trial for trial in self._particles if trial is not None]
        self._gibbs += 1
        if self._gibbs < self.options.whole("gibbs_rounds") and alive and len(self._particles) > 1:
            self._reference = self._path(self.random.choice(alive))
            self._iteration = 0
            self._queue = self._begin()
            return
        self._gibbs = 0
        self._reference = []
        super()._end_search()

    def _path(self, trial: int) -> list[int]:
        """Return the nodes from the first step to this one."""
        path: list[int] = []
        node: int | None = trial
        while node is not None:
            path.append(node)
            node = self.tree[node].parent
        return path[::-1]

    def _state(self) -> dict[str, JsonValue]:
        own: dict[str, JsonValue] = {
            "particles": list(self._particles),
            "reference": list(self._reference),
            "gibbs": self._gibbs,
        }
        return {**super()._state(), **own}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self._particles = state["particles"]
        self._reference = state["reference"]
        self._gibbs = state["gibbs"]


def _logit(score: float) -> float:
    """Return log(score / (1 - score)), the score clipped."""
    clipped = min(max(score, EPSILON), 1 - EPSILON)
    return math.log(clipped / (1 - clipped))
