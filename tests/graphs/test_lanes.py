"""Trials that follow one another on one endless run of the trial graph."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from actorcritic.budget import Ledger
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import EngineError
from actorcritic.graphs.lanes import Lanes
from actorcritic.graphs.session import SilentJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, search_problem, tree_search_graph
from actorcritic.graphs.trial import TrialGraph, TrialRun, trial_graph
from actorcritic.metering import CallMeter, derive_seed
from actorcritic.search.strategies import parse_strategy
from actorcritic.types import Action, Failure, Payload, Trial
from tests.graphs.world import PROBLEM, world

BROKEN = EngineError("scripted")


class Counted:
    """A trial graph that counts its runs."""

    def __init__(self, graph: TrialGraph) -> None:
        self.runs = 0
        self._graph = graph

    async def astream(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        self.runs += 1
        async for shown in self._graph.astream(*args, **options):
            yield shown


def forget(trial: Trial, payload: Payload) -> None:
    """An `Emit` that does nothing."""


def state(number: int, *, critique: bool = True) -> TrialRun:
    lease = Ledger().lease(number)
    assert lease is not None
    trial = Trial(id=number, action=Action.PROPOSE, options={"critique": critique})
    meter = CallMeter(lease, seed=derive_seed(0, number))
    return TrialRun(problem=PROBLEM, trial=trial, meter=meter, emit=forget)


def lanes(graph: object) -> Lanes:
    return Lanes(graph)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("width", [1, 3])
async def test_there_are_no_more_runs_than_trials_in_flight(width: int) -> None:
    actor, critic = world(latencies=(0.0, 0.002, 0.001))
    graph = Counted(trial_graph(actor, critic, endless=True))
    settings = SearchSettings(strategy=parse_strategy("best-of-n:n=12"), width=width)
    session = new_session(PROBLEM, settings, SilentJournal())
    result = await search_problem(session, actor, critic, settings, graph)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert (result.attempts, graph.runs) == (12, width)


async def test_a_trial_comes_out_as_in_a_run_of_its_own() -> None:
    """Nothing of the trials before it shows: neither a critique nor a failure."""
    actor, critic = world(failures={1: BROKEN})
    alone, together = trial_graph(actor, critic), Lanes(trial_graph(actor, critic, endless=True))
    ends = [await together.run(state(0)), await together.run(state(1)), await together.run(state(2, critique=False))]
    await together.aclose()
    assert [bool(end.failure) for end in ends] == [False, True, False]
    assert [bool(end.critique) for end in ends] == [True, False, False]
    for number, end in ((0, ends[0]), (2, ends[2])):
        single = (await alone.ainvoke({"run": state(number, critique=number == 0)}))["run"]
        assert (single.solution, single.critique) == (end.solution, end.critique)


async def test_a_cancelled_trial_takes_its_call_along_and_leaves_the_others() -> None:
    actor, critic = world(latencies=(3600.0, 0.0))
    assert isinstance(actor.engine, ScriptedEngine)
    graph = Counted(trial_graph(actor, critic, endless=True))
    way = lanes(graph)
    hanging = asyncio.create_task(way.run(state(0)))
    while not actor.engine.running:
        await asyncio.sleep(0)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert actor.engine.running == 0
    assert actor.engine.calls[0].cancelled
    assert (await way.run(state(1, critique=False))).solution is not None
    assert graph.runs == 2
    await way.aclose()


async def test_what_breaks_a_lane_reaches_whoever_waits() -> None:
    def stumble(trial: Trial, payload: Payload) -> None:
        assert not isinstance(payload, Failure)
        raise RuntimeError("the log is full")

    actor, critic = world()
    way = Lanes(trial_graph(actor, critic, endless=True))
    broken = replace(state(0), emit=stumble)
    with pytest.raises(RuntimeError, match="the log is full"):
        await way.run(broken)
    assert (await way.run(state(1))).solution is not None
    await way.aclose()


async def test_no_recursion_limit_ends_a_search() -> None:
    """A parent's limit reaches every graph below it; a lane says its own."""
    actor, critic = world()
    graph = tree_search_graph(actor, critic, SearchSettings(strategy=parse_strategy("best-of-n:n=40")))
    found = await graph.ainvoke({"problem": {"id": "p", "problem": PROBLEM.text}}, {"recursion_limit": 5})
    assert found["result"]["attempts"] == 40
