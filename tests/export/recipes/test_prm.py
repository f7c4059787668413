"""Step labels: from completions, values or the exact checker; nothing after the first wrong step."""

from __future__ import annotations

import pytest

from actorcritic.errors import InputError
from actorcritic.export.recipe import Row
from actorcritic.export.recipes.prm import IGNORED, marked_tokens
from actorcritic.trajectory.attempts import Derived
from actorcritic.types import Action, JsonValue
from tests.export.log import Words, attempt, episode, exported, rows_of, setting_of, solved


def rollouts(trial: int, *successes: JsonValue, n: int = 8) -> Derived:
    return Derived(step="step-rollouts", trial=trial, payload={"rollouts": n, "successes": list(successes)})


def test_acceptance() -> None:
    """Section 20b: exactly one live label per step, hard = any completion right, nothing after the first wrong step."""
    one = attempt(0, solved("a", "b", "c", "d"), correct=False)
    labelled = episode(one, derived=(rollouts(0, 8, 3, 0, 2),))
    (row,) = rows_of(exported("prm", labelled))
    assert (row["completions"], row["labels"]) == (["a", "b", "c"], [True, True, False])
    (soft,) = rows_of(exported("prm:labels=soft", labelled))
    assert soft["labels"] == [1.0, 0.375, 0.0]

    words = Words()
    (tokens,) = rows_of(exported("prm:form=tokens", labelled, tokenizer=words))
    ids, labels = tokens["input_ids"], tokens["labels"]
    assert isinstance(ids, list) and isinstance(labels, list) and len(ids) == len(labels)
    live = [label for label in labels if label != IGNORED]
    assert live == [words.ids["+"], words.ids["+"], words.ids["-"]]
    assert [token for token, label in zip(ids, labels, strict=True) if label != IGNORED] == [words.ids["?"]] * 3


def test_soft_labels_have_no_tokens() -> None:
    labelled = episode(attempt(0, solved("a")), derived=(rollouts(0, 8),))
    with pytest.raises(InputError, match="labels=hard"):
        exported("prm:form=tokens,labels=soft", labelled, tokenizer=Words())


def test_the_marker_is_one_token() -> None:
    class Letters(Words):
        def encode(self, text: str) -> list[int]:
            return [0, *map(ord, text)]

    with pytest.raises(InputError, match="no single token"):
        marked_tokens([], ["a"], [True], Letters())


@pytest.mark.parametrize("broken", [rollouts(0, "8"), rollouts(0, 9), rollouts(0, 1, n=0), rollouts(0, -1)])
def test_labels_that_make_no_sense_are_left_out(broken: Derived) -> None:
    assert exported("prm", episode(attempt(0, solved("a")), derived=(broken,))).drops == {"no labels for its steps": 1}


def test_more_labels_than_steps_are_a_mistake() -> None:
    export = exported("prm", episode(attempt(0, solved("a")), derived=(rollouts(0, 8, 8),)))
    assert export.drops == {"more labels than steps": 1}


def test_values_of_a_tree_label_its_branches() -> None:
    first = attempt(0, solved("a", complete=False), visits=2, value=0.5)
    leaf = attempt(1, solved("a", "b", kept=1), action=Action.EXTEND, parent=0, visits=1, value=1.0)
    bad = attempt(2, solved("a", "c", kept=1), action=Action.EXTEND, parent=0, visits=1, value=0.0)
    unseen = attempt(3, solved("a", "d", kept=1), action=Action.EXTEND, parent=0)
    export = exported("prm:source=value,labels=soft", episode(first, leaf, bad, unseen))
    assert [(row["completions"], row["labels"]) for row in rows_of(export)] == [
        (["a", "b"], [0.5, 1.0]),
        (["a", "c"], [0.5, 0.0]),
    ]
    assert export.drops == {"no labels for its steps": 1}


def test_the_tasks_own_checker_labels_exactly() -> None:
    text = "Use 2, 3 and 4 to make 24."
    right = attempt(0, solved("2 * 3 = 6", "4 * 6 = 24"))
    wrong = attempt(1, solved("2 * 3 = 8", "4 * 6 = 24"))
    export = exported("prm:source=exact", episode(right, wrong, text=text, checker="countdown"))
    assert [row["labels"] for row in rows_of(export)] == [[True, True], [False]]


def test_what_is_asked_is_searched_for_leaks_in_tokens_too() -> None:
    labelled = episode(attempt(0, solved("a", "b")), derived=(rollouts(0, 8, 3),))
    recipe, setting = setting_of("prm:form=tokens", tokenizer=Words())
    (row,) = recipe.rows(labelled, setting)
    assert isinstance(row, Row) and row.asked == labelled.problem.text
