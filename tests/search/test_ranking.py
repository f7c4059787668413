"""Scores of every source, made of the steps' in one way, and ranks by them; unscored is never a number."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.search.best_of_n import BestOfN
from actorcritic.search.mcts import Mcts
from actorcritic.search.ranking import AGGREGATE, SCORE, by_critic, check_outcome, combine, ranked, score_of
from actorcritic.search.strategies import STRATEGIES, make_policy, needs_critic, parse_strategy, score_source
from actorcritic.types import Outcome, Verdict
from tests.search.simulation import outcome, tell_all

HOWS = [how for how in AGGREGATE.choices if how != "final"]
scores = st.floats(0, 1)
steps = st.lists(st.one_of(st.none(), scores), max_size=6)

TOLD = Outcome(
    verdict=Verdict.CORRECT,
    score=0.7,
    step_scores=(0.5, None, 0.8),
    logprob=math.log(0.25),
    reward=0.3,
    step_rewards=(0.9, 0.2),
)


@pytest.mark.parametrize(
    ("source", "how", "value"),
    [
        ("critic", "final", 0.7),
        ("critic", "last", 0.8),
        ("critic", "min", 0.5),
        ("critic", "product", 0.4),
        ("critic", "mean", 0.65),
        ("logprob", "final", 0.25),
        ("reward-model", "final", 0.3),
        ("reward-model", "last", 0.2),
        ("reward-model", "min", 0.2),
        ("reward-model", "product", 0.18),
        ("reward-model", "mean", 0.55),
        ("verifier", "final", 0.3),
    ],
)
def test_every_source_and_aggregation(source: str, how: str, value: float) -> None:
    assert score_of(source, how)(TOLD) == pytest.approx(value)


@pytest.mark.parametrize("source", SCORE.choices)
def test_what_is_not_there_is_unscored(source: str) -> None:
    assert score_of(source)(Outcome()) is None
    if source in ("critic", "reward-model"):
        assert [score_of(source, how)(Outcome()) for how in HOWS] == [None] * len(HOWS)


def test_a_verdict_is_the_critic_s_score_and_nobody_else_s() -> None:
    bare = Outcome(verdict=Verdict.CORRECT)
    assert score_of("critic")(bare) == 1.0
    assert score_of("reward-model")(bare) is None and score_of("verifier")(bare) is None


@pytest.mark.parametrize("how", HOWS)
def test_an_outcome_model_has_one_number_to_make_it_from(how: str) -> None:
    assert score_of("reward-model", how)(replace(TOLD, step_rewards=())) == 0.3


@given(found=steps)
def test_aggregations_are_ordered_and_stay_scores(found: list[float | None]) -> None:
    values = {how: combine(found, how) for how in HOWS}
    known = [item for item in found if item is not None]
    if not known:
        assert set(values.values()) == {None}
        return
    product, lowest, mean, last = (values[how] for how in ("product", "min", "mean", "last"))
    assert product is not None and lowest is not None and mean is not None
    assert 0 <= product <= lowest <= mean <= max(known) <= 1 or math.isclose(lowest, mean)
    assert last == known[-1] and lowest == min(known)


@given(first=st.one_of(st.none(), scores), second=st.one_of(st.none(), scores))
def test_ranks_put_complete_before_scored_before_high(first: float | None, second: float | None) -> None:
    done, cut = Outcome(), Outcome(complete=False)
    assert ranked(done, first) > ranked(cut, second)
    if first is not None:
        assert (ranked(done, first) > ranked(done, None)) is (first > 0)
    if first is not None and second is not None:
        assert (ranked(done, first) > ranked(done, second)) is (first > second)


@pytest.mark.parametrize("name", [name for name, policy in STRATEGIES.items() if AGGREGATE in policy.OPTIONS])
@pytest.mark.parametrize("source", ["logprob", "verifier"])
def test_a_source_without_step_scores_cannot_be_aggregated(name: str, source: str) -> None:
    with pytest.raises(InputError, match=f"score={source}, which scores no steps") as refused:
        make_policy(parse_strategy(f"{name}:score={source},aggregate=min"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("bad", [Outcome(reward=1.1), Outcome(step_rewards=(0.5, -0.1)), Outcome(reward=math.nan)])
def test_bad_rewards_are_refused(bad: Outcome) -> None:
    with pytest.raises(InputError, match="a score must be in"):
        check_outcome(bad)


@pytest.mark.parametrize(
    ("text", "source", "critic"),
    [
        ("greedy", "critic", False),
        ("best-of-n:score=verifier", "verifier", False),
        ("weighted-vote:score=reward-model", "reward-model", False),
        ("beam:score=reward-model", "reward-model", False),
        ("dvts:score=logprob", "logprob", False),
        ("particle:score=reward-model", "reward-model", False),
        ("mcts:score=reward-model", "reward-model", True),
        ("mcts:nodes=step,score=reward-model", "reward-model", False),
        ("ab-mcts:score=verifier", "verifier", True),
    ],
)
def test_the_critic_is_asked_only_for_what_nobody_else_gives(text: str, source: str, critic: bool) -> None:
    spec = parse_strategy(text)
    assert score_source(spec) == source and needs_critic(spec) is critic
    (trial,) = make_policy(spec).ask()
    assert trial.options["critique"] is critic
    assert trial.options.get("reward") == (source if source in ("reward-model", "verifier") else None)


def test_the_reward_decides_whatever_the_critic_says() -> None:
    policy = BestOfN(n=3, score="reward-model")
    tell_all(policy, [outcome(0.9, reward=0.1), outcome(0.1, reward=0.8), outcome(1.0)])
    assert policy.best == 1


def test_a_reward_ends_a_search_without_a_verdict() -> None:
    policy = Mcts(nodes="step", score="reward-model", stop_at=0.5)
    tell_all(policy, [outcome(reward=0.9, complete=False), outcome(reward=0.4, correct=True), outcome(reward=0.6)])
    assert (policy.stopped, policy.best) == ("accepted", 2)


def test_the_certainly_wrong_loses_even_to_the_unscored() -> None:
    values = (0.0, None, 0.01, 1.0)
    for complete in (False, True):
        ranks = [ranked(Outcome(complete=complete), value) for value in values]
        assert ranks == sorted(ranks) and len(set(ranks)) == len(ranks)
    assert ranked(Outcome(complete=False), 1.0) < ranked(Outcome(complete=True), 0.0)
    # A critic that only finds mistakes, such as the calculator, leaves alone what it finds none in.
    wrong, unjudged = Outcome(verdict=Verdict.INCORRECT, score=0.0), Outcome(verdict=Verdict.UNSCORED)
    assert by_critic(wrong) < by_critic(unjudged)
