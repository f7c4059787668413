"""An agent that broke off goes on: from its log or a checkpointer, with no finished call made twice."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

from actorcritic.agent_steps import AgentStep, Judgement
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.errors import RecordError
from actorcritic.graphs.agent_state import ToolAgentSettings
from actorcritic.graphs.human_critic import HumanStepCritic
from actorcritic.graphs.tool_agent import ToolAgentGraph, tool_agent_graph
from actorcritic.step_critics import FunctionStepCritic
from actorcritic.trajectory.agent_log import AgentLog
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.trajectory.reader import read_run
from actorcritic.trajectory.recorder import create_run
from actorcritic.types import GenerateRequest
from tests.graphs.agent_world import Tools, ask, call, calls, judge, run, says
from tests.house.source import ROOT

THREAD: Any = {"configurable": {"thread_id": "t"}}


def play(request: GenerateRequest) -> Reply:
    """Act by what stands in the conversation, so that any process plays the same."""
    text = str(request.prompt.content)
    done = text.count("role='tool'")
    if "went wrong" in text:
        return calls(call("add", "r", a=2, b=3)) if done == 0 else Reply(text="5")
    if done == 0:
        return calls(call("add", "1", a=1, b=1), call("multiply", "2", a=1, b=1), text="both")
    return calls(call("add", "3", a=9, b=9))


def rule(request: GenerateRequest) -> str:
    """Find after the second step that the first one was wrong."""
    text = str(request.prompt.content)
    return judge("block", step=1) if "18" in text else judge("pass")


def agent(log: AgentLog | None = None) -> tuple[ToolAgentGraph, ScriptedEngine, ScriptedEngine, Tools]:
    actor, critic, tools = ScriptedEngine(play, name="actor"), ScriptedEngine(rule, name="critic"), Tools()
    return tool_agent_graph(actor, tools.all, critic, log=log), actor, critic, tools


def without_run(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "run"}


async def test_the_log_is_an_episode(tmp_path: Path) -> None:
    with AgentLog.open(tmp_path / "run") as log:
        end = await run(agent(log)[0], config=THREAD)
    assert end["answer"] == "5" and end["result"]["run"] == str(tmp_path / "run")
    (episode,) = read_episodes(tmp_path / "run")
    assert episode.answer == "5" and episode.stopped_by == "accepted" and episode.best == 1
    first, second = episode.attempts
    assert (second.parent, second.action) == (0, "revise") and first.critique is not None
    assert first.critique.first_error == 0 and second.correct is None
    assert [(made.name, made.step, made.status) for made in first.tool_calls if made.name == "add"] == [
        ("add", 0, "done"),
        ("add", 1, "done"),
    ]
    assert {one.judgement.by for one in first.judgements} == {"critic"} and len(first.judgements) == 4
    assert first.solution is not None and first.solution.steps[0].observation is not None
    assert first.solution.steps[0].observation.text == "add: 2\nmultiply: 1"
    assert [origin.role for origin in episode.provenance.models] == ["actor", "critic"]
    assert episode.spend.total.logical_tokens == end["result"]["usage"]["total_tokens"]
    assert episode.problem.text == "How much is 2 + 3, and then times 4?"


async def test_goes_on_from_any_place_in_the_log(tmp_path: Path) -> None:
    with AgentLog.open(tmp_path / "whole") as log:
        graph, actor, critic, tools = agent(log)
        whole = await run(graph, config=THREAD)
    lines = (tmp_path / "whole/events/main.jsonl").read_bytes().splitlines(keepends=True)
    made = (len(actor.calls), len(critic.calls), len(tools.made))
    assert made == (4, 7, 4)
    for kept in range(len(lines) + 1):
        folder = tmp_path / f"kept{kept}"
        shutil.copytree(tmp_path / "whole", folder)
        head = lines[:kept]
        torn = lines[kept][: len(lines[kept]) // 2] if kept < len(lines) else b""
        (folder / "events/main.jsonl").write_bytes(b"".join(head) + torn)
        before = [json.loads(line) for line in head]
        had = (
            sum(event["kind"] == "called" and event["payload"]["role"] == "actor" for event in before),
            sum(event["kind"] == "called" and event["payload"]["role"] == "critic" for event in before),
            sum(event["kind"] == "tool_called" for event in before),
        )
        with AgentLog.open(folder) as log:
            graph, actor, critic, tools = agent(log)
            again = await run(graph, config=THREAD)
        new = (len(actor.calls), len(critic.calls), len(tools.made))
        assert tuple(one + two for one, two in zip(had, new, strict=True)) == made, f"after {kept} events"
        assert without_run(again["result"]) == without_run(whole["result"])
        assert [m.content for m in again["messages"]] == [m.content for m in whole["messages"]]
        (episode,) = read_episodes(folder)
        assert episode.finished and len(episode.attempts) == 2
        assert sum(len(attempt.judgements) for attempt in episode.attempts) == made[1], f"after {kept} events"


async def test_a_finished_conversation_is_not_paid_for_again(tmp_path: Path) -> None:
    with AgentLog.open(tmp_path) as log:
        graph = agent(log)[0]
        assert (await run(graph, config=THREAD))["result"] == (await run(graph, config=THREAD))["result"]
    with AgentLog.open(tmp_path) as log:
        graph, actor, critic, tools = agent(log)
        await run(graph, config=THREAD)
    assert (len(actor.calls), len(critic.calls), tools.made) == (0, 0, [])
    assert len(read_run(tmp_path).head.problems) == 1


async def test_what_a_human_or_a_function_said_is_not_asked_again(tmp_path: Path) -> None:
    asked: list[int] = []

    def look(step: AgentStep) -> Judgement:
        asked.append(step.index)
        return Judgement.passed()

    def graph_on(log: AgentLog, *replies: Any) -> ToolAgentGraph:
        careful = HumanStepCritic(answers=False)
        graph = tool_agent_graph(says(*replies), Tools().all, [look, careful], log=log)
        graph.checkpointer = InMemorySaver()  # another one each time: the log alone remembers
        return graph

    made = calls(call("add", "1", a=1, b=1))
    with AgentLog.open(tmp_path) as log:
        graph = graph_on(log, made, made)
        await run(graph, config=THREAD)
        waiting = await graph.ainvoke(Command(resume="pass"), THREAD)
        assert waiting["__interrupt__"][0].value["step"] == 1
    before = list(asked)
    with AgentLog.open(tmp_path) as log:
        graph = graph_on(log, "done")
        again = await run(graph, config=THREAD)
        assert again["__interrupt__"][0].value["step"] == 1 and asked == before
        end = await graph.ainvoke(Command(resume="pass"), THREAD)
    assert end["answer"] == "done" and asked == [*before, 1, 2]


async def test_without_a_thread_two_runs_share_nothing(tmp_path: Path) -> None:
    """Two people may ask the same at the same time; what a tool said to one is not the other's."""
    with AgentLog.open(tmp_path) as log:
        graph, actor, _, tools = agent(log)
        first, second = await asyncio.gather(run(graph), run(graph))
    assert len(actor.calls) == 8 and len(tools.made) == 8 and first["result"]["id"] != second["result"]["id"]
    assert set(Counter(made.request.seed for made in actor.calls).values()) == {2}
    assert len(list(read_episodes(tmp_path))) == 2


