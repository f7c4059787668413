"""DeepCritic: deliberate critiques down to the first wrong step, and labels out of completions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.export.recipes.deepcritic import first_collapse
from actorcritic.trajectory.attempts import Derived
from actorcritic.types import JsonValue
from tests.export.log import attempt, content, episode, exported, rows_of, solved

GOOD = attempt(0, solved("6 * 6 = 36", "36 + 6 = 42", answer="42"), correct=True)
BAD = attempt(1, solved("6 * 6 = 36", "36 + 5 = 41", "So 41", answer="41"), correct=False)


def step(initial: str, *deeper: str, merged: str | None = "merged") -> JsonValue:
    lot: list[JsonValue] = [{"verdict": one, "text": "deeper", "kind": "other-angle"} for one in deeper]
    return {"initial": {"verdict": initial, "text": "first"}, "deeper": lot, "merged": merged}


def deep(trial: int, bad: int | None, *steps: JsonValue) -> Derived:
    return Derived(step="deep-critique", trial=trial, payload={"by": "m", "steps": list(steps), "first_bad_step": bad})


OK, NO = step("correct", "correct"), step("correct", "incorrect", "correct")


def test_acceptance() -> None:
    """Section 19: wrong solutions stop at the first bad step, numbered from 1; right ones end with -1."""
    mended = deep(0, None, OK, step("incorrect", "correct"))
    rows = rows_of(exported("deepcritic", episode(GOOD, BAD, derived=(mended, deep(1, 1, OK, NO)))))
    assert [(row["label"], row["kind"]) for row in rows] == [(-1, "corrected"), (2, "wrong")]
    assert content(rows[1]["completion"]) == "Step 1\nmerged\n\nStep 2\nmerged\n\n**Answer**: \\boxed{2}"
    assert content(rows[0]["completion"]).endswith("**Answer**: \\boxed{-1}")
    assert "So 41" in content(rows[1]["prompt"]) and "merged" not in content(rows[1]["prompt"])


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (deep(1, None, OK, OK, OK), "no step is called wrong, and the answer is"),
        (deep(1, 1, OK), "steps without a critique, or critiques without a step"),
        (deep(1, 4, OK, OK, OK, OK, NO), "steps without a critique, or critiques without a step"),
        (deep(1, 1, OK, OK), "a step of which no deeper critique is right"),
        (deep(1, 1, OK, step("incorrect", "incorrect", merged=None)), "a step of which no deeper critique is right"),
        (deep(0, None, OK), "steps without a critique, or critiques without a step"),
    ],
)
def test_what_cannot_be_trusted(made: Derived, reason: str) -> None:
    assert exported("deepcritic", episode(GOOD, BAD, derived=(made,))).drops == {reason: 1}


@pytest.mark.parametrize(("plain", "kept"), [(0, 0), (3, 3), (250, 6)])
def test_right_solutions_without_a_correction_are_few(plain: int, kept: int) -> None:
    lot = [episode(GOOD, name=f"p{i}", text=f"Question {i}", derived=(deep(0, None, OK, OK),)) for i in range(6)]
    export = exported(f"deepcritic:plain={plain}", *lot)
    assert export.total == kept
    assert export.drops.get("too many right solutions without a correction", 0) == 6 - kept


def test_one_critique_of_an_attempt() -> None:
    export = exported("deepcritic", episode(BAD, derived=(deep(1, 1, OK, NO), deep(1, 1, OK, NO))))
    assert export.total == 1 and export.drops == {"second one of its attempt": 1}


@given(st.lists(st.integers(0, 3), max_size=6))
def test_the_label_is_where_completions_stop_coming_out_right(successes: list[int]) -> None:
    made = first_collapse(successes)
    if made is None:
        assert not successes or any(not one and any(successes[i:]) for i, one in enumerate(successes))
    else:
        end = len(successes) if made == -1 else made
        assert all(successes[:end]) and not any(successes[end:])


def rollouts(trial: int, *successes: int) -> Derived:
    return Derived(step="step-rollouts", trial=trial, payload={"rollouts": 8, "successes": list(successes)})


def test_labels_for_learning_by_reward() -> None:
    rows = rows_of(
        exported("deepcritic:form=grpo", episode(GOOD, BAD, derived=(rollouts(0, 8, 8), rollouts(1, 5, 0, 0))))
    )
    assert [row["label"] for row in rows] == [-1, 2]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (rollouts(1, 5, 0, 1), "labels that come and go, or contradict the gold side"),
        (rollouts(0, 5, 0), "labels that come and go, or contradict the gold side"),
        (rollouts(1, 5), "steps without a label, or labels without a step"),
    ],
)
def test_labels_that_are_not_clear(made: Derived, reason: str) -> None:
    assert exported("deepcritic:form=grpo", episode(GOOD, BAD, derived=(made,))).drops == {reason: 1}


@pytest.mark.parametrize(("form", "collect"), [("sft", "deep-critique"), ("grpo", "step-rollouts")])
def test_a_run_that_lacks_something_is_told_what_to_collect(form: str, collect: str) -> None:
    with pytest.raises(InputError, match=rf"--step {collect}` collects them"):
        exported(f"deepcritic:form={form}", episode(GOOD))
