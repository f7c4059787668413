"""The search graph: from a problem to a result, many at once, and with the critic that the strategy needs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest

from actorcritic.budget import Budget, Spend
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import InputError, RecordError
from actorcritic.graphs.session import ProblemResult, Session, SilentJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, solve_all, tree_search_graph
from actorcritic.records import ResultRecord
from actorcritic.search.strategies import parse_strategy
from actorcritic.tasks.oracle import OracleCritic
from actorcritic.types import Failure, Outcome, Problem, Trial
from tests.graphs.world import world

TEXT = "Use 3, 5, 8 and 11 to make 24."


def settings(strategy: str, **limits: Any) -> SearchSettings:
    return SearchSettings(strategy=parse_strategy(strategy), budget=Budget(**limits), seed=1, trial_tokens=90)


def problems(count: int) -> list[Problem]:
    return [Problem(id=f"p{i}", prompt=f"Use 3, 5 and {6 + i} to make 24.", checker="countdown") for i in range(count)]


async def test_goes_from_a_problem_to_a_result() -> None:
    actor, critic = world()
    end = await tree_search_graph(actor, critic, settings("best-of-n:n=4")).ainvoke({"problem": TEXT})
    record = ResultRecord.model_validate(end["result"])
    assert record.attempts == 4 and record.stopped_by == "completed" and end["answer"] == record.answer
    assert record.usage.actor.calls == 4 and record.usage.critic.calls == 4 and record.budget == "estimated"


async def test_streams_what_happens() -> None:
    actor, critic = world()
    graph = tree_search_graph(actor, critic, settings("best-of-n:n=2"))
    events = [event async for event in graph.astream({"problem": TEXT}, stream_mode="custom")]
    assert [event["event"] for event in events if isinstance(event, dict)] == [
        *("asked", "called", "proposed", "called", "critiqued", "committed") * 2,
        "finished",
    ]


async def test_many_problems_fill_the_engine_but_no_more_than_asked_for() -> None:
    actor, critic = world(latencies=(0.002, 0.001))
    opened: list[str] = []

    def sessions() -> Iterator[Session]:
        for problem in problems(12):
            opened.append(problem.id)
            yield new_session(problem, how, SilentJournal())

    how = settings("majority:n=2")
    done: list[str] = []
    async for result in solve_all(sessions(), actor, critic, how, concurrency=4):
        assert len(opened) - len(done) <= 5
        done.append(result.problem.id)
    assert sorted(done) == sorted(opened) and len(done) == 12
    assert isinstance(actor.engine, ScriptedEngine) and 2 <= actor.engine.peak <= 4


async def test_what_runs_beside_a_problem_changes_nothing_in_it() -> None:
    how = settings("revise", tokens=300)
    alone: dict[str, object] = {}
    for problem in problems(6):
        async for result in solve_all([new_session(problem, how, SilentJournal())], *world(), how):
            alone[problem.id] = (result.answer, result.spend)
    together = world(latencies=(0.003, 0.0, 0.001))
    sessions = [new_session(problem, how, SilentJournal()) for problem in problems(6)]
    async for result in solve_all(sessions, *together, how, concurrency=3):
        assert alone[result.problem.id] == (result.answer, result.spend)


async def test_leaving_early_stops_everything() -> None:
    actor, critic = world(latencies=(0.0, 0.0, 30.0))
    how = settings("majority:n=1")
    stream = solve_all((new_session(p, how, SilentJournal()) for p in problems(5)), actor, critic, how, concurrency=5)
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator; its type promises less
    await asyncio.sleep(0)
    assert isinstance(actor.engine, ScriptedEngine) and actor.engine.running == 0


class Stopping(SilentJournal):
    """Interrupts the search once so many trials are settled."""

    def __init__(self, stop: asyncio.Event, after: int) -> None:
        self.stop = stop
        self.left = after
        self.ends: list[str] = []

    def committed(self, trial: Trial, result: Outcome | Failure | None, spend: Spend) -> None:
        self.left -= 1
        if not self.left:
            self.stop.set()

    def finished(self, result: ProblemResult) -> None:
        self.ends.append(result.stopped_by)


async def test_an_interrupted_graph_gives_the_best_so_far() -> None:
    stop = asyncio.Event()
    journal = Stopping(stop, after=2)
    actor, critic = world(latencies=(0.001,))
    how = settings("best-of-n:n=8")
    graph = tree_search_graph(actor, critic, how, session=lambda p: new_session(p, how, journal), stop=stop)
    end = await graph.ainvoke({"problem": TEXT})
    record = ResultRecord.model_validate(end["result"])
    assert (record.stopped_by, record.attempts) == ("interrupted", 2) and record.solution is not None
    assert journal.ends == [], "for its journal the search has not ended"
    again = await graph.ainvoke({"problem": TEXT})
    assert again["result"]["stopped_by"] == "interrupted" and again["answer"] is None, "until the event is cleared"


async def test_an_interruption_ends_what_is_in_flight_and_begins_nothing() -> None:
    stop = asyncio.Event()
    actor, critic = world(latencies=(0.001, 0.0, 60.0))
    how, opened = settings("majority:n=40"), list[str]()

    def sessions() -> Iterator[Session]:
        for problem in problems(5):
            opened.append(problem.id)
            yield new_session(problem, how, Stopping(stop, after=1))

    results = [result async for result in solve_all(sessions(), actor, critic, how, concurrency=3, stop=stop)]
    assert sorted(result.problem.id for result in results) == opened == ["p0", "p1", "p2"]
    assert {result.stopped_by for result in results} == {"interrupted"}
    assert any(result.attempt is not None for result in results)
    assert isinstance(actor.engine, ScriptedEngine) and actor.engine.running == 0


async def test_what_fails_while_it_may_be_interrupted_is_still_raised() -> None:
    def broken(_: Problem) -> Session:
        return new_session(problems(1)[0], how, Broken())

    class Broken(SilentJournal):
        def asked(self, trial: Trial) -> None:
            raise InputError("no such trial")

    how = settings("greedy")
    with pytest.raises(InputError, match="no such trial"):
        await tree_search_graph(*world(), how, session=broken, stop=asyncio.Event()).ainvoke({"problem": TEXT})


class Full(SilentJournal):
    """A log on a disk without room."""

    def __init__(self, number: int) -> None:
        self.number = number

    def asked(self, trial: Trial) -> None:
        raise RecordError(f"no space left for {self.number}")


async def test_where_several_problems_fail_at_once_one_is_raised_and_none_is_left_unread() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    (actor, critic), how = world(), settings("best-of-n:n=2")
    sessions = [new_session(problem, how, Full(number)) for number, problem in enumerate(problems(4))]
    with pytest.raises(RecordError, match="no space left") as raised:
        async for _ in solve_all(sessions, actor, critic, how):
            pass
    gc.collect()
    assert not complaints
    others = [note for note in raised.value.__notes__ if note.startswith("another problem failed with RecordError")]
    said = " ".join([str(raised.value), *others])
    assert all(f"no space left for {number}" in said for number in range(4)) and len(others) == 3


async def test_an_oracle_run_says_so() -> None:
    actor, _ = world()
    end = await tree_search_graph(actor, OracleCritic(), settings("revise", tokens=2000)).ainvoke({"problem": TEXT})
    record = ResultRecord.model_validate(end["result"])
    assert record.oracle is True and record.usage.critic.calls == 0


@pytest.mark.parametrize("strategy", ["revise", "refine", "best-of-n"])
def test_a_strategy_without_its_critic_is_refused(strategy: str) -> None:
    actor, _ = world()
    with pytest.raises(InputError, match="needs a critic"):
        tree_search_graph(actor, None, settings(strategy))


def test_an_oracle_gate_without_an_oracle_is_refused() -> None:
    actor, critic = world()
    with pytest.raises(InputError, match="needs an oracle run"):
        tree_search_graph(actor, critic, settings("refine:gate=oracle"))


async def test_no_concurrency_is_refused() -> None:
    actor, critic = world()
    with pytest.raises(InputError, match="concurrency"):
        async for _ in solve_all([], actor, critic, settings("greedy"), concurrency=0):
            pass


@pytest.mark.parametrize("width", [0, -1])
def test_a_window_without_room_is_refused(width: int) -> None:
    with pytest.raises(InputError, match="width"):
        SearchSettings(strategy=parse_strategy("greedy"), width=width)
