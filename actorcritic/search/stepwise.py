"""What searches share that write step by step in rounds: every place gets one step, then the next places are chosen.

A round ends when all its trials are back, so up to a round's width may be in flight. Finished solutions leave the
rounds. When a search ends and the budget does not, the next one begins afresh. Prefixes are scored by the critic, or
by whom `score` names: each as it stands, or with `lookahead` by where a few greedy steps from it lead.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from actorcritic.search.base import SAMPLING, STOP_AT, TreePolicy
from actorcritic.search.options import Option, OptionValue, choice, integer
from actorcritic.search.policy import CRITIQUE, MAX_STEPS, REWARD, TEMPERATURE
from actorcritic.search.ranking import AGGREGATE, SCORE, Rank, Votes, ranked
from actorcritic.search.tree import Node
from actorcritic.types import Action, JsonValue, Outcome, Trial

__all__ = ["STEPWISE", "Place", "StepSearch"]

Place = tuple[int, int | None]
"""A place in the round, and the node whose solution it goes on from; None = the problem."""

STEPWISE: tuple[Option, ...] = (
    SCORE,
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
        self._lookahead = self.options.whole("lookahead") if "lookahead" in self.options else 0
        self._unjudged: list[int] = []
        """Trials whose look ahead is still to be asked."""
        self._looks: dict[int, int] = {}
        """The trial that looks ahead from each trial that wants it."""

    @property
    def needs_critic(self) -> bool:
        """Whether the critic scores the prefixes."""
        return self.source == "critic"

    @abstractmethod
    def _begin(self) -> list[Place]:
        """Return the first round of a search; never empty."""

    @abstractmethod
    def _select(self, nodes: list[tuple[int, Node]]) -> list[Place]:
        """Return the next round, given each place with its trial, told or failed; empty = the search is over."""

    def _value(self, node: Node) -> float | None:
        """Return a node's score, None = unscored."""
        return None if node.outcome is None else self._score(node.outcome)

    def _promise(self, node: Node) -> float | None:
        """Return the score by which a node goes on: its own, or that of its look ahead; None = unscored."""
        look = self._looks.get(node.id)
        return self._value(node if look is None else self.tree[look])

    def _rank(self, outcome: Outcome) -> Rank:
        return ranked(outcome, self._score(outcome))

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
        if self._unjudged:
            return self._look(self._unjudged.pop(0))
        if not self._queue:
            return None
        place, parent = self._queue.pop(0)
        trial = self._trial(Action.PROPOSE if parent is None else Action.EXTEND, parent, self._step_options())
        self._round[trial.id] = place
        return trial

    def _step_options(self) -> dict[str, JsonValue]:
        """Return what a step is asked with beside the options of all trials."""
        if self._iteration + 1 == self.options.whole("iterations"):
            return {}
        unscored: dict[str, JsonValue] = (
            {CRITIQUE: False, REWARD: None} if REWARD in self._scoring() else {CRITIQUE: False}
        )
        return {MAX_STEPS: 1, **unscored} if self._lookahead else {MAX_STEPS: 1}

    def _look(self, trial: int) -> Trial:
        """Return the trial that goes on greedily from an unjudged one and is judged in its place."""
        outcome = self.tree[trial].outcome
        if outcome is not None and outcome.complete:
            look = Trial(id=len(self.tree), action=Action.JUDGE, parent=trial, options=self._scoring())
        else:
            look = self._trial(Action.EXTEND, trial, {MAX_STEPS: self._lookahead, TEMPERATURE: 0.0})
        self._looks[trial] = look.id
        return look

    def _told(self, node: Node, outcome: Outcome) -> None:
        if self._good_enough(outcome):
            self._stop("accepted")
        elif self._lookahead and node.id in self._round and MAX_STEPS in node.trial.options:
            self._unjudged.append(node.id)

    def _settle(self) -> None:
        super()._settle()
        if self._stopped is not None or self._queue or self._unjudged or self._in_flight:
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
            "unjudged": list(self._unjudged),
            "looks": [[trial, look] for trial, look in self._looks.items()],
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._iteration = state["iteration"]
        self._searches = state["searches"]
        self._round = {trial: place for trial, place in state["round"]}
        self._queue = [(place, parent) for place, parent in state["queue"]]
        self._unjudged = list(state["unjudged"])
        self._looks = {trial: look for trial, look in state["looks"]}
