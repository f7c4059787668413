"""Monte-Carlo tree search over whole solutions or steps (UCT, PUCT; Agent Q, arXiv 2408.07199; LATS, arXiv 2310.04406).

A solution node's children revise or rewrite it, a step node's children add one step. A node's value is its score, or
that of a rollout to the end; it is backed up as a running mean. Trials in flight count as visits of value 0 (virtual
loss). `alpha` < 1 mixes in Agent Q's rank value; `reflections` are those of LATS. Deviations: the defaults are PUCT and
the mean alone, Agent Q's are `selection=agent-q,alpha=0.5`; a finished, an accepted or an unscored node is not entered
again, since nothing new can come of it; when nothing is left to enter, the root gets another child; equal actions are
not merged, and LATS's share of equal siblings is no part of a value, since a policy sees no texts.
"""

from __future__ import annotations

import math
from bisect import insort
from typing import Any, ClassVar

from actorcritic.search.base import SAMPLING, STOP_AT, TreePolicy
from actorcritic.search.correcting import GATE, LOCATE, SURE, find_cut, lets_through
from actorcritic.search.formulas import FORMULAS
from actorcritic.search.lessons import REFLECTIONS, Lessons
from actorcritic.search.options import Option, OptionValue, choice, integer, number
from actorcritic.search.places import TreePlace
from actorcritic.search.policy import CRITIQUE, MAX_STEPS, REVISE_FROM
from actorcritic.search.ranking import AGGREGATE, SCORE, Rank, critic_value, passes, ranked
from actorcritic.search.tree import Node, Status
from actorcritic.types import Action, JsonValue, Outcome, Trial

__all__ = ["Mcts"]

ONE_STEP = {MAX_STEPS: 1}
"""The options of a trial that adds a step."""


