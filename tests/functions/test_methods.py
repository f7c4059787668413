"""The caller's own function, scaled: what comes back, and who watches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from pydantic import BaseModel

from actorcritic.errors import InputError
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
from tests.functions.world import Sampler


def same(value: float) -> float:
    return value


def half(value: float) -> float:
    return value / 2


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
