"""The caller's own function, scaled: what comes back, what is paid, what is refused; rivals' defects as tests."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from pydantic import BaseModel

from actorcritic.budget import Budget
from actorcritic.errors import InputError, NoResult
from actorcritic.functions.calls import this_call
from actorcritic.functions.methods import (
    ab_mcts,
    adaptive_vote,
    best_of_n,
    majority,
    mcts,
    refine,
    scale,
    weighted_vote,
)
from actorcritic.functions.results import Progress, Scaled
from actorcritic.search.strategies import STRATEGIES
from tests.functions.world import Sampler


def same(value: float) -> float:
    return value


def half(value: float) -> float:
    return value / 2


# --- one after the other ---------------------------------------------------------------------------------------------


async def test_best_of_n_returns_the_value_that_scores_highest() -> None:
    fn = Sampler()
    result = await best_of_n(fn, half, n=5)
    assert [candidate.index for candidate in result.candidates] == [0, 1, 2, 3, 4]
    assert result.value == max(candidate.value for candidate in result.candidates)
    assert (result.score, result.best.value) == (result.value / 2, result.value)
    assert (fn.calls, result.attempts, result.spend.total.calls, result.stopped_by) == (5, 5, 5, "completed")
    assert (result.strategy, result.failures) == ("best-of-n:n=5", ())


async def test_a_lower_score_may_be_the_better_value() -> None:
    result = await best_of_n(Sampler(), lambda value: 1 - value, n=5)
    assert result.value == min(candidate.value for candidate in result.candidates)


class Answer(BaseModel):
    """A value that is no hashable thing."""

    text: str
    notes: list[str] = []


async def test_any_type_will_do_and_pydantic_models_vote_by_what_they_hold() -> None:
    async def fn() -> Answer:
        return Answer(text=["a", "b", "b", "a", "b"][this_call().index], notes=["x"])

    result = await majority(fn, n=5)
    assert (result.value, result.index) == (Answer(text="b", notes=["x"]), 1)
    scored = await best_of_n(fn, lambda answer: 0.9 if answer.text == "b" else 0.2, n=2)
    assert scored.value.text == "b"


async def test_votes_compare_keys_and_none_does_not_vote() -> None:
    texts = [" 4", "four?", "4.0", "5", "four?", "four?"]

    async def fn() -> str:
        return texts[this_call().index]

    def key(text: str) -> Fraction | None:
        return Fraction(text.strip()) if text.strip()[0].isdigit() else None

    result = await majority(fn, n=6, key=key)
    assert result.value == " 4", "4 and 4.0 are one answer; the first to give it is returned"


async def test_what_cannot_be_compared_needs_a_key() -> None:
    class Array:
        def __eq__(self, other: object) -> bool:
            raise ValueError("the truth value is ambiguous")

        __hash__ = object.__hash__

    async def fn() -> Array:
        return Array()

    with pytest.raises(InputError, match="Array cannot be compared: give a key"):
        await majority(fn, n=3, width=1)
    assert (await best_of_n(fn, lambda _: 0.5, n=3)).attempts == 3, "no vote, no comparison"


async def test_weighted_vote_adds_scores_up() -> None:
    async def fn() -> str:
        return "abb"[this_call().index]

    for sure, winner in ((0.9, "a"), (0.5, "b")):

        def score(value: str, sure: float = sure) -> float:
            return sure if value == "a" else 0.4

        assert (await weighted_vote(fn, score, n=3)).value == winner


async def test_adaptive_vote_stops_when_it_is_decided_and_cancels_what_is_in_flight() -> None:
    gate = asyncio.Event()
    cancelled: list[int] = []

    async def fn() -> str:
        index = this_call().index
        if index >= 5:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                cancelled.append(index)
                raise
        return "sure"

    result = await asyncio.wait_for(adaptive_vote(fn, n=50, width=7), timeout=10)
    assert (result.value, result.stopped_by, len(result.candidates)) == ("sure", "completed", 4)
    assert set(cancelled) >= {5, 6}
    assert result.attempts < 12


async def test_refine_revises_with_the_feedback_and_returns_the_best_not_the_last() -> None:
    told: list[tuple[str, list[str]]] = []
    scores = iter([0.2, 0.7, 0.3, 0.1])

    async def fn() -> str:
        return "draft"

    async def critique(value: str) -> tuple[float, list[str]]:
        return next(scores), [f"{value} is too short"]

    async def revise(value: str, feedback: list[str]) -> str:
        told.append((value, feedback))
        return f"{value}+"

    result = await refine(fn, critique, revise, rounds=4)
    assert told == [(draft, [f"{draft} is too short"]) for draft in ("draft", "draft+", "draft++")]
    assert (result.value, result.score, result.stopped_by) == ("draft+", 0.7, "completed")
    assert [candidate.parent for candidate in result.candidates] == [None, 0, 1, 2]
    assert result.best.feedback == ["draft+ is too short"]
    assert result.spend.usage["actor"].calls == result.spend.usage["critic"].calls == 4, "the critic is on the bill"


async def test_refine_stops_at_what_is_good_enough_and_starts_afresh_where_nothing_was_said() -> None:
    async def fn() -> int:
        return 0

    def critique(value: int) -> tuple[float | None, str]:
        if this_call().index == 0:
            raise ConnectionError("the critic is away")
        return 3 * (value + 1) / 10, "more"

    async def revise(value: int, feedback: str) -> int:
        return value + 1

    result = await refine(fn, critique, revise, rounds=9, accept=0.9)
    assert [candidate.parent for candidate in result.candidates] == [None, None, 1, 2]
    assert (result.value, result.stopped_by) == (2, "accepted")
    assert result.candidates[0].score is None and [str(f) for f in result.failures] == [
        "call 0: critique failed with ConnectionError: the critic is away"
    ]


@pytest.mark.parametrize("method", [mcts, ab_mcts])
async def test_tree_search_works_on_earlier_values(method: Callable[..., Awaitable[Scaled[float]]]) -> None:
    fn = Sampler()
    result = await method(fn, lambda value: value * 0.99, n=30, seed=1)
    parents = {candidate.index: candidate.parent for candidate in result.candidates}
    values = {candidate.index: candidate.value for candidate in result.candidates}
    assert fn.calls == len(values) == 30
    assert sorted(map(str, fn.parents)) == sorted(str(None if p is None else values[p]) for p in parents.values())
    depth: dict[int | None, int] = {None: 0}
    for index, parent in parents.items():
        depth[index] = depth[parent] + 1
    assert max(depth.values()) >= 3, "OptiLLM never goes below the second level"
    assert result.value == max(values.values())


async def test_accept_ends_a_search_early() -> None:
    async def fn(parent: int | None = None) -> int:
        return this_call().index

    def score(value: int) -> float:
        return min(1.0, value / 10)

    for search in (
        best_of_n(fn, score, n=20, accept=0.5, width=1),
        mcts(fn, score, n=20, accept=0.5),
        ab_mcts(fn, score, n=20, accept=0.5),
        scale(fn, "mcts:n=20,stop_at=0.5", score=score),
    ):
        result = await search
        assert (result.value, result.stopped_by, result.attempts) == (5, "accepted", 6)


# --- every strategy --------------------------------------------------------------------------------------------------

CHAINS = [name for name in STRATEGIES if name not in ("revise", "auto")] + ["auto:easy=refine", "refine:select=vote"]


async def search(strategy: str, fn: Sampler, **options: Any) -> Scaled[float]:
    """Search a world whose values grow towards 1 by halves; a value above .9 is finished."""
    done = (lambda value: value > 0.6) if strategy in ("beam", "dvts", "particle") else None
    return await scale(fn, strategy, score=half, done=done, budget=Budget(calls=24), **options)


@pytest.mark.parametrize("strategy", CHAINS)
@pytest.mark.parametrize("width", [1, 3])
async def test_timing_changes_nothing(strategy: str, width: int) -> None:
    plain = await search(strategy, Sampler(failing=frozenset({1})), width=width) if strategy != "greedy" else None
    for shuffle in range(3):
        fn = Sampler(shuffle, failing=frozenset() if strategy == "greedy" else frozenset({1}))
        result = await search(strategy, fn, width=width)
        plain = plain or result
        assert (result.value, result.candidates, result.stopped_by, result.attempts) == (
            plain.value,
            plain.candidates,
            plain.stopped_by,
            plain.attempts,
        )
        assert [(f.index, f.where) for f in result.failures] == [(f.index, f.where) for f in plain.failures]
        assert fn.calls <= 24 and fn.peak <= width


def every_value() -> list[str]:
    """Return every strategy once with each value of each choice and flag, and with another one of each number."""
    texts: list[str] = []
    for name, policy in STRATEGIES.items():
        for option in policy.OPTIONS:
            values = option.choices if option.kind == "choice" else ("true",) if option.kind == "flag" else ("0.5", "2")
            texts += [f"{name}:{option.name}={value}" for value in values]
    return texts


async def test_every_value_of_every_option_works_or_is_refused_before_any_call() -> None:
    """llm-reasoners takes max_visit and returns None; what its_hub lacks raises after the spend."""
    refused: set[str] = set()
    for text in every_value():
        fn = Sampler()
        try:
            result = await scale(fn, text, score=half, done=lambda value: value > 0.6, budget=Budget(calls=9))
        except InputError:
            assert fn.calls == 0, text
            refused.add(text)
        else:
            assert result.best in result.candidates and 0 < fn.calls <= 9, text
    names = {text.partition("=")[0] for text in refused if not text.endswith(("=0.5", "=2"))}
    scored = ("best-of-n", "weighted-vote", "beam", "dvts", "particle", "mcts", "ab-mcts")
    assert {name for name in names if not name.startswith(("revise:", "auto:"))} == {
        *(f"{name}:{option}" for name in scored for option in ("score", "aggregate")),
        *("mcts:prior", "refine:gate"),
    }


async def test_the_seed_changes_what_is_drawn() -> None:
    results = [await mcts(Sampler(), half, n=8, seed=seed) for seed in (0, 0, 1)]
    assert results[0] == results[1] != results[2]


async def test_width_is_how_many_are_in_flight() -> None:
    for width, peak in ((1, 1), (5, 5), (None, 8)):
        fn = Sampler(shuffle=1)
        options: dict[str, Any] = {} if width is None else {"width": width}
        await best_of_n(fn, same, n=20, **options)
        assert fn.peak == peak


async def test_steps_are_chained_until_a_value_is_done() -> None:
    async def fn(parent: str | None) -> str:
        return (parent or "") + "ab"[this_call().seed % 2]

    def score(value: str) -> float:
        return value.count("b") / len(value)

    result = await scale(fn, "beam:n=4,beam_width=2,searches=1", score=score, done=lambda text: len(text) == 6)
    assert len(result.value) == 6 and result.best.done
    assert {len(candidate.value) for candidate in result.candidates} == {1, 2, 3, 4, 5, 6}
    whole = await scale(fn, "best-of-n:n=3", score=score, done=lambda text: len(text) == 6)
    assert [len(candidate.value) for candidate in whole.candidates] == [6, 6, 6]
    assert whole.spend.total.calls == 18


async def test_what_the_budget_cuts_off_stands_unfinished_unjudged_and_without_a_vote() -> None:
    judged: list[str] = []

    async def fn(parent: str | None) -> str:
        return (parent or "") + str(this_call().index)

    def score(value: str) -> float:
        judged.append(value)
        return 0.2

    def done(value: str) -> bool:
        return len(value) == 3

    result = await scale(fn, "best-of-n", score=score, done=done, budget=Budget(calls=5), width=1)
    assert [(candidate.value, candidate.done, candidate.score) for candidate in result.candidates] == [
        ("000", True, 0.2),
        ("11", False, None),
    ]
    assert (result.value, judged, result.stopped_by) == ("000", ["000"], "calls")
    votes = await scale(fn, "majority:n=3", key=len, done=done, budget=Budget(calls=8), width=1)
    assert [candidate.done for candidate in votes.candidates] == [True, True, False]
    first_cut = await scale(fn, "majority:n=3", key=len, done=lambda value: value[0] != "0", budget=Budget(calls=257))
    assert (first_cut.value, first_cut.candidates[0].done) == ("1", False), "256 steps are enough for anything"


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


# --- what is paid ----------------------------------------------------------------------------------------------------


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


# --- who watches -----------------------------------------------------------------------------------------------------


async def test_events_tell_everything_as_it_happens() -> None:
    seen: list[Progress[Any]] = []
    await best_of_n(Sampler(failing=frozenset({1})), same, n=3, width=1, on_event=seen.append)
    assert [(event.kind, event.index) for event in seen] == [
        *(("asked", 0), ("returned", 0), ("settled", 0)),
        *(("asked", 1), ("failed", 1), ("settled", 1)),
        *(("asked", 2), ("returned", 2), ("settled", 2)),
    ]
    assert [event.spend.total.calls for event in seen if event.kind == "settled"] == [1, 2, 3]
    assert seen[4].failure is not None and seen[1].candidate is not None


async def test_a_watcher_that_breaks_is_heard() -> None:
    def watch(event: Progress[Any]) -> None:
        raise ZeroDivisionError("a defect of the watcher")

    with pytest.raises(ZeroDivisionError):
        await best_of_n(Sampler(), same, n=3, on_event=watch)


@dataclass(frozen=True)
class Draft:
    """A value with what led to it."""

    text: str
    tries: int


async def test_results_are_typed() -> None:
    async def fn() -> Draft:
        return Draft("x", 1)

    result: Scaled[Draft] = await best_of_n(fn, lambda draft: draft.tries / 2, n=1)
    text: str = result.value.text
    assert text == "x" and result.best.value.tries == 1
