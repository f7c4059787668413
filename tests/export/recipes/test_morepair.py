"""MORepair: every repair twice, alone and after an explanation."""

from __future__ import annotations

import pytest

from actorcritic.errors import InputError
from actorcritic.trajectory.attempts import Derived
from actorcritic.types import Action
from tests.export.log import RIGHT, WRONG, attempt, content, episode, exported, rows_of, said, solved

CRITIQUE = said(WRONG, "Seven is left out.")
BAD = attempt(0, solved("6 * 6 = 36", answer="36"), correct=False, critique=CRITIQUE)
MENDED = attempt(1, solved("6 * 7 = 42", answer="42"), correct=True, action=Action.REFINE, parent=0)
WHY = Derived(step="explain-repair", trial=1, payload={"by": "m", "explanation": "It multiplied by six."})


def test_acceptance() -> None:
    """Both objectives of one repair, with the wrong solution in view and weights that sum to 1."""
    plain, guided = rows_of(exported("morepair:weight=0.3", episode(BAD, MENDED, derived=(WHY,))))
    assert content(plain["completion"]) == "6 * 7 = 42"
    assert content(guided["completion"]) == "It multiplied by six.\n\n6 * 7 = 42"
    assert (plain["weight"], guided["weight"]) == (0.7, 0.3)
    assert (plain["objective"], guided["objective"]) == ("repair", "guided repair")
    for row in (plain, guided):
        prompt = content(row["prompt"])
        assert "What is six times seven?" in prompt and "6 * 6 = 36" in prompt and "by six" not in prompt
    assert content(plain["prompt"]) != content(guided["prompt"])


def test_the_critique_explains() -> None:
    rows = rows_of(exported("morepair:guidance=critique", episode(BAD, MENDED)))
    assert content(rows[1]["completion"]) == "Seven is left out.\n\n6 * 7 = 42"
    praised = attempt(0, solved("6 * 6 = 36"), correct=False, critique=said(RIGHT, "Fine."))
    assert exported("morepair:guidance=critique", episode(praised, MENDED)).drops == {"no explanation": 1}


def test_what_is_no_repair() -> None:
    lot = (
        BAD,
        MENDED,
        attempt(2, solved("6 * 7 = 42", answer="42"), correct=True, action=Action.REVISE, parent=0),
        attempt(3, solved("6 * 7 = 40", answer="40"), correct=False, action=Action.REVISE, parent=0),
        attempt(4, solved("Seven sixes: 42", answer="42"), correct=True, action=Action.REVISE, parent=1),
        attempt(5, solved("As the critique says, 42"), correct=True, action=Action.REFINE, parent=0),
        attempt(6, solved("It is 42"), correct=True, action=Action.REFINE, parent=0),
        attempt(7, solved("42"), correct=None, action=Action.REFINE, parent=0),
    )
    assert exported("morepair", episode(*lot, derived=(WHY,))).drops == {
        "correctness unknown": 1,
        "no explanation": 1,
        "refinement is wrong": 1,
        "right already": 1,
        "same repair twice": 1,
        "speaks of help that the prompt does not hold": 1,
    }
    assert exported("morepair:guidance=critique,cap=1", episode(*lot)).drops["over the cap of its problem"] == 1


@pytest.mark.parametrize(("lot", "step"), [((BAD, MENDED), "explain-repair"), ((BAD,), "refine")])
def test_a_run_that_lacks_something_is_told_what_to_collect(lot: tuple[object, ...], step: str) -> None:
    with pytest.raises(InputError, match=rf"--step {step}` collects them"):
        exported("morepair", episode(*lot))  # type: ignore[arg-type]
