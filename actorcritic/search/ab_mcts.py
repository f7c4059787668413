"""AB-MCTS-A: at every node, wider or deeper is decided by Thompson sampling (Inoue et al. 2025, arXiv 2503.04412).

A node either generates a new child (GEN) or goes on into one of its children (CONT), whichever draws the higher score
from its posterior; among children likewise. Gaussian posterior: normal-inverse-chi-squared with prior m, kappa, nu,
tau2; or Beta with prior beta_a, beta_b. A new child's score counts for its parent's GEN and for itself, and for CONT
and the child on every edge above. Deviations: only solutions that the critic calls wrong are worked on (`gate`), so an
unscored or accepted child is not entered; with `virtual_loss` a trial in flight counts as so many scores of 0 on the
same edges, by default as none; one model, hence one kind of GEN. A node is a whole solution: none is extended.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from actorcritic.search.base import SAMPLING, STOP_AT, TreePolicy
from actorcritic.search.correcting import GATE, LOCATE, SURE, find_cut, lets_through
from actorcritic.search.options import Option, OptionValue, choice, integer, number
from actorcritic.search.policy import REVISE_FROM
from actorcritic.search.ranking import AGGREGATE, SCORE, Rank, ranked
from actorcritic.search.tree import Node, Status
from actorcritic.types import Action, JsonValue, Outcome, Trial

__all__ = ["AbMcts"]

ROOT = 0
"""Place of the problem itself in the lists below; trial i has place i + 1."""

_Scores = list[float]
"""What a posterior knows: how many scores, their sum, the sum of their squares."""


class AbMcts(TreePolicy):
    """Adaptive branching by Thompson sampling, every node's posteriors on their own."""

    NAME = "ab-mcts"
    COUNT: ClassVar[str | None] = "n"
    DEFAULT_COUNT = 16
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        choice("posterior", ("gaussian", "beta"), "the family of posteriors"),
        choice("deeper", ("refine", "revise"), "how a wrong solution is worked on; without a located error: refine"),
        LOCATE,
        SURE,
        GATE,
        number("m", 0.0, "gaussian prior: mean"),
        number("kappa", 1.0, "gaussian prior: how many scores the mean is worth", low=0, open_low=True),
        number("nu", 1.0, "gaussian prior: degrees of freedom", low=0, open_low=True),
        number("tau2", 0.1, "gaussian prior: variance", low=0, open_low=True),
        number("beta_a", 0.5, "beta prior: successes", low=0, open_low=True),
        number("beta_b", 0.5, "beta prior: failures", low=0, open_low=True),
        number("virtual_loss", 0.0, "scores of 0 that a trial in flight counts for", low=0),
        SCORE,
        AGGREGATE,
        integer("n", None, "number of trials"),
        STOP_AT,
        *SAMPLING,
    )

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        self._gen: list[_Scores] = [_nothing()]
        self._cont: list[_Scores] = [_nothing()]
        self._child: list[_Scores] = [_nothing()]
        self._doors: list[list[int]] = [[]]
        """Children that can be entered."""
        self._flying: list[list[int]] = [[0, 0]]
        """Trials in flight right below a place, and deeper below it."""
        self._loss = self.options.real("virtual_loss")

    def _next(self) -> Trial:
        place = ROOT
        while self._doors[place] and self._goes_on(place):
            drawn = [(self._draw(self._child[child], sum(self._flying[child])), child) for child in self._doors[place]]
            place = max(drawn)[1]
        trial = self._child_of(place)
        self._grow()
        return trial

    def _goes_on(self, place: int) -> bool:
        """Return whether a child is entered (CONT) rather than made (GEN)."""
        near, far = self._flying[place]
        return self._draw(self._cont[place], far) > self._draw(self._gen[place], near)

    def _child_of(self, place: int) -> Trial:
        """Return the trial that gives a node another child."""
        if place == ROOT:
            return self._trial(Action.PROPOSE)
        parent = place - 1
        outcome = self.tree[parent].outcome
        cut: int | None = None
        if outcome is not None and self.options.text("deeper") == "revise":
            cut = find_cut(outcome, self.options)
        if cut is None:
            return self._trial(Action.REFINE, parent)
        return self._trial(Action.REVISE, parent, {REVISE_FROM: cut})

    def _grow(self) -> None:
        """Make the lists' entries of a new trial."""
        for posteriors in (self._gen, self._cont, self._child):
            posteriors.append(_nothing())
        self._doors.append([])
        self._flying.append([0, 0])

    def _asked(self, node: Node) -> None:
        self._fly(node, 1)

    def _failed(self, node: Node) -> None:
        self._fly(node, -1)

    def _fly(self, node: Node, more: int) -> None:
        """Count a trial in flight on the edges on which its score will count."""
        up = self._up(node)
        self._flying[up][0] += more
        while up != ROOT:
            up = self._up(self.tree[up - 1])
            self._flying[up][1] += more

    def _told(self, node: Node, outcome: Outcome) -> None:
        self._fly(node, -1)
        if self._good_enough(outcome):
            self._stop("accepted")
            return
        score = self._score(outcome)
        if score is None:
            return
        place, up = node.id + 1, self._up(node)
        _add(self._gen[up], score)
        _add(self._child[place], score)
        if lets_through(outcome, self.options.text("gate")):
            self._doors[up].append(place)
            # The order of tells must not show, so the children keep the order of asking.
            self._doors[up].sort()
        while up != ROOT:
            _add(self._child[up], score)
            up = self._up(self.tree[up - 1])
            _add(self._cont[up], score)
        self._count(node, score)

    def _count(self, node: Node, score: float) -> None:
        """Keep visits and values along the path, for whoever looks at the tree."""
        at: int | None = node.id
        while at is not None:
            self.tree[at].visits += 1
            self.tree[at].value += score
            at = self.tree[at].parent

    def _up(self, node: Node) -> int:
        return ROOT if node.parent is None else node.parent + 1

    def _draw(self, scores: _Scores, flying: int = 0) -> float:
        """Return one sample of the expected score, from the posterior, given how many trials are in flight there."""
        n, total, squares = scores
        n += self._loss * flying
        if self.options.text("posterior") == "beta":
            return self.random.betavariate(self.options.real("beta_a") + total, self.options.real("beta_b") + n - total)
        m, kappa, nu, tau2 = (self.options.real(name) for name in ("m", "kappa", "nu", "tau2"))
        mean = total / n if n else 0.0
        spread = max(0.0, squares - n * mean * mean)
        kappa_n, nu_n = kappa + n, nu + n
        m_n = (kappa * m + total) / kappa_n
        sum_n = nu * tau2 + spread + n * kappa * (m - mean) ** 2 / kappa_n
        variance = sum_n / 2 / self.random.gammavariate(nu_n / 2, 1.0)
        return self.random.gauss(m_n, math.sqrt(variance / kappa_n))

    def _rank(self, outcome: Outcome) -> Rank:
        return ranked(outcome, self._score(outcome))

    def _state(self) -> dict[str, JsonValue]:
        posteriors = zip(self._gen, self._cont, self._child, strict=True)
        return {
            "posteriors": [[*gen, *cont, *child] for gen, cont, child in posteriors],
            "doors": [list[JsonValue](doors) for doors in self._doors],
        }

    def _restore(self, state: dict[str, Any]) -> None:
        rows: list[list[float]] = state["posteriors"]
        self._gen, self._cont, self._child = ([row[i : i + 3] for row in rows] for i in (0, 3, 6))
        self._doors = state["doors"]
        self._flying = [[0, 0] for _ in rows]
        for node in self.tree:
            if node.status is Status.ASKED:
                self._fly(node, 1)


def _nothing() -> _Scores:
    return [0.0, 0.0, 0.0]


def _add(scores: _Scores, score: float) -> None:
    scores[0] += 1
    scores[1] += score
    scores[2] += score * score
