"""The refinement graph: streams, checkpoints, resumes, nests, and never dies of the recursion limit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph

from actorcritic.budget import Budget
from actorcritic.critic import FunctionCritic
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import EngineError, InputError
from actorcritic.graphs.refinement import RefinementGraph, RefinementState, refinement_graph
from actorcritic.graphs.settings import SearchSettings
from actorcritic.records import problem_of
from actorcritic.search.strategies import parse_strategy
from actorcritic.trajectory.episodes import Episode, episode_of
from actorcritic.trajectory.events import Kind
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.reader import RunFacts
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.types import Critique, Problem, Solution, StepCritique, Verdict
from tests.graphs.world import HARD, world

TEXT = "Use 3, 5, 8 and 11 to make 24."


def settings(strategy: str = "revise", **limits: Any) -> SearchSettings:
    return SearchSettings(strategy=parse_strategy(strategy), budget=Budget(**limits), seed=5)


def graph(how: SearchSettings | None = None, **kwargs: Any) -> RefinementGraph:
    actor, critic = world(**kwargs)
    return refinement_graph(actor, critic, how)


async def test_goes_from_a_problem_to_an_answer() -> None:
    end = await graph(settings(tokens=20_000)).ainvoke({"problem": TEXT})
    result: Any = end["result"]
    assert result["stopped_by"] == "accepted" and end["answer"] == result["solution"]["steps"][-1]["text"]
    assert result["critique"]["first_error"] is None and result["correct"] is None
    # The critic is asked about each solution once, however often the actor writes it.
    assert result["usage"]["actor"]["calls"] == result["attempts"] > result["usage"]["critic"]["calls"]
    assert end["progress"] is None


async def test_streams_every_move_and_critique() -> None:
    kinds: list[str] = []
    async for event in graph(settings("revise:rounds=12")).astream({"problem": TEXT}, stream_mode="custom"):
        assert isinstance(event, dict)
        kinds.append(event["event"])
    assert kinds[:5] == ["asked", "called", "proposed", "called", "critiqued"]
    assert "revised" in kinds and kinds[-1] == "finished"
    assert kinds.count("committed") == kinds.count("asked")


@pytest.mark.parametrize("tokens", [30, 60, 130, 500])
async def test_keeps_to_the_token_budget(tokens: int) -> None:
    end = await graph(settings(tokens=tokens)).ainvoke({"problem": TEXT})
    result: Any = end["result"]
    assert result["usage"]["total_tokens"] <= tokens and result["stopped_by"] in ("tokens", "accepted")


async def test_gives_up_after_its_rounds_with_the_best_so_far() -> None:
    end = await graph(settings("revise:rounds=3")).ainvoke({"problem": TEXT})
    result: Any = end["result"]
    assert result["stopped_by"] == "completed" and result["attempts"] == 3 and end["answer"] is not None


async def test_resumes_from_a_checkpoint_without_paying_twice(tmp_path: Path) -> None:
    how = settings("revise:rounds=6")
    whole = await graph(how).ainvoke({"problem": TEXT})
    actor, critic = world(failures=None)
    engine = actor.engine
    assert isinstance(engine, ScriptedEngine)
    broken = refinement_graph(actor, critic, how)
    thread: Any = {"configurable": {"thread_id": "t"}}
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as saver:
        broken.checkpointer = saver
        seen = 0
        async for _ in broken.astream({"problem": TEXT}, thread, stream_mode="updates", durability="sync"):
            seen += 1
            if seen == 5:
                break
    before = len(engine.calls)
    assert before == 2
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as saver:
        broken.checkpointer = saver
        end = await broken.ainvoke(None, thread)
    assert end["result"] == whole["result"]
    assert len(engine.calls) == whole["result"]["usage"]["actor"]["calls"]


async def test_works_as_a_subgraph_of_an_app_with_a_context_of_its_own() -> None:
    class AppState(TypedDict, total=False):
        problem: str
        answer: str | None
        note: str

    class AppContext(TypedDict):
        user: str

    def say(state: AppState) -> AppState:
        return {"note": f"the answer is {state['answer']}"}

    app = StateGraph(AppState, context_schema=AppContext)
    app.add_node("refine", graph(settings("revise:rounds=4")))
    app.add_node("say", say)
    app.add_edge(START, "refine")
    app.add_edge("refine", "say")
    app.add_edge("say", END)
    compiled = app.compile()
    end = await compiled.ainvoke({"problem": TEXT}, context=AppContext(user="somebody"))
    assert end["note"] == f"the answer is {end['answer']}" and end["answer"]
    stream: Any = compiled.astream(
        {"problem": TEXT}, context=AppContext(user="somebody"), stream_mode="custom", subgraphs=True
    )
    names = [event["event"] async for _, event in stream]
    assert "proposed" in names and "critiqued" in names


async def test_a_low_recursion_limit_ends_with_the_best_so_far() -> None:
    end = await graph(settings("revise:rounds=40")).ainvoke({"problem": TEXT}, {"recursion_limit": 14})
    result: Any = end["result"]
    assert result["stopped_by"] == "exhausted" and 2 <= result["attempts"] < 40 and end["answer"] is not None


async def test_a_failed_call_is_data() -> None:
    failures = {0: EngineError("the first call fails")}
    end = await graph(settings("revise:rounds=3"), failures=failures).ainvoke({"problem": TEXT})
    result: Any = end["result"]
    assert [failure["message"] for failure in result["failures"]] == ["the first call fails"]
    assert end["answer"] is not None


async def test_takes_any_critic() -> None:
    def never_right(problem: Problem, solution: Solution) -> Critique:
        steps = [StepCritique(verdict=Verdict.CORRECT) for _ in solution.steps]
        steps[-1] = StepCritique(verdict=Verdict.INCORRECT, explanation="I do not like it")
        return Critique(steps=tuple(steps), verdict=Verdict.INCORRECT, score=0.1)

    actor, _ = world()
    end = await refinement_graph(actor, FunctionCritic(never_right), settings("revise:rounds=3")).ainvoke(
        {"problem": TEXT}
    )
    result: Any = end["result"]
    assert result["critique"]["steps"][-1]["explanation"] == "I do not like it"
    assert result["usage"]["critic"]["calls"] == 0 and result["attempts"] == 3


async def test_a_gold_answer_is_refused() -> None:
    with pytest.raises(InputError, match="gold answer"):
        await graph().ainvoke({"problem": {"problem": TEXT, "answer": "24"}})


async def test_the_state_is_plain_json() -> None:
    state: RefinementState = {"problem": HARD.text}
    async for update in graph(settings("revise:rounds=3")).astream(state, stream_mode="values"):
        json.dumps({key: value for key, value in update.items() if key != "remaining_steps"})


class Log:
    """The journals of a graph's nodes: each goes on where the log has come to."""

    def __init__(self) -> None:
        self.recorder = MemoryRecorder()

    def journal(self, problem: Problem) -> TrajectoryJournal:
        return TrajectoryJournal(self.recorder, run="r", problem=problem.id, next_seq=len(self.recorder.events))

    @property
    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.recorder.events]

    def episode(self) -> Episode:
        problem = problem_of(TEXT)
        return episode_of(RunFacts(run="r", created="t", config={}, problems=1), problem, None, self.recorder.events)


