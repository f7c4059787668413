"""Revise from the first error: keep the steps before it that the critic is `sure` of, write the rest anew, judge again.

An attempt that stays wrong after `max_revisions` gives way to a fresh one; one that is judged correct ends the search
from a score of `accept`. With `locate=least-confident` no critic is asked: the solution is cut at the step of its least
likely token. Not a published recipe as it stands; the critique loop is that of Xi et al. 2024 (arXiv 2411.16579), which
rewrites the whole solution instead. Chains are independent, so any number of them may be in flight.
"""

from __future__ import annotations

from typing import Any, ClassVar

from actorcritic.search.base import ACCEPT, SAMPLING, TreePolicy
from actorcritic.search.correcting import LOCATE, SURE, find_cut
from actorcritic.search.options import Option, OptionValue, integer
from actorcritic.search.policy import REVISE_FROM
from actorcritic.search.ranking import Rank, passes
from actorcritic.search.tree import Node
from actorcritic.types import Action, JsonValue, Outcome, Trial, Verdict

__all__ = ["Revise"]


class Revise(TreePolicy):
    """Chains of propose, revise, revise ...; stops as soon as the critic accepts."""

    NAME = "revise"
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        LOCATE,
        SURE,
        integer("max_revisions", 2, "revisions of one attempt before a fresh one", low=0),
        ACCEPT,
        integer("rounds", None, "number of trials, proposals and revisions together"),
        *SAMPLING,
    )
    COUNT = "rounds"

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        self.locate = self.options.text("locate")
        self.max_revisions = self.options.whole("max_revisions")
        self.accept = self.options.real("accept")
        self._waiting: list[int] = []

    @property
    def needs_critic(self) -> bool:
        """Whether the critic says where to cut."""
        return self.locate == "critic"

    def _next(self) -> Trial:
        if not self._waiting:
            return self._trial(Action.PROPOSE)
        parent = self._waiting.pop(0)
        return self._trial(Action.REVISE, parent, {REVISE_FROM: self._cut(self.tree[parent])})

    def _told(self, node: Node, outcome: Outcome) -> None:
        if self.needs_critic and passes(outcome, self.accept):
            self._stop("accepted")
        elif self._cut(node) is not None and self.tree.depth(node.id) < self.max_revisions:
            self._waiting.append(node.id)

    def _cut(self, node: Node) -> int | None:
        """Return the step to write anew; None where nothing says which, so that only a fresh attempt helps."""
        outcome = node.outcome
        if outcome is None:
            return None
        unjudged = self.needs_critic and outcome.verdict is Verdict.UNSCORED
        return None if unjudged else find_cut(outcome, self.options)

    def _rank(self, outcome: Outcome) -> Rank:
        accepted = self.needs_critic and passes(outcome, self.accept)
        return (float(accepted), *super()._rank(outcome))

    def _state(self) -> dict[str, JsonValue]:
        return {"waiting": list(self._waiting)}

    def _restore(self, state: dict[str, Any]) -> None:
        self._waiting = list(state["waiting"])
