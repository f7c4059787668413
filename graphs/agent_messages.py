"""A graph's LangChain messages to a conversation for an engine, and back.

A conversation that is sent to a model is whole: no call is without a result, and no arguments are malformed, whatever
happened before. Knows no model and no tool.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from actorcritic.agent_steps import ToolResult, read_arguments
from actorcritic.codec import encode
from actorcritic.engines.langchain_messages import from_langchain, langchain_calls
from actorcritic.errors import InputError
from actorcritic.templates import load_template
from actorcritic.types import Generation, Message, Problem, ToolCall, ToolSpec

__all__ = [
    "CRITIC",
    "actor_message",
    "conversation",
    "note",
    "problem_of_messages",
    "prompt_messages",
    "tool_message",
]

CRITIC = "critic"
"""Name of the user messages that carry a critic's objection or a word of the graph."""


def problem_of_messages(messages: Sequence[AnyMessage], *, system: str | None, specs: Sequence[ToolSpec]) -> Problem:
    """Return a conversation as a problem, named by its content's hash.

    Raises:
        InputError: there is no message, or one that is no part of a chat.
    """
    sent = conversation(messages, system)
    if not messages:
        raise InputError("the agent needs a conversation: give {'messages': [...]}")
    content = json.dumps([encode(message) for message in sent], sort_keys=True, default=str)
    digest = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:16]
    return Problem(id=digest, prompt=sent, tools=tuple(specs))


def conversation(messages: Sequence[AnyMessage], system: str | None) -> tuple[Message, ...]:
    """Return messages as an engine takes them, the system message in front where they have none.

    Raises:
        InputError: one is no part of a chat.
    """
    try:
        sent = tuple(map(from_langchain, messages))
    except KeyError as error:
        raise InputError(f"a message of the type {error} is no part of a chat") from error
    if system is not None and not any(message.role == "system" for message in sent):
        sent = (Message(role="system", content=system), *sent)
    return sent


def prompt_messages(sent: Sequence[Message]) -> tuple[Message, ...]:
    """Return a conversation as any server takes it: arguments are JSON, and every call has its result.

    A call without a result is one that a run left behind which broke off.
    """
    lost = load_template("agent_interrupted").text
    whole: list[Message] = []
    for place, message in enumerate(sent):
        calls = tuple(
            call if read_arguments(call) is not None else replace(call, arguments="{}") for call in message.tool_calls
        )
        whole.append(replace(message, tool_calls=calls) if calls != message.tool_calls else message)
        answers = takewhile(lambda after: after.role == "tool", sent[place + 1 :])
        answered = {answer.tool_call_id for answer in answers} if calls else set()
        whole += [Message(role="tool", content=lost, tool_call_id=call.id) for call in calls if call.id not in answered]
    return tuple(whole)


def actor_message(said: Generation, calls: Sequence[ToolCall], ident: str, model: str) -> AIMessage:
    """Return what the actor wrote as the graph's message.

    Args:
        said: What the engine gave.
        calls: Its calls, each with an id of its own.
        ident: Of the message.
        model: Who wrote it.
    """
    good, bad = langchain_calls(tuple(calls))
    content: Any = said.native.get("content", said.text)
    more: Any = said.native.get("additional_kwargs", {})
    used = said.usage
    return AIMessage(
        content,
        id=ident,
        tool_calls=good,
        invalid_tool_calls=bad,
        additional_kwargs=more,
        response_metadata={"finish_reason": said.finish_reason.value, "model_name": model},
        usage_metadata={
            "input_tokens": used.prompt_tokens,
            "output_tokens": used.completion_tokens,
            "total_tokens": used.prompt_tokens + used.completion_tokens,
        },
    )


def tool_message(result: ToolResult, text: str, ident: str, artifact: Any = None) -> ToolMessage:
    """Return what the actor reads of a call as the graph's message."""
    return ToolMessage(
        text,
        id=ident,
        name=result.call.name,
        tool_call_id=result.call.id,
        status="success" if result.status == "done" else "error",
        artifact=artifact,
    )


def note(text: str, ident: str) -> HumanMessage:
    """Return a word to the actor that neither the user nor a tool said."""
    return HumanMessage(text, id=ident, name=CRITIC)