async def test_time_travel_makes_a_fork_in_the_log() -> None:
    log, (actor, critic) = Log(), world()
    # Under this seed no solution is written twice, so that every trial asks the critic.
    how = replace(settings("revise:rounds=4"), seed=2)
    travelled = refinement_graph(actor, critic, how, journal=log.journal)
    travelled.checkpointer = InMemorySaver()
    thread: Any = {"configurable": {"thread_id": "t"}}
    whole: Any = (await travelled.ainvoke({"problem": TEXT}, thread))["result"]
    before = log.episode()
    assert before.fork is None and len(before.attempts) == whole["attempts"] == 4 and "forked" not in log.kinds
    past = [state async for state in travelled.aget_state_history(thread) if state.next == ("critique",)][-2]
    # The second trial is written already: its critique and all that follows happen again.
    changed = await travelled.aupdate_state(past.config, {"problem": TEXT}, as_node="revise")
    again: Any = (await travelled.ainvoke(None, changed))["result"]
    after = log.episode()
    assert log.kinds.count("forked") == 1 and after.fork == log.kinds.index("forked")
    assert [attempt.solution for attempt in after.attempts] == [attempt.solution for attempt in before.attempts]
    assert all(len(attempt.calls) == 2 and attempt.settled for attempt in after.attempts) and after.finished
    assert after.left.total.calls == 6 and after.spend.total.calls == 8 and again["attempts"] == 4


async def test_a_node_that_is_run_again_after_a_crash_leaves_no_trial_twice() -> None:
    log, (actor, critic) = Log(), world()

    broken = refinement_graph(actor, critic, settings("revise:rounds=3"), journal=log.journal)
    broken.checkpointer = InMemorySaver()
    thread: Any = {"configurable": {"thread_id": "t"}}
    async for _ in broken.astream({"problem": TEXT}, thread, stream_mode="updates", durability="sync"):
        if log.kinds.count("asked") == 2:
            break
    # As a crash leaves it: the second trial's call was logged, its node's state was not saved.
    log.journal(problem_of(TEXT)).note(Kind.BUDGET, payload={"limit": "tokens"})
    await broken.ainvoke(None, thread)
    episode = log.episode()
    assert log.kinds.count("forked") == 1 and episode.finished and len(episode.attempts) == 3
    assert episode.spend.total.calls == sum(len(attempt.calls) for attempt in episode.attempts)