class Mcts(TreePolicy):
    """Select, expand, evaluate, back up; one trial is one expansion, or one rollout."""

    NAME = "mcts"
    COUNT: ClassVar[str | None] = "n"
    DEFAULT_COUNT = 16
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        choice("nodes", ("solution", "step"), "what one node adds"),
        choice("deeper", ("revise", "refine"), "how a wrong solution is worked on; without a located error: refine"),
        LOCATE,
        SURE,
        GATE,
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
        choice("rank", ("score", "critic"), "whose score ranks siblings: the one that counts, or always the critic's"),
        REFLECTIONS,
        choice("answer", ("best", "visits"), "the answer: the best solution, or the end of the most visited path"),
        SCORE,
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
        self._formula = FORMULAS[self.options.text("selection")]
        self._constant = self.options.real(self._formula.constant)
        self._weigh_priors = self._formula.prior and self.options.text("prior") == "logprob"
        self._mixes = self._weigh_priors or self._alpha < 1
        self._pw_alpha = self.options.maybe_real("pw_alpha")
        self._pw_c = self.options.real("pw_c")
        self._max_depth = self.options.maybe_whole("max_depth")
        self._ranks_by_critic = self._alpha < 1 and self.options.text("rank") == "critic"
        self._lessons = Lessons(self.options.whole("reflections"))
        self._revises = self.options.text("deeper") == "revise"
        self._gate = self.options.text("gate")
        self._root = TreePlace(Node(trial=Trial(id=-1, action=Action.PROPOSE)), None)
        self._places = [self._root]
        """Trial i has place i + 1."""
        self._unannounced: list[TreePlace] = []
        """Asked since the last selection, so not yet counted as pending: a search in turn never has to."""
        self._rollouts: list[int] = []
        """Trials whose rollout is still to be asked."""

    @property
    def needs_critic(self) -> bool:
        """Whether the critic scores the nodes, or says what is wrong with a solution that is worked on."""
        return not self._steps or self.source == "critic" or self._ranks_by_critic

    # --- select ----------------------------------------------------------------------------------------------------

    def _next(self) -> Trial | None:
        failed = self._lessons.pop()
        if failed is not None:
            return Trial(id=len(self.tree), action=Action.JUDGE, parent=failed, options={CRITIQUE: True})
        if self._rollouts:
            unranked = {} if self.source == "critic" else {CRITIQUE: False}
            return self._lessons.shown(self._trial(Action.EXTEND, self._rollouts.pop(0), unranked))
        place = self._select()
        if place is None:
            return None
        place.used += 1
        place.live += 1
        return self._lessons.shown(self._child_of(place))

    def _asked(self, node: Node) -> None:
        parent = node.trial.parent
        place = TreePlace(node, self._root if parent is None else self._places[parent + 1])
        self._places.append(place)
        self._unannounced.append(place)

    def _select(self) -> TreePlace | None:
        """Return the node to expand; None while everything below waits for trials in flight."""
        for place in self._unannounced:
            self._count(place, 1, None)
        self._unannounced.clear()
        expand, root = self._expand, self._root
        blocked: set[TreePlace] = set()
        while True:
            place = root
            # Most nodes on the way are full and alive, and need no closer look.
            while (place.used >= expand and place.live) or not self._has_room(place):
                child = self._best_child(place, blocked)
                if child is None:
                    break
                place = child
            else:
                return place
            if place is root:
                return None
            blocked.add(place)

    def _has_room(self, place: TreePlace) -> bool:
        """Return whether a node may have another child."""
        used = place.used
        if used < self._expand and used < self._widening(place):
            return True
        # With nothing left to enter below it, a node grows by one more; the root even beyond `expand`.
        return not place.live and (used < self._expand or place is self._root)

    def _widening(self, place: TreePlace) -> float:
        """Return how many children progressive widening allows by now."""
        if self._pw_alpha is None:
            return self._expand
        return max(1.0, self._pw_c * math.pow(place.node.visits, self._pw_alpha))

    def _best_child(self, place: TreePlace, blocked: set[TreePlace]) -> TreePlace | None:
        """Return the child with the highest mean plus bonus; a tie goes to the earlier one."""
        doors = place.doors
        if blocked:
            doors = [child for child in doors if child not in blocked]
        if not doors:
            return None
        visits = place.node.visits + self._loss * place.pending
        scale = self._constant * math.sqrt(self._formula.growth(visits if visits > 1 else 1.0))
        if self._mixes:
            return self._best_mixed(doors, scale)
        if self._formula.prior:
            scale /= len(doors)
        best, highest = doors[0], -math.inf
        for child in doors:
            score = child.mean + scale * child.decay
            if score > highest:
                best, highest = child, score
        return best

    def _best_mixed(self, doors: list[TreePlace], scale: float) -> TreePlace:
        """As `_best_child`, with priors and rank values of the children's own."""
        alpha = self._alpha
        priors = self._priors(doors) if self._formula.prior else [1.0] * len(doors)

        def score(at: int) -> float:
            child = doors[at]
            return alpha * child.mean + (1 - alpha) * child.ranked + scale * priors[at] * child.decay

        return doors[max(range(len(doors)), key=score)]

    def _priors(self, doors: list[TreePlace]) -> list[float]:
        """Return the children's prior probabilities: equal, or in proportion to the actor's own per token."""
        if not self._weigh_priors:
            return [1 / len(doors)] * len(doors)
        outcomes = [child.node.outcome for child in doors]
        weights = [0.0 if item is None or item.logprob is None else math.exp(item.logprob) for item in outcomes]
        total = sum(weights)
        return [weight / total if total else 1 / len(doors) for weight in weights]

    # --- expand ----------------------------------------------------------------------------------------------------

    def _child_of(self, place: TreePlace) -> Trial:
        """Return the trial that gives a node another child."""
        if place is self._root:
            return self._trial(Action.PROPOSE, None, ONE_STEP) if self._steps else self._trial(Action.PROPOSE)
        parent, outcome = place.node.trial.id, place.node.outcome
        if self._steps:
            return self._trial(Action.EXTEND, parent, ONE_STEP)
        cut = None if outcome is None or not self._revises else find_cut(outcome, self.options)
        if cut is None:
            return self._trial(Action.REFINE, parent)
        return self._trial(Action.REVISE, parent, {REVISE_FROM: cut})

    # --- back up ---------------------------------------------------------------------------------------------------

    def _count(self, start: TreePlace, flying: int, value: float | None) -> None:
        """Go from a node up to the root: change what is in flight, back a value up where there is one.

        What selection reads is worked out here, since a node is passed on the way up more seldom than it is compared.
        """
        loss, shift, power, again = self._loss, self._formula.shift, -self._formula.power, self._formula.again
        place: TreePlace | None = start
        while place is not None:
            node = place.node
            if flying:
                place.pending += flying
            if value is not None:
                node.visits += 1
                node.value += value
            n = node.visits + loss * place.pending if place.pending else node.visits
            if n:
                place.mean = node.value / (n * n if again else n)
                place.decay = (n + shift) ** power
            place = place.up

    def _land(self, place: TreePlace, value: float | None) -> None:
        """Count a trial as no longer in flight, and back up its value where it has one."""
        if place in self._unannounced:
            self._unannounced.remove(place)
            if value is not None:
                self._count(place, 0, value)
        else:
            self._count(place, -1, value)

    def _told(self, node: Node, outcome: Outcome) -> None:
        place = self._places[node.trial.id + 1]
        if node.trial.action is Action.JUDGE:
            self._land(place, None)
            self._lessons.learn(node.id)
            return
        value = self._score(outcome)
        if self._good_enough(outcome):
            self._land(place, value)
            self._stop("accepted")
            return
        if self._is_failure(outcome, value):
            self._lessons.fail(node.id, outcome, judged=node.trial.options.get(CRITIQUE) is not False)
        if self._is_rollout(node):
            self._land(place, value)
            self._open_above(place, value is not None)
            return
        if self._alpha < 1:
            self._rank_siblings(place)
        if self._rollout and not outcome.complete:
            self._land(place, None)
            self._rollouts.append(node.id)
        else:
            self._land(place, value)
            self._open(place, value is not None and self._promises(place))

    def _failed(self, node: Node) -> None:
        place = self._places[node.id + 1]
        self._land(place, None)
        if node.trial.action is Action.JUDGE:
            return
        if self._is_rollout(node):
            self._open_above(place, False)
        else:
            assert place.up is not None
            place.up.used -= 1
            self._open(place, False)

    def _is_rollout(self, node: Node) -> bool:
        return self._rollout and MAX_STEPS not in node.trial.options

    def _is_failure(self, outcome: Outcome, value: float | None) -> bool:
        """Return whether an attempt has come to its end and is known not to be good enough."""
        if not outcome.complete or value is None:
            return False
        if self.source == "critic":
            return not passes(outcome, self._stop_at)
        return value < (1.0 if self._stop_at is None else self._stop_at)

    def _promises(self, place: TreePlace) -> bool:
        """Return whether something new can come of working on a node."""
        node = place.node
        if self._max_depth is not None and self.tree.depth(node.id) + 1 >= self._max_depth:
            return False
        if node.outcome is None:
            return False
        return not node.outcome.complete if self._steps else lets_through(node.outcome, self._gate)

    def _rank_siblings(self, place: TreePlace) -> None:
        """Set Agent Q's rank values among siblings: (K - rank) / (K - 1), rank 1 the critic's best; 1 for K = 1."""
        scored: list[tuple[float, int]] = []
        for child in self.tree.children(place.node.parent):
            node = self.tree.nodes[child]
            known = node.outcome is not None and not self._is_rollout(node)
            score = critic_value if self._ranks_by_critic else self._score
            value = score(node.outcome) if known and node.outcome is not None else None
            if value is not None:
                scored.append((-value, child + 1))
        last = len(scored) - 1
        for rank, (_, child) in enumerate(sorted(scored)):
            self._places[child].ranked = (last - rank) / last if last else 1.0

    def _open_above(self, rollout: TreePlace, scored: bool) -> None:
        """Open or close the step that a rollout was made for."""
        assert rollout.up is not None  # a rollout starts from a step
        self._open(rollout.up, scored and self._promises(rollout.up))

    def _open(self, place: TreePlace, promising: bool) -> None:
        """Let a node be entered, or close it, and with it every ancestor below which nothing is left to do."""
        up = place.up
        if promising and up is not None:
            if up.doors and up.doors[-1].node.trial.id > place.node.trial.id:
                insort(up.doors, place, key=lambda child: child.node.trial.id)
            else:
                up.doors.append(place)
            return
        while up is not None:
            up.live -= 1
            if place in up.doors:
                up.doors.remove(place)
            if up.live or up.used < self._expand:
                return
            place, up = up, up.up

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
            if node.outcome is None or not node.visits:
                break
            found = child if node.outcome.complete else found
            children = node.children
        return super().best if found is None else found

    def _rank(self, outcome: Outcome) -> Rank:
        return ranked(outcome, self._score(outcome))

    def _state(self) -> dict[str, JsonValue]:
        root = self._root.node
        return {
            "root": [root.visits, root.value],
            "used": [place.used for place in self._places],
            "live": [place.live for place in self._places],
            "doors": [[child.node.id + 1 for child in place.doors] for place in self._places],
            "rollouts": list(self._rollouts),
            "lessons": self._lessons.dump(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        for node in self.tree:
            self._asked(node)
        self._unannounced = [place for place in self._places[1:] if place.node.status is Status.ASKED]
        self._root.node.visits, self._root.node.value = state["root"]
        counts = zip(self._places, state["used"], state["live"], state["doors"], strict=True)
        for place, used, live, doors in counts:
            place.used, place.live = used, live
            place.doors = [self._places[child] for child in doors]
            self._count(place, 0, None)
        self._rollouts = state["rollouts"]
        self._lessons.load(state["lessons"])
        if self._alpha < 1:
            for place in self._places[1:]:
                self._rank_siblings(place)
