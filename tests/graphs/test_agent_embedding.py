"""The agent's graph as a part of an app: a node of a bigger graph, several turns, a human behind a tool."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt

from actorcritic.graphs.tool_agent import tool_agent_graph
from tests.graphs.agent_world import Tools, ask, call, calls, passes, prompts, run, says, tool_texts


class AppState(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    answer: str | None
    checked: bool


async def test_is_a_node_of_a_bigger_graph() -> None:
    def prepare(state: AppState) -> AppState:
        return {"messages": [SystemMessage("Be exact.")]}

    def check(state: AppState) -> AppState:
        return {"checked": state["answer"] == "5"}

    actor = says(calls(call("add", a=2, b=3)), "5")
    app = StateGraph(AppState)
    app.add_node("prepare", prepare)
    app.add_node("agent", tool_agent_graph(actor, Tools().all, passes))
    app.add_node("check", check)
    app.add_edge(START, "prepare")
    app.add_edge("prepare", "agent")
    app.add_edge("agent", "check")
    app.add_edge("check", END)
    graph = app.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    stream: Any = graph.astream(ask(), config, stream_mode="custom", subgraphs=True, version="v2")
    parts = [part async for part in stream]
    assert [part["data"]["event"] for part in parts if part["data"]["event"] == "tool_called"]
    end = (await graph.aget_state(config)).values
    assert end["checked"] is True
    assert [type(message).__name__ for message in end["messages"]] == [
        "HumanMessage",
        "SystemMessage",
        "AIMessage",
        "ToolMessage",
        "AIMessage",
    ]


async def test_a_second_turn_goes_on_from_the_first() -> None:
    actor = says(calls(call("add", a=2, b=3)), "5", calls(call("multiply", a=5, b=4)), "20")
    graph = tool_agent_graph(actor, Tools().all)
    graph.checkpointer = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "t"}}
    first = await run(graph, ask("2 + 3?"), config)
    second = await run(graph, ask("times 4?"), config)
    assert first["answer"] == "5" and second["answer"] == "20" and len(second["messages"]) == 8
    assert second["result"]["usage"]["actor"]["calls"] == 2 and first["result"]["id"] != second["result"]["id"]


async def test_a_call_that_an_earlier_run_left_open_is_closed_for_the_model() -> None:
    left: Any = [
        HumanMessage("2 + 3?"),
        AIMessage("", tool_calls=[{"id": "1", "name": "add", "args": {"a": 2, "b": 3}}]),
        HumanMessage("still there?"),
    ]
    actor = says("yes")
    await run(tool_agent_graph(actor, Tools().all), {"messages": left})
    sent = prompts(actor)[0].prompt.content
    assert [message.role for message in sent if not isinstance(message, str)] == ["user", "assistant", "tool", "user"]


async def test_a_tool_may_ask_a_human() -> None:
    asked: list[str] = []

    def buy(what: str) -> str:
        """Buy something."""
        said = interrupt({"buy": what})
        asked.append(str(said))
        return f"bought: {said}"

    tools = Tools()
    made = calls(call("add", "1", a=1, b=1), call("buy", "2", what="milk"))
    graph = tool_agent_graph(says(made, "done"), [tools.add, buy])
    graph.checkpointer = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "t"}}
    first = await run(graph, config=config)
    assert first["__interrupt__"][0].value == {"buy": "milk"} and asked == []
    end = await graph.ainvoke(Command(resume="yes"), config)
    assert "bought: yes" in tool_texts(end["messages"])[1] and end["answer"] == "done"
    assert tools.made == ["add 1 1"]
