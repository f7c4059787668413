"""The tools of MCP servers; a real server in the slow tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from actorcritic.errors import InputError, ToolError
from actorcritic.tools import mcp_tools

SERVER = {"command": sys.executable, "args": [str(Path(__file__).with_name("mcp_server.py"))]}


@pytest.mark.parametrize("server", [{}, {"args": []}, {"command": "x", "url": "http://x"}])
async def test_a_server_needs_a_command_or_an_address(server: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="'sums' needs either a command or a url"):
        await mcp_tools({"sums": server})


async def test_a_server_that_does_not_start_is_named() -> None:
    with pytest.raises(ToolError, match=r"'sums' does not work: .*/no/such/program"):
        await mcp_tools({"sums": {"command": "/no/such/program"}})


async def test_no_servers_have_no_tools() -> None:
    assert await mcp_tools({}) == []


@pytest.mark.slow
async def test_a_real_server_answers_and_its_errors_are_messages() -> None:
    add, fail = await mcp_tools({"sums": SERVER})
    assert (add.name, add.description) == ("add", "Add two whole numbers.")
    call = {"type": "tool_call", "id": "1", "name": "add", "args": {"left": 2, "right": 40}}
    assert "42" in str((await add.ainvoke(call)).content)
    call = {"type": "tool_call", "id": "2", "name": "fail", "args": {"why": "no reason"}}
    answer = await fail.ainvoke(call)
    assert answer.status == "error" and "no reason" in str(answer.content)


@pytest.mark.slow
async def test_tools_of_the_same_name_need_a_prefix() -> None:
    with pytest.raises(InputError, match=r"\(add, fail\): use prefix=True"):
        await mcp_tools({"one": SERVER, "two": SERVER})
    names = [tool.name for tool in await mcp_tools({"one": SERVER, "two": SERVER}, prefix=True)]
    assert names == ["one_add", "one_fail", "two_add", "two_fail"]


@pytest.mark.slow
async def test_a_server_that_says_nothing_is_given_up() -> None:
    with pytest.raises(ToolError, match=r"within 0\.5 seconds"):
        await mcp_tools({"mute": {"command": "sleep", "args": ["60"]}}, seconds=0.5)
