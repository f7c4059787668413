"""Critique and refine: judge a solution, write it whole again with the critique (Xi et al. 2024, arXiv 2411.16579).

One attempt is refined up to `max_rounds` times, each time from its last version, then a fresh one begins; attempts are
independent, so any number may be in flight. The paper's modes: Pass@1 is `max_rounds=1,rounds=2`; parallel Maj@K is
`max_rounds=1,select=vote` over many attempts (the last version of each votes); sequential@K is `max_rounds=K`, and
`select=vote-all` lets every version vote. Deviations: the default answer is the best by the critic, never the last, and
a verdict of correct ends the search only from a score of `accept`; the paper takes the bare verdict, `accept=0`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from actorcritic.search.base import ACCEPT, SAMPLING, TreePolicy
from actorcritic.search.correcting import GATE, lets_through
from actorcritic.search.options import Option, OptionValue, choice, integer
from actorcritic.search.ranking import Rank, Votes, passes
from actorcritic.search.tree import Node, Tree
from actorcritic.types import Action, JsonValue, Outcome, Trial

__all__ = ["Refine"]


class Refine(TreePolicy):
    """Chains of propose, refine, refine ..."""

    NAME = "refine"
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        GATE,
        integer("max_rounds", 2, "refinements of one attempt before a fresh one", low=0),
        choice(
            "select",
            ("critic", "vote", "vote-all"),
            "the answer: best by the critic, a vote of each attempt's last version, a vote of all versions",
        ),
        ACCEPT,
        integer("rounds", None, "number of trials, proposals and refinements together"),
        *SAMPLING,
    )
    COUNT = "rounds"

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        self.gate = self.options.text("gate")
        self.max_rounds = self.options.whole("max_rounds")
        self.select = self.options.text("select")
        # A gold verdict is certain, whatever score the critic gives.
        self.accept = 0.0 if self.gate == "oracle" else self.options.real("accept")
        self._waiting: list[int] = []

    @property
    def best(self) -> int | None:
        """The best by the critic, or the winner of the vote."""
        if self.select == "critic":
            return super().best
        winner = _vote(self.tree, all_versions=self.select == "vote-all")
        return super().best if winner is None else winner

    def _next(self) -> Trial:
        if not self._waiting:
            return self._trial(Action.PROPOSE)
        return self._trial(Action.REFINE, self._waiting.pop(0))

    def _told(self, node: Node, outcome: Outcome) -> None:
        # A vote needs all attempts: an accepted one is merely not refined further.
        if self._passes(outcome):
            if self.select == "critic":
                self._stop("accepted")
        elif lets_through(outcome, self.gate) and self.tree.depth(node.id) < self.max_rounds:
            self._waiting.append(node.id)

    def _passes(self, outcome: Outcome) -> bool:
        """Return whether this version needs no refinement; with `gate=always` none is good enough."""
        return self.gate != "always" and passes(outcome, self.accept)

    def _rank(self, outcome: Outcome) -> Rank:
        return (float(self._passes(outcome)), *super()._rank(outcome))

    def _state(self) -> dict[str, JsonValue]:
        return {"waiting": list(self._waiting)}

    def _restore(self, state: dict[str, Any]) -> None:
        self._waiting = list(state["waiting"])


def _vote(tree: Tree, *, all_versions: bool) -> int | None:
    """Return the first voter for the leading answer, None without votes."""
    votes = Votes()
    for node in tree:
        outcome = node.outcome
        if outcome is None or not outcome.complete or outcome.vote_key is None:
            continue
        superseded = any(tree[child].outcome is not None for child in node.children)
        if all_versions or not superseded:
            votes.add(node.id, outcome.vote_key)
    return votes.winner
