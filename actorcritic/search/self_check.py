"""Self-check vote: spends critique only where the vote is uncertain (Luo et al. 2023, arXiv 2310.04815).

Samples `n` solutions without a critic. If the leading answer's lead, log(votes of the first / votes of the second),
reaches `threshold`, it is taken; otherwise the critic judges one solution of each answer, the most frequent one first,
until it accepts one; if it accepts none, the majority stands. The paper takes 2 for GPT-4 and 1 for weaker models.
That candidates go by frequency is this module's reading. They are judged one by one: each verdict may end the search.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from actorcritic.search.base import SAMPLING
from actorcritic.search.options import Option, OptionValue, integer, number
from actorcritic.search.policy import CRITIQUE
from actorcritic.search.ranking import passes
from actorcritic.search.tree import Node
from actorcritic.search.voting import VotePolicy
from actorcritic.types import Action, JsonValue, Outcome, Trial

__all__ = ["SelfCheck"]


class SelfCheck(VotePolicy):
    """A vote of `n` samples, checked by the critic where it is close."""

    NAME = "self-check"
    COUNT = None
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        integer("n", 8, "number of samples"),
        number("threshold", 1.0, "lead from which the vote is trusted, as a natural logarithm", low=0),
        *SAMPLING,
    )

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        self.n = self.options.whole("n")
        self._candidates: list[int] | None = None
        """Who is still to be judged; None while samples are missing."""
        self._accepted: int | None = None

    @property
    def best(self) -> int | None:
        """The accepted solution, or else the winner of the vote."""
        return super().best if self._accepted is None else self._accepted

    def _next(self) -> Trial | None:
        if len(self.tree) < self.n:
            return self._trial(Action.PROPOSE, extra={CRITIQUE: False})
        if self._candidates is None or self._in_flight:
            return None
        # The options of a judgement draw nothing, so a temperature would mean nothing.
        return Trial(id=len(self.tree), action=Action.JUDGE, parent=self._candidates.pop(0), options={CRITIQUE: True})

    def _told(self, node: Node, outcome: Outcome) -> None:
        if node.trial.action is Action.PROPOSE:
            super()._told(node, outcome)
        elif passes(outcome):
            self._accepted = node.id
            self._stop("accepted")

    def _settle(self) -> None:
        super()._settle()
        if self._stopped is not None or self._in_flight or len(self.tree) < self.n:
            return
        if self._candidates is None:
            self._candidates = self._uncertain()
        if not self._candidates:
            self._end()

    def _uncertain(self) -> list[int]:
        """Return one solution of each answer in the order in which they are to be judged; none if the lead is clear."""
        standing = self._all.standing()
        if not standing:
            return []
        lead = math.log(standing[0][1] / standing[1][1]) if len(standing) > 1 else math.inf
        return [] if lead >= self.options.real("threshold") else [self._all.first(key) for key, _ in standing]

    def _state(self) -> dict[str, JsonValue]:
        waiting: JsonValue = None if self._candidates is None else list(self._candidates)
        return {"candidates": waiting, "accepted": self._accepted}

    def _restore(self, state: dict[str, Any]) -> None:
        for node in self.tree:
            if node.outcome is not None and node.trial.action is Action.PROPOSE:
                super()._told(node, node.outcome)
        self._candidates = state["candidates"]
        self._accepted = state["accepted"]
