"""Chat messages to LangChain's and back, without loss: what has no field here goes along as it is, as JSON.

A model's calls may be malformed and its texts hostile; both are kept. Imports LangChain only when called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from actorcritic.agent_steps import read_arguments
from actorcritic.parsing.texts import clean_text
from actorcritic.types import JsonValue, Message, Prompt, ToolCall

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage

__all__ = ["from_langchain", "langchain_calls", "native_of", "read_texts", "read_tool_calls", "to_langchain"]

_ROLES = {"system": "system", "developer": "system", "human": "user", "ai": "assistant", "tool": "tool"}
_KNOWN = frozenset({"tool_calls", "function_call", "refusal", "parsed"})
"""Additional fields of a message that say again what stands elsewhere, or nothing."""


def to_langchain(prompt: Prompt) -> list[BaseMessage]:
    """Return a prompt as LangChain messages."""
    from langchain_core.messages import HumanMessage  # noqa: PLC0415 - heavy, and here already

    if isinstance(prompt.content, str):
        return [HumanMessage(prompt.content)]
    return [_to_langchain(message) for message in prompt.content]


def _to_langchain(message: Message) -> BaseMessage:
    from langchain_core.messages import (  # noqa: PLC0415 - heavy, and here already
        AIMessage,
        HumanMessage,
        SystemMessage,
        ToolMessage,
    )

    content: Any = message.native.get("content", message.content)
    more: Any = message.native.get("additional_kwargs", {})
    match message.role:
        case "system":
            return SystemMessage(content, additional_kwargs=more)
        case "user":
            return HumanMessage(content, additional_kwargs=more)
        case "tool":
            return ToolMessage(content, tool_call_id=message.tool_call_id or "", additional_kwargs=more)
        case "assistant":
            good, bad = langchain_calls(message.tool_calls)
            return AIMessage(content, tool_calls=good, invalid_tool_calls=bad, additional_kwargs=more)


def langchain_calls(calls: tuple[ToolCall, ...]) -> tuple[list[Any], list[Any]]:
    """Return calls as LangChain writes them: those with readable arguments, and the others."""
    good: list[Any] = []
    bad: list[Any] = []
    for call in calls:
        given = read_arguments(call)
        if given is None:
            wrong = {"id": call.id, "name": call.name, "args": call.arguments, "error": None}
            bad.append({**wrong, "type": "invalid_tool_call"})
        else:
            good.append({"id": call.id, "name": call.name, "args": given, "type": "tool_call"})
    return good, bad


def from_langchain(message: BaseMessage) -> Message:
    """Return a LangChain message, whatever class it is of.

    Raises:
        KeyError: its type is none that a chat has.
    """
    role: Any = _ROLES[message.type]
    calls = read_tool_calls(cast("AIMessage", message)) if message.type == "ai" else ()
    text, _ = read_texts(message)
    answered = getattr(message, "tool_call_id", None)
    return Message(role=role, content=text, tool_calls=calls, tool_call_id=answered, native=_beyond(message))


def read_texts(message: BaseMessage) -> tuple[str, str | None]:
    """Return the text, and the reasoning that stands beside it."""
    content: object = message.content
    blocks: list[object] = cast("list[object]", content) if isinstance(content, list) else [content]
    said: list[str] = []
    thought = [str(message.additional_kwargs.get("reasoning_content") or "")]
    for block in blocks:
        if isinstance(block, str):
            said.append(block)
        elif isinstance(block, dict):
            fields = cast("dict[str, Any]", block)
            if fields.get("type") == "text":
                said.append(str(fields.get("text") or ""))
            elif fields.get("type") in ("thinking", "reasoning"):
                thought.append(str(fields.get("thinking") or fields.get("reasoning") or ""))
    return clean_text("".join(said)), clean_text("".join(thought)) or None


def read_tool_calls(message: AIMessage) -> tuple[ToolCall, ...]:
    """Return the calls of a message, malformed ones last."""
    good = [(call["id"], call["name"], json.dumps(call["args"])) for call in message.tool_calls]
    bad = [(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls]
    return tuple(
        ToolCall(id=ident or f"call_{place}", name=clean_text(name or ""), arguments=clean_text(arguments or ""))
        for place, (ident, name, arguments) in enumerate([*good, *bad])
    )


def native_of(message: AIMessage) -> dict[str, JsonValue]:
    """Return the id of a model's message and what text and calls do not hold of it, as far as that is JSON."""
    named: dict[str, JsonValue] = {"id": message.id} if message.id else {}
    return {**named, **_beyond(message)}


def _beyond(message: BaseMessage) -> dict[str, JsonValue]:
    beyond: dict[str, JsonValue] = {}
    blocks: object = message.content
    if isinstance(blocks, list) and not all(map(_is_text, blocks)):
        beyond |= _as_json("content", blocks)
    more = {name: value for name, value in message.additional_kwargs.items() if name not in _KNOWN and value}
    return beyond | (_as_json("additional_kwargs", more) if more else {})


def _is_text(block: object) -> bool:
    return isinstance(block, str) or (
        isinstance(block, dict) and set(cast("Mapping[str, object]", block)) <= {"type", "text", "index", "id"}
    )


def _as_json(name: str, value: object) -> dict[str, JsonValue]:
    """Return a field as JSON; nothing where it is none."""
    try:
        return {name: json.loads(json.dumps(value))}
    except (TypeError, ValueError, RecursionError):
        return {}
