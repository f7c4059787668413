"""Tool calls end as results, whatever the tool does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import BaseTool, ToolException, tool

from actorcritic.agent_steps import cut_text, distinct_calls, read_arguments
from actorcritic.errors import InputError
from actorcritic.tools import calculate_tool
from actorcritic.tools.running import ToolBox
from actorcritic.types import ToolCall


def half(x: float) -> float:
    """Return half of it."""
    return x / 2


async def later(x: int) -> int:
    """Return it later."""
    await asyncio.sleep(0)
    return x


@tool
def picky(x: int) -> str:
    """Take even numbers only."""
    if x % 2:
        raise ToolException("only even numbers")
    return "even"


SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}


class Raw(BaseTool):
    """A tool with a schema of its own, as MCP servers have them."""

    name: str = "raw"
    description: str = "Raw."
    args_schema: Any = SCHEMA

    def _run(self, q: str) -> Any:
        return [{"type": "text", "text": q}, {"type": "image", "url": "x"}, "end"]


def made(name: str, arguments: str) -> ToolCall:
    return ToolCall(id="1", name=name, arguments=arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "status", "error", "text"),
    [
        ("half", '{"x": 3}', "done", None, "1.5"),
        ("later", '{"x": 3}', "done", None, "3"),
        ("picky", '{"x": 2}', "done", None, "even"),
        ("picky", '{"x": 3}', "failed", "ToolException", "only even numbers"),
        ("raw", '{"q": "hello"}', "done", None, "hello\n[image, not shown]\nend"),
        ("raw", "{}", "refused", "BadArguments", "missing: q"),
        ("half", '{"x": "much"}', "refused", "BadArguments", "x: Input should be a valid number"),
        ("half", "{", "refused", "BadArguments", "no JSON object"),
        ("half", "3", "refused", "BadArguments", "no JSON object"),
        ("half", "", "refused", "BadArguments", "x: Field required"),
        ("calculate", '{"expression": "1/0"}', "done", None, "error:"),
        ("calculate", '{"formula": "1"}', "refused", "BadArguments", "expression: Field required"),
        ("rm -rf", "{}", "refused", "UnknownTool", ""),
    ],
)
async def test_every_call_has_a_result(name: str, arguments: str, status: str, error: str | None, text: str) -> None:
    box = ToolBox([half, later, picky, Raw(), calculate_tool()])
    result = (await box.run(made(name, arguments))).result
    assert (result.status, result.error) == (status, error) and text in result.text


async def test_an_exception_that_passes_goes_through() -> None:
    def stop(x: int) -> int:
        """Stop."""
        raise KeyError("mine")

    with pytest.raises(KeyError):
        await ToolBox([stop], passes=(KeyError,)).run(made("stop", '{"x": 1}'))
    assert (await ToolBox([stop]).run(made("stop", '{"x": 1}'))).result.error == "KeyError"


async def test_a_tools_own_timeout_is_no_limit_of_ours() -> None:
    async def slow(x: int) -> int:
        """Time out."""
        raise TimeoutError("the server is slow")

    result = (await ToolBox([slow]).run(made("slow", '{"x": 1}'))).result
    assert result.error == "TimeoutError" and "the server is slow" in result.text


async def test_half_a_character_is_replaced() -> None:
    def odd(x: int) -> str:
        """Return half a character."""
        return "a\ud800b"

    result = (await ToolBox([odd]).run(made("odd", '{"x": 1}'))).result
    assert result.text.encode() and result.text[0] + result.text[-1] == "ab"


async def test_output_is_kept_up_to_its_limit() -> None:
    def much(x: int) -> str:
        """Return much."""
        return "x" * x

    box = ToolBox([much], output=100)
    result = (await box.run(made("much", '{"x": 1000}'))).result
    assert len(result.text) == 100 and result.length == 1000 and result.left_out == 900
    assert tuple(map(len, result.parts)) == (75, 25)


def test_what_is_wrong_with_tools_is_said() -> None:
    with pytest.raises(InputError, match="two tools are named 'half'"):
        ToolBox([half, half])
    with pytest.raises(InputError, match="more than 0 seconds"):
        ToolBox([half], seconds=0)
    with pytest.raises(InputError, match="at least 100 characters"):
        ToolBox([half], output=3)

    def bare(x: int) -> int:
        return x

    with pytest.raises(InputError, match="'bare' cannot be made a tool"):
        ToolBox([bare])


@given(st.text(max_size=300), st.integers(0, 200))
def test_a_cut_text_is_its_beginning_and_its_end(text: str, most: int) -> None:
    cut = cut_text(text, most)
    assert len(cut) == min(len(text), most)
    first = len(cut) * 3 // 4 if len(text) > most else len(cut)
    assert text.startswith(cut[:first]) and text.endswith(cut[first:])


@given(st.lists(st.sampled_from(["", "a", "a_1", "b"]), max_size=6))
def test_distinct_calls_have_distinct_ids(ids: list[str]) -> None:
    calls = distinct_calls([ToolCall(id=ident, name="t", arguments="") for ident in ids])
    assert len({call.id for call in calls}) == len(ids) and all(call.id for call in calls)


@given(st.text())
def test_arguments_are_an_object_or_nothing(text: str) -> None:
    read = read_arguments(made("t", text))
    assert read is None or isinstance(read, dict)
