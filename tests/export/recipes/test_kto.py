"""KTO: one row per attempt, sides balanced by weights, rows shuffled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.export.recipes.kto import balance
from actorcritic.types import Action
from tests.export.log import attempt, content, episode, exported, rows_of, solved


def test_acceptance() -> None:
    """Section 20c: an imbalance of 1:3 sets the weight of good rows in [3, 4]."""
    attempts = [attempt(i, solved(f"try {i}"), correct=i == 0) for i in range(4)]
    export = exported("kto", episode(*attempts), share=1.0)
    assert sorted(row["label"] is True for row in rows_of(export)) == [False, False, False, True]
    weight = export.trainer_settings["desirable_weight"]
    assert isinstance(weight, float) and 3 <= weight <= 4 and export.trainer_settings["undesirable_weight"] == 1
    assert export.trainer_settings["train_sampling_strategy"] == "sequential"


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_the_sides_are_balanced(good: int, bad: int) -> None:
    desirable, undesirable = balance(good, bad)
    assert 1 <= desirable * good / (undesirable * bad) <= 4 / 3 + 1e-9
    assert min(desirable, undesirable) == 1


def test_one_side_alone_has_nothing_to_balance() -> None:
    assert balance(0, 3) == balance(3, 0) == (1.0, 1.0)


def test_a_label_is_what_the_gold_side_says() -> None:
    unknown, help_ = attempt(2, solved("c")), attempt(3, solved("d"), correct=True, action=Action.REFINE, parent=0)
    export = exported(
        "kto", episode(attempt(0, solved("a"), correct=True), attempt(1, solved("b"), correct=False), unknown, help_)
    )
    assert {content(row["completion"]): row["label"] for row in rows_of(export)} == {"a": True, "b": False}
    assert export.drops == {"correctness unknown": 1, "written after a critique": 1}


def test_rows_are_shuffled_by_the_seed() -> None:
    attempts = [attempt(i, solved(f"try {i}"), correct=i % 2 == 0) for i in range(8)]
    orders = [
        [content(row["completion"]) for row in rows_of(exported("kto", episode(*attempts), seed=s, share=1.0))]
        for s in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == sorted(orders[2])


def test_the_cap_is_per_problem_and_label() -> None:
    attempts = [attempt(i, solved(f"try {i}"), correct=i < 3) for i in range(5)]
    labels = [row["label"] for row in rows_of(exported("kto:cap=1", episode(*attempts)))]
    assert sorted(map(bool, labels)) == [False, True]


@pytest.mark.parametrize(("tau", "good"), [(0.5, ["a", "a2"]), (0.95, ["a2"])])
def test_steps_are_good_from_tau_on(tau: float, good: list[str]) -> None:
    first = attempt(0, solved("a", complete=False), visits=2, value=0.9)
    other = attempt(1, solved("b", complete=False), visits=1, value=0.1)
    second = attempt(2, solved("a", "a2", kept=1), action=Action.EXTEND, parent=0, visits=1, value=1.0)
    unseen = attempt(3, solved("c", complete=False))
    rows = rows_of(exported(f"kto:unit=step,tau={tau}", episode(first, other, second, unseen)))
    assert sorted(content(row["completion"]) for row in rows if row["label"]) == good
    (deep,) = (row for row in rows if content(row["completion"]) == "a2")
    assert deep["prompt"] == [
        {"role": "user", "content": "What is six times seven?"},
        {"role": "assistant", "content": "a"},
    ]
