"""Mistake tuning: two rows per question, each after words that say which it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorcritic.export.recipes.mistakes import RIGHT, WRONG, inference_prompt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Reference
from tests.export.log import attempt, content, episode, exported, rows_of, setting_of, solved


def question(number: int) -> Episode:
    return episode(
        attempt(0, solved(f"6 * 7 = {number}", answer=f"{number}"), correct=False),
        attempt(1, solved("6 * 7 = 42", answer="42"), correct=True),
        name=f"p{number}",
        text=f"What is six times seven, and not {number}?",
    )


def test_acceptance() -> None:
    """Section 13: N questions give 2 N rows; no wrong rationale ends in the gold answer; inference adds the prefix."""
    rows = rows_of(exported("mistakes", *(question(number) for number in (35, 36, 48))))
    assert len(rows) == 6
    texts = [content(row["completion"]) for row in rows]
    assert [text.startswith(RIGHT) for text in texts] == [True, False] * 3
    assert all(text.startswith(WRONG) and "42" not in text for text in texts[1::2])
    _, setting = setting_of("mistakes")
    *asked, beginning = inference_prompt(question(35).problem, setting)
    assert asked == rows[0]["prompt"] == rows[1]["prompt"]
    assert beginning == {"role": "assistant", "content": RIGHT} and texts[0].startswith(RIGHT)


def test_the_gold_solution_is_the_right_rationale() -> None:
    one = replace(question(36), gold=Reference(answer="42", solution=" Seven sixes: 42.\n"))
    right, wrong = rows_of(exported("mistakes", one))
    assert (content(right["completion"]), right["source"]) == (f"{RIGHT}Seven sixes: 42.", "gold")
    assert (content(wrong["completion"]), wrong["source"]) == (f"{WRONG}6 * 7 = 36", "attempt")
    right, _ = rows_of(exported("mistakes:right=attempt", one))
    assert (content(right["completion"]), right["source"]) == (f"{RIGHT}6 * 7 = 42", "attempt")


@pytest.mark.parametrize(("cap", "rows"), [(1, 2), (2, 4), (9, 4)])
def test_both_kinds_are_as_many(cap: int, rows: int) -> None:
    attempts = [attempt(i, solved(f"way {i}", answer="0"), correct=i % 3 == 0) for i in range(6)]
    export = exported(f"mistakes:cap={cap}", episode(*attempts))
    texts = [content(row["completion"]) for row in rows_of(export)]
    assert len(texts) == rows and sum(text.startswith(RIGHT) for text in texts) == rows / 2
    assert export.drops["without a partner, or over the cap"] == 6 - rows


def test_a_wrong_rationale_with_the_gold_answer_is_not_believed() -> None:
    odd = attempt(2, solved("Six sevens", answer="42"), correct=False)
    export = exported("mistakes", episode(attempt(1, solved("x", answer="42"), correct=True), odd))
    assert export.total == 0
    assert export.drops["called wrong, and its answer is the gold one"] == 1
    assert export.drops["problem without a wrong rationale"] == 1


def test_what_was_written_with_help_is_no_rationale_of_the_question() -> None:
    revised = attempt(1, solved("6 * 7 = 42", answer="42"), correct=True, action=Action.REVISE, parent=0)
    wrong = attempt(0, solved("6 * 7 = 36", answer="36"), correct=False)
    export = exported("mistakes", episode(wrong, revised, attempt(2, solved("6 * 7 = 36", answer="36"), correct=False)))
    assert export.drops == {
        "problem without a right rationale": 1,
        "same as another rationale of its problem": 1,
        "without a partner, or over the cap": 1,
        "written after a critique": 1,
    }
