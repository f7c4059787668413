"""Every strategy over a caller's own function: timing, options, width, steps."""

from __future__ import annotations

from typing import Any

import pytest

from actorcritic.budget import Budget
from actorcritic.errors import InputError
from actorcritic.functions.calls import this_call
from actorcritic.functions.methods import (
    best_of_n,
    mcts,
    scale,
)
from actorcritic.functions.results import Scaled
from actorcritic.search.strategies import STRATEGIES
from tests.functions.world import Sampler


def same(value: float) -> float:
    return value


def half(value: float) -> float:
    return value / 2


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
        *(f"{name}:{option}" for name in ("mcts", "ab-mcts") for option in ("locate", "gate")),
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
