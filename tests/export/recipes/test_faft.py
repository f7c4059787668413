"""Feedback-aware fine-tuning: what is violated stands in the prompt, or that nothing is."""

from __future__ import annotations

import pytest

from actorcritic.export.recipes.faft import inference_prompt
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Message
from tests.export.log import (
    RIGHT,
    UNSCORED,
    WRONG,
    attempt,
    content,
    episode,
    exported,
    rows_of,
    said,
    setting_of,
    solved,
)

BUDGET = "The budget of 900 is exceeded by 120."


def told(trial: int, *messages: str, passed: bool | None = None) -> Derived:
    passing = not messages if passed is None else passed
    return Derived(step="feedback", trial=trial, payload={"by": "c", "passed": passing, "messages": list(messages)})


def plans() -> Episode:
    return episode(
        attempt(0, solved("Train to Rome, hostel.")),
        attempt(1, solved("Flight to Rome, hotel.")),
        text="Plan two days in Rome for 900.",
        gold=None,
        derived=(told(0), told(1, BUDGET)),
    )


def test_acceptance() -> None:
    """Section 11: a violated constraint stands in the prompt, exactly; inference says that none is, byte for byte."""
    good, bad = rows_of(exported("faft", plans()))
    assert BUDGET in content(bad["prompt"]) and content(bad["prompt"]).count(BUDGET) == 1
    assert (bad["polarity"], bad["violated"]) == ("negative", BUDGET)
    assert content(bad["completion"]) == "Flight to Rome, hotel."
    assert (good["polarity"], good["violated"]) == ("positive", "")
    recipe, setting = setting_of("faft")
    assert inference_prompt(plans().problem, setting) == good["prompt"]
    assert str(recipe.conditions["inference_feedback"]) in content(good["prompt"])
    assert str(recipe.conditions["inference_feedback"]) not in content(bad["prompt"])


def test_the_feedback_follows_the_last_user_message() -> None:
    problem = plans().problem
    chat = (
        Message(role="system", content="Be brief."),
        Message(role="user", content="Rome?"),
        Message(role="assistant", content="Yes."),
        Message(role="user", content="Plan it."),
    )
    _, setting = setting_of("faft")
    asked = inference_prompt(type(problem)(id="p", prompt=chat), setting)
    texts = [message["content"] for message in asked if isinstance(message, dict)]
    assert texts[:3] == ["Be brief.", "Rome?", "Yes."]
    assert str(texts[3]).startswith("Plan it.\n\nFeedback") and len(texts) == 4


def test_a_critic_may_speak_in_place_of_the_checker() -> None:
    attempts = [
        attempt(0, solved("a", "b"), correct=True, critique=said(RIGHT, "Good.", (RIGHT, RIGHT))),
        attempt(1, solved("c", "d"), correct=False, critique=said(WRONG, "Bad.", (RIGHT, WRONG))),
        attempt(2, solved("e"), correct=True, critique=said(WRONG, "Bad.")),
        attempt(3, solved("f"), correct=True, critique=said(UNSCORED, "Hm.")),
    ]
    export = exported("faft:source=critique", episode(*attempts))
    assert [(row["polarity"], row["violated"]) for row in rows_of(export)] == [
        ("positive", ""),
        ("negative", "Step 1: incorrect."),
    ]
    assert export.drops == {"feedback contradicts the gold side": 1, "nothing was said of it": 1}


@pytest.mark.parametrize(("ratio", "negatives"), [(0, 0), (0.5, 1), (2, 4), (9, 5)])
def test_bad_ones_are_thinned_out(ratio: float, negatives: int) -> None:
    attempts = [attempt(i, solved(f"plan {i}")) for i in range(7)]
    events = tuple(told(i, *([BUDGET] if i >= 2 else [])) for i in range(7))
    export = exported(f"faft:ratio={ratio}", episode(*attempts, derived=events))
    kinds = [row["polarity"] for row in rows_of(export)]
    assert kinds[:2] == ["positive", "positive"] and len(kinds) == 2 + negatives
    assert export.drops == ({"too many bad ones for the good ones": 5 - negatives} if negatives < 5 else {})


def test_bad_ones_alone_are_no_data() -> None:
    export = exported("faft", episode(attempt(0, solved("a")), derived=(told(0, BUDGET),)))
    assert export.total == 0


def test_what_is_no_plan_is_left_out() -> None:
    attempts = [
        attempt(0, solved("a")),
        attempt(1, solved("a")),
        attempt(2, solved("b", complete=False)),
        attempt(3, None),
        attempt(4, solved("As the critique says, c")),
        attempt(5, solved("d")),
    ]
    events = (*(told(i) for i in range(5)), told(5, passed=False))
    export = exported("faft", episode(*attempts, derived=events))
    assert export.total == 1
    assert export.drops == {
        "bad, and nobody said why": 1,
        "failed or cancelled": 1,
        "same as another solution of its problem": 1,
        "speaks of help that the prompt does not hold": 1,
        "unfinished": 1,
    }