async def test_another_conversation_is_another_problem(tmp_path: Path) -> None:
    with AgentLog.open(tmp_path) as log:
        graph = tool_agent_graph(says("a", "b"), log=log)
        await run(graph, ask("first"), THREAD)
        await run(graph, ask("second"), THREAD)
    assert [episode.answer for episode in read_episodes(tmp_path)] == ["a", "b"]
    assert json.loads((tmp_path / "run.json").read_text())["problems"] == 2


async def test_a_checkpointer_keeps_the_tools_that_have_ended(tmp_path: Path) -> None:
    """One of three tools dies with its process; the other two are not called again."""
    tools = Tools()
    died = [True]

    class Died(BaseException):
        """Stands for the end of a process."""

    async def die(once: str) -> str:
        """Die the first time."""
        for _ in range(50):  # let the others end
            await asyncio.sleep(0)
        if died.pop() if died else False:
            raise Died
        return "alive"

    async def one(a: int) -> int:
        """Count."""
        tools.made.append(f"one {a}")
        return a

    made = calls(call("one", "1", a=1), call("die", "2", once="x"), call("one", "3", a=3))
    actor = says(made, "done")
    config: Any = {"configurable": {"thread_id": "t"}}
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        graph = tool_agent_graph(actor, [one, die])
        graph.checkpointer = saver
        with pytest.raises(Died):
            await graph.ainvoke(ask(), config, durability="sync")
        fresh = tool_agent_graph(actor, [one, die])
        fresh.checkpointer = saver
        end = await fresh.ainvoke(None, config)
    assert end["answer"] == "done" and sorted(tools.made) == ["one 1", "one 3"] and len(actor.calls) == 2


async def test_a_checkpointer_resumes_between_any_two_nodes(tmp_path: Path) -> None:
    whole_graph, actor, critic, tools = agent()
    whole = await run(whole_graph, config=THREAD)
    made = (len(actor.calls), len(critic.calls), len(tools.made))
    for stop in range(2, 20, 3):
        graph, actor, critic, tools = agent()
        graph.checkpointer = InMemorySaver()
        config: Any = {"configurable": {"thread_id": "t"}}
        seen = 0
        # Values come when a node's work is done and kept; a tool that runs in a thread cannot be called back.
        async for _ in graph.astream(ask(), config, stream_mode="values", durability="sync"):
            seen += 1
            if seen == stop:
                break
        end = await graph.ainvoke(None, config)
        assert (len(actor.calls), len(critic.calls), len(tools.made)) == made
        assert end["answer"] == whole["answer"]
        assert {**end["result"], "id": ""} == {**whole["result"], "id": ""}


