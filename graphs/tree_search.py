"""The search graph: one node explores with any strategy and returns the best so far.

The exploring node keeps a window of trials in flight (a round of `Send` tasks would wait for its slowest) and streams
every event. Embed it in an app, or run many problems side by side as `solve` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice
from typing import TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from actorcritic.budget import Lease
from actorcritic.errors import InputError
from actorcritic.exploration import Exploration
from actorcritic.graphs.journals import StreamJournal, TeeJournal
from actorcritic.graphs.lanes import Lanes
from actorcritic.graphs.lessons import with_lessons
from actorcritic.graphs.results import record_of
from actorcritic.graphs.session import Journal, ProblemResult, Session, SilentJournal
from actorcritic.graphs.settings import SearchSettings, check_roles
from actorcritic.graphs.trial import Attempt, TrialGraph, TrialRun, trial_graph
from actorcritic.protocols import Actor, Critic, ResidentActor
from actorcritic.records import ProblemInput, problem_of, problem_record
from actorcritic.search.strategies import parse_strategy
from actorcritic.tasks.checkers import vote_key
from actorcritic.types import Failure, JsonValue, Problem, Trial

__all__ = [
    "TreeSearchGraph",
    "TreeSearchState",
    "new_session",
    "search_problem",
    "solve_all",
    "tree_search_graph",
]


class TreeSearchState(TypedDict, total=False):
    """What goes in (`problem`) and what comes out; plain JSON, so that any checkpointer takes it."""

    problem: ProblemInput
    answer: str | None
    """None where there is none."""
    result: dict[str, JsonValue]
    """A `ResultRecord`; `correct` is null, since the graph knows no gold answer."""


TreeSearchGraph = CompiledStateGraph[TreeSearchState, None, TreeSearchState, TreeSearchState]


async def search_problem(
    session: Session, actor: Actor, critic: Critic | None, settings: SearchSettings, graph: TrialGraph | None = None
) -> ProblemResult:
    """Search one problem to its end, every trial a run of the trial graph.

    Args:
        session: The problem at its beginning, or where an earlier run broke off.
        actor: Who writes.
        critic: Who judges.
        settings: How to search.
        graph: The endless trial graph of just these roles where there is one already; compiling takes milliseconds.
    """
    lanes = Lanes(graph if graph is not None else trial_graph(actor, critic, settings.scorers, endless=True))

    async def run(trial: Trial, parent: Attempt | None, lease: Lease) -> Attempt | Failure:
        meter = session.meter(trial, lease)
        problem = with_lessons(session.problem, trial, session.attempts)
        begun = TrialRun(problem=problem, trial=trial, parent=parent, meter=meter, emit=session.brought)
        ended = await lanes.run(begun)
        if ended.solution is None:
            assert ended.failure is not None  # a trial ends with one or the other
            return ended.failure
        key = await vote_key(session.problem, ended.solution)
        return Attempt(solution=ended.solution, critique=ended.critique, vote_key=key, reward=ended.reward)

    exploration = Exploration(
        search=session,
        run=run,
        width=settings.width,
        trial_tokens=settings.trial_tokens,
        trial_steps=settings.trial_steps,
    )
    try:
        return session.conclude(await exploration.explore(settings.budget.seconds))
    finally:
        await lanes.aclose()
        if isinstance(actor, ResidentActor):
            await actor.leave(session.problem)


def new_session(problem: Problem, settings: SearchSettings, journal: Journal) -> Session:
    """Return a problem at its beginning."""
    return Session(
        problem=problem,
        policy=settings.policy(problem),
        ledger=settings.ledger(),
        seed=settings.seed,
        journal=journal,
        prices=settings.prices,
    )


def tree_search_graph(
    actor: Actor,
    critic: Critic | None = None,
    settings: SearchSettings | None = None,
    *,
    session: Callable[[Problem], Session] | None = None,
) -> TreeSearchGraph:
    """Compile a graph that solves one problem per run with any strategy.

    Args:
        actor: Who writes.
        critic: Who judges; may be None where the strategy needs none.
        settings: How to search; by default `revise` with up to 8 trials.
        session: Opens a problem: gives it a journal of its own, or goes on where an earlier run broke off.

    Returns:
        A graph from `{"problem": ...}` to `{"answer": ..., "result": ...}`. Stream it with `stream_mode="custom"` (and
        `subgraphs=True` inside a bigger graph) to see every event as it happens.

    Raises:
        InputError: the strategy needs another critic.
    """
    chosen = settings if settings is not None else SearchSettings(strategy=parse_strategy("revise"))
    check_roles(chosen.strategy, critic, chosen.scorers)
    trials = trial_graph(actor, critic, chosen.scorers, endless=True)

    async def explore(state: TreeSearchState) -> TreeSearchState:
        problem = problem_of(state["problem"])
        work = session(problem) if session is not None else new_session(problem, chosen, SilentJournal())
        work.journal = TeeJournal((work.journal, StreamJournal(get_stream_writer(), problem.id)))
        record = record_of(await search_problem(work, actor, critic, chosen, trials), chosen.facts(critic))
        return {"answer": record.answer, "result": record.model_dump(mode="json")}

    graph = StateGraph(TreeSearchState)
    graph.add_node("explore", explore)
    graph.add_edge(START, "explore")
    graph.add_edge("explore", END)
    return graph.compile(name="tree_search")


async def solve_all(
    sessions: Iterable[Session],
    actor: Actor,
    critic: Critic | None,
    settings: SearchSettings,
    *,
    concurrency: int = 64,
) -> AsyncIterator[ProblemResult]:
    """Solve many problems side by side through the graph, so that the engines stay full.

    Args:
        sessions: One per problem; taken one by one as there is room, never more than `concurrency` at once.
        actor: Who writes.
        critic: Who judges.
        settings: How to search.
        concurrency: Problems in flight, >= 1.

    Yields:
        Results as problems end.
    """
    if concurrency < 1:
        raise InputError(f"concurrency must be at least 1, not {concurrency}")
    waiting: dict[str, Session] = {}
    graph = tree_search_graph(actor, critic, settings, session=lambda problem: waiting.pop(problem.id))

    async def solve(session: Session) -> ProblemResult:
        caught = _Catch()
        waiting[session.problem.id] = session
        session.journal = TeeJournal((session.journal, caught))
        await graph.ainvoke({"problem": problem_record(session.problem).model_dump()})
        return caught.result

    source = iter(sessions)
    running: set[asyncio.Task[ProblemResult]] = set()
    try:
        while True:
            running |= {asyncio.create_task(solve(session)) for session in islice(source, concurrency - len(running))}
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


class _Catch(SilentJournal):
    """Keeps the result that the graph's JSON is made of."""

    result: ProblemResult

    def finished(self, result: ProblemResult) -> None:
        """See `Journal.finished`."""
        self.result = result
