"""Carries out a model's tool calls with LangChain tools: whatever goes wrong becomes a result that says so.

A call is refused before the tool is run where there is no such tool or the arguments do not fit. Text that comes back
is cut to a length. Knows no model, no budget and no graph.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union, cast

from actorcritic.agent_steps import ToolResult, cut_text, read_arguments
from actorcritic.errors import InputError
from actorcritic.parsing.texts import clean_text
from actorcritic.types import JsonValue, ToolCall, ToolSpec

if TYPE_CHECKING:
    from langchain_core.messages import ToolMessage
    from langchain_core.tools import BaseTool

__all__ = ["AgentTool", "Invoke", "Ran", "ToolBox"]

AgentTool: TypeAlias = Union["BaseTool", Callable[..., Any]]
"""A LangChain tool, or a function with type hints and a docstring."""

Invoke: TypeAlias = Callable[["BaseTool", dict[str, Any]], Awaitable["ToolMessage"]]
"""Runs a tool with a LangChain tool call."""

MESSAGE_LENGTH = 2_000
"""Characters of an error's own words."""


class Ran(NamedTuple):
    """A call that was carried out, or refused."""

    result: ToolResult
    artifact: Any = None
    """What the tool handed back for the app beside the text, see LangChain's `response_format`."""


class ToolBox:
    """Tools by name.

    Args:
        tools: LangChain tools or functions.
        seconds: How long a call may take, > 0; None = as long as it likes. A tool that blocks a thread goes on in it.
        output: Characters of a result that are kept, >= 100.
        passes: Exceptions that are no failure of a tool and go through.

    Raises:
        InputError: two tools have one name, or one is no tool.
    """

    def __init__(
        self,
        tools: Sequence[AgentTool],
        *,
        seconds: float | None = 60.0,
        output: int = 10_000,
        passes: tuple[type[Exception], ...] = (),
    ) -> None:
        if seconds is not None and not seconds > 0:
            raise InputError(f"a tool needs more than 0 seconds, not {seconds}")
        if output < 100:
            raise InputError(f"at least 100 characters of a result must be kept, not {output}")
        self.tools: dict[str, BaseTool] = {}
        for tool in map(_tool_of, tools):
            if tool.name in self.tools:
                raise InputError(f"two tools are named {tool.name!r}: give one of them another name")
            self.tools[tool.name] = tool
        self.specs: Mapping[str, ToolSpec] = {name: _spec_of(tool) for name, tool in self.tools.items()}
        """As models see them."""
        self._seconds = seconds
        self._output = output
        self._passes = passes

    def refuse(self, call: ToolCall) -> ToolResult | None:
        """Return why a call cannot be carried out; None where it can."""
        tool = self.tools.get(call.name)
        if tool is None:
            return ToolResult(call=call, text="", status="refused", error="UnknownTool")
        given = read_arguments(call)
        complaint = "they are no JSON object" if given is None else _complaint(tool, given)
        if complaint is None:
            return None
        text = clean_text(cut_text(complaint, MESSAGE_LENGTH))
        return ToolResult(call=call, text=text, status="refused", error="BadArguments", length=len(text))

    async def run(self, call: ToolCall, *, invoke: Invoke | None = None, seconds: float | None = None) -> Ran:
        """Carry out a call; raises nothing but what `passes` and cancellation.

        Args:
            call: As the model made it.
            invoke: Runs the tool; by default the tool itself.
            seconds: What is left of some other limit; None = no other.
        """
        refused = self.refuse(call)
        if refused is not None:
            return Ran(refused)
        started = time.monotonic()
        limits = [limit for limit in (self._seconds, seconds) if limit is not None]
        limit = min(limits, default=None)
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                message = await self._invoke(call, invoke)
        except TimeoutError as error:
            if clock.expired():
                result = ToolResult(call=call, text=f"{limit:.3g}", status="failed", error="TimeLimit")
            else:
                result = self._failed(call, error)
        except self._passes:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a tool fails of is the result of its call
            result = self._failed(call, error)
        else:
            return Ran(self._returned(call, message, time.monotonic() - started), message.artifact)
        return Ran(replace(result, seconds=time.monotonic() - started))

    async def _invoke(self, call: ToolCall, invoke: Invoke | None) -> ToolMessage:
        tool = self.tools[call.name]
        asked: dict[str, Any] = {
            "name": call.name,
            "args": read_arguments(call) or {},
            "id": call.id,
            "type": "tool_call",
        }
        if invoke is not None:
            return await invoke(tool, asked)
        return cast("ToolMessage", await tool.ainvoke(asked))

    def _returned(self, call: ToolCall, message: ToolMessage, seconds: float) -> ToolResult:
        text = clean_text(_text(message.content))
        failed = message.status == "error"
        return ToolResult(
            call=call,
            text=cut_text(text, self._output),
            status="failed" if failed else "done",
            error="ToolException" if failed else None,
            length=len(text),
            seconds=seconds,
        )

    def _failed(self, call: ToolCall, error: Exception) -> ToolResult:
        text = clean_text(cut_text(str(error), MESSAGE_LENGTH))
        return ToolResult(call=call, text=text, status="failed", error=type(error).__name__, length=len(text))


def _tool_of(tool: AgentTool) -> BaseTool:
    """Return a LangChain tool, made of a function where one was given."""
    from langchain_core.tools import BaseTool, StructuredTool  # noqa: PLC0415 - the values work without LangChain

    if isinstance(tool, BaseTool):
        return tool
    if not callable(tool):
        raise InputError(f"{tool!r} is no tool: give a LangChain tool, or a function with type hints and a docstring")
    awaits = iscoroutinefunction(tool)
    try:
        return StructuredTool.from_function(None if awaits else tool, tool if awaits else None, parse_docstring=False)
    except ValueError as error:
        raise InputError(f"{getattr(tool, '__name__', tool)!r} cannot be made a tool: {error}") from error


def _spec_of(tool: BaseTool) -> ToolSpec:
    """Return a tool as models see it."""
    from langchain_core.utils.function_calling import convert_to_openai_tool  # noqa: PLC0415 - as above

    function = convert_to_openai_tool(tool)["function"]
    parameters: Mapping[str, JsonValue] = function.get("parameters") or {"type": "object", "properties": {}}
    return ToolSpec(name=tool.name, description=function.get("description", ""), parameters=parameters)


def _complaint(tool: BaseTool, given: Mapping[str, JsonValue]) -> str | None:
    """Return what is wrong with arguments; None where nothing is, or only the tool itself can tell."""
    from pydantic import BaseModel, ValidationError  # noqa: PLC0415 - as above

    schema: Any = tool.tool_call_schema
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        try:
            schema.model_validate(given)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False, include_context=False)
            return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in problems)
    elif isinstance(schema, dict):
        missing = [name for name in schema.get("required") or () if name not in given]
        if missing:
            return f"missing: {', '.join(map(str, missing))}"
    return None


def _text(content: object) -> str:
    """Return what a tool handed back as text; what is no text is named."""
    blocks: list[object] = cast("list[object]", content) if isinstance(content, list) else [content]
    parts: list[str] = []
    for block in blocks:
        if isinstance(block, dict):
            fields = cast("dict[str, Any]", block)
            parts.append(str(fields["text"]) if "text" in fields else f"[{fields.get('type', 'data')}, not shown]")
        else:
            parts.append(str(block))
    return "\n".join(parts)
