"""Monte-Carlo tree search over whole solutions or steps (UCT, PUCT; Agent Q, arXiv 2408.07199; LATS, arXiv 2310.04406).

A solution node's children revise or rewrite it, a step node's children add one step. A node's value is the critic's
score, or that of a rollout to the end; it is backed up as a running mean. Trials in flight count as visits of value 0
(virtual loss). `alpha` < 1 mixes in Agent Q's rank value. Deviations: a finished, an accepted or an unscored node is
not entered again, since nothing new can come of it; when nothing is left to enter, the root gets another child; no
reflections.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from actorcritic.search.base import SAMPLING, STOP_AT, TreePolicy
from actorcritic.search.formulas import FORMULAS
from actorcritic.search.options import Option, OptionValue, choice, integer, number
from actorcritic.search.policy import MAX_STEPS, REVISE_FROM
from actorcritic.search.ranking import AGGREGATE, Rank, aggregate, by_value
from actorcritic.search.tree import Node, Status
from actorcritic.types import Action, JsonValue, Outcome, Trial, Verdict

__all__ = ["Mcts"]

ROOT = 0
"""Place of the problem itself in the lists below; trial i has place i + 1."""


class Mcts(TreePolicy):
    """Select, expand, evaluate, back up; one trial is one expansion, or one rollout."""

    NAME = "mcts"
    COUNT: ClassVar[str | None] = "n"
    DEFAULT_COUNT = 16
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        choice("nodes", ("solution", "step"), "what one node adds"),
        choice("deeper", ("revise", "refine"), "how a wrong solution is worked on; without a located error: refine"),
        choice("selection", tuple(FORMULAS), "the selection formula"),
        number("c_puct", 1.25, "exploration constant of puct", low=0),
        number("c_uct", math.sqrt(2), "exploration constant of uct", low=0),
        number("c_exp", 1.0, "exploration constant of agent-q", low=0),
        choice("prior", ("uniform", "logprob"), "prior probability of a child in puct"),
        integer("expand", 5, "children of one node"),
        number("pw_alpha", None, "progressive widening: pw_c * visits ** pw_alpha children; none = off", low=0, high=1),
        number("pw_c", 1.0, "factor of progressive widening", low=0, open_low=True),
        integer("max_depth", None, "nodes on the longest path"),
        number("virtual_loss", 1.0, "visits that a trial in flight counts for", low=0),
        choice("leaf", ("critic", "rollout"), "value of a step node: of the prefix, or of one solution from there"),
        number("alpha", 1.0, "share of the mean value; the rest is the critic's rank among siblings", low=0, high=1),
        choice("answer", ("best", "visits"), "the answer: the best solution, or the end of the most visited path"),
        AGGREGATE,
        integer("n", None, "number of trials"),
        STOP_AT,
        *SAMPLING,
    )

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        self._steps = self.options.text("nodes") == "step"
        self._rollout = self._steps and self.options.text("leaf") == "rollout"
        self._expand = self.options.whole("expand")
        self._loss = self.options.real("virtual_loss")
        self._alpha = self.options.real("alpha")
        self._how = self.options.text("aggregate")
        self._formula = FORMULAS[self.options.text("selection")]
        self._constant = self.options.real(self._formula.constant)
        self._weigh_priors = self._formula.prior and self.options.text("prior") == "logprob"
        self._pw_alpha = self.options.maybe_real("pw_alpha")
        self._pw_c = self.options.real("pw_c")
        self._max_depth = self.options.maybe_whole("max_depth")
        self._revises = self.options.text("deeper") == "revise"
        self._visits = [0]
        self._value = [0.0]
        self._mean = [0.0]
        self._decay = [0.0]
        self._pending = [0]
        self._up = [-1]
        self._depth = [0]
        self._used = [0]
        """Children that did not fail."""
        self._live = [0]
        """Children that are in flight or can be entered."""
        self._doors: list[list[int]] = [[]]
        """Children that can be entered."""
        self._ranked = [0.0]
        """Agent Q's value by rank, kept where `alpha` < 1."""
        self._rollouts: list[int] = []
        """Trials whose rollout is still to be asked."""

    # --- select ----------------------------------------------------------------------------------------------------

    def _next(self) -> Trial | None:
        if self._rollouts:
            return self._start(self._trial(Action.EXTEND, self._rollouts.pop(0)))
        place = self._select()
        if place is None:
            return None
        self._used[place] += 1
        self._live[place] += 1
        return self._start(self._child_of(place))

    def _select(self) -> int | None:
        """Return the node to expand; None while everything below waits for trials in flight."""
        used, live, expand = self._used, self._live, self._expand
        blocked: set[int] = set()
        while True:
            place = ROOT
            # Most nodes on the way are full and alive, and need no closer look.
            while (used[place] >= expand and live[place]) or not self._has_room(place):
                child = self._best_child(place, blocked)
                if child is None:
                    break
                place = child
            else:
                return place
            if place == ROOT:
                return None
            blocked.add(place)

    def _has_room(self, place: int) -> bool:
        """Return whether a node may have another child."""
        used = self._used[place]
        if used < self._expand and used < self._widening(place):
            return True
        # With nothing left to enter below it, a node grows by one more; the root even beyond `expand`.
        return not self._live[place] and (used < self._expand or place == ROOT)

    def _widening(self, place: int) -> float:
        """Return how many children progressive widening allows by now."""
        if self._pw_alpha is None:
            return self._expand
        return max(1.0, self._pw_c * math.pow(self._visits[place], self._pw_alpha))

    def _best_child(self, place: int, blocked: set[int]) -> int | None:
        """Return the child with the highest mean plus bonus; a tie goes to the earlier one."""
        doors, formula = self._doors[place], self._formula
        scale = self._constant * formula.scale(max(1.0, self._visits[place] + self._loss * self._pending[place]))
        if blocked:
            doors = [child for child in doors if child not in blocked]
        if not doors:
            return None
        if self._weigh_priors or self._alpha < 1:
            return self._best_mixed(doors, scale)
        if formula.prior:
            scale /= len(doors)
        mean, decay = self._mean, self._decay
        best, highest = doors[0], -math.inf
        for child in doors:
            score = mean[child] + scale * decay[child]
            if score > highest or (score == highest and child < best):
                best, highest = child, score
        return best

    def _best_mixed(self, doors: list[int], scale: float) -> int:
        """As `_best_child`, with priors and rank values of the children's own."""
        formula, alpha = self._formula, self._alpha
        priors = self._priors(doors) if formula.prior else [1.0] * len(doors)
        scores: list[tuple[float, int]] = []
        for child, prior in zip(doors, priors, strict=True):
            mean = alpha * self._mean[child] + (1 - alpha) * self._ranked[child]
            scores.append((mean + scale * prior * self._decay[child], -child))
        return -max(scores)[1]

    def _priors(self, doors: list[int]) -> list[float]:
        """Return the children's prior probabilities: equal, or in proportion to the actor's own per token."""
        if not self._weigh_priors:
            return [1 / len(doors)] * len(doors)
        outcomes = [self.tree.nodes[child - 1].outcome for child in doors]
        weights = [0.0 if item is None or item.logprob is None else math.exp(item.logprob) for item in outcomes]
        total = sum(weights)
        return [weight / total if total else 1 / len(doors) for weight in weights]

    # --- expand ----------------------------------------------------------------------------------------------------

    def _child_of(self, place: int) -> Trial:
        """Return the trial that gives a node another child."""
        parent = place - 1 if place != ROOT else None
        if self._steps:
            return self._trial(Action.PROPOSE if parent is None else Action.EXTEND, parent, {MAX_STEPS: 1})
        if parent is None:
            return self._trial(Action.PROPOSE)
        outcome = self.tree.nodes[parent].outcome
        if not self._revises or outcome is None or outcome.first_error is None:
            return self._trial(Action.REFINE, parent)
        return self._trial(Action.REVISE, parent, {REVISE_FROM: outcome.first_error})

    def _start(self, trial: Trial) -> Trial:
        """Make the lists' entries of a new trial and count it in flight up to the root."""
        up = ROOT if trial.parent is None else trial.parent + 1
        self._up.append(up)
        self._depth.append(self._depth[up] + 1)
        for counts in (self._visits, self._pending, self._used, self._live):
            counts.append(0)
        for numbers in (self._value, self._mean, self._decay, self._ranked):
            numbers.append(0.0)
        self._doors.append([])
        self._count(trial.id + 1, 1, None)
        return trial

    def _count(self, place: int, flying: int, value: float | None) -> None:
        """Go from a node up to the root: change what is in flight, back a value up where there is one.

        What selection reads is worked out here, since a node is passed on the way up more seldom than it is compared.
        """
        nodes, ups, visits, pending, values = self.tree.nodes, self._up, self._visits, self._pending, self._value
        loss, shift, power = self._loss, self._formula.shift, -self._formula.power
        while place >= 0:
            pending[place] += flying
            if value is not None:
                visits[place] += 1
                values[place] += value
                if place != ROOT:
                    node = nodes[place - 1]
                    node.visits, node.value = visits[place], values[place]
            n = visits[place] + loss * pending[place]
            if n:
                self._mean[place] = values[place] / n
                self._decay[place] = (n + shift) ** power
            place = ups[place]

    # --- back up ---------------------------------------------------------------------------------------------------

    def _told(self, node: Node, outcome: Outcome) -> None:
        place = node.id + 1
        value = aggregate(outcome, self._how)
        if self._good_enough(outcome):
            self._count(place, -1, value)
            self._stop("accepted")
            return
        if self._is_rollout(node):
            up = self._up[place]
            self._count(place, -1, value)
            self._open(up, value is not None and self._promises(up, self.tree.nodes[up - 1].outcome))
            return
        if self._alpha < 1 and value is not None:
            self._rank_siblings(place)
        if self._rollout and not outcome.complete:
            self._count(place, -1, None)
            self._rollouts.append(node.id)
        else:
            self._count(place, -1, value)
            self._open(place, value is not None and self._promises(place, outcome))

    def _failed(self, node: Node) -> None:
        place = node.id + 1
        self._count(place, -1, None)
        if self._is_rollout(node):
            self._open(self._up[place], False)
            return
        self._used[self._up[place]] -= 1
        self._open(place, False)

    def _is_rollout(self, node: Node) -> bool:
        return self._rollout and MAX_STEPS not in node.trial.options

    def _promises(self, place: int, outcome: Outcome | None) -> bool:
        """Return whether something new can come of working on a node."""
        if self._max_depth is not None and self._depth[place] >= self._max_depth:
            return False
        if outcome is None:
            return False
        return not outcome.complete if self._steps else outcome.verdict is Verdict.INCORRECT

    def _rank_siblings(self, place: int) -> None:
        """Set Agent Q's rank values among siblings: (K - rank) / (K - 1), rank 1 the critic's best; 1 for K = 1."""
        up = self._up[place]
        scored: list[tuple[float, int]] = []
        for child in self.tree.children(up - 1 if up != ROOT else None):
            node = self.tree.nodes[child]
            known = node.outcome is not None and not self._is_rollout(node)
            value = aggregate(node.outcome, self._how) if known and node.outcome is not None else None
            if value is not None:
                scored.append((-value, child + 1))
        last = len(scored) - 1
        for rank, (_, child) in enumerate(sorted(scored)):
            self._ranked[child] = (last - rank) / last if last else 1.0

    def _open(self, place: int, promising: bool) -> None:
        """Let a node be entered, or close it, and with it every ancestor below which nothing is left to do."""
        if promising:
            up = self._up[place]
            if place not in self._doors[up]:
                self._doors[up].append(place)
            return
        while place != ROOT:
            up = self._up[place]
            self._live[up] -= 1
            if place in self._doors[up]:
                self._doors[up].remove(place)
            if self._live[up] or self._used[up] < self._expand:
                return
            place = up

    # --- the answer and the state ----------------------------------------------------------------------------------

    @property
    def best(self) -> int | None:
        """The best solution, or the last finished one on the most visited path."""
        if self.options.text("answer") == "best":
            return super().best
        found: int | None = None
        children = self.tree.roots
        while children:
            child = max(children, key=lambda child: (self.tree.nodes[child].visits, -child))
            node = self.tree.nodes[child]
            if node.outcome is None:
                break
            found = child if node.outcome.complete else found
            children = node.children
        return super().best if found is None else found

    def _rank(self, outcome: Outcome) -> Rank:
        return by_value(outcome, self._how)

    def _state(self) -> dict[str, JsonValue]:
        return {
            "root": [self._visits[ROOT], self._value[ROOT]],
            "used": list(self._used),
            "live": list(self._live),
            "doors": [list[JsonValue](sorted(doors)) for doors in self._doors],
            "rollouts": list(self._rollouts),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        for node in self.tree:
            self._start(node.trial)
            place = node.id + 1
            self._visits[place], self._value[place] = node.visits, node.value
        self._visits[ROOT], self._value[ROOT] = state["root"]
        for node in self.tree:
            # Those in flight were counted so above; this also works out anew what selection reads.
            self._count(node.id + 1, 0 if node.status is Status.ASKED else -1, None)
        self._used, self._live, self._doors = state["used"], state["live"], state["doors"]
        self._rollouts = state["rollouts"]
        if self._alpha < 1:
            for place in range(1, len(self._up)):
                self._rank_siblings(place)
