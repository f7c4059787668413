"""What may not stand in a prompt is found there, and what stands there anyway is no leak."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.export.leakage import leak, prompt_text
from actorcritic.export.recipe import Row, Shown
from actorcritic.trajectory.attempts import Derived, LoggedToolCall
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue, Reference
from tests.export.log import WRONG, attempt, episode, said, setting_of, solved

QUESTION = "What is six times seven?"
RECIPE, SETTING = setting_of("rft")


def rich() -> Episode:
    one = attempt(
        0,
        solved("Six times seven is thirty-six.", answer="36"),
        correct=False,
        critique=said(WRONG, "It is forty-two, by counting.", (WRONG,)),
        tool_calls=(LoggedToolCall(name="python", arguments="6*7", result="Traceback: no such name"),),
    )
    made = Derived(step="paraphrase", trial=0, payload={"text": "Counting seven sixes gives forty-two."})
    told = Derived(step="feedback", trial=0, payload={"messages": ["AssertionError: not a multiple"], "by": "tests"})
    return replace(episode(one, derived=(made, told)), gold=Reference(answer="42", solution="Seven sixes are it."))


def shown_in(
    prompt: JsonValue, of: Episode, *, shows: frozenset[Shown] = frozenset(), attempts: tuple[int, ...] = (0,)
) -> str | None:
    return leak(Row(columns={"prompt": prompt}, attempts=attempts), of, replace(RECIPE, shows=shows), SETTING)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The answer is 42.", "gold"),
        ("It is  FORTY-TWO,\nby counting.", "critique"),
        ("Step 0: incorrect.", "critique"),
        ("Seven sixes are it.", "gold"),
        ("Traceback: no such name", "feedback"),
        ("AssertionError: not a multiple", "feedback"),
        ("tests", None),
        ("Six times seven is thirty-six.", "attempt"),
        ("Counting seven sixes gives forty-two.", "derived"),
        ("Take 142 or 4.2 or 42nd.", None),
        ("", None),
    ],
)
def test_help_beside_the_question_is_seen(text: str, kind: Shown | None) -> None:
    chat: JsonValue = [{"role": "system", "content": text}, {"role": "user", "content": QUESTION}]
    for prompt in (f"{QUESTION}\n{text}", chat):
        assert shown_in(prompt, rich()) == kind
        if kind is not None:
            assert shown_in(prompt, rich(), shows=frozenset({kind})) is None


def test_a_gold_answer_in_the_question_itself_is_no_leak() -> None:
    asked = episode(text="Is 42 equal to 6 * 7? Say 42 or no.", gold="42")
    assert shown_in("Is 42 equal to 6 * 7? Say 42 or no.", asked) is None
    assert shown_in("Is 42 equal to 6 * 7? Say 42 or no. 42", asked) == "gold"
    assert shown_in("Say 42.", asked) == "gold", "the question is there as a whole or not at all"


def test_the_form_in_which_the_actor_is_asked_is_no_leak() -> None:
    asked = episode(gold="1")
    setting = replace(SETTING, plain=False)
    prompt = setting.prompt(asked.problem)
    assert "1" in prompt_text({"prompt": prompt})
    row = Row(columns={"prompt": prompt}, attempts=(0,))
    assert leak(row, asked, RECIPE, setting) is None
    assert leak(row, asked, RECIPE, SETTING) == "gold", "under a setting that asks otherwise those words are foreign"


def test_a_shown_attempt_hides_no_second_mention() -> None:
    attempts = (attempt(0, solved("6 * 7 = 42", answer="42")), attempt(1, solved("42", answer="42")))
    one = episode(*attempts)
    allowed: frozenset[Shown] = frozenset({"attempt"})
    assert shown_in(f"{QUESTION} 6 * 7 = 42", one, shows=allowed) is None
    assert shown_in(f"{QUESTION} 6 * 7 = 42. So 42!", one, shows=allowed) == "gold"
    assert shown_in(f"{QUESTION} 42", one, shows=allowed, attempts=(0,)) == "gold", "another attempt than the row's own"
    assert shown_in(f"{QUESTION} 42", one, shows=allowed, attempts=(1,)) is None
    assert shown_in(f"{QUESTION} 42 (42)", one, shows=allowed, attempts=(1,)) == "gold", "it was shown once"


def test_the_first_steps_of_a_shown_attempt_are_no_leak() -> None:
    one = episode(attempt(0, solved("6 * 7 = 42", "so it is 42", answer="42")))
    assert shown_in(f"{QUESTION} 6 * 7 = 42", one, shows=frozenset({"attempt"})) is None


@given(st.text(min_size=1, max_size=30), st.text(max_size=30))
def test_an_appended_gold_answer_is_always_seen(gold: str, text: str) -> None:
    asked = episode(text=f"{text}?", gold=f"g{gold}g")
    assert shown_in(f"{text}?\n{f'g{gold}g'}", asked) == "gold"


def test_what_the_model_reads_of_a_chat_is_all_but_its_last_answer() -> None:
    chat: JsonValue = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert prompt_text({"messages": chat}) == "a"
    assert prompt_text({"text": "a"}) == ""


def test_what_is_asked_is_searched_where_no_column_shows_it() -> None:
    tokens = Row(columns={"input_ids": [1]}, attempts=(0,))
    assert leak(tokens, rich(), RECIPE, SETTING) is None
    assert leak(replace(tokens, asked=f"{QUESTION} 42"), rich(), RECIPE, SETTING) == "gold"
    shown = Row(columns={"prompt": f"{QUESTION} 42"}, attempts=(0,), asked=QUESTION)
    assert leak(shown, rich(), RECIPE, SETTING) is None
