"""Critique fine-tuning: only critiques that agree with the gold side, and their own words as the target."""

from __future__ import annotations

import pytest

from actorcritic.codec import encode
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Critique
from tests.export.log import RIGHT, UNSCORED, WRONG, attempt, content, episode, exported, rows_of, said, solved


def collected(critic: str, trial: int, critique: Critique) -> Derived:
    return Derived(step="critique", trial=trial, payload={"critic": critic, "critique": encode(critique)})


def candidates() -> Episode:
    """Three candidates, two of them wrong; critics: one right, one flipped, one unreadable, one with a wrong fix."""
    attempts = [
        attempt(0, solved("6 * 7 = 42", answer="42"), correct=True),
        attempt(1, solved("6 * 7 = 48", answer="48"), correct=False),
        attempt(2, solved("6 * 7 = 36", answer="36"), correct=False),
    ]
    made: list[Derived] = []
    for one in attempts:
        good, bad = (RIGHT, WRONG) if one.correct else (WRONG, RIGHT)
        fix = "" if one.correct else " It is \\boxed{42}."
        made += [
            collected("ok", one.id, said(good, f"Checked.{fix}")),
            collected("flipped", one.id, said(bad, f"Checked wrongly.{fix}")),
            collected("unreadable", one.id, said(UNSCORED, "Hm.")),
        ]
        if not one.correct:
            made.append(collected("wrong fix", one.id, said(WRONG, "Checked. It is \\boxed{41}.")))
    return episode(*attempts, derived=tuple(made))


def test_acceptance() -> None:
    """Section 1: exactly the three critiques that are right survive."""
    export = exported("cft", candidates())
    assert [(row["critic"], row["verdict"]) for row in rows_of(export)] == [
        ("ok", "right"),
        ("ok", "wrong"),
        ("ok", "wrong"),
    ]
    assert export.drops == {
        "corrected answer is wrong": 2,
        "critique without a readable verdict": 3,
        "verdict contradicts the gold side": 3,
    }
    for row, solution in zip(rows_of(export), ("6 * 7 = 42", "6 * 7 = 48", "6 * 7 = 36"), strict=True):
        prompt, completion = content(row["prompt"]), content(row["completion"])
        assert "What is six times seven?" in prompt and f"```solution\n{solution}\n```" in prompt
        assert completion.startswith("Checked.") and completion.endswith(f"Conclusion: {row['verdict']} [END]")
        # The trainer's loss is on the completion alone, and nothing of the critique stands before it.
        assert "Checked" not in prompt


def test_a_conclusion_stands_once() -> None:
    one = attempt(0, solved("6 * 7 = 42"), correct=True, critique=said(RIGHT, "Good.\nConclusion: Right [END]"))
    (row,) = rows_of(exported("cft", episode(one)))
    assert content(row["completion"]) == "Good.\nConclusion: Right [END]"


@pytest.mark.parametrize(("fix", "rows"), [("required", 0), ("if-given", 1)])
def test_a_correction_is_asked_for_or_not(fix: str, rows: int) -> None:
    one = attempt(0, solved("6 * 7 = 48"), correct=False, critique=said(WRONG, "The final answer: Wrong"))
    assert exported(f"cft:fix={fix}", episode(one)).total == rows


def test_a_critique_that_cannot_be_checked_is_left_out() -> None:
    one = attempt(0, solved("6 * 7 = 48"), correct=False, critique=said(WRONG, "\\boxed{42}"))
    assert exported("cft", episode(one, gold=None)).drops["corrected answer cannot be checked"] == 1


def test_many_candidates_with_one_answer_are_thinned_out() -> None:
    critique = said(RIGHT, "Good.")
    attempts = [attempt(i, solved(f"way {i}", answer="42"), correct=True, critique=critique) for i in range(4)]
    export = exported("cft:cluster=0.5", episode(*attempts))
    assert export.total == 2 and export.drops["too many candidates with one answer"] == 2


def test_one_teacher_is_heard_once_per_candidate_and_one_candidate_once() -> None:
    one = attempt(0, solved("6 * 7 = 42"), correct=True)
    twin = attempt(1, solved("6 * 7 = 42"), correct=True)
    made = (
        collected("a", 0, said(RIGHT, "Good.")),
        collected("a", 0, said(RIGHT, "Fine.")),
        collected("b", 0, said(RIGHT, "Yes.")),
    )
    export = exported("cft", episode(one, twin, derived=made))
    assert [row["critic"] for row in rows_of(export)] == ["a", "b"]
    assert export.drops == {"same candidate twice": 1, "second critique of a candidate by one teacher": 1}
