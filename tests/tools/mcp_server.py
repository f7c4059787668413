"""A real MCP server over standard input and output, for a test: `add` adds, `fail` fails."""

from __future__ import annotations

from mcp.server.fastmcp import FastMCP

server = FastMCP("sums")


@server.tool()
def add(left: int, right: int) -> int:
    """Add two whole numbers."""
    return left + right


@server.tool()
def fail(why: str) -> str:
    """Fail."""
    raise ValueError(why)


if __name__ == "__main__":
    server.run()
