"""Imitation learning from language feedback: the refinement that takes it up best, asked for without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorcritic.codec import encode
from actorcritic.errors import InputError
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, JsonValue, Reference, Solution
from tests.export.log import WRONG, attempt, content, episode, exported, rows_of, said, solved

FEEDBACK = said(WRONG, "Seven is left out.", score=0.3)
FIRST = attempt(0, solved("6 * 6 = 36", answer="36"), correct=False, critique=FEEDBACK)


def refinement(text: str, *probabilities: float, correct: bool | None = True) -> JsonValue:
    return {"solution": encode(solved(text)), "correct": correct, "incorporates": list(probabilities)}


def refined(*refinements: JsonValue) -> Derived:
    payload: dict[str, JsonValue] = {"critic": "c", "critique": encode(FEEDBACK), "actor": "a"}
    return Derived(step="refine", trial=0, payload={**payload, "refinements": list(refinements)})


def logged(trial: int, solution: Solution, *, score: float | None, correct: bool | None = True) -> Episode:
    critique = None if score is None else said(WRONG, "Hm.", score=score)
    child = attempt(trial, solution, correct=correct, action=Action.REFINE, parent=0, critique=critique)
    return episode(FIRST, child)


def test_acceptance() -> None:
    """Section 8: of three refinements the one with the best mean over two wordings; its prompt holds no help."""
    lot = refined(refinement("way a", 0.95, 0.2), refinement("way b", 0.6, 0.7), refinement("way c", 0.1, 0.9))
    (row,) = rows_of(exported("ilf", episode(FIRST, derived=(lot,))))
    assert content(row["completion"]) == "way b"
    assert content(row["prompt"]) == "What is six times seven?"


@pytest.mark.parametrize(
    ("select", "chosen"), [("incorporates", "way b"), ("checker", "way a"), ("critic", None), ("random", None)]
)
def test_every_way_of_choosing(select: str, chosen: str | None) -> None:
    lot = refined(refinement("way a", 0.1), refinement("way b", 0.7), refinement("way c", 0.2))
    export = exported(f"ilf:select={select}", episode(FIRST, derived=(lot,)))
    if select == "critic":
        assert export.drops == {"not scored by select=critic": 3} and export.total == 0
    elif select == "random":
        chosen_by_seed = {
            content(row["completion"])
            for seed in range(12)
            for row in rows_of(exported("ilf:select=random", episode(FIRST, derived=(lot,)), seed=seed))
        }
        assert chosen_by_seed == {"way a", "way b", "way c"}
    else:
        assert [content(row["completion"]) for row in rows_of(export)] == [chosen]
        assert export.drops == {"another refinement was chosen": 2}


def test_refinements_of_the_run_are_candidates_too() -> None:
    children = [
        attempt(i, solved(f"way {i}"), correct=True, action=Action.REFINE, parent=0, critique=said(WRONG, "", score=s))
        for i, s in ((1, 0.4), (2, 0.8), (3, 0.2))
    ]
    one = episode(FIRST, *children)
    export = exported("ilf:select=critic", one)
    assert [content(row["completion"]) for row in rows_of(export)] == ["way 2"]
    assert export.drops == {"another refinement was chosen": 1, "scored below the attempt": 1}
    asked = tuple(
        Derived(step="incorporates", trial=i, payload={"by": "m", "probabilities": [p]})
        for i, p in ((1, 0.9), (2, 0.1))
    )
    (row,) = rows_of(exported("ilf", replace(one, derived=asked)))
    assert content(row["completion"]) == "way 1"
    provenance = row["provenance"]
    assert isinstance(provenance, dict) and provenance["attempts"] == [0, 1]


def test_what_may_not_be_chosen() -> None:
    lot = refined(
        refinement("wrong", 0.9, correct=False),
        refinement("nobody knows", 0.9, correct=None),
        refinement("6 * 6 = 36", 0.9),
        refinement("As the feedback says, 42", 0.9),
        {"solution": encode(solved("cut", complete=False)), "correct": True, "incorporates": [0.9]},
        refinement("nobody asked"),
    )
    export = exported("ilf", episode(FIRST, derived=(lot,)))
    assert export.total == 0
    assert export.drops == {
        "changes nothing": 1,
        "correctness unknown": 1,
        "not scored by select=incorporates": 1,
        "speaks of help that the prompt does not hold": 1,
        "unfinished": 1,
        "wrong": 1,
    }
    (row,) = rows_of(exported("ilf:unchecked=true", episode(FIRST, derived=(lot,))))
    assert content(row["completion"]) == "nobody knows"


def test_other_forms_set_it_against_the_attempt() -> None:
    lot = refined(refinement("way a", 0.9))
    gold = Reference(answer="42", solution="Seven sixes.")
    one = replace(episode(FIRST, derived=(lot,)), gold=gold)
    (row,) = rows_of(exported("ilf:form=preference", one))
    assert (content(row["chosen"]), content(row["rejected"])) == ("way a", "6 * 6 = 36")
    (row,) = rows_of(exported("ilf:form=triple", one))
    assert (content(row["rejected"]), content(row["reference"])) == ("6 * 6 = 36", "Seven sixes.")
    assert exported("ilf:form=triple", episode(FIRST, derived=(lot,))).drops == {"no gold solution": 1}


def test_a_right_attempt_is_not_rejected() -> None:
    right = replace(episode(replace(FIRST, scores=()), derived=(refined(refinement("way a", 0.9)),)))
    right = replace(right, attempts=(attempt(0, solved("42"), correct=True, critique=FEEDBACK),))
    assert exported("ilf:form=preference", right).drops == {"attempt is right already, or unfinished": 1}
    assert exported("ilf", right).total == 1


def test_the_same_text_stands_once() -> None:
    export = exported("ilf", episode(FIRST, derived=(refined(refinement("w", 0.9)), refined(refinement("w", 0.8)))))
    assert export.total == 1 and export.drops == {"same as another refinement of its problem": 1}


@pytest.mark.parametrize(
    ("one", "text", "step"),
    [
        (episode(FIRST), "ilf", "refine"),
        (logged(1, solved("42"), score=None), "ilf", "refine:incorporates=yes"),
    ],
)
def test_a_run_that_lacks_something_is_told_what_to_collect(one: Episode, text: str, step: str) -> None:
    with pytest.raises(InputError, match=rf"--step {step}` collects them"):
        exported(text, one)
