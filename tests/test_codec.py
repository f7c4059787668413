"""Every value goes through JSON unchanged, whatever it holds."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcritic.codec import decode, encode
from actorcritic.errors import RecordError
from actorcritic.types import (
    Action,
    Critique,
    Failure,
    FinishReason,
    GenerateRequest,
    Generation,
    JsonValue,
    Message,
    Outcome,
    Problem,
    Reference,
    Sampling,
    Solution,
    Step,
    TokenLogprob,
    ToolCall,
    ToolSpec,
    Trial,
    Usage,
    Verdict,
)

# A lone surrogate is no text that any model or file can hold.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
finite = st.floats(allow_nan=False)
anything: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
st.register_type_strategy(str, text)
st.register_type_strategy(float, finite)
objects = st.dictionaries(text, anything, max_size=3)
messages = st.builds(Message, native=objects)
st.register_type_strategy(Message, messages)
tokens = st.lists(
    st.builds(
        TokenLogprob,
        token_id=st.none() | st.integers(0, 99),
        text=text,
        logprob=finite,
        top=st.dictionaries(text, finite, max_size=2),
    ),
    max_size=3,
).map(tuple)
tools = st.lists(st.builds(ToolSpec, parameters=objects), max_size=2).map(tuple)
problems = st.builds(Problem, tools=tools, meta=objects)
generations = st.builds(Generation, tokens=tokens, native=objects)
requests = st.builds(GenerateRequest, tools=tools, json_schema=st.none() | objects)
trials = st.builds(Trial, options=objects)

VALUES: dict[type, st.SearchStrategy[object]] = {
    Problem: problems,
    GenerateRequest: requests,
    Generation: generations,
    Message: messages,
    Trial: trials,
    **{
        kind: st.builds(kind)
        for kind in (Critique, Failure, Outcome, Reference, Sampling, Solution, Step, ToolCall, Usage)
    },
}


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_round_trip(kind: type, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    written = json.dumps(encode(value), allow_nan=False)
    assert decode(kind, json.loads(written)) == value


def test_infinities_survive() -> None:
    token = TokenLogprob(token_id=None, text="", logprob=-math.inf, top={"a": -math.inf})
    generation = Generation(text="", finish_reason=FinishReason.STOP, usage=Usage(), tokens=(token,))
    assert decode(Generation, json.loads(json.dumps(encode(generation), allow_nan=False))) == generation


def test_empty_fields_are_left_out_and_others_are_not() -> None:
    assert encode(Outcome()) == {"complete": True, "verdict": "unscored", "steps": 0, "tokens": 0}
    assert encode(Trial(id=0, action=Action.PROPOSE)) == {"id": 0, "action": "propose"}
    assert encode(Solution(steps=())) == {"steps": [], "complete": True, "kept": 0}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Outcome, []),
        (Outcome, {"complete": 1}),
        (Outcome, {"score": "high"}),
        (Outcome, {"score": True}),
        (Outcome, {"verdict": "perhaps"}),
        (Outcome, {"unknown": 1}),
        (Trial, {"id": 0}),
        (Trial, {"id": "0", "action": "propose"}),
        (Trial, {"id": 0, "action": "propose", "options": []}),
        (Solution, {"steps": {}}),
        (Message, {"role": "judge", "content": ""}),
        (Step, {"text": "", "token_ids": [1, "2"]}),
        (Generation, {"text": "", "finish_reason": "stop", "usage": {}, "tokens": {"texts": ["a"]}}),
    ],
)
def test_another_shape_is_refused(kind: type, data: JsonValue) -> None:
    with pytest.raises(RecordError, match="not a"):
        decode(kind, data)


def test_only_values_can_be_written() -> None:
    with pytest.raises(TypeError, match="no value"):
        encode(object())


def test_verdicts_and_prompts_come_back_as_what_they_were() -> None:
    outcome = decode(Outcome, encode(Outcome(verdict=Verdict.CORRECT)))
    assert outcome.verdict is Verdict.CORRECT
    chat = Problem(id="p", prompt=(Message(role="user", content="2+2?"),))
    assert decode(Problem, encode(chat)).prompt == chat.prompt
