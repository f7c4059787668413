"""SCoRe: questions, the correction between two turns, and what the turns are rewarded with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.export.recipes.score import turn_returns
from actorcritic.types import Action
from tests.export.log import attempt, content, episode, exported, rows_of, solved


@pytest.mark.parametrize(("first", "second", "returned"), [(0, 1, 11.0), (1, 0, -10.0), (1, 1, 1.0), (0, 0, 0.0)])
def test_acceptance(first: int, second: int, returned: float) -> None:
    """Section 5: the bonus is for progress, is credited to the second turn, and is missing in the first stage."""
    assert turn_returns(first, second) == (first, returned)
    assert turn_returns(first, second, stage=1) == (0.0, second)


@given(st.floats(0, 1), st.floats(0, 1))
def test_without_a_bonus_every_turn_gets_its_own_reward(first: float, second: float) -> None:
    assert turn_returns(first, second, alpha=0) == (first, second)


def test_a_question_brings_what_rewards_need() -> None:
    one = episode(attempt(0, solved("36", answer="36"), correct=False))
    (row,) = rows_of(exported("score", one))
    assert content(row["prompt"]) == "What is six times seven?"
    assert {name: row[name] for name in ("problem", "answer", "checker", "stage", "turn", "first_reward")} == {
        "problem": "What is six times seven?",
        "answer": "42",
        "checker": "exact",
        "stage": 1,
        "turn": 1,
        "first_reward": 0.0,
    }


def test_a_task_with_rules_needs_no_answer() -> None:
    one = episode(
        attempt(0, solved("3 * 7 = 21")), text="Use the numbers 3, 7 and 4 to make 25.", gold=None, checker="countdown"
    )
    (row,) = rows_of(exported("score", one))
    assert (row["answer"], row["checker"]) == ("", "countdown")


def test_stage_two_may_start_from_logged_first_attempts() -> None:
    one = episode(
        attempt(0, solved("36", answer="36"), correct=False),
        attempt(1, solved("42", answer="42"), correct=True),
        attempt(2, solved("36", answer="36"), correct=False),
        attempt(3, solved("41", complete=False), correct=False),
        attempt(4, solved("42 now", answer="42"), correct=True, action=Action.REFINE, parent=0),
        attempt(5, solved("40", answer="40"), correct=False),
    )
    export = exported("score:stage=2,first=logged,cap=2", one)
    asked, wrong, right = rows_of(export)
    assert (asked["turn"], wrong["turn"], right["turn"]) == (1, 2, 2)
    assert (wrong["first_reward"], right["first_reward"]) == (0.0, 1.0)
    question, first, correction = (message for message in _chat(wrong["prompt"]))
    assert [question, first] == [("user", "What is six times seven?"), ("assistant", "36")]
    assert correction == ("user", wrong["correction"]) and "error" in correction[1]
    assert export.drops == {
        "no first attempt": 1,
        "over the cap of its problem": 1,
        "same first attempt twice": 1,
        "unfinished": 1,
    }
    assert exported("score:stage=2", one).total == 1


def _chat(prompt: object) -> list[tuple[str, str]]:
    assert isinstance(prompt, list)
    return [(str(message["role"]), str(message["content"])) for message in prompt if isinstance(message, dict)]


def test_the_first_stage_samples_every_first_attempt() -> None:
    one = episode(attempt(0, solved("42"), correct=True))
    with pytest.raises(InputError, match="in stage 1 every first attempt is sampled"):
        exported("score:first=logged", one)


def test_a_question_that_nobody_can_score_is_left_out() -> None:
    export = exported("score", episode(attempt(0, solved("42")), gold=None), episode(name="q"))
    assert export.drops == {"problem without a gold side": 1, "problem without an attempt": 1}


def test_whoever_trains_is_told_the_constants() -> None:
    export = exported("score", episode(attempt(0, solved("42"))))
    assert export.trainer_settings == {"temperature": 1.0, "beta": 0.01}
    assert export.order.recipe.conditions == {"alpha": 10.0, "beta_1": 0.01, "beta_2": 0.1}
