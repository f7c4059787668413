"""A human as the critic of an agent's steps, asked through an interrupt."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from actorcritic.budget import Budget
from actorcritic.graphs.agent_state import ToolAgentSettings
from actorcritic.graphs.human_critic import HumanStepCritic
from actorcritic.graphs.tool_agent import tool_agent_graph
from actorcritic.trajectory.agent_log import AgentLog
from actorcritic.trajectory.events import Kind
from actorcritic.trajectory.recorder import MemoryRecorder
from tests.graphs.agent_world import Tools, call, calls, judge, passes, run, says


def thread() -> Any:
    return {"configurable": {"thread_id": "t"}}


async def test_a_human_judges_through_an_interrupt_and_the_log_says_so() -> None:
    tools, seen = Tools(), MemoryRecorder()
    actor = says(calls(call("multiply", a=2, b=3)), calls(call("add", a=2, b=3)), "5")
    graph = tool_agent_graph(actor, tools.all, "human", log=AgentLog(seen))
    graph.checkpointer = InMemorySaver()
    first = await run(graph, config=thread())
    shown = first["__interrupt__"][0].value
    assert shown["ask"] == "judge_step" and shown["calls"] == [{"name": "multiply", "arguments": '{"a": 2, "b": 3}'}]
    assert json.loads(json.dumps(shown)) == shown and shown["rulings"] == ["pass", "warn", "block"]
    second = await graph.ainvoke(Command(resume={"ruling": "block", "explanation": "I want a sum"}), thread())
    assert second["__interrupt__"][0].value["calls"][0]["name"] == "add" and tools.made == []
    third = await graph.ainvoke(Command(resume="pass"), thread())
    assert third["__interrupt__"][0].value["answer"] is True and tools.made == ["add 2 3"]
    end = await graph.ainvoke(Command(resume="pass"), thread())
    assert end["answer"] == "5" and end["result"]["stopped_by"] == "accepted"
    said = [event.payload["judgement"] for event in seen.events if event.kind is Kind.STEP_JUDGED]
    assert [(one["by"], one["ruling"]) for one in said if isinstance(one, dict)] == [
        ("human", "block"),
        ("human", "pass"),
        ("human", "pass"),
    ]
    assert len(actor.calls) == 3


@pytest.mark.parametrize(
    "reply",
    [
        "maybe",
        {"ruling": None},
        3,
        {"ruling": "block", "calls": [4]},
        {"ruling": "pass", "score": 7},
        {"ruling": "unscored"},
    ],
)
async def test_what_a_human_says_that_cannot_be_read_is_asked_for_again(reply: Any) -> None:
    tools = Tools()
    graph = tool_agent_graph(says(calls(call("add", a=2, b=3)), "5"), tools.all, HumanStepCritic(answers=False))
    graph.checkpointer = InMemorySaver()
    await run(graph, config=thread())
    again = await graph.ainvoke(Command(resume=reply), thread())
    assert again["__interrupt__"][0].value["error"] and tools.made == []
    end = await graph.ainvoke(Command(resume="pass"), thread())
    assert end["answer"] == "5" and tools.made == ["add 2 3"]


async def test_a_human_is_asked_about_some_tools_only() -> None:
    tools = Tools()
    actor = says(calls(call("add", a=2, b=3)), calls(call("multiply", a=5, b=4)), "20")
    careful = HumanStepCritic(tools=["multiply"], answers=False, phases=["action", "observation"])
    graph = tool_agent_graph(actor, tools.all, [passes, careful])
    graph.checkpointer = InMemorySaver()
    first = await run(graph, config=thread())
    assert tools.made == ["add 2 3"] and first["__interrupt__"][0].value["phase"] == "action"
    second = await graph.ainvoke(Command(resume="pass"), thread())
    assert second["__interrupt__"][0].value["results"] == [{"status": "done", "text": "20"}]
    end = await graph.ainvoke(Command(resume={"ruling": "pass", "score": 0.5}), thread())
    assert end["answer"] == "20"


async def test_a_human_after_a_model_costs_the_model_once() -> None:
    critic = says(judge("pass"), name="critic")
    graph = tool_agent_graph(says("5"), [], [critic, "human"])
    graph.checkpointer = InMemorySaver()
    await run(graph, config=thread())
    end = await graph.ainvoke(Command(resume="pass"), thread())
    assert len(critic.calls) == 1 and end["result"]["usage"]["critic"]["calls"] == 1 and end["answer"] == "5"


async def test_waiting_for_a_human_takes_no_time_of_the_budget() -> None:
    settings = ToolAgentSettings(budget=Budget(seconds=30))
    graph = tool_agent_graph(says("5"), [], "human", settings)
    graph.checkpointer = InMemorySaver()
    await run(graph, config=thread())
    saved = (await graph.aget_state(thread())).values["progress"]["seconds_left"]
    assert 20 < saved <= 30
    end = await graph.ainvoke(Command(resume="pass"), thread())
    assert end["result"]["stopped_by"] == "accepted"
