"""The tools of any MCP server as LangChain tools, through langchain-mcp-adapters.

Each call opens a session of its own. A server is the caller's choice and runs with the caller's rights: nothing here
confines it. What it says is a stranger's text wherever a model reads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from actorcritic.errors import InputError, ToolError

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool
    from langchain_mcp_adapters.sessions import Connection

__all__ = ["mcp_tools"]

START_LIMIT = 60.0
"""Seconds for all servers together to start and list their tools."""
WAYS = {"command": "stdio", "url": "streamable_http"}
"""The transport that a server without one is reached by, from what is said of it."""


async def mcp_tools(
    servers: Mapping[str, Mapping[str, Any]], *, prefix: bool = False, seconds: float = START_LIMIT
) -> list[BaseTool]:
    """Return the tools of MCP servers, in the order of the servers.

    A tool's own error comes back as its message.

    Args:
        servers: by name, as MCP configurations have them: `{"command": ..., "args": [...], "env": {...}}` for a
            program, `{"url": ..., "headers": {...}}` for an address; `transport` where it is neither `stdio` nor
            `streamable_http`.
        prefix: whether the name of each tool begins with that of its server.
        seconds: how long a server may take to list its tools, > 0.

    Raises:
        InputError: a server is described wrongly, two tools have one name, or langchain-mcp-adapters is not installed.
        ToolError: a server does not start or does not answer.
    """
    if find_spec("langchain_mcp_adapters") is None:
        raise InputError("MCP servers need langchain-mcp-adapters: pip install 'actorcritic[mcp]'")
    from langchain_mcp_adapters.client import MultiServerMCPClient  # noqa: PLC0415 - belongs to an extra

    client = MultiServerMCPClient(
        {name: _connection(name, server) for name, server in servers.items()}, tool_name_prefix=prefix
    )
    tools: list[BaseTool] = []
    for name in servers:
        try:
            async with asyncio.timeout(seconds):
                tools += await client.get_tools(server_name=name)
        except TimeoutError as error:
            raise ToolError(f"the MCP server {name!r} did not list its tools within {seconds:g} seconds") from error
        except Exception as error:
            raise ToolError(f"the MCP server {name!r} does not work: {_first(error)}") from error
    names = [tool.name for tool in tools]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"several MCP servers have tools of the same name ({', '.join(twice)}): use prefix=True")
    return tools


def _connection(name: str, server: Mapping[str, Any]) -> Connection:
    """Return a server's description with its transport and what a program is started with."""
    way = next((way for key, way in WAYS.items() if key in server), None)
    if way is None or ("command" in server and "url" in server):
        raise InputError(f"the MCP server {name!r} needs either a command or a url")
    whole: dict[str, Any] = {"transport": way, **server}
    if "command" in server:
        whole.setdefault("args", [])
    return cast("Connection", whole)


def _first(error: BaseException) -> str:
    """Return the first plain error in a group of them, on one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
