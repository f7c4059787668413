"""The tool agent with LangChain's chat model on vLLM's own server: a real model calls tools, streamed.

SmolLM2 with 135M parameters calls no tool of its own accord, so the server holds it to a tool call in every message
(`tool_choice="required"`): what it calls and with what is its own.
"""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_openai import ChatOpenAI

from actorcritic.engines.load import load_engine
from actorcritic.graphs.agent_state import ToolAgentSettings
from actorcritic.graphs.tool_agent import tool_agent_graph
from actorcritic.step_critics import ModelStepCritic
from tests.graphs.agent_world import Tools, ask, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),
]


class Forced(ChatOpenAI):
    """Must call a tool in every message."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return super().bind_tools(tools, tool_choice="required")


def forced(address: str) -> Forced:
    return Forced(base_url=address, api_key="none", model="smol", stream_usage=True, max_retries=0, temperature=0)  # type: ignore[arg-type]


SETTINGS = ToolAgentSettings(max_steps=3, max_tokens=128)


async def test_a_real_model_calls_tools_and_streams(vllm_server: str) -> None:
    tools = Tools()
    graph = tool_agent_graph(forced(vllm_server), [tools.add, tools.multiply], settings=SETTINGS)
    stream: Any = graph.astream(ask("Add 2 and 3."), stream_mode=["messages", "custom", "values"])
    chunks, kinds, end = 0, list[str](), dict[str, Any]()
    async for mode, part in stream:
        if mode == "messages":
            chunks += isinstance(part[0], AIMessageChunk)
        elif mode == "custom":
            kinds.append(part["event"])
        else:
            end = part
    called = [message for message in end["messages"] if isinstance(message, ToolMessage)]
    assert called and kinds.count("tool_called") == len(called) and chunks > 3 * 3
    assert end["result"]["stopped_by"] == "steps" and end["result"]["usage"]["actor"]["calls"] == 3
    assert end["result"]["usage"]["actor"]["completion_tokens"] > 0
    done = [message for message in called if message.status == "success"]
    assert len(done) == len(tools.made)


async def test_a_real_model_judges(vllm_server: str) -> None:
    """What it says may be unreadable, which is unscored; either way the agent comes to its end."""
    model = ChatOpenAI(base_url=vllm_server, api_key="none", model="smol", stream_usage=True, max_retries=0)  # type: ignore[arg-type]
    tools = Tools()
    settings = ToolAgentSettings(max_steps=2, max_tokens=128)
    end = await run(tool_agent_graph(forced(vllm_server), [tools.add], model, settings), ask("Add 2 and 3."))
    usage, rulings = end["result"]["usage"], end["result"]["rulings"]
    # Calls that cannot be carried out are judged by nobody.
    assert bool(rulings) == bool(tools.made or "block" in rulings) and usage["critic"]["calls"] >= sum(rulings.values())
    # A tool call that is cut off is an error of the server, which ends the turn as failed.
    assert end["result"]["stopped_by"] == ("failed" if end["result"]["failures"] else "steps")


async def test_a_schema_makes_a_real_critic_readable(vllm_server: str) -> None:
    engine = load_engine(f"openai:smol@{vllm_server}")
    judge = ModelStepCritic(engine, max_tokens=200, phases=["action"])
    tools = Tools()
    end = await run(tool_agent_graph(forced(vllm_server), [tools.add], judge, SETTINGS), ask("Add 2 and 3."))
    await engine.aclose()
    rulings = end["result"]["rulings"]
    assert bool(rulings) == bool(tools.made or "block" in rulings)
    assert "unscored" not in rulings or set(rulings) & {"pass", "warn", "block"}
