from __future__ import annotations

import math
from dataclasses import replace

import pytest

from actorcritic.search.weighted_vote import WeightedVote
from actorcritic.types import Outcome, Verdict
from tests.search.simulation import outcome, tell_all


def test_scores_add_up_per_answer() -> None:
    policy = WeightedVote(n=4)
    tell_all(policy, [outcome(0.5, key="a"), outcome(0.9, key="b"), outcome(0.5, key="a"), outcome(0.0, key="c")])
    assert (policy.best, policy.stopped) == (0, "completed")


def test_an_unscored_solution_has_no_weight_rather_than_none_at_all() -> None:
    policy = WeightedVote(n=3)
    tell_all(policy, [outcome(key="a"), outcome(key="a"), outcome(0.1, key="b")])
    assert policy.best == 2
    policy = WeightedVote(n=3)
    tell_all(policy, [outcome(key="a"), outcome(key="b"), outcome(key="b")])
    assert policy.best == 1, "with nothing scored, each has one vote"


@pytest.mark.parametrize(("how", "best"), [("final", 1), ("last", 0), ("min", 1), ("product", 1), ("mean", 1)])
def test_step_scores_are_aggregated(how: str, best: int) -> None:
    policy = WeightedVote(n=2, aggregate=how)
    first = Outcome(vote_key="a", score=0.3, step_scores=(0.1, 0.9), verdict=Verdict.CORRECT)
    second = Outcome(vote_key="b", score=0.4, step_scores=(0.5, None, 0.6), verdict=Verdict.CORRECT)
    tell_all(policy, [first, second])
    assert policy.best == best


def test_without_step_scores_there_is_nothing_to_aggregate() -> None:
    policy = WeightedVote(n=3, aggregate="min")
    scored = replace(outcome(0.2, key="b"), step_scores=(0.2,))
    tell_all(policy, [outcome(0.9, key="a"), outcome(0.9, key="a"), scored])
    assert policy.best == 2


def test_by_logprob_a_solution_weighs_its_probability() -> None:
    policy = WeightedVote(n=3, score="logprob")
    trials = tell_all(
        policy,
        [
            outcome(key="a", logprob=math.log(0.9)),
            outcome(key="b", logprob=math.log(0.5)),
            outcome(key="b", logprob=math.log(0.3)),
        ],
    )
    assert policy.best == 0
    assert not any(trial.options["critique"] for trial in trials)
