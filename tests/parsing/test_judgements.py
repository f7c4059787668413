"""A judgement is one clear ruling, or unscored: no text talks itself into a pass."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.agent_steps import Act, AgentStep, Ruling
from actorcritic.parsing.judgements import judgement_schema, read_judgement
from actorcritic.types import Problem, ToolCall

PROBLEM = Problem(id="p", prompt="?")
CALLS = tuple(ToolCall(id=str(place), name="t", arguments="{}") for place in range(2))
ACTION = AgentStep(problem=PROBLEM, index=0, phase="action", act=Act(text="", calls=CALLS))
ANSWER = AgentStep(problem=PROBLEM, index=0, phase="action", act=Act(text="42"))
DONE = AgentStep(problem=PROBLEM, index=2, phase="observation", act=Act(text="", calls=CALLS))


@pytest.mark.parametrize("word", ["pass", "warn", "block", "PASS", " block "])
def test_a_plain_ruling(word: str) -> None:
    judgement = read_judgement(json.dumps({"explanation": " why ", "ruling": word}), ACTION)
    assert judgement.ruling is Ruling(word.strip().lower()) and judgement.explanation == "why"


def test_numbers_become_places() -> None:
    calls = read_judgement('{"ruling": "block", "calls": [2]}', ACTION)
    assert calls.calls == (1,) and calls.step is None
    step = read_judgement('{"ruling": "block", "step": 3}', DONE)
    assert step.step == 2 and read_judgement('{"ruling": "block", "step": 1}', DONE).step == 0
    assert read_judgement('{"ruling": "pass", "step": 99}', DONE).ruling is Ruling.PASS


def test_prose_and_fences_around_it() -> None:
    text = 'The call {x} is fine.\n```json\n{"explanation": "it says \\"ruling\\": no", "ruling": "pass"}\n```\nDone.'
    assert read_judgement(text, ACTION).ruling is Ruling.PASS


def test_the_same_said_twice_is_said() -> None:
    assert read_judgement('{"ruling": "pass"} {"ruling": "pass"}', ANSWER).ruling is Ruling.PASS


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("pass", ACTION),
        ("", ACTION),
        ('{"ruling": true}', ACTION),
        ('{"ruling": null}', ACTION),
        ('{"ruling": "not pass"}', ACTION),
        ('{"ruling": "pass"} {"ruling": "block"}', ACTION),
        ('{"ruling": "block", nonsense} {"ruling": "pass"}', ACTION),
        ('{"ruling": "pass", "ruling": "block"}', ACTION),
        ('{"ruling": "block", "calls": [0]}', ACTION),
        ('{"ruling": "block", "calls": [3]}', ACTION),
        ('{"ruling": "block", "calls": [true]}', ACTION),
        ('{"ruling": "block", "calls": "all"}', ACTION),
        ('{"ruling": "block", "step": 4}', DONE),
        ('{"ruling": "block", "step": "1"}', DONE),
        ('{"a": {"ruling": "pass"}}', ACTION),
        ('{"' * 100, ACTION),
    ],
)
def test_anything_else_is_unscored(text: str, step: AgentStep) -> None:
    judgement = read_judgement(text, step)
    assert judgement.ruling is Ruling.UNSCORED and judgement.explanation and judgement.raw == text


def test_what_was_cut_off_is_unscored() -> None:
    assert read_judgement('{"ruling": "pass"}', ACTION, complete=False).ruling is Ruling.UNSCORED


@given(st.text(alphabet='{}[]":,rulingpasblockwn 123\\\n', max_size=80))
def test_no_text_raises_and_a_ruling_is_always_said(text: str) -> None:
    judgement = read_judgement(text, ACTION)
    assert judgement.ruling is Ruling.UNSCORED or judgement.ruling.value in text.casefold()


@pytest.mark.parametrize(("step", "fields"), [(ACTION, {"calls"}), (ANSWER, set()), (DONE, {"step"})])
def test_the_schema_asks_for_what_the_step_has(step: AgentStep, fields: set[str]) -> None:
    schema = judgement_schema(step)
    assert set(schema["required"]) == {"explanation", "ruling", *fields}  # type: ignore[arg-type]
    assert list(schema["properties"])[-1] == "ruling"  # type: ignore[arg-type]
