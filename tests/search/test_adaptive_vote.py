from __future__ import annotations

import random

import pytest

from actorcritic.search.adaptive_vote import AdaptiveVote, lead_probability
from tests.search.simulation import outcome, tell_all


def test_the_lead_s_probability_is_the_beta_tail() -> None:
    draw = random.Random(0)
    for first, second in ((0, 0), (4, 0), (7, 3), (3, 7), (30, 20)):
        hits = sum(draw.betavariate(first + 1, second + 1) > 0.5 for _ in range(20_000))
        assert lead_probability(first, second) == pytest.approx(hits / 20_000, abs=0.015)
    assert lead_probability(2000, 0) == 1.0


def test_four_votes_to_none_decide_and_cancel_what_is_in_flight() -> None:
    policy = AdaptiveVote(n=16)
    trials = policy.ask(8)
    stopped = []
    for trial in trials[:4]:
        policy.tell(trial.id, outcome(key="a"))
        stopped.append(policy.stopped)
    assert stopped == [None, None, None, "completed"]
    assert (policy.stopped, policy.best) == ("completed", 0)
    assert policy.cancelled() == (4, 5, 6, 7)
    policy.tell(4, outcome(key="b"))
    assert policy.cancelled() == (4, 5, 6, 7)
    assert policy.ask(4) == ()


def test_a_close_vote_goes_on_to_its_end() -> None:
    policy = AdaptiveVote(n=8)
    tell_all(policy, [outcome(key=key) for key in "abababab"])
    assert (policy.stopped, policy.best, len(policy.tree)) == ("completed", 0, 8)


@pytest.mark.parametrize(("told", "stops"), [("aaaa", False), ("aaaaa", True), ("abaaaa", True), ("abcaa", False)])
def test_certain_stops_when_nothing_can_change_any_more(told: str, stops: bool) -> None:
    policy = AdaptiveVote(n=8, rule="certain")
    tell_all(policy, [outcome(key=key) for key in told])
    assert (policy.stopped is not None) is stops


def test_a_failure_may_decide_a_certain_vote() -> None:
    policy = AdaptiveVote(n=4, rule="certain")
    tell_all(policy, [outcome(key="a"), outcome(key="a"), None])
    assert (policy.stopped, len(policy.tree)) == ("completed", 3)
    policy = AdaptiveVote(n=4, rule="certain")
    tell_all(policy, [outcome(key="a"), outcome(key="a")])
    assert policy.stopped is None


def test_certain_changes_no_winner() -> None:
    for seed in range(200):
        keys = random.Random(seed).choices("abc", weights=(5, 4, 2), k=9)
        full, early = AdaptiveVote(n=9, threshold=1.0), AdaptiveVote(n=9, rule="certain")
        tell_all(full, [outcome(key=key) for key in keys])
        while early.stopped is None:
            tell_all(early, [outcome(key=keys[len(early.tree)])])
        assert early.best == full.best
        assert len(early.tree) <= len(full.tree)
