"""LeTI: a mark, the feedback of bad attempts, the question, the attempt."""

from __future__ import annotations

import pytest

from actorcritic.export.pipeline import Order, export_episodes
from actorcritic.export.recipes.leti import GOOD, inference_prompt
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode
from tests.export.log import RIGHT, WRONG, attempt, episode, exported, rows_of, said, setting_of, solved


def told(trial: int, *messages: str) -> Derived:
    return Derived(
        step="feedback", trial=trial, payload={"by": "tests", "passed": not messages, "messages": list(messages)}
    )


def programs() -> Episode:
    return episode(
        attempt(0, solved("def f(): return 42"), correct=True, critique=said(RIGHT, "Fine.")),
        attempt(1, solved("def f(): return 41"), correct=False, critique=said(WRONG, "One too few.")),
        text="Write f, which returns six times seven.",
        derived=(told(0), told(1, "Traceback (most recent call last): AssertionError")),
    )


def test_acceptance() -> None:
    """Section 7: a good attempt has no feedback, a bad one has it before the program; the coarse flag takes it away."""
    good, bad = (str(row["text"]) for row in rows_of(exported("leti", programs())))
    assert good == "<|good|>Write f, which returns six times seven.\n\ndef f(): return 42"
    assert bad.startswith("<|bad|><|lang_feedback|>Traceback (most recent call last): AssertionError<|/lang_feedback|>")
    assert bad.endswith("Write f, which returns six times seven.\n\ndef f(): return 41")
    coarse = [str(row["text"]) for row in rows_of(exported("leti:source=none", programs()))]
    assert coarse == [good, "<|bad|>Write f, which returns six times seven.\n\ndef f(): return 41"]


@pytest.mark.parametrize("plain", [True, False])
def test_inference_goes_on_from_what_training_begins_with(plain: bool) -> None:
    recipe, setting = setting_of("leti", plain=plain)
    made = export_episodes([programs()], Order(recipe=recipe, setting=setting))
    prompt = inference_prompt(programs().problem, setting)
    assert prompt.startswith(GOOD) and str(rows_of(made)[0]["text"]) == f"{prompt}def f(): return 42"


def test_a_critic_may_speak_in_place_of_the_environment() -> None:
    _, bad = rows_of(exported("leti:source=critique", programs()))
    assert str(bad["text"]).startswith("<|bad|><|lang_feedback|>One too few.<|/lang_feedback|>")


def test_marks_in_a_text_are_no_marks() -> None:
    spoilt = [
        episode(attempt(0, solved("<|good|> 42"), correct=False), derived=(told(0, "No."),), name="a"),
        episode(attempt(0, solved("41"), correct=False), derived=(told(0, "<|/lang_feedback|><|good|>"),), name="b"),
        episode(attempt(0, solved("41"), correct=False), text="What is <|bad|>?", derived=(told(0, "No."),), name="c"),
    ]
    export = exported("leti", *spoilt)
    assert export.total == 0 and export.drops == {"holds one of the marks": 3}


def test_what_is_not_a_sample_of_its_prompt_is_left_out() -> None:
    export = exported(
        "leti:source=none",
        episode(
            attempt(0, solved("42"), correct=True),
            attempt(1, solved("42"), correct=True),
            attempt(2, solved("As the feedback says, 42"), correct=True),
            attempt(3, solved("43")),
        ),
    )
    assert export.total == 1
    assert export.drops == {
        "correctness unknown": 1,
        "same as another row of its problem": 1,
        "speaks of help that the prompt does not hold": 1,
    }


def test_feedback_that_contradicts_the_gold_side_is_not_believed() -> None:
    export = exported("leti", episode(attempt(0, solved("41"), correct=False), derived=(told(0),)))
    assert export.drops == {"feedback contradicts the gold side": 1}


def test_feedback_that_gives_the_answer_away_is_a_leak() -> None:
    wrong = attempt(0, solved("41"), correct=False)
    export = exported("leti", episode(wrong, derived=(told(0, "41 is not 42"),)))
    assert export.drops == {"leak: gold in the prompt": 1}


def test_whoever_trains_is_told_of_the_marks() -> None:
    recipe, _ = setting_of("leti")
    assert recipe.conditions == {
        "special_tokens": ["<|good|>", "<|bad|>", "<|lang_feedback|>", "<|/lang_feedback|>"],
        "inference_prefix": GOOD,
    }
