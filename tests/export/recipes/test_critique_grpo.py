"""Critique-GRPO: groups with one refinement, whose rows ask the question alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.export.recipes.critique_grpo import group_advantages
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.types import Action
from tests.export.log import RIGHT, WRONG, attempt, content, episode, exported, rows_of, said, solved
from tests.export.recipes.test_critic_sft import refine

CRITIQUE = said(WRONG, "Seven is left out.")


def wrong(trial: int) -> EpisodeAttempt:
    return attempt(trial, solved(f"6 * {trial}", answer=str(6 * trial)), correct=False, critique=CRITIQUE)


def better(trial: int, parent: int, text: str = "6 * 7 = 42", *, correct: bool = True) -> EpisodeAttempt:
    return attempt(trial, solved(text, answer="42"), correct=correct, action=Action.REFINE, parent=parent)


def test_acceptance() -> None:
    """Section 3: rewards [0, 0, 0, 1 of the refinement]; its prompt is the question's, with no critique in it."""
    one = episode(wrong(0), wrong(1), wrong(2), better(3, 0, "Failed again", correct=False), better(4, 1))
    rows = rows_of(exported("critique-grpo:form=logged", one))
    assert [(row["reward"], row["advantage"], row["is_refined"]) for row in rows] == [
        (0.0, -0.25, False),
        (0.0, -0.25, False),
        (0.0, -0.25, False),
        (1.0, 0.75, True),
    ]
    assert content(rows[3]["completion"]) == "6 * 7 = 42"
    assert {content(row["prompt"]) for row in rows} == {"What is six times seven?"}


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=16))
def test_advantages_sum_to_nothing(rewards: list[float]) -> None:
    made = group_advantages(rewards)
    assert sum(made) == pytest.approx(0) and sorted(made) == [
        pytest.approx(a) for a in sorted(r - sum(rewards) / len(rewards) for r in rewards)
    ]


def test_a_wrong_refinement_is_learnt_from_too() -> None:
    right = attempt(0, solved("6 * 7 = 42"), correct=True)
    rows = rows_of(exported("critique-grpo:form=logged", episode(right, wrong(1), better(2, 1, "No", correct=False))))
    assert [row["advantage"] for row in rows] == [pytest.approx(2 / 3), *[pytest.approx(-1 / 3)] * 2]
    assert rows[2]["is_refined"] is True


def test_collected_refinements_are_chosen_from_as_well() -> None:
    one = episode(wrong(0), derived=(refine(0, CRITIQUE, None, False, True),))
    rows = rows_of(exported("critique-grpo:form=logged", one))
    assert [(content(row["completion"]), row["reward"]) for row in rows] == [("6 * 0", 0.0), ("x", 1.0)]


def test_groups_that_teach_nothing() -> None:
    many = [wrong(number) for number in range(9)]
    assert exported("critique-grpo:form=logged", episode(*many, better(9, 0))).drops == {
        "over the size of its group": 2
    }
    assert exported("critique-grpo:form=logged,n=3", episode(*many, better(9, 0))).total == 3
    lone = better(1, 0, "As the critique says, 42")
    assert exported("critique-grpo:form=logged", episode(wrong(0), lone)).drops == {"problem without a refinement": 1}
    failed = better(1, 0, "No", correct=False)
    assert exported("critique-grpo:form=logged", episode(wrong(0), failed)).drops == {"group with one reward": 1}


@pytest.mark.parametrize("kind", ["text", "simple-gt", "simple"])
def test_questions_for_the_trainer(kind: str) -> None:
    export = exported(f"critique-grpo:critique={kind}", episode(wrong(0)), episode(wrong(0), gold=None, name="q"))
    (row,) = rows_of(export)
    assert (row["answer"], row["checker"], row["solution"], row["critique"]) == ("42", "exact", "", kind)
    assert export.drops == {"problem without a gold side": 1}
    assert export.trainer_settings["loss_type"] == "dr_grpo" and export.trainer_settings["scale_rewards"] == "none"


def test_feedback_stands_apart_from_the_question() -> None:
    right = attempt(1, solved("42"), correct=True, critique=said(RIGHT, "Good."))
    flipped = attempt(2, solved("40"), correct=False, critique=said(RIGHT, "Good."))
    export = exported("critique-grpo:form=sdpo,cap=1", episode(wrong(0), right, flipped, wrong(3)))
    (row,) = rows_of(export)
    assert row["privileged_context"] == "Seven is left out." and content(row["prompt"]) == "What is six times seven?"
    assert export.drops == {
        "does not call the wrong answer wrong": 1,
        "over the cap of its problem": 1,
        "right already": 1,
    }
    assert export.trainer_settings["include_environment_feedback"] is True


@pytest.mark.parametrize(("form", "step"), [("logged", "refine"), ("sdpo", "critique")])
def test_a_run_that_lacks_something_is_told_what_to_collect(form: str, step: str) -> None:
    bare = attempt(0, solved("1"), correct=False)
    with pytest.raises(InputError, match=rf"--step {step}` collects them"):
        exported(f"critique-grpo:form={form}", episode(bare))
