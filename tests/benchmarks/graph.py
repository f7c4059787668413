"""What the search graph costs per trial beside a bare LangGraph loop of as many supersteps, on an engine of no latency.

    python -m tests.benchmarks.graph [--trials 128] [--repeats 9]

The bare loop goes from an actor node to a critic node and back; each node calls the scripted engine itself and keeps
the text. `nested` runs those two nodes as a graph of their own per trial, as ours does: starting a run is a superstep
too. Ours is `graphs/tree_search.py` with policy, seeds, budget, prefix tree and events. All sides make the same calls
and take turns; a ratio is the median over the turns, by processor time. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from actorcritic.budget import Budget
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.graphs.session import SilentJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, solve_all
from actorcritic.protocols import Engine, Meter
from actorcritic.search.strategies import parse_strategy
from actorcritic.types import (
    Critique,
    GenerateRequest,
    Problem,
    Prompt,
    Sampling,
    Solution,
    Step,
    StepCritique,
    Verdict,
)

QUESTION = GenerateRequest(prompt=Prompt(content="Use 7, 13 and 14 to make 15."), max_tokens=16)
JUDGEMENT = GenerateRequest(prompt=Prompt(content="Use 7, 13 and 14 to make 15.\n14 / 7 = 2\n"), max_tokens=4)
PROBLEM = Problem(id="p", prompt="Use 7, 13 and 14 to make 15.", checker="countdown")


def make_engine() -> Engine:
    """Return an engine that always answers at once with the same words."""
    return ScriptedEngine(lambda request: "14 / 7 = 2" if request.max_tokens > 4 else "ok")


# --- the bare loop -------------------------------------------------------------------------------------------------


class LoopState(TypedDict, total=False):
    """What goes round."""

    text: str
    verdict: str
    trials: int


def bare_loop(trials: int, engine: Engine | None) -> CompiledStateGraph[LoopState, None, LoopState, LoopState]:
    """Return a loop of two nodes; without an engine they do nothing at all."""

    async def actor(state: LoopState) -> LoopState:
        return {"text": "" if engine is None else (await engine.generate(QUESTION)).text}

    async def critic(state: LoopState) -> LoopState:
        verdict = "" if engine is None else (await engine.generate(JUDGEMENT)).text
        return {"verdict": verdict, "trials": state.get("trials", 0) + 1}

    async def route(state: LoopState) -> str:  # a plain function would go through a thread and cost more
        return "actor" if state.get("trials", 0) < trials else END

    graph = StateGraph(LoopState)
    graph.add_node("actor", actor)
    graph.add_node("critic", critic)
    graph.add_edge(START, "actor")
    graph.add_edge("actor", "critic")
    graph.add_conditional_edges("critic", route, ["actor", END])
    return graph.compile()


async def run_bare(trials: int, engine: Engine | None) -> None:
    """Go round so many times."""
    end = await bare_loop(trials, engine).ainvoke({}, {"recursion_limit": 2 * trials + 2})
    assert end["trials"] == trials


async def run_nested(trials: int, engine: Engine) -> None:
    """Run a graph of two nodes so many times within a node of another."""
    inner = bare_loop(1, engine)

    async def explore(state: LoopState) -> LoopState:
        for _ in range(trials):
            await inner.ainvoke({})
        return {"trials": trials}

    graph = StateGraph(LoopState)
    graph.add_node("explore", explore)
    graph.add_edge(START, "explore")
    graph.add_edge("explore", END)
    await graph.compile().ainvoke({})


# --- ours ----------------------------------------------------------------------------------------------------------


class PlainActor:
    """An actor that reads nothing into what comes back: what is measured is the graph, no format."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def propose(
        self, problem: Problem, *, meter: Meter, sampling: Sampling | None = None, max_steps: int | None = None
    ) -> Solution:
        """Make one call."""
        generation = await meter.generate(self._engine, QUESTION, role="actor")
        return Solution(steps=(Step(text=generation.text, raw=generation.text),), answer=generation.text)

    async def extend(
        self,
        problem: Problem,
        solution: Solution,
        *,
        meter: Meter,
        sampling: Sampling | None = None,
        max_steps: int | None = None,
    ) -> Solution:
        """Make one call."""
        return await self.propose(problem, meter=meter)

    async def revise(
        self,
        problem: Problem,
        solution: Solution,
        critique: Critique,
        *,
        meter: Meter,
        sampling: Sampling | None = None,
        revise_from: int | None = None,
    ) -> Solution:
        """Make one call."""
        return await self.propose(problem, meter=meter)

    async def refine(
        self,
        problem: Problem,
        solution: Solution,
        critique: Critique,
        *,
        meter: Meter,
        sampling: Sampling | None = None,
    ) -> Solution:
        """Make one call."""
        return await self.propose(problem, meter=meter)