async def test_cancelling_leaves_the_log_whole(tmp_path: Path) -> None:
    tools = Tools()
    made = calls(call("add", "1", a=1, b=1), call("wait", "2", who="x"))
    with AgentLog.open(tmp_path) as log:
        graph = tool_agent_graph(says(made), tools.all, log=log)
        task = asyncio.create_task(run(graph, config=THREAD))
        while len(tools.made) < 2 or not any("add" in line for line in _lines(tmp_path, "tool_called")):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(_lines(tmp_path, "interrupted")) == 1 and not read_run(tmp_path).torn
    again = Tools()
    again.gate.set()
    with AgentLog.open(tmp_path) as log:
        end = await run(tool_agent_graph(says("done"), again.all, log=log), config=THREAD)
    assert end["answer"] == "done" and again.made == ["wait x"]


async def test_cancelling_a_model_call_leaves_the_log_whole(tmp_path: Path) -> None:
    actor = says("never", latencies=[60.0])
    with AgentLog.open(tmp_path) as log:
        task = asyncio.create_task(run(tool_agent_graph(actor, log=log), config=THREAD))
        while not actor.running:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(_lines(tmp_path, "interrupted")) == 1 and actor.calls[0].cancelled
    with AgentLog.open(tmp_path) as log:
        assert (await run(tool_agent_graph(says("now"), log=log), config=THREAD))["answer"] == "now"


def _lines(folder: Path, kind: str) -> list[str]:
    text = (folder / "events/main.jsonl").read_text()
    return [line for line in text.splitlines() if f'"kind":"{kind}"' in line]


PROGRAM = """
import asyncio, json, os, sys
from langchain_core.messages import HumanMessage
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.graphs.human_critic import HumanStepCritic
from actorcritic.graphs.tool_agent import tool_agent_graph
from actorcritic.trajectory.agent_log import AgentLog
from actorcritic.types import ToolCall

folder, notes, dies = sys.argv[1], sys.argv[2], sys.argv[3] == "dies"

def write(word: str) -> str:
    "Write a word."
    with open(notes, "a") as file:
        file.write(word + "\\n")
    if dies and word == "two":
        os.kill(os.getpid(), 9)
    return "written"

words = ["one", "two", "three"]

def play(request):
    done = sum(message.role == "tool" for message in request.prompt.content)
    if done == 3:
        return "all written"
    return Reply(tool_calls=(ToolCall(id=str(done), name="write", arguments=json.dumps({"word": words[done]})),))

with AgentLog.open(folder) as log:
    graph = tool_agent_graph(ScriptedEngine(play), [write], log=log)
    thread = {"configurable": {"thread_id": "t"}}
    end = asyncio.run(graph.ainvoke({"messages": [HumanMessage("write")]}, thread))
print(end["answer"])
"""


def test_a_killed_process_loses_no_finished_tool(tmp_path: Path) -> None:
    """`kill -9` in the second tool: the first is not called again, the second is, since nobody knows what became."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "run"), str(tmp_path / "notes")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.run([*command, "dies"], env=environment, capture_output=True, text=True, check=False)
    assert first.returncode == -9
    second = subprocess.run([*command, "lives"], env=environment, capture_output=True, text=True, check=False)
    assert second.stdout == "all written\n", second.stderr
    assert (tmp_path / "notes").read_text().split() == ["one", "two", "two", "three"]


def test_another_kind_of_run_is_refused(tmp_path: Path) -> None:
    create_run(tmp_path, run="r", config={"strategy": "revise"}, problems=(), created="2026-01-01T00:00:00+00:00")
    with pytest.raises(RecordError, match="run of another kind"):
        AgentLog.open(tmp_path)


def test_a_folder_has_one_writer_of_a_name(tmp_path: Path) -> None:
    with AgentLog.open(tmp_path), pytest.raises(RecordError, match="in use"):
        AgentLog.open(tmp_path)


async def test_two_threads_at_once_do_not_touch_each_other(tmp_path: Path) -> None:
    def look(step: AgentStep) -> Judgement:
        return Judgement.passed()

    with AgentLog.open(tmp_path) as log:
        graph = tool_agent_graph(
            ScriptedEngine(lambda request: f"re: {request.prompt.content[-1].content}"),  # type: ignore[union-attr]
            [],
            FunctionStepCritic(look),
            ToolAgentSettings(),
            log=log,
        )
        ends = await asyncio.gather(*(run(graph, ask(f"q{i}")) for i in range(5)))
    assert [end["answer"] for end in ends] == [f"re: q{i}" for i in range(5)]
    assert sorted(str(episode.answer) for episode in read_episodes(tmp_path)) == [f"re: q{i}" for i in range(5)]
