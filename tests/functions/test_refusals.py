"""What fails in a caller's function is data, what cannot work is refused; rivals' defects as tests."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from actorcritic.budget import Budget
from actorcritic.errors import InputError, NoResult
from actorcritic.functions.calls import this_call
from actorcritic.functions.methods import (
    best_of_n,
    majority,
    refine,
    scale,
)
from actorcritic.functions.results import CallFailure
from tests.functions.world import Sampler


def same(value: float) -> float:
    return value


# --- what fails is data ----------------------------------------------------------------------------------------------


async def test_one_failed_sample_of_n_keeps_the_others() -> None:
    """its_hub and NAT lose all N; ThinkBooster drops the failed one in silence."""
    result = await best_of_n(Sampler(failing=frozenset({0, 3})), same, n=6)
    assert [candidate.index for candidate in result.candidates] == [1, 2, 4, 5]
    assert [str(failure) for failure in result.failures] == [
        "call 0: fn failed with TimeoutError: call 0 is lost",
        "call 3: fn failed with TimeoutError: call 3 is lost",
    ]
    assert result.failures[0].error.__traceback__ is not None, "the exception itself is there"
    assert (result.attempts, result.spend.total.calls, result.stopped_by) == (6, 6, "completed")


async def test_an_error_does_not_vote() -> None:
    """its_hub turns the error text into an answer."""
    result = await majority(Sampler(failing=frozenset({0, 1, 2, 3})), n=5)
    assert result.index == 4 and len(result.candidates) == 1


@pytest.mark.parametrize("n", [1, 2, 5])
async def test_when_all_fail_it_says_so(n: int) -> None:
    """DSPy returns None for N = 1 and 2."""
    fn = Sampler(failing=frozenset(range(n)))
    with pytest.raises(NoResult, match="call 0 is lost") as caught:
        await best_of_n(fn, same, n=n)
    assert [type(error) for error in caught.value.errors] == [TimeoutError] * n
    assert (caught.value.stopped_by, caught.value.usage.calls) == ("failed", n)
    assert caught.value.__cause__ is caught.value.errors[0]


async def test_the_same_search_twice_is_the_same_search() -> None:
    """DSPy counts failures on the instance: the same inputs succeed once and then raise."""
    fn = Sampler(failing=frozenset({0, 1}))
    assert await best_of_n(fn, same, n=4) == await best_of_n(fn, same, n=4)


async def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    await best_of_n(Sampler(failing=frozenset({1})), same, n=3)
    assert capsys.readouterr() == ("", "")


async def test_a_score_that_fails_leaves_its_value_unscored() -> None:
    def score(value: float) -> float | None:
        if this_call().index == 0:
            raise RuntimeError("the judge is away")
        return None if this_call().index == 1 else 0.1

    result = await best_of_n(Sampler(), score, n=3)
    assert [candidate.score for candidate in result.candidates] == [None, None, 0.1]
    assert result.index == 2, "unscored is not 0 and loses to any score"
    assert [failure.where for failure in result.failures] == ["score"]


@pytest.mark.parametrize("width", [1, 3, 8])
@pytest.mark.parametrize("bad", [7, -0.1, math.nan, "good"])
async def test_a_wrong_score_after_a_right_one_costs_its_value_the_score(bad: Any, width: int) -> None:
    seen: list[CallFailure | None] = []
    result = await best_of_n(
        Sampler(shuffle=3),
        lambda value: bad if this_call().index in (1, 4) else value,
        n=6,
        width=width,
        on_event=lambda progress: seen.append(progress.failure),
    )
    scores = [candidate.score for candidate in result.candidates]
    assert len(scores) == 6 and [index for index, score in enumerate(scores) if score is None] == [1, 4]
    assert result.score == max(score for score in scores if score is not None)
    assert [(failure.index, failure.where) for failure in result.failures] == [(1, "score"), (4, "score")]
    assert all("a score is a number in [0, 1]" in str(failure) for failure in result.failures)
    assert len([failure for failure in seen if failure is not None]) == 2


@pytest.mark.parametrize("width", [1, 4])
async def test_a_wrong_scale_is_refused_at_the_first_score_whatever_the_timing(width: int) -> None:
    for shuffle in range(4):
        fn = Sampler(shuffle=shuffle)
        with pytest.raises(InputError, match="score returned 9"):
            await best_of_n(fn, lambda value: 9 if this_call().index == 0 else value, n=20, width=width)
        assert fn.calls <= width + 1


async def test_a_critique_with_a_wrong_score_leaves_its_value_as_it_is() -> None:
    async def critique(value: float) -> tuple[float, str]:
        return (0.5, "more") if this_call().index == 0 else (50, "more")

    async def revise(value: float, feedback: str) -> float:
        return value + 1

    result = await refine(Sampler(), critique, revise, rounds=3)
    assert result.index == 0 and result.failures and result.failures[0].where == "critique"


async def test_a_call_that_cancels_itself_has_failed() -> None:
    async def fn() -> int:
        if this_call().index == 0:
            raise asyncio.CancelledError
        return 1

    result = await best_of_n(fn, lambda _: 0.5, n=2)
    assert result.value == 1 and "cancelled from within" in str(result.failures[0])


async def test_a_dead_function_is_given_up() -> None:
    fn = Sampler(failing=frozenset(range(1000)))
    with pytest.raises(NoResult) as caught:
        await scale(fn, "mcts", score=same, budget=Budget(calls=500))
    assert fn.calls == len(caught.value.errors) == 16


@pytest.mark.parametrize("where", ["key", "done"])
async def test_a_key_or_a_done_that_fails_costs_one_value(where: str) -> None:
    def picky(value: float) -> bool:
        if this_call().index == 1:
            raise KeyError("odd")
        return True

    seen: list[int] = []

    def key(value: float) -> float:
        seen.append(1)
        if len(seen) == 2:
            raise KeyError("odd")
        return 1.0

    done, by = (picky, None) if where == "done" else (None, key)
    result = await scale(Sampler(), "majority:n=3", done=done, key=by)
    assert [failure.where for failure in result.failures] == [where]
    assert len(result.candidates) == (2 if where == "done" else 3)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [1.01, -0.1, math.nan, math.inf, "0.5", "good", [0.5], 10, object(), b"1"])
async def test_a_score_that_is_none_ends_it_before_more_is_spent(bad: object) -> None:
    """TreeQuest and its_hub find out late, or read 5.0 as average."""
    fn = Sampler()

    def score(value: float) -> Any:
        return bad

    with pytest.raises(InputError, match=r"score returned .*: a score is a number in \[0, 1\]") as refused:
        await best_of_n(fn, score, n=50, width=1)
    assert fn.calls == 1
    assert "\n" not in str(refused.value)


async def test_a_bad_score_cancels_what_is_in_flight() -> None:
    fn = Sampler()

    async def slow() -> float:
        if this_call().index:
            await asyncio.Event().wait()
        return await fn()

    with pytest.raises(InputError, match="score returned 7"):
        await asyncio.wait_for(best_of_n(slow, lambda _: 7, n=50, width=4), timeout=10)
    assert fn.calls == 1


@pytest.mark.parametrize("score", [True, False, 1, 0, Decimal("0.5"), Fraction(1, 3)])
async def test_every_kind_of_number_is_a_score(score: Any) -> None:
    result = await best_of_n(Sampler(), lambda _: score, n=1)
    assert result.score == float(score)


@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [
        ("best-of-m", {}, "unknown strategy 'best-of-m'"),
        ("mcts:depth=3", {"score": same}, "has no option 'depth'"),
        ("best-of-n:n=0", {"score": same}, "option n=0 is refused"),
        ("best-of-n", {}, "needs a score"),
        ("refine", {}, "needs a score"),
        ("revise", {"score": same}, "refine"),
        ("auto", {"score": same}, "easy=refine"),
        ("best-of-n:score=logprob", {"score": same}, "score=critic"),
        ("weighted-vote:score=logprob", {"score": same}, "score=critic"),
        ("mcts:aggregate=last", {"score": same}, "aggregate=final"),
        ("mcts:prior=logprob", {"score": same}, "prior=uniform"),
        ("refine:gate=oracle", {"score": same}, "gold verdicts"),
        ("beam", {"score": same}, "say with done"),
        ("mcts:nodes=step", {"score": same}, "say with done"),
        ("mcts", {"score": same, "key": same}, "takes no vote"),
        ("majority", {"accept": 0.5}, "makes nothing of accept"),
        ("mcts", {"score": same, "accept": 1.5}, "accept must be a score"),
        ("mcts", {"score": same, "width": 0}, "width must be at least 1"),
        ("mcts", {"score": same, "call_tokens": 0}, "call_tokens must be at least 1"),
    ],
)
async def test_what_cannot_work_is_refused_before_any_call(strategy: str, options: Any, message: str) -> None:
    fn = Sampler()
    with pytest.raises(InputError, match=message):
        await scale(fn, strategy, **options)
    assert fn.calls == 0


async def test_functions_of_the_wrong_kind_are_refused_in_one_line() -> None:
    def plain() -> Any:
        return 1

    async def later(value: float) -> bool:
        return True

    with pytest.raises(InputError, match="fn is not asynchronous"):
        await best_of_n(plain, same, n=3)
    with pytest.raises(InputError, match="key must be a plain function"):
        await majority(Sampler(), key=later, n=3)
    with pytest.raises(InputError, match="done must be a plain function"):
        await scale(Sampler(), "majority", done=later)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="must return a pair"):
        await refine(Sampler(), same, Sampler(), rounds=2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_refused_search_inside_a_function_is_that_functions_failure() -> None:
    async def inner() -> float:
        if this_call().index == 0:
            await best_of_n(Sampler(), lambda _: 9, n=1)
        return 0.5

    result = await best_of_n(inner, same, n=2)
    assert isinstance(result.failures[0].error, InputError) and len(result.candidates) == 1
