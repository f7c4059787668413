"""What searches share that write step by step in rounds: every place gets one step, then the next places are chosen.

A round ends when all its trials are back, so up to a round's width may be in flight. Finished solutions leave the
rounds. When a search ends and the budget does not, the next one begins afresh. Prefixes are judged by the critic.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from actorcritic.search.base import SAMPLING, STOP_AT, TreePolicy
from actorcritic.search.options import Option, OptionValue, choice, integer
from actorcritic.search.policy import MAX_STEPS
from actorcritic.search.ranking import AGGREGATE, Rank, Votes, aggregate, by_value
from actorcritic.search.tree import Node
from actorcritic.types import Action, JsonValue, Outcome, Trial

__all__ = ["STEPWISE", "Place", "StepSearch"]

Place = tuple[int, int | None]
"""A place in the round, and the node whose solution it goes on from; None = the problem."""

STEPWISE: tuple[Option, ...] = (
    AGGREGATE,
    choice("answer", ("best", "vote"), "the answer: the best solution, or a vote weighted by scores"),
    integer("iterations", 40, "rounds of one search; in the last one solutions are written to their end"),
    integer("searches", None, "number of searches, one after another"),
    STOP_AT,
    *SAMPLING,
)
"""The options of every step-by-step search."""


class StepSearch(TreePolicy):
    """A search in rounds. A kind of it says where the first round begins and who goes on after a round."""

    COUNT: ClassVar[str | None] = "searches"
    DEFAULT_COUNT = 1
    COUNTS_TRIALS = False

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        self._iteration = 0
        self._searches = 0
        self._round: dict[int, int] = {}
        """The place of each trial of this round."""
        self._queue: list[Place] = self._begin()
        """What is still to be asked in this round."""

    @abstractmethod
    def _begin(self) -> list[Place]:
        """Return the first round of a search; never empty."""

    @abstractmethod
    def _select(self, nodes: list[tuple[int, Node]]) -> list[Place]:
        """Return the next round, given each place with its trial, told or failed; empty = the search is over."""

    def _value(self, node: Node) -> float | None:
        """Return a node's score, None = unscored."""
        return None if node.outcome is None else aggregate(node.outcome, self.options.text("aggregate"))

    def _rank(self, outcome: Outcome) -> Rank:
        return by_value(outcome, self.options.text("aggregate"))

    @property
    def best(self) -> int | None:
        """The best solution, or the first voter for the leading answer."""
        if self.options.text("answer") == "best":
            return super().best
        votes = Votes()
        for node in self.tree:
            value, outcome = self._value(node), node.outcome
            if value is not None and outcome is not None and outcome.complete and outcome.vote_key is not None:
                votes.add(node.id, outcome.vote_key, value)
        return super().best if votes.winner is None else votes.winner

    def _next(self) -> Trial | None:
        if not self._queue:
            return None
        place, parent = self._queue.pop(0)
        last = self._iteration + 1 == self.options.whole("iterations")
        extra: dict[str, JsonValue] = {} if last else {MAX_STEPS: 1}
        trial = self._trial(Action.PROPOSE if parent is None else Action.EXTEND, parent, extra)
        self._round[trial.id] = place
        return trial

    def _told(self, node: Node, outcome: Outcome) -> None:
        if self._good_enough(outcome):
            self._stop("accepted")

    def _settle(self) -> None:
        super()._settle()
        if self._stopped is not None or self._queue or self._in_flight:
            return
        nodes = [(place, self.tree[trial]) for trial, place in self._round.items()]
        self._round = {}
        self._iteration += 1
        self._queue = self._select(nodes)
        if self._iteration == self.options.whole("iterations"):
            self._queue = []
        if not self._queue:
            self._end_search()

    def _end_search(self) -> None:
        """Begin the next search, if there is to be one."""
        self._searches += 1
        searches = self.options.maybe_whole("searches")
        if searches is not None and self._searches >= searches:
            self._end()
            return
        self._iteration = 0
        self._queue = self._begin()

    def _state(self) -> dict[str, JsonValue]:
        return {
            "iteration": self._iteration,
            "searches": self._searches,
            "round": [[trial, place] for trial, place in self._round.items()],
            "queue": [list(place) for place in self._queue],
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._iteration = state["iteration"]
        self._searches = state["searches"]
        self._round = {trial: place for trial, place in state["round"]}
        self._queue = [(place, parent) for place, parent in state["queue"]]
