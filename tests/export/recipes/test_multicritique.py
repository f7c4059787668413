"""MultiCritique: aggregated critiques that agree with what is known."""

from __future__ import annotations

import pytest

from actorcritic.codec import encode
from actorcritic.errors import InputError
from actorcritic.trajectory.attempts import Derived
from actorcritic.types import Critique, JsonValue
from tests.export.log import RIGHT, UNSCORED, WRONG, attempt, content, episode, exported, rows_of, said, solved
from tests.export.recipes.test_critic_sft import refine

GOOD = attempt(0, solved("6 * 7 = 42", answer="42"), correct=True)
BAD = attempt(1, solved("6 * 7 = 48", answer="48"), correct=False)
FOUND = said(WRONG, "The product is 42.")


def unit(critic: str, valid: bool | None) -> JsonValue:
    return {
        "critic": critic,
        "step": 0,
        "kind": "calculation",
        "severity": "severe",
        "text": "Not 48.",
        "fix": None,
        "valid": valid,
    }


def aggregated(trial: int, critique: Critique, *units: JsonValue) -> Derived:
    payload: dict[str, JsonValue] = {"by": "meta", "units": list(units), "critique": encode(critique)}
    return Derived(step="aggregate-critiques", trial=trial, payload=payload)


def test_acceptance() -> None:
    """Section 19: what the meta-critic put together is the target, in the critic's own prompt."""
    made = (
        aggregated(0, said(RIGHT, "All holds.")),
        aggregated(1, FOUND, unit("a", True), unit("b", False), unit("b", None)),
    )
    rows = rows_of(exported("multicritique:critics=1", episode(GOOD, BAD, derived=made[1:])))
    assert [(row["verdict"], row["critics"], row["valid_units"]) for row in rows] == [("wrong", 2, 1)]
    assert content(rows[0]["completion"]) == "The product is 42." and "Not 48." not in content(rows[0]["prompt"])
    assert exported("multicritique", episode(GOOD, BAD, derived=made)).drops == {"too few critics": 1}


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (aggregated(1, said(RIGHT, "Fine."), unit("a", True), unit("b", True)), "verdict contradicts the gold side"),
        (aggregated(1, said(UNSCORED, "Hm."), unit("a", True)), "critique without a readable verdict"),
        (aggregated(1, FOUND, unit("a", False), unit("b", None)), "no valid unit"),
        (aggregated(1, FOUND, unit("a", True)), "too few critics"),
    ],
)
def test_what_is_no_target(made: Derived, reason: str) -> None:
    assert exported("multicritique", episode(GOOD, BAD, derived=(made,))).drops == {reason: 1}


@pytest.mark.parametrize(
    ("right", "reason"),
    [((True, False), None), ((False,), "too few refinements come out right"), ((), "nobody refined with it")],
)
def test_the_outcome(right: tuple[bool, ...], reason: str | None) -> None:
    made = aggregated(1, FOUND, unit("a", True), unit("b", True))
    one = episode(BAD, derived=(made, refine(1, FOUND, *right)))
    assert exported("multicritique:outcome=required", one).drops == ({} if reason is None else {reason: 1})
    assert exported("multicritique", one).total == 1
    if right == (True, False):
        assert exported("multicritique:outcome=required,tau=0.6", one).total == 0


def test_one_critique_of_an_attempt_and_balance() -> None:
    made = aggregated(1, FOUND, unit("a", True), unit("b", True))
    assert exported("multicritique", episode(BAD, derived=(made, made))).drops == {"second one of its attempt": 1}
    fine = [aggregated(number, said(RIGHT, "Fine."), unit("a", True), unit("b", True)) for number in (0, 2, 3)]
    right = [attempt(number, solved(f"{number}"), correct=True) for number in (2, 3)]
    assert exported("multicritique:ratio=1", episode(GOOD, BAD, *right, derived=(made, *fine))).total == 2


def test_a_run_that_lacks_something_is_told_what_to_collect() -> None:
    with pytest.raises(InputError, match=r"--step aggregate-critiques` collects them"):
        exported("multicritique", episode(GOOD))
