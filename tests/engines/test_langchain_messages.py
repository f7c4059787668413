"""LangChain messages to ours and back: nothing that a provider wants to see again is lost."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from actorcritic.engines.langchain_messages import from_langchain, native_of, to_langchain
from actorcritic.types import Message, Prompt, ToolCall

THOUGHTS: Any = [
    {"type": "thinking", "thinking": "hm", "signature": "sig"},
    {"type": "text", "text": "So: "},
    {"type": "tool_use", "id": "1", "name": "add", "input": {"a": 1}},
]
IMAGE: Any = [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}, {"type": "text", "text": "what?"}]


@pytest.mark.parametrize(
    "message",
    [
        SystemMessage("be brief"),
        HumanMessage("hello"),
        HumanMessage(IMAGE),
        ToolMessage("5", tool_call_id="1"),
        AIMessage("", tool_calls=[{"id": "1", "name": "add", "args": {"a": 1}}]),
        AIMessage("x", invalid_tool_calls=[{"id": "2", "name": "add", "args": "{oops", "error": None}]),
        AIMessage(THOUGHTS, tool_calls=[{"id": "1", "name": "add", "args": {"a": 1}}]),
        AIMessage("x", additional_kwargs={"reasoning_content": "hm", "tool_calls": [{"id": "1"}]}),
    ],
)
def test_there_and_back(message: BaseMessage) -> None:
    (back,) = to_langchain(Prompt(content=(from_langchain(message),)))
    assert back.type == message.type and back.content == message.content
    assert getattr(back, "tool_calls", None) == getattr(message, "tool_calls", None)
    assert [call["args"] for call in getattr(back, "invalid_tool_calls", [])] == [
        call["args"] for call in getattr(message, "invalid_tool_calls", [])
    ]
    assert back.additional_kwargs.get("reasoning_content") == message.additional_kwargs.get("reasoning_content")


def test_a_plain_message_carries_nothing_extra() -> None:
    assert from_langchain(HumanMessage("hi", id="x", name="Ada")) == Message(role="user", content="hi")
    assert native_of(AIMessage("hi")) == {} and native_of(AIMessage("hi", id="run-1")) == {"id": "run-1"}


def test_text_blocks_are_text() -> None:
    blocks: Any = ["a", {"type": "text", "text": "b"}]
    assert from_langchain(HumanMessage(blocks)) == Message(role="user", content="ab")


def test_what_is_no_json_stays_behind() -> None:
    message = AIMessage("hi", additional_kwargs={"live": object()})
    assert from_langchain(message).native == {}


def test_the_text_of_a_thinking_message() -> None:
    message = from_langchain(AIMessage(THOUGHTS, tool_calls=[{"id": "1", "name": "add", "args": {"a": 1}}]))
    assert message.content == "So: " and message.tool_calls == (ToolCall(id="1", name="add", arguments='{"a": 1}'),)
    assert message.native == {"content": THOUGHTS}
