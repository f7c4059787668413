"""Self-consistency: sample solutions and take the most frequent answer (Wang et al. 2022, arXiv 2203.11171).

Answers are compared by the task's vote key, never by surface text; a tie goes to the answer seen first. A solution that
was cut off, or that has no answer, does not vote.
"""

from __future__ import annotations

from typing import Any, ClassVar

from actorcritic.search.base import SAMPLING, TreePolicy
from actorcritic.search.options import Option, OptionValue, integer
from actorcritic.search.ranking import Votes
from actorcritic.search.tree import Node
from actorcritic.types import Action, Outcome, Trial

__all__ = ["Majority"]


class Majority(TreePolicy):
    """Plurality over `n` samples, one vote each."""

    NAME = "majority"
    OPTIONS: ClassVar[tuple[Option, ...]] = (integer("n", None, "number of samples"), *SAMPLING)
    COUNT = "n"

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        self._votes = Votes()

    @property
    def needs_critic(self) -> bool:
        """Never."""
        return False

    @property
    def best(self) -> int | None:
        """The first voter for the leading answer; without any vote, the first solution."""
        winner = self._votes.winner
        return super().best if winner is None else winner

    def _next(self) -> Trial:
        return self._trial(Action.PROPOSE)

    def _told(self, node: Node, outcome: Outcome) -> None:
        if outcome.complete and outcome.vote_key is not None:
            self._votes.add(node.id, outcome.vote_key)

    def _rank(self, outcome: Outcome) -> tuple[float, ...]:
        return (float(outcome.complete),)

    def _restore(self, state: dict[str, Any]) -> None:
        for node in self.tree:
            if node.outcome is not None:
                self._told(node, node.outcome)
