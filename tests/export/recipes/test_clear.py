"""CLEAR: corrupted targets go, better ones come, and nothing changes the second time."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.codec import encode
from actorcritic.errors import InputError
from actorcritic.export.recipes.clear import confidence
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue, Reference
from tests.export.log import attempt, content, episode, exported, rows_of, solved


def sure(observed: float, reflected: float, trial: int | None = 0) -> Derived:
    payload: dict[str, JsonValue] = {"by": "m", "samples": 5, "observed": observed, "reflected": reflected}
    return Derived(step="confidence", trial=trial, payload=payload)


def rectify(text: str, *better: float, complete: bool = True, trial: int | None = 0) -> Derived:
    solution = encode(solved(text, complete=complete))
    payload: dict[str, JsonValue] = {"by": "m", "model": "t", "solution": solution, "better": list(better)}
    return Derived(step="rectify", trial=trial, payload=payload)


def target(number: int, text: str, *derived: Derived) -> Episode:
    one = attempt(0, solved(text))
    return episode(one, name=f"p{number}", text=f"Question {number}, please?", derived=derived)


def stub(*, corrupted: bool, draw: random.Random) -> tuple[float, float]:
    """Return what a model that is right three times in four makes of a target."""
    agrees = sum(draw.random() < (0.25 if corrupted else 0.75) for _ in range(5)) / 5
    return agrees, draw.choice([0.0, 0.5] if corrupted else [0.5, 1.0])


def test_acceptance() -> None:
    """Section 16: of targets that are corrupted in three of ten, those dropped are mostly the corrupted ones."""
    draw = random.Random(0)
    lot = [(number, number % 10 < 3) for number in range(200)]
    episodes = [
        target(number, "corrupted" if bad else "fine", sure(*stub(corrupted=bad, draw=draw))) for number, bad in lot
    ]
    rows = rows_of(exported("clear:gamma=0.4", *episodes))
    kept = [content(row["completion"]) for row in rows]
    dropped = 200 - len(kept)
    bad_dropped = 60 - kept.count("corrupted")
    assert bad_dropped / dropped > 0.6 and bad_dropped / 60 > 0.6


def test_half_of_all_stay_by_default() -> None:
    episodes = [target(number, "t", sure(number / 10, number / 10)) for number in range(10)]
    export = exported("clear", *episodes)
    assert export.total == 5 and export.drops == {"not confident enough": 5}
    assert all(isinstance(row["confidence"], float) and row["confidence"] > 0.45 for row in rows_of(export))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_confidence_lies_between_its_parts(observed: float, reflected: float, beta: float) -> None:
    made = confidence(observed, reflected, beta)
    assert min(observed, reflected) - 1e-9 <= made <= max(observed, reflected) + 1e-9


@pytest.mark.parametrize(("beta", "kept"), [(0.0, 0), (0.7, 1), (1.0, 1)])
def test_the_weight(beta: float, kept: int) -> None:
    assert exported(f"clear:beta={beta},gamma=0.6", target(0, "t", sure(1.0, 0.0))).total == kept


@pytest.mark.parametrize(
    ("made", "replaced"),
    [
        (rectify("better", 0.9, 0.8), True),
        (rectify("better", 0.8, 0.8), False),
        (rectify("better", 1.0, 0.1), False),
        (rectify("better"), False),
        (rectify("old", 1.0, 1.0), False),
        (rectify("better", 1.0, 1.0, complete=False), False),
        (rectify("As the critique says", 1.0), False),
    ],
)
def test_replacing(made: Derived, replaced: bool) -> None:
    export = exported("clear:stage=correct", target(0, "old", sure(0.1, 0.1), made))
    rows = [(content(row["completion"]), row["action"], row["old"]) for row in rows_of(export)]
    assert rows == ([("better", "replace", "old")] if replaced else [])
    assert exported("clear", target(0, "old", sure(0.1, 0.1), made)).total == 0


def test_eta_and_what_is_sure_stays_beside_what_is_replaced() -> None:
    lot = [
        target(0, "sure", sure(1, 1), rectify("other", 0.2)),
        target(1, "doubtful", sure(0, 0), rectify("better", 0.7)),
        target(2, "lost", sure(0, 0), rectify("no better", 0.4)),
    ]
    made = [content(row["completion"]) for row in rows_of(exported("clear:stage=correct,eta=0.6,gamma=0.5", *lot))]
    assert made == ["sure", "better"]


def test_a_second_pass_changes_nothing() -> None:
    first = [target(0, "sure", sure(1, 1)), target(1, "old", sure(0, 0), rectify("better", 0.9))]
    once = [content(row["completion"]) for row in rows_of(exported("clear:stage=correct,gamma=0.5", *first))]
    # The replacement is sure of itself, and no answer is better than it.
    second = [target(0, once[0], sure(1, 1)), target(1, once[1], sure(0.9, 1), rectify("better", 0.9))]
    twice = rows_of(exported("clear:stage=correct,gamma=0.5", *second))
    assert [content(row["completion"]) for row in twice] == once == ["sure", "better"]
    assert [row["action"] for row in twice] == ["keep", "keep"]


def test_gold_solutions_are_targets_too() -> None:
    one = replace(target(0, "an attempt", sure(1, 1, trial=None)), gold=Reference(answer="1", solution="Written."))
    (row,) = rows_of(exported("clear:gamma=0.5", one))
    assert content(row["completion"]) == "Written."
    assert exported("clear", replace(one, gold=Reference(answer="1"))).drops == {"no gold solution": 1}
    assert exported("clear", replace(one, attempts=())).drops == {"problem without an attempt": 1}


def test_a_run_that_lacks_something_is_told_what_to_collect() -> None:
    for text, step, one in (("clear", "confidence", ()), ("clear:stage=correct", "rectify", (sure(1, 1),))):
        with pytest.raises(InputError, match=rf"--step {step}` collects them"):
            exported(text, target(0, "t", *one))
