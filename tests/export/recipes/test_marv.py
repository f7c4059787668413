"""MARV: critiques ranked by their verdict and by what refiners made of them."""

from __future__ import annotations

import pytest

from actorcritic.errors import InputError
from actorcritic.trajectory.attempts import Derived
from tests.export.log import RIGHT, UNSCORED, WRONG, attempt, content, episode, exported, rows_of, said, solved
from tests.export.recipes.test_critic_sft import refine

BAD = attempt(0, solved("6 * 7 = 48", answer="48"), correct=False)
USEFUL, USELESS = said(WRONG, "1 useful"), said(WRONG, "2 useless")
LUCKY, NONE = said(RIGHT, "3 lucky"), said(UNSCORED, "4 none")


def events() -> tuple[Derived, ...]:
    return (
        refine(0, LUCKY, True, True),
        refine(0, NONE, False, False),
        refine(0, USELESS, False, False),
        refine(0, USEFUL, True, True),
    )


def test_acceptance() -> None:
    """Section 19: order 1 > 2 > 3 >= 4, and the third is never chosen, whatever came of it."""
    rows = rows_of(exported("marv:cap=99", episode(BAD, derived=events())))
    pairs = {(content(row["chosen"])[0], content(row["rejected"])[0]) for row in rows}
    assert pairs == {("1", "2"), ("1", "3"), ("1", "4"), ("2", "3"), ("2", "4")}
    assert [row["score_chosen"] for row in rows][:2] == [2.0, 2.0]


def test_the_margin_and_the_cap() -> None:
    one = episode(BAD, derived=events())
    export = exported("marv:delta=1.5", one)
    assert {content(row["chosen"]) for row in rows_of(export)} == {"1 useful"} and export.total == 2
    export = exported("marv:cap=1", one)
    assert export.total == 1
    assert export.drops == {"over the cap of its solution": 4, "critiques worth about the same": 1}


def test_several_models_revise() -> None:
    mixed = (*events(), refine(0, USEFUL, False, actor="other model"))
    rows = rows_of(exported("marv:cap=99", episode(BAD, derived=mixed)))
    assert all(row["score_chosen"] == 1.5 for row in rows if content(row["chosen"]) == "1 useful")
    assert exported("marv:cap=99,least=3", episode(BAD, derived=mixed)).drops["too few refinements with it"] == 1


def test_critiques_of_right_solutions() -> None:
    good = attempt(0, solved("6 * 7 = 42", answer="42"), correct=True, critique=said(RIGHT, "Fine."))
    spoilt = refine(0, said(RIGHT, "Fine, but rewrite it."), False, False)
    (row,) = rows_of(exported("marv", episode(good, derived=(spoilt,))))
    assert (content(row["chosen"]), content(row["rejected"])) == ("Fine.", "Fine, but rewrite it.")


def test_a_critique_that_nobody_tried_is_not_ranked() -> None:
    untried = attempt(0, solved("6 * 7 = 48", answer="48"), correct=False, critique=said(WRONG, "Untried."))
    export = exported("marv", episode(untried, derived=events()[:1]))
    assert export.total == 0 and export.drops == {"too few refinements with it": 1}
    with pytest.raises(InputError, match=r"--step refine` collects them"):
        exported("marv", episode(untried))
