"""Answers in every shape that servers give them, and in shapes that none should: read, or left out, never trusted."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies

from actorcritic.engines.openai.answers import read_chat_answer, read_completion_answer
from actorcritic.errors import EngineError
from actorcritic.types import FinishReason, ToolCall


def chat(message: dict[str, Any] | None = None, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"finish_reason": "stop", "message": message or {"content": "x"}, **choice}]}


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, "odd", {"type": "text", "text": "b"}]
    assert read_chat_answer(chat({"content": parts}), "S").text == "ab"


def test_a_refusal_is_a_filtered_text() -> None:
    answer = read_chat_answer(chat({"content": None, "refusal": "I cannot."}), "S")
    assert answer.text == "" and answer.finish is FinishReason.FILTERED


def test_nothing_is_fine_where_something_says_why() -> None:
    assert read_chat_answer(chat({"content": None}, finish_reason="length"), "S").finish is FinishReason.LENGTH
    assert read_chat_answer(chat({"content": None}, finish_reason="content_filter"), "S").text == ""
    assert read_chat_answer(chat({"content": None, "reasoning": "hm"}), "S").reasoning == "hm"
    with pytest.raises(EngineError, match="neither text nor a tool call"):
        read_chat_answer(chat({"content": None}), "S")


@pytest.mark.parametrize(
    ("message", "calls"),
    [
        (
            {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}]},
            (ToolCall(id="1", name="f", arguments="{"),),
        ),
        (
            {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}, {"function": {"name": "g"}}]},
            (ToolCall(id="call_0", name="f", arguments='{"a": 1}'), ToolCall(id="call_1", name="g", arguments="{}")),
        ),
        ({"function_call": {"name": "f", "arguments": "{}"}}, (ToolCall(id="call_0", name="f", arguments="{}"),)),
    ],
)
def test_tool_calls_are_kept_whatever_the_server_calls_the_ending(message: Any, calls: tuple[ToolCall, ...]) -> None:
    answer = read_chat_answer(chat({"content": None, **message}), "S")
    assert answer.tool_calls == calls and answer.finish is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("broken", ["x", [None], [{"function": None}], [{"function": {"name": 3}}], {"a": 1}])
def test_what_is_no_tool_call_is_none(broken: Any) -> None:
    answer = read_chat_answer(chat({"content": "x", "tool_calls": broken}), "S")
    assert answer.tool_calls == () and answer.finish is FinishReason.STOP


def test_bytes_join_at_the_last_token_of_a_character() -> None:
    euro = "€".encode()
    rows = [{"token": "?", "bytes": [byte], "logprob": -1.0} for byte in euro]
    tokens = read_chat_answer(chat(logprobs={"content": rows}), "S").tokens
    assert [token.text for token in tokens] == ["", "", "€"]


def test_alternatives_come_likeliest_first_and_minus_infinity_is_a_number() -> None:
    top = [{"token": "b", "logprob": -9999.0}, {"token": "a", "logprob": -0.1}, {"token": "c", "logprob": "x"}]
    row = {"token": "a", "logprob": -math.inf, "top_logprobs": top}
    (token,) = read_chat_answer(chat(logprobs={"content": [row]}, token_ids=[7]), "S").tokens
    assert token.logprob == -9999.0 and list(token.top.items()) == [("a", -0.1), ("b", -9999.0)] and token.token_id == 7


def test_completions_without_text_are_errors() -> None:
    with pytest.raises(EngineError, match="without a text"):
        read_completion_answer({"choices": [{"text": None}]}, "S")
    block = {"tokens": ["a"], "token_logprobs": [-1.0, -2.0]}
    answer = read_completion_answer({"choices": [{"text": "a", "logprobs": block, "token_ids": ["x"]}]}, "S")
    assert answer.tokens == () and answer.token_ids == () and answer.finish is FinishReason.ABORTED


NAMES = (
    "choices message content finish_reason tool_calls function name arguments logprobs token logprob tokens bytes "
    "usage token_logprobs top_logprobs prompt_tokens completion_tokens reasoning text token_ids"
).split()
JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text(max_size=4),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(
            strategies.sampled_from(NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(choice=JSON, usage=JSON)
def test_no_shape_is_more_than_a_typed_error(choice: Any, usage: Any) -> None:
    for message in (choice, {"message": choice, "text": "x", "logprobs": choice}):
        for read in (read_chat_answer, read_completion_answer):
            try:
                answer = read({"choices": [message], "usage": usage}, "S")
            except EngineError:
                continue
            assert answer.text.encode() is not None
            assert all(token.logprob <= 0 and math.isfinite(token.logprob) for token in answer.tokens)
            assert answer.usage is None or answer.usage.cached_tokens <= answer.usage.prompt_tokens
