"""Runs a LangChain tool as LangGraph's own tool node does: with state, store and runtime where it asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode

from actorcritic.errors import ToolError
from actorcritic.tools.running import Invoke

__all__ = ["tool_invoker"]


def tool_invoker(tools: Sequence[BaseTool]) -> Callable[[RunnableConfig], Invoke]:
    """Return what runs one of these tools within a node, given the node's configuration."""
    node = ToolNode(list(tools), handle_tool_errors=False)

    def within(config: RunnableConfig) -> Invoke:
        async def invoke(tool: BaseTool, asked: dict[str, Any]) -> ToolMessage:
            given: Any = await node.ainvoke([asked], config)
            said = cast("list[Any]", given["messages"] if isinstance(given, dict) else given)
            if len(said) == 1 and isinstance(said[0], ToolMessage):
                return said[0]
            raise ToolError(f"{tool.name} returned a command to the graph, which an agent does not carry out")

        return invoke

    return within
