"""CCT: corrections and confirmations together, and the identity of the paper's two measures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.export.recipes.cct import CONFIRM, FIX
from actorcritic.metrics import critique_effect
from actorcritic.types import Action, JsonValue, Reference
from tests.export.log import WRONG, attempt, content, episode, exported, rows_of, said, solved
from tests.export.recipes.test_critic_sft import refine

GOOD = attempt(0, solved("6 * 7 = 42", answer="42"), correct=True)
BAD = attempt(1, solved("6 * 7 = 48", answer="48"), correct=False)
MENDED = attempt(2, solved("It is 7 * 6 = 42", answer="42"), correct=True, action=Action.REVISE, parent=1)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_acceptance(log: list[tuple[bool, bool]]) -> None:
    """Section 22: Acc2 = Acc1 * CL + (1 - Acc1) * CS on any log."""
    effect = critique_effect([was for was, _ in log], [now for _, now in log])
    confidence = 0.0 if math.isnan(effect.harm) else 1 - effect.harm
    critique = 0.0 if math.isnan(effect.helpfulness) else effect.helpfulness
    assert effect.after == pytest.approx(effect.before * confidence + (1 - effect.before) * critique)


def turns(value: JsonValue) -> list[str]:
    assert isinstance(value, list)
    return [str(message["content"]) for message in value if isinstance(message, dict)]


def test_a_wrong_answer_is_mended_and_a_right_one_confirmed() -> None:
    confirm, fix = rows_of(exported("cct", episode(GOOD, BAD, MENDED)))
    assert (confirm["kind"], fix["kind"]) == ("confirm", "fix")
    assert content(confirm["completion"]) == f"{CONFIRM}\n\n6 * 7 = 42"
    assert content(fix["completion"]) == f"{FIX}\n\nIt is 7 * 6 = 42"
    question, shown, check = turns(fix["prompt"])
    assert (question, shown) == ("What is six times seven?", "6 * 7 = 48") and "Check the solution" in check
    provenance = fix["provenance"]
    assert isinstance(provenance, dict) and provenance["attempts"] == [1, 2]


def test_what_a_wrong_answer_is_mended_to() -> None:
    collected = refine(1, said(WRONG, "No."), False, True)
    assert turns(rows_of(exported("cct", episode(BAD, derived=(collected,))))[0]["completion"]) == [f"{FIX}\n\nx"]
    fix = rows_of(exported("cct", episode(GOOD, BAD)))[1]
    assert content(fix["completion"]) == f"{FIX}\n\n6 * 7 = 42"
    export = exported("cct:target=refinement", episode(GOOD, BAD))
    assert export.drops == {"no right solution to put in its place": 1}
    one = replace(episode(BAD), gold=Reference(answer="42", solution="Six sevens are 42."))
    (row,) = rows_of(exported("cct", one))
    assert content(row["completion"]) == f"{FIX}\n\nSix sevens are 42."


def test_words_about_the_critique_are_no_target() -> None:
    spoken = replace(MENDED, solution=solved("As the critique says, 42", answer="42"))
    export = exported("cct:target=refinement", episode(GOOD, BAD, spoken))
    assert export.drops["no right solution to put in its place"] == 1


def test_caps_and_balance() -> None:
    many = [attempt(number, solved(f"{number}"), correct=False) for number in range(2, 8)]
    assert exported("cct:cap=2", episode(GOOD, *many)).total == 3
    assert exported("cct:ratio=1", episode(GOOD, *many)).total == 2
