"""From flags to the table: one row per round and method, alone and with the critic; comparisons by fifth."""

from __future__ import annotations

from collections.abc import Sequence

from actorcritic.metrics import paired_difference, wilson
from actorcritic.training.improve.outcomes import Answered, Measured, Outcome
from actorcritic.training.improve.report import Cost, Round, summarize

LEVELS = {f"p{i}": i // 2 + 1 for i in range(10)}
RATES = {f"p{i}": 1 - i / 10 for i in range(10)}


def answered(right: bool, *samples: bool, tokens: int = 10) -> Answered:
    return Answered(right=right, samples=list(samples or (right,)), majority=right, tokens=tokens)


def evaluated(alone: Sequence[bool], critic: Sequence[bool], *, promoted: bool = True) -> Measured:
    """Return an evaluation of ten problems."""
    outcomes = [
        Outcome(problem=f"p{i}", alone=answered(one, False, one), critic=answered(two, True, two, tokens=30))
        for i, (one, two) in enumerate(zip(alone, critic, strict=True))
    ]
    return Measured(outcomes=outcomes, development=0.5, promoted=promoted)


def first(count: int) -> list[bool]:
    return [i < count for i in range(10)]


def one_round(method: str, number: int, *measured: Measured) -> Round:
    return Round(method=method, round=number, measured=dict(enumerate(measured)), cost=Cost(train_rows=number))


def test_a_row_alone_and_one_with_the_critic() -> None:
    rows, paired = summarize([one_round("base", 0, evaluated(first(4), first(6)))], LEVELS, RATES)
    alone, critic = rows
    assert (alone.method, alone.round, alone.with_critic, critic.with_critic) == ("base", 0, False, True)
    assert (alone.accuracy, alone.pass_at_5, alone.majority_at_5, alone.tokens) == (0.4, 0.4, 0.4, 10)
    assert (critic.accuracy, critic.pass_at_5, critic.tokens) == (0.6, 1.0, 30)
    low, high = wilson(4, 10)
    assert (alone.ci_low, alone.ci_high) == (round(low, 6), round(high, 6))
    assert [each.accuracy for each in alone.by_quintile] == [1, 1, 0, 0, 0]
    assert [each.problems for each in critic.by_quintile] == [2] * 5
    assert [each.base_rate for each in alone.by_quintile] == [0.95, 0.75, 0.55, 0.35, 0.15]
    assert paired == []


def test_seeds_are_one_row_and_no_more_problems() -> None:
    same = [evaluated(first(4), first(4)) for _ in range(3)]
    row = summarize([one_round("vanilla", 2, *same)], LEVELS, RATES)[0][0]
    single = summarize([one_round("vanilla", 2, same[0])], LEVELS, RATES)[0][0]
    assert row.seeds == [0, 1, 2] and row.accuracy == single.accuracy
    assert (row.ci_low, row.ci_high) == (single.ci_low, single.ci_high), "three equal seeds tell no more than one"
    worse = summarize([one_round("vanilla", 2, same[0], evaluated(first(1), first(1), promoted=False))], LEVELS, RATES)
    assert worse[0][0].accuracy == 0.25 and worse[0][0].promoted is False


def test_the_last_rounds_are_compared_on_the_same_problems() -> None:
    rounds = [
        one_round("base", 0, evaluated(first(2), first(2))),
        one_round("sft", 0, evaluated(first(3), first(3))),
        one_round("vanilla", 1, evaluated(first(9), first(9))),
        one_round("vanilla", 2, evaluated(first(4), first(4))),
        one_round("critique", 2, evaluated(first(6), first(5))),
    ]
    stopped = summarize([*rounds[:-1], one_round("critique", 1, evaluated(first(6), first(5)))], LEVELS, RATES)[1]
    assert stopped[0].difference == -0.3, "of a run that was stopped, the last rounds that both have come to"
    paired = summarize(rounds, LEVELS, RATES)[1]
    names = [(each.first, each.second) for each in paired if not each.with_critic]
    assert names == [
        ("critique", "vanilla"),
        ("critique", "sft"),
        ("critique", "base"),
        ("vanilla", "sft"),
        ("vanilla", "base"),
        ("sft", "base"),
    ]
    gain = paired[0]
    known = paired_difference([float(flag) for flag in first(6)], [float(flag) for flag in first(4)])
    assert gain.difference == 0.2 and (gain.ci_low, gain.ci_high) == (round(known.low, 6), round(known.high, 6))
    assert gain.by_quintile == [0, 0, 1, 0, 0] and paired[1].with_critic and paired[1].difference == 0.1


def test_a_critic_is_compared_with_the_actor_that_it_had() -> None:
    rounds = [
        one_round("base", 0, evaluated(first(2), first(2))),
        one_round("critic", 1, evaluated(first(2), first(7))),
    ]
    paired = summarize(rounds, LEVELS, RATES)[1]
    assert [(each.first, each.second, each.with_critic, each.difference) for each in paired] == [
        ("critic", "base", True, 0.5)
    ]
