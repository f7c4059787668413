"""The pure part of comparisons: how strategies are written, and what rows add up to."""

from __future__ import annotations

import random

import pytest

from actorcritic.bench import Facts, ProblemRow, ReadingRecord, parse_contestants, summarize
from actorcritic.errors import InputError
from actorcritic.metrics import paired_difference, wilson


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["greedy,majority, revise"], ["greedy", "majority", "revise"]),
        (["best-of-n:score=logprob,n=8,majority"], ["best-of-n:score=logprob,n=8", "majority"]),
        (
            ["best-of-n:score=logprob,n=8;majority:n=4;revise"],
            ["best-of-n:score=logprob,n=8", "majority:n=4", "revise"],
        ),
        (["greedy", "revise:rounds=3"], ["greedy", "revise:rounds=3"]),
        (["revise,revise@oracle,revise@calculate"], ["revise", "revise@oracle", "revise@calculate"]),
        (["revise:rounds=3,accept=0.5@oracle,greedy"], ["revise:rounds=3,accept=0.5@oracle", "greedy"]),
        ([" ;greedy,; "], ["greedy"]),
    ],
)
def test_strategies_are_separated_by_one_rule(texts: list[str], labels: list[str]) -> None:
    contestants = parse_contestants(texts)
    assert [contestant.label for contestant in contestants] == labels
    assert parse_contestants([";".join(labels)]) == contestants


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one strategy"),
        ("wish", "unknown strategy 'wish'; choose from: "),
        ("n=8", "unknown strategy 'n=8'"),
        ("majority;n=8", "unknown strategy 'n=8'"),
        ("majority:n=0", "whole number >= 1"),
        ("greedy,greedy", "greedy is given twice"),
        ("revise@moon", "unknown critic 'moon' in 'revise@moon'; choose from: oracle, calculate"),
        ("revise@", "unknown critic ''"),
        ("greedy@oracle", "greedy asks for no critic: leave out @oracle"),
    ],
)
def test_mistakes_in_strategies(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_contestants([text])


def facts(strategies: list[str], *, problems: int, seeds: int = 1, budgets: tuple[int, ...] = (64, 128)) -> Facts:
    return Facts(
        task="t",
        split="test",
        problems=problems,
        seeds=list(range(seeds)),
        strategies=strategies,
        budgets=list(budgets),
        actor="a",
        critic="c",
        models=["m"],
        width=1,
        concurrency=8,
        temperature=1.0,
        budget="hard",
        versions={},
    )


def row(strategy: str, problem: int, right: tuple[bool, ...], *, seed: int = 0, oracle: bool = False) -> ProblemRow:
    """Return a problem's row with budgets 64, 128 ...; actor 10, critic 5 tokens per budget passed."""
    readings = [
        ReadingRecord(
            budget_tokens=64 * 2**at,
            correct=correct,
            total_tokens=15 * (at + 1),
            actor_tokens=10 * (at + 1),
            critic_tokens=5 * (at + 1),
            seconds=0.5 * (at + 1),
            trials=at + 1,
            failures=at,
        )
        for at, correct in enumerate(right)
    ]
    return ProblemRow(
        strategy=strategy,
        oracle=oracle,
        seed=seed,
        limit=128,
        problem=f"p{problem}",
        stopped_by="tokens",
        readings=readings,
    )


def test_rows_add_up() -> None:
    rows = [row("x", i, (i < 2, i < 3)) for i in range(4)] + [row("y", i, (i < 1, i < 1)) for i in range(4)]
    random.Random(1).shuffle(rows)
    report = summarize(rows, facts(["x", "y"], problems=4))
    assert [(r.strategy, r.budget_tokens, r.accuracy) for r in report.rows] == [
        ("x", 64, 0.5),
        ("x", 128, 0.75),
        ("y", 64, 0.25),
        ("y", 128, 0.25),
    ]
    second = report.rows[1]
    assert (second.mean_total_tokens, second.mean_actor_tokens, second.mean_critic_tokens) == (30, 20, 10)
    assert (second.seconds, second.mean_trials, second.failures) == (1.0, 2, 4)
    assert (second.ci_low, second.ci_high) == pytest.approx(wilson(3, 4), abs=1e-6)
    assert report.complete and report.problems == 4
    duel = report.paired[1]
    want = paired_difference([1, 1, 1, 0], [1, 0, 0, 0])
    assert (duel.budget_tokens, duel.best, duel.second, duel.difference) == (128, "x", "y", 0.5)
    assert (duel.ci_low, duel.ci_high) == pytest.approx((want.low, want.high), abs=1e-6)
    assert not duel.beyond_noise and "within the noise" in duel.summary


def test_a_clear_winner_is_said_to_be_one() -> None:
    rows = [row("x", i, (True,)) for i in range(40)] + [row("y", i, (i % 4 == 0,)) for i in range(40)]
    (duel,) = summarize(rows, facts(["y", "x"], problems=40, budgets=(64,))).paired
    assert duel.beyond_noise and duel.summary.startswith(
        "At 64 tokens x is ahead of y (100.0% and 25.0%): +75.0 points"
    )
    assert duel.summary.endswith("beyond the noise.")


def test_oracle_rows_are_ceilings_and_not_competitors() -> None:
    rows = [row("x", i, (i < 5,)) for i in range(10)] + [row("y", i, (i < 2,)) for i in range(10)]
    rows += [row("x@oracle", i, (True,), oracle=True) for i in range(10)]
    report = summarize(rows, facts(["x@oracle", "x", "y"], problems=10, budgets=(64,)))
    assert [r.oracle for r in report.rows] == [True, False, False]
    assert (report.paired[0].best, report.paired[0].second) == ("x", "y")
    assert [(c.first, c.second, c.difference) for c in report.paired_all] == [
        ("x@oracle", "x", 0.5),
        ("x@oracle", "y", 0.8),
        ("x", "y", 0.3),
    ]


def test_several_seeds_pair_by_problem() -> None:
    rows = [row("x", i, (i < 6 or seed == 0,), seed=seed) for i in range(10) for seed in range(2)]
    rows += [row("y", i, (i < 6,), seed=seed) for i in range(10) for seed in range(2)]
    report = summarize(rows, facts(["x", "y"], problems=10, seeds=2, budgets=(64,)))
    assert [r.accuracy for r in report.rows] == [0.8, 0.6]
    assert report.paired[0].difference == 0.2
    want = paired_difference([1.0] * 6 + [0.5] * 4, [1.0] * 6 + [0.0] * 4)
    assert report.paired[0].ci_low == pytest.approx(want.low, abs=1e-6)


def test_strategies_pair_by_problem_whatever_order_these_ended_in() -> None:
    rows = [row("x", i, (i < 5,)) for i in range(10)] + [row("y", i, (i < 5,)) for i in reversed(range(10))]
    (duel,) = summarize(rows, facts(["x", "y"], problems=10, budgets=(64,))).paired
    same = paired_difference([0.0] * 10, [0.0] * 10)
    assert (duel.ci_low, duel.ci_high) == pytest.approx((same.low, same.high), abs=1e-6)


def test_level_strategies_are_level_and_the_cheaper_leads() -> None:
    cheap = [
        r.model_copy(update={"readings": [r.readings[0].model_copy(update={"total_tokens": 1})]})
        for r in (row("cheap", i, (i < 3,)) for i in range(6))
    ]
    rows = [row("dear", i, (i >= 3,)) for i in range(6)] + cheap
    (duel,) = summarize(rows, facts(["dear", "cheap"], problems=6, budgets=(64,))).paired
    assert (duel.best, duel.difference) == ("cheap", 0) and "are level at 50.0% and 50.0%" in duel.summary


def test_a_strategy_that_has_not_ended_is_left_out() -> None:
    rows = [row("x", i, (True, True)) for i in range(4)] + [row("y", i, (True, True)) for i in range(3)]
    report = summarize(rows, facts(["x", "y"], problems=4))
    assert {r.strategy for r in report.rows} == {"x"} and not report.complete and report.paired == []
    one_budget = [row("z", i, (True,)) for i in range(4)]
    assert summarize(one_budget, facts(["z"], problems=4)).rows == []
