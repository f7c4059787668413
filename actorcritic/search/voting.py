"""What all votes share: every complete solution with an answer may vote, the leader's first voter is the answer.

Answers are compared by the task's vote key, never by surface text; a tie goes to the answer seen first. A solution that
was cut off, or that has no answer, does not vote.
"""

from __future__ import annotations

from typing import Any, ClassVar

from actorcritic.search.base import TreePolicy
from actorcritic.search.options import OptionValue
from actorcritic.search.ranking import Rank, Votes
from actorcritic.search.tree import Node
from actorcritic.types import Action, Outcome, Trial

__all__ = ["VotePolicy"]


class VotePolicy(TreePolicy):
    """Independent samples that vote. What one vote weighs is for each kind to say."""

    COUNT: ClassVar[str | None] = "n"

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        self._votes = Votes()
        """The votes that count."""
        self._all = Votes()
        """One vote each, whatever it weighs: decides where none counts."""

    def _weight(self, outcome: Outcome) -> float | None:
        """Return what a vote weighs, >= 0; None = it does not count."""
        return 1.0

    @property
    def best(self) -> int | None:
        """The first voter for the leading answer; without any vote, the best solution."""
        for votes in (self._votes, self._all):
            if votes.winner is not None:
                return votes.winner
        return super().best

    def _next(self) -> Trial | None:
        return self._trial(Action.PROPOSE)

    def _told(self, node: Node, outcome: Outcome) -> None:
        if not outcome.complete or outcome.vote_key is None:
            return
        self._all.add(node.id, outcome.vote_key)
        weight = self._weight(outcome)
        if weight is not None:
            self._votes.add(node.id, outcome.vote_key, weight)

    def _rank(self, outcome: Outcome) -> Rank:
        return super()._rank(outcome) if self.needs_critic else (float(outcome.complete),)

    def _restore(self, state: dict[str, Any]) -> None:
        for node in self.tree:
            if node.outcome is not None:
                VotePolicy._told(self, node, node.outcome)
