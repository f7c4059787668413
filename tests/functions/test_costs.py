"""What a search over a caller's function pays: calls, tokens, money, seconds, cancellation."""

from __future__ import annotations

import asyncio

import pytest

from actorcritic.budget import Budget
from actorcritic.errors import InputError, NoResult
from actorcritic.functions.calls import this_call
from actorcritic.functions.methods import (
    best_of_n,
    mcts,
)
from tests.functions.world import Sampler


def same(value: float) -> float:
    return value


def half(value: float) -> float:
    return value / 2


async def test_a_window_pays_for_no_duplicate() -> None:
    """TreeQuest's StandardMCTS in batches of 8 pays for 48 and keeps 12."""
    fn = Sampler(shuffle=3)
    result = await mcts(fn, half, n=48, width=8)
    assert fn.calls == len(result.candidates) == 48 and fn.peak == 8


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("calls", [1, 2, 7])
async def test_a_budget_of_calls_is_never_exceeded(width: int, calls: int) -> None:
    fn, judged = Sampler(shuffle=2), 0

    async def score(value: float) -> float:
        nonlocal judged
        judged += 1
        return value

    result = await best_of_n(fn, score, n=50, width=width, budget=Budget(calls=calls))
    assert fn.calls + judged <= calls == result.spend.total.calls or width > 1
    assert fn.calls + judged == result.spend.total.calls <= calls
    assert result.stopped_by == "calls"


async def test_a_budget_of_calls_leaves_the_window_open_and_failures_stand_in_order() -> None:
    for shuffle in range(4):
        fn = Sampler(shuffle, failing=frozenset(range(1, 9)))
        result = await best_of_n(fn, same, n=50, width=4, budget=Budget(calls=12))
        assert fn.peak == 4 and fn.calls == 12
        assert [failure.index for failure in result.failures] == list(range(1, 9))


async def test_a_plain_score_is_no_call() -> None:
    result = await best_of_n(Sampler(), same, n=50, budget=Budget(calls=3))
    assert len(result.candidates) == 3 and all(candidate.score is not None for candidate in result.candidates)


@pytest.mark.parametrize("width", [1, 3])
async def test_reported_tokens_and_money_end_a_search(width: int) -> None:
    async def fn() -> float:
        this_call().charge(prompt_tokens=30, completion_tokens=10, money=0.25)
        return 0.5

    result = await best_of_n(fn, same, n=50, width=width, budget=Budget(tokens=100))
    assert (len(result.candidates), result.stopped_by) == (3, "tokens"), (
        "the third goes over: only it knows by how much"
    )
    assert result.spend.total.logical_tokens == 120
    result = await best_of_n(fn, same, n=50, width=width, budget=Budget(money=1.0))
    assert (len(result.candidates), result.stopped_by, result.spend.money) == (4, "money", 1.0)


async def test_with_an_estimate_a_token_budget_is_kept_and_shared() -> None:
    fn = Sampler(shuffle=4, tokens=(30, 10))
    result = await best_of_n(fn, same, n=50, width=4, call_tokens=40, budget=Budget(tokens=170))
    assert fn.peak == 4 and result.spend.total.logical_tokens == 160 and result.stopped_by == "tokens"


async def test_a_limit_that_nobody_reports_for_is_refused_after_the_first_call() -> None:
    for budget in (Budget(tokens=100), Budget(money=1.0)):
        fn = Sampler()
        with pytest.raises(InputError, match="reported no cost"):
            await mcts(fn, same, n=50, budget=budget)
        assert fn.calls == 1


async def test_what_a_failed_call_had_cost_is_on_the_bill() -> None:
    result = await best_of_n(Sampler(failing=frozenset({0}), tokens=(5, 2)), same, n=2)
    assert result.spend.total.logical_tokens == 14


async def test_a_judge_that_costs_is_on_the_bill() -> None:
    """its_hub counts no judge tokens."""

    def score(value: float) -> float:
        this_call().charge(prompt_tokens=3)
        return value

    result = await best_of_n(Sampler(), score, n=4)
    assert (result.spend.usage["critic"].calls, result.spend.total.logical_tokens) == (4, 12)


async def test_seconds_end_a_search_with_the_best_so_far() -> None:
    async def fn() -> float:
        if this_call().index > 2:
            await asyncio.Event().wait()
        return this_call().index / 10

    result = await asyncio.wait_for(best_of_n(fn, same, n=50, width=4, budget=Budget(seconds=0.2)), timeout=10)
    assert (result.value, result.stopped_by) == (0.2, "seconds")


async def test_seconds_without_a_value_are_an_error_that_says_so() -> None:
    async def fn() -> float:
        await asyncio.Event().wait()
        return 1.0

    with pytest.raises(NoResult, match="stopped by: seconds"):
        await best_of_n(fn, same, n=4, budget=Budget(seconds=0.05))


async def test_cancelling_a_search_reaches_the_function() -> None:
    fn = Sampler()

    async def slow() -> float:
        fn.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            fn.cancelled += 1
        return 1.0

    task = asyncio.create_task(best_of_n(slow, same, n=9, width=3))
    while fn.running < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert fn.cancelled == 3
