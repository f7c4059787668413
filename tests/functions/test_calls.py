"""What a function may know of its call, and what it may report."""

from __future__ import annotations

import asyncio
import math

import pytest

from actorcritic.errors import InputError
from actorcritic.functions.calls import FunctionCall, this_call
from actorcritic.functions.methods import best_of_n, scale
from actorcritic.functions.results import Scaled
from actorcritic.types import Usage


def test_outside_a_search_a_function_works_and_nobody_pays() -> None:
    this_call().charge(prompt_tokens=5, money=1.0)
    assert this_call() == FunctionCall() and this_call().prompt_tokens == 0


@pytest.mark.parametrize(
    "cost", [{"prompt_tokens": -1}, {"completion_tokens": -1}, {"money": -0.1}, {"money": math.nan}]
)
def test_a_cost_below_nothing_is_refused(cost: dict[str, float]) -> None:
    call = FunctionCall()
    with pytest.raises(InputError, match="a cost must be >= 0"):
        call.charge(**cost)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert call == FunctionCall()


def test_costs_add_up_until_the_call_ends() -> None:
    call = FunctionCall()
    call.charge(prompt_tokens=3)
    call.charge(prompt_tokens=4, completion_tokens=2, money=0.5)
    assert call.close() == Usage(calls=1, prompt_tokens=7, completion_tokens=2)
    with pytest.raises(InputError, match="has ended"):
        call.charge(prompt_tokens=1)


async def test_seeds_differ_by_candidate_and_role_and_repeat_with_the_search() -> None:
    async def run(seed: int) -> tuple[list[int], list[int]]:
        made: dict[int, int] = {}
        judged: dict[int, int] = {}

        async def fn() -> int:
            made[this_call().index] = this_call().seed
            return 0

        def score(value: int) -> float:
            assert this_call().role == "critic"
            judged[this_call().index] = this_call().seed
            return 0.5

        await best_of_n(fn, score, n=4, seed=seed)
        return [made[i] for i in range(4)], [judged[i] for i in range(4)]

    first, again, other = await run(1), await run(1), await run(2)
    assert first == again
    assert len({*first[0], *first[1], *other[0], *other[1]}) == 16
    assert all(0 <= seed < 2**63 for seed in first[0])


async def test_the_call_is_known_in_tasks_and_threads_of_the_function() -> None:
    def work() -> int:
        this_call().charge(prompt_tokens=1)
        return this_call().index

    async def fn() -> tuple[int, int]:
        async with asyncio.TaskGroup() as tasks:
            inner = tasks.create_task(asyncio.to_thread(work))
        await asyncio.sleep(0)
        return inner.result(), this_call().index

    result: Scaled[tuple[int, int]] = await best_of_n(fn, lambda _: 0.5, n=5, width=5)
    assert [candidate.value for candidate in result.candidates] == [(i, i) for i in range(5)]
    assert result.spend.total.prompt_tokens == 5


async def test_a_strategy_s_temperature_reaches_the_function() -> None:
    async def fn(parent: list[float | None] | None) -> list[float | None]:
        return [this_call().temperature]

    result = await scale(fn, "majority:n=3,first=greedy,temperature=0.7", key=lambda _: 1)
    assert [candidate.value for candidate in result.candidates] == [[0.0], [0.7], [0.7]]
    assert (await scale(fn, "majority:n=1", key=lambda _: 1)).value == [None]