class PlainCritic:
    """A critic whose words always mean the same."""

    oracle = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def critique(self, problem: Problem, solution: Solution, *, meter: Meter) -> Critique:
        """Make one call."""
        generation = await meter.generate(self._engine, JUDGEMENT, role="critic")
        step = StepCritique(verdict=Verdict.INCORRECT, score=0.25)
        return Critique(steps=(step,), verdict=Verdict.INCORRECT, score=0.25, raw=generation.text)


async def run_ours(trials: int, strategy: str) -> None:
    """Search one problem with so many trials."""
    engine = make_engine()
    # A budget of calls that is never met, so that leases are taken and committed as in a real run.
    settings = SearchSettings(strategy=parse_strategy(f"{strategy}:n={trials}"), budget=Budget(calls=4 * trials))
    session = new_session(PROBLEM, settings, SilentJournal())
    async for result in solve_all([session], PlainActor(engine), PlainCritic(engine), settings):
        assert (result.attempts, result.spend.total.calls) == (trials, 2 * trials)


# --- the command ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Microseconds per trial."""

    clock: float
    processor: float


def measure(run: Callable[[], Awaitable[None]], trials: int) -> Cost:
    """Return what a trial costs in one run."""

    async def timed() -> Cost:
        clock, spent = time.perf_counter(), time.process_time()
        await run()
        clock, spent = time.perf_counter() - clock, time.process_time() - spent
        return Cost(clock=clock / trials * 1e6, processor=spent / trials * 1e6)

    return asyncio.run(timed())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per side, then everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=128, help="trials per run (default 128)")
    parser.add_argument("--repeats", type=int, default=9, help="measured runs of each side (default 9)")
    args = parser.parse_args(arguments)
    trials: int = args.trials
    sides: dict[str, Callable[[], Awaitable[None]]] = {
        "bare": lambda: run_bare(trials, make_engine()),
        "empty": lambda: run_bare(trials, None),
        "nested": lambda: run_nested(trials, make_engine()),
        "best-of-n": lambda: run_ours(trials, "best-of-n"),
        "mcts": lambda: run_ours(trials, "mcts"),
    }
    costs: dict[str, list[Cost]] = {side: [] for side in sides}
    for repeat in range(args.repeats + 1):
        for side, run in sides.items():
            cost = measure(run, trials)
            if repeat:  # the first warms up
                costs[side].append(cost)

    def ratio(side: str, beside: str) -> float:
        pairs = zip(costs[side], costs[beside], strict=True)
        return round(statistics.median(ours.processor / bare.processor for ours, bare in pairs), 3)

    summary: dict[str, Any] = {"bench": "graph", "ratio": ratio("best-of-n", "bare")}
    summary["ratio_nested"] = ratio("best-of-n", "nested")
    for side, found in costs.items():
        clock = round(statistics.median(cost.clock for cost in found), 1)
        processor = round(statistics.median(cost.processor for cost in found), 1)
        print(f"{side:10} {clock:8.1f} us per trial, processor {processor:8.1f} us, {ratio(side, 'bare'):.2f} x bare")
        summary[side] = {"us": clock, "us_cpu": processor, "ratio": ratio(side, "bare")}
    print(json.dumps({**summary, "trials": trials, "versions": {"langgraph": version("langgraph")}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
