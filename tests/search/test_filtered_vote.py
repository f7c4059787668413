"""RefCritic's filtered majority vote, with the figures of its recipe."""

from __future__ import annotations

import random

import pytest

from actorcritic.search.filtered_vote import FilteredVote
from actorcritic.search.majority import Majority
from actorcritic.types import Outcome, Verdict
from tests.search.simulation import outcome, tell_all


def test_only_what_passes_votes() -> None:
    policy = FilteredVote(n=4)
    wrong = outcome(0.1, key="a", correct=False)
    tell_all(policy, [wrong, wrong, outcome(key="a"), outcome(0.9, key="b", correct=True)])
    assert policy.best == 3


def test_if_none_passes_all_vote() -> None:
    policy = FilteredVote(n=3)
    tell_all(policy, [outcome(0.4, key="a", correct=False), outcome(key="b"), outcome(key="b")])
    assert policy.best == 1


def test_accept_asks_for_a_score() -> None:
    policy = FilteredVote(n=3, accept=0.7)
    weak = outcome(0.6, key="a", correct=True)
    tell_all(policy, [weak, weak, outcome(0.7, key="b", correct=True)])
    assert policy.best == 2


@pytest.mark.parametrize(
    ("n", "skill", "expected"),
    [(8, None, 0.486), (8, 0.8, 0.836), (8, 0.5, 0.430), (32, None, 0.613), (32, 0.8, 0.991), (32, 0.5, 0.540)],
)
def test_the_recipe_s_figures(n: int, skill: float | None, expected: float) -> None:
    """Answers right with p = .4 and two wrong modes; the critic has TPR = TNR = skill; None = no filter."""
    draw = random.Random(n)
    rounds = 3000
    hits = 0
    for _ in range(rounds):
        policy = FilteredVote(n=n) if skill is not None else Majority(n=n)
        for trial in policy.ask(n):
            right = draw.random() < 0.4
            heard = right if draw.random() < (skill or 0.5) else not right
            verdict = Verdict.CORRECT if heard else Verdict.INCORRECT
            key = "right" if right else draw.choice(["x", "y"])
            policy.tell(trial.id, Outcome(vote_key=key, verdict=verdict, score=0.5))
        assert policy.best is not None
        told = policy.tree[policy.best].outcome
        hits += told is not None and told.vote_key == "right"
    assert hits / rounds == pytest.approx(expected, abs=0.04)
