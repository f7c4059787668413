"""LangChain's own chat model of OpenAI's API in the tool agent, over real HTTP against a scripted server, streaming.

The server speaks server-sent events as vLLM and OpenAI do: text in pieces, tool calls in pieces of their arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from actorcritic.engines.openai import OpenAIEngine
from actorcritic.graphs.agent_state import ToolAgentSettings
from actorcritic.graphs.tool_agent import tool_agent_graph
from actorcritic.step_critics import ModelStepCritic
from actorcritic.types import ToolCall
from tests.engines.openai.api import Api, serving
from tests.graphs.agent_world import Tools, ask, call, calls, judge, run, says, tool_texts

SCRIPT = (
    calls(call("add", "1", a=2, b=3), call("fail", "2", why="no luck"), call("nonsense", "3"), text="Let me see."),
    calls(ToolCall(id="4", name="add", arguments='{"a": 2, "b"')),
    calls(call("multiply", "5", a=5, b=4)),
    "The answer is 20.",
)


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(Api(engine=says(*SCRIPT), model="m")) as served:
        yield served


def chat(api: Api, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(base_url=api.url, api_key="none", model="m", stream_usage=True, max_retries=0, **options)  # type: ignore[arg-type]


async def test_a_chat_model_calls_tools_over_http(api: Api) -> None:
    tools = Tools()
    end = await run(tool_agent_graph(chat(api), tools.all))
    assert end["answer"] == "The answer is 20." and end["result"]["stopped_by"] == "completed"
    assert tools.made == ["add 2 3", "fail no luck", "multiply 5 4"]
    texts = "\n".join(tool_texts(end["messages"]))
    assert "failed with RuntimeError" in texts and 'no tool "nonsense"' in texts and '{"a": 2, "b"' in texts
    assert [tool["function"]["name"] for tool in api.requests[0]["tools"]] == ["add", "multiply", "fail", "wait"]
    roles = [message["role"] for message in api.requests[1]["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "tool"]
    assert end["result"]["usage"]["actor"]["calls"] == 4 and end["result"]["budget"] == "estimated"


async def test_tokens_and_events_stream_as_they_come(api: Api) -> None:
    graph = tool_agent_graph(chat(api), Tools().all)
    pieces: list[str] = []
    whole: list[str] = []
    kinds: list[str] = []
    stream: Any = graph.astream(ask(), stream_mode=["messages", "custom"])
    async for mode, part in stream:
        if mode == "custom":
            kinds.append(part["event"])
            continue
        message, metadata = part
        assert metadata["langgraph_node"] in ("begin", "actor", "critic", "tool", "observe")
        if isinstance(message, AIMessageChunk):
            assert metadata["langgraph_node"] == "actor"
            pieces += [message.text] if message.text else []
        elif isinstance(message, AIMessage):
            whole.append(message.text)
    assert "".join(pieces) == "The answer is 20." and len(pieces) == 4
    assert whole == [], "a message that was streamed does not come a second time"
    assert kinds.count("tool_called") == 5 and kinds[0] == "asked" and kinds[-1] == "finished"
    assert all(request["stream"] for request in api.requests)


async def test_astream_events_show_models_and_tools(api: Api) -> None:
    graph = tool_agent_graph(chat(api), Tools().all)
    seen: dict[str, int] = {}
    async for event in graph.astream_events(ask(), version="v2"):
        seen[event["event"]] = seen.get(event["event"], 0) + 1
    assert seen["on_chat_model_start"] == seen["on_chat_model_end"] == 4
    assert seen["on_chat_model_stream"] > 10 and seen["on_tool_start"] == 3 and seen["on_tool_error"] == 1


async def test_updates_and_values_stream_too(api: Api) -> None:
    graph = tool_agent_graph(chat(api), Tools().all)
    nodes = [name async for update in graph.astream(ask(), stream_mode="updates") for name in update]
    assert nodes[:3] == ["begin", "actor", "tool"] and nodes.count("actor") == 4 and nodes[-1] == "actor"


async def test_one_chat_model_plays_both_roles() -> None:
    engine = says(
        calls(call("add", "1", a=2, b=3)),
        f"Sure:\n```json\n{judge('pass')}\n```",
        judge("warn", step=1),
        "5",
        judge("pass"),
    )
    with serving(Api(engine=engine, model="m")) as served:
        model = chat(served, temperature=0.3)
        end = await run(tool_agent_graph(model, Tools().all, model))
        temperatures = [request.get("temperature") for request in served.requests]
    assert end["answer"] == "5" and end["result"]["rulings"] == {"pass": 2, "warn": 1}
    assert end["result"]["usage"]["critic"]["calls"] == 3 and "because warn" in tool_texts(end["messages"])[0]
    assert temperatures == [0.3, 0.0, 0.0, 0.3, 0.0], "the actor's own setting is left alone; a critic is greedy"


async def test_a_human_in_the_loop_over_http(api: Api) -> None:
    graph = tool_agent_graph(chat(api), Tools().all, "human")
    graph.checkpointer = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "t"}}
    end = await graph.ainvoke(ask(), config)
    asked = 0
    while "__interrupt__" in end:
        asked += 1
        end = await graph.ainvoke(Command(resume="pass"), config)
    # The second step has no call that can be carried out, so nobody is asked about it.
    assert asked == 3 and end["answer"] == "The answer is 20." and len(api.requests) == 4


async def test_our_own_engine_over_http(api: Api) -> None:
    engine = OpenAIEngine.connect("m", api.url, name="openai:m")
    end = await run(tool_agent_graph(engine, Tools().all, settings=ToolAgentSettings(max_tokens=64)))
    await engine.aclose()
    assert end["answer"] == "The answer is 20." and end["result"]["tool_calls"] == 3


async def test_a_critic_with_tools_over_http() -> None:
    critic = says(calls(call("add", "k", a=2, b=3)), judge("pass"), name="critic")
    with serving(Api(engine=critic, model="c")) as served:
        model = OpenAIEngine.connect("c", served.url)
        grounded = ModelStepCritic(model, tools=Tools().all)
        end = await run(tool_agent_graph(says("5"), [], grounded))
        await model.aclose()
    assert end["result"]["stopped_by"] == "accepted" and end["result"]["tool_calls"] == 1


async def test_parallel_tools_of_a_chat_model_are_messages_in_order(api: Api) -> None:
    end = await run(tool_agent_graph(chat(api), Tools().all))
    first = [message for message in end["messages"] if isinstance(message, ToolMessage)][:3]
    assert {message.tool_call_id for message in first} == {"1", "2", "3"}
