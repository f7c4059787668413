"""A small world for agents: scripted actors and critics, tools that count, fail, wait and lie."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage

from actorcritic.agent_steps import AgentStep, Judgement
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.graphs.tool_agent import ToolAgentGraph
from actorcritic.types import GenerateRequest, ToolCall

QUESTION = "How much is 2 + 3, and then times 4?"


def ask(text: str = QUESTION) -> Any:
    """What goes into the graph."""
    return {"messages": [HumanMessage(text)]}


def call(name: str, ident: str = "c1", **arguments: Any) -> ToolCall:
    return ToolCall(id=ident, name=name, arguments=json.dumps(arguments))


def calls(*made: ToolCall, text: str = "") -> Reply:
    return Reply(text=text, tool_calls=made)


def says(*replies: str | Reply, name: str = "actor", **options: Any) -> ScriptedEngine:
    return ScriptedEngine(list(replies), name=name, **options)


class Tools:
    """Tools that remember who called them."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.gate = asyncio.Event()

    def add(self, a: int, b: int) -> int:
        """Add two numbers."""
        self.made.append(f"add {a} {b}")
        return a + b

    def multiply(self, a: int, b: int) -> int:
        """Multiply two numbers."""
        self.made.append(f"multiply {a} {b}")
        return a * b

    def fail(self, why: str) -> str:
        """Fail."""
        self.made.append(f"fail {why}")
        raise RuntimeError(why)

    async def wait(self, who: str) -> str:
        """Wait until the gate is open."""
        self.made.append(f"wait {who}")
        await self.gate.wait()
        return f"{who} waited"

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [self.add, self.multiply, self.fail, self.wait]


async def run(graph: ToolAgentGraph, question: Any = None, config: Any = None) -> Any:
    """Run to the end and return what comes out."""
    return await graph.ainvoke(question if question is not None else ask(), config)


async def events(graph: ToolAgentGraph, config: Any = None) -> list[dict[str, Any]]:
    """Run to the end and return what was streamed."""
    return [event async for event in graph.astream(ask(), config, stream_mode="custom") if isinstance(event, dict)]


def tool_texts(messages: Sequence[AnyMessage]) -> list[str]:
    return [message.text for message in messages if isinstance(message, ToolMessage)]


def prompts(engine: ScriptedEngine) -> list[GenerateRequest]:
    return [made.request for made in engine.calls]


def passes(step: AgentStep) -> Judgement:
    return Judgement.passed()


def judge(ruling: str, **fields: Any) -> str:
    """What a model critic writes."""
    return json.dumps({"explanation": f"because {ruling}", **fields, "ruling": ruling})
