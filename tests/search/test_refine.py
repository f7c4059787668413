"""The recipe's modes and gates, and its closed form on a simulated pair."""

from __future__ import annotations

import random

import pytest

from actorcritic.search.refine import Refine
from actorcritic.search.strategies import needs_oracle, parse_strategy
from actorcritic.types import Action, Outcome, Verdict
from tests.search.simulation import outcome, shape, tell_all

PROPOSE, REFINE = Action.PROPOSE, Action.REFINE
WRONG, RIGHT = outcome(0.2, correct=False), outcome(0.95, correct=True)


def test_what_the_critic_calls_wrong_is_written_again() -> None:
    policy = Refine(max_rounds=2)
    tell_all(policy, [WRONG, WRONG, WRONG, WRONG, RIGHT])
    assert shape(policy) == [(PROPOSE, None), (REFINE, 0), (REFINE, 1), (PROPOSE, None), (REFINE, 3)]
    assert (policy.stopped, policy.best) == ("accepted", 4)


def test_a_verdict_below_accept_ends_nothing_and_needs_no_refinement() -> None:
    policy = Refine(rounds=3)
    tell_all(policy, [outcome(0.8, correct=True), WRONG, outcome(0.7, correct=True)])
    assert shape(policy) == [(PROPOSE, None), (PROPOSE, None), (REFINE, 1)]
    assert (policy.stopped, policy.best) == ("completed", 0)
    assert [node.outcome is not None for node in policy.tree] == [True] * 3
    bare = Refine(accept=0.0)
    tell_all(bare, [outcome(0.1, correct=True)])
    assert bare.stopped == "accepted"


def test_a_gold_verdict_ends_the_search_whatever_the_critic_s_score() -> None:
    policy = Refine(gate="oracle")
    tell_all(policy, [outcome(0.1, correct=True)])
    assert (policy.stopped, policy.best) == ("accepted", 0)


def test_no_located_error_is_needed_but_a_verdict_is() -> None:
    policy = Refine()
    tell_all(policy, [outcome(), outcome(0.1, correct=False), outcome(0.1)])
    assert shape(policy) == [(PROPOSE, None), (PROPOSE, None), (REFINE, 1)]
    assert policy.stopped is None


def test_gate_always_refines_what_passes_and_never_stops_early() -> None:
    policy = Refine(gate="always", max_rounds=1, rounds=4)
    tell_all(policy, [RIGHT, WRONG, outcome(), WRONG])
    assert shape(policy) == [(PROPOSE, None), (REFINE, 0), (PROPOSE, None), (PROPOSE, None)]
    assert (policy.stopped, policy.best) == ("completed", 0)


def test_only_the_oracle_gate_asks_for_the_oracle() -> None:
    for gate in ("critic", "always", "oracle"):
        policy = Refine(gate=gate)
        trials = tell_all(policy, [WRONG, WRONG])
        asked = [trial.options.get("oracle", False) for trial in trials]
        assert asked == [gate == "oracle"] * 2
        assert needs_oracle(parse_strategy(f"refine:gate={gate}")) is (gate == "oracle")


def test_parallel_vote_counts_the_last_version_of_each_attempt() -> None:
    policy = Refine(max_rounds=1, select="vote", rounds=5)
    told = [
        outcome(0.1, key="a", correct=False),
        outcome(0.2, key="b", correct=False),
        outcome(0.3, key="a", correct=False),
        outcome(0.4, key="b", correct=True),
        outcome(0.9, key="c", correct=True),
    ]
    tell_all(policy, told)
    assert shape(policy) == [(PROPOSE, None), (REFINE, 0), (PROPOSE, None), (REFINE, 2), (PROPOSE, None)]
    assert (policy.stopped, policy.best) == ("completed", 1), "b twice; the first versions do not vote"
    every = Refine(max_rounds=1, select="vote-all", rounds=5)
    tell_all(every, told)
    assert every.best == 0, "a and b twice each, a was seen first"


def test_a_vote_without_voters_falls_back_to_the_best() -> None:
    policy = Refine(select="vote", rounds=2)
    tell_all(policy, [outcome(0.1, correct=False), outcome(0.5, correct=False)])
    assert policy.best == 1


def test_best_so_far_never_last() -> None:
    policy = Refine(gate="always", max_rounds=3, rounds=4)
    tell_all(policy, [outcome(0.3, correct=False), outcome(0.7, correct=False), WRONG, WRONG])
    assert policy.best == 1


@pytest.mark.parametrize(
    ("right", "spots", "spares", "keeps", "fixes"), [(0.4, 0.9, 0.8, 0.9, 0.5), (0.7, 0.6, 0.6, 0.5, 0.3)]
)
def test_pass_at_1_has_its_closed_form(right: float, spots: float, spares: float, keeps: float, fixes: float) -> None:
    """Recipe 1.10 b: p (TNR + (1-TNR) keep) + (1-p) TPR h, with one critique and one refinement.

    The released loop takes the refinement as it comes; this policy keeps the best by the critic, so the critic here
    scores every refinement above every first try.
    """
    draw = random.Random(11)
    hits, problems = 0, 20_000
    for _ in range(problems):
        policy = Refine(max_rounds=1, rounds=2, accept=0.0)
        truth: dict[int, bool] = {0: draw.random() < right}
        (trial,) = policy.ask()
        says_wrong = draw.random() < ((1 - spares) if truth[0] else spots)
        policy.tell(trial.id, Outcome(verdict=Verdict.INCORRECT if says_wrong else Verdict.CORRECT, score=0.1))
        if policy.stopped is None:
            (trial,) = policy.ask()
            assert trial.action is Action.REFINE
            truth[1] = draw.random() < (keeps if truth[0] else fixes)
            policy.tell(trial.id, Outcome(verdict=Verdict.INCORRECT, score=0.2))
        assert policy.best is not None
        hits += truth[policy.best]
    expected = right * (spares + (1 - spares) * keeps) + (1 - right) * spots * fixes
    assert hits / problems == pytest.approx(expected, abs=1e-2)
