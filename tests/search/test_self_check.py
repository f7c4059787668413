"""Self-check: critique where the vote is close, and only there."""

from __future__ import annotations

import math
import random

import pytest

from actorcritic.search.majority import Majority
from actorcritic.search.self_check import SelfCheck
from actorcritic.types import Action, Outcome, Verdict
from tests.search.simulation import BROKEN, outcome, tell_all


def votes(policy: SelfCheck, keys: str) -> None:
    trials = tell_all(policy, [outcome(key=key) for key in keys])
    assert not any(trial.options["critique"] for trial in trials)


def test_a_clear_lead_is_trusted() -> None:
    policy = SelfCheck(n=4)
    votes(policy, "baaa")  # log 3 = 1.1
    assert (policy.stopped, policy.best, policy.ask()) == ("completed", 1, ())


def test_a_close_vote_is_checked_by_frequency_until_one_passes() -> None:
    policy = SelfCheck(n=6)
    votes(policy, "abbcca")
    judged: list[int | None] = []
    for correct in (False, None, True):
        (trial,) = policy.ask(3)
        assert (trial.action, trial.options["critique"]) == (Action.JUDGE, True)
        judged.append(trial.parent)
        policy.tell(trial.id, outcome(key="abc"[len(judged) - 1], correct=correct))
    assert judged == [0, 1, 3], "ties in the order in which they were seen; unscored is no pass"
    assert (policy.stopped, policy.best) == ("accepted", 8)


def test_if_none_passes_the_majority_stands() -> None:
    policy = SelfCheck(n=3)
    votes(policy, "baa")
    tell_all(policy, [outcome(key="a", correct=False), None])
    assert (policy.stopped, policy.best) == ("completed", 1), "judgements do not vote"


def test_the_threshold_decides() -> None:
    policy = SelfCheck(n=4, threshold=1.2)
    votes(policy, "baaa")
    assert policy.ask()[0].parent == 1
    policy = SelfCheck(n=4, threshold=math.log(3))
    votes(policy, "baaa")
    assert policy.stopped == "completed", "reached is enough"


def test_without_answers_there_is_nothing_to_check() -> None:
    policy = SelfCheck(n=2)
    tell_all(policy, [outcome(), None])
    assert (policy.stopped, policy.best) == ("completed", 0)
    policy = SelfCheck(n=2)
    policy.ask(2)
    policy.fail(0, BROKEN)
    assert policy.ask() == ()
    policy.fail(1, BROKEN)
    assert policy.stopped == "failed"


@pytest.mark.parametrize(("skill", "helps"), [(0.7, True), (0.5, False)])
def test_a_critic_that_knows_something_lowers_the_error(skill: float, helps: bool) -> None:
    """Recipe 4: two modes, the top one likelier right; a coin flip must not help."""
    draw = random.Random(3)
    errors = {"vote": 0, "checked": 0}
    rounds = 4000
    for _ in range(rounds):
        keys = ["right" if draw.random() < 0.55 else "x" for _ in range(8)]
        plain, checked = Majority(n=8), SelfCheck(n=8)
        for policy in (plain, checked):
            for trial, key in zip(policy.ask(8), keys, strict=True):
                policy.tell(trial.id, Outcome(vote_key=key))
        while checked.stopped is None:
            (trial,) = checked.ask()
            assert trial.parent is not None
            key = keys[trial.parent]
            heard = (key == "right") == (draw.random() < skill)
            checked.tell(trial.id, Outcome(vote_key=key, verdict=Verdict.CORRECT if heard else Verdict.INCORRECT))
        for name, policy in (("vote", plain), ("checked", checked)):
            assert policy.best is not None
            told = policy.tree[policy.best].outcome
            errors[name] += told is None or told.vote_key != "right"
    assert (errors["checked"] < 0.97 * errors["vote"]) is helps
