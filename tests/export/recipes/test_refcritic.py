"""RefCritic: attempts to be judged, and a cold start from critiques that are right and of use."""

from __future__ import annotations

import pytest

from actorcritic.errors import InputError
from tests.export.log import RIGHT, WRONG, attempt, content, episode, exported, rows_of, said, solved
from tests.export.recipes.test_critic_sft import refine

USEFUL, USELESS, FLIPPED = said(WRONG, "At length: no."), said(WRONG, "No."), said(RIGHT, "Yes.")
GOOD = attempt(0, solved("6 * 7 = 42", answer="42"), correct=True, critique=FLIPPED)
BAD = attempt(1, solved("6 * 7 = 48", answer="48"), correct=False, critique=USEFUL)


def test_acceptance() -> None:
    """Section 19: the cold start keeps what is right and, of wrong solutions, what a refiner can use."""
    events = (refine(1, USEFUL, True, False), refine(1, USELESS, False, False), refine(1, FLIPPED, True, True))
    export = exported("refcritic:form=sft", episode(GOOD, BAD, derived=events))
    assert [content(row["completion"]) for row in rows_of(export)] == ["Yes.", "At length: no."]
    assert export.drops == {"too few refinements come out right": 1, "verdict contradicts the gold side": 1}
    assert exported("refcritic:form=sft,tau=0.6", episode(GOOD, BAD, derived=events)).total == 1


def test_attempts_to_be_judged() -> None:
    rows = rows_of(exported("refcritic", episode(GOOD, BAD)))
    assert [(row["attempt_correct"], row["answer"], row["checker"]) for row in rows] == [
        (True, "42", "exact"),
        (False, "42", "exact"),
    ]
    assert all("Yes." not in content(row["prompt"]) and "At length" not in content(row["prompt"]) for row in rows)


def test_critiques_that_nobody_tried() -> None:
    export = exported("refcritic:form=sft", episode(GOOD, BAD, derived=(refine(1, USELESS, True),)))
    assert export.drops == {"nobody refined with it": 1} and export.total == 2


def test_caps_and_balance() -> None:
    many = [attempt(number, solved(f"{number}"), correct=False) for number in range(2, 8)]
    assert exported("refcritic:cap=2,ratio=9", episode(GOOD, *many)).total == 3
    assert exported("refcritic:ratio=1", episode(GOOD, *many)).total == 2


def test_a_run_without_refinements_is_told_to_collect_them() -> None:
    with pytest.raises(InputError, match=r"--step refine` collects them"):
        exported("refcritic:form=sft", episode(GOOD, BAD))
