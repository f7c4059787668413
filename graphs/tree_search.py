"""The search graph: one node explores with any strategy and returns the best so far.

The exploring node keeps a window of trials in flight (a round of `Send` tasks would wait for its slowest) and streams
every event. Embed it in an app, or run many problems side by side as `solve` does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from itertools import islice
from typing import TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from actorcritic.budget import Lease
from actorcritic.errors import InputError
from actorcritic.exploration import Exploration
from actorcritic.graphs.critique_memory import CritiqueMemory
from actorcritic.graphs.journals import StreamJournal, TeeJournal
from actorcritic.graphs.lanes import Lanes
from actorcritic.graphs.lessons import with_lessons
from actorcritic.graphs.results import record_of
from actorcritic.graphs.session import Journal, ProblemResult, Session, SilentJournal, Watch
from actorcritic.graphs.settings import SearchSettings, check_roles
from actorcritic.graphs.trial import Attempt, TrialGraph, TrialRun, trial_graph
from actorcritic.protocols import Actor, Critic, ResidentActor
from actorcritic.records import ProblemInput, problem_of, problem_record
from actorcritic.search.strategies import parse_strategy
from actorcritic.tasks.checkers import vote_key
from actorcritic.types import Failure, JsonValue, Problem, StopReason, Trial

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
    session: Session,
    actor: Actor,
    critic: Critic | None,
    settings: SearchSettings,
    graph: TrialGraph | None = None,
    *,
    stop: asyncio.Event | None = None,
) -> ProblemResult:
    """Search one problem to its end, every trial a run of the trial graph.

    Args:
        session: The problem at its beginning, or where an earlier run broke off.
        actor: Who writes.
        critic: Who judges.
        settings: How to search.
        graph: The endless trial graph of just these roles where there is one already; compiling takes milliseconds.
        stop: Whoever sets it interrupts the search: see `tree_search_graph`.
    """
    lanes = Lanes(graph if graph is not None else trial_graph(actor, critic, settings.scorers, endless=True))

    memory = CritiqueMemory(critic, session.attempts, settings.width)

    async def run(trial: Trial, parent: Attempt | None, lease: Lease) -> Attempt | Failure:
        meter = session.meter(trial, lease)
        problem = with_lessons(session.problem, trial, session.attempts)
        begun = TrialRun(
            problem=problem, trial=trial, parent=parent, meter=meter, emit=session.brought, recall=memory.recall
        )
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
        ended = await _unless_stopped(exploration.explore(settings.budget.seconds), stop)
        return session.break_off() if ended is None else session.conclude(ended)
    finally:
        await lanes.aclose()
        if isinstance(actor, ResidentActor):
            await actor.leave(session.problem)


async def _unless_stopped(
    exploring: Coroutine[None, None, StopReason], stop: asyncio.Event | None
) -> StopReason | None:
    """Return why a search ended; None where it was stopped, with every trial in flight cancelled and none settled."""
    if stop is None:
        return await exploring
    search, stopping = asyncio.create_task(exploring), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({search, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not search.done():
            search.cancel()
            await asyncio.wait({search})
    return None if search.cancelled() else search.result()


def new_session(problem: Problem, settings: SearchSettings, journal: Journal, watch: Watch | None = None) -> Session:
    """Return a problem at its beginning; `watch` = who follows it beside the journal."""
    session = Session(
        problem=problem,
        policy=settings.policy(problem),
        ledger=settings.ledger(),
        seed=settings.seed,
        journal=journal,
        prices=settings.prices,
    )
    if watch is not None:
        session.journal = TeeJournal((journal, watch(session)))
    return session


def tree_search_graph(
    actor: Actor,
    critic: Critic | None = None,
    settings: SearchSettings | None = None,
    *,
    session: Callable[[Problem], Session] | None = None,
    stop: asyncio.Event | None = None,
) -> TreeSearchGraph:
    """Compile a graph that solves one problem per run with any strategy.

    Args:
        actor: Who writes.
        critic: Who judges; may be None where the strategy needs none.
        settings: How to search; by default `revise` with up to 8 trials.
        session: Opens a problem: gives it a journal of its own, or goes on where an earlier run broke off.
        stop: Whoever sets it interrupts every run of the graph: trials in flight are cancelled, and the result is the
            best so far (null where no trial had ended) with `stopped_by` = `interrupted`. For a journal the search has
            not ended, so that it can be gone on with. Cancelling a run, by contrast, gives no result.

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
        record = record_of(await search_problem(work, actor, critic, chosen, trials, stop=stop), chosen.facts(critic))
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
    stop: asyncio.Event | None = None,
) -> AsyncIterator[ProblemResult]:
    """Solve many problems side by side through the graph, so that the engines stay full.

    Args:
        sessions: One per problem; taken one by one as there is room, never more than `concurrency` at once.
        actor: Who writes.
        critic: Who judges.
        settings: How to search.
        concurrency: Problems in flight, >= 1.
        stop: Whoever sets it interrupts the problems in flight, as `tree_search_graph` says; no other is begun.

    Yields:
        Results as problems end, the interrupted ones included.
    """
    if concurrency < 1:
        raise InputError(f"concurrency must be at least 1, not {concurrency}")
    waiting: dict[str, Session] = {}
    graph = tree_search_graph(actor, critic, settings, session=lambda problem: waiting.pop(problem.id), stop=stop)

    async def solve(session: Session) -> ProblemResult:
        waiting[session.problem.id] = session
        await graph.ainvoke({"problem": problem_record(session.problem).model_dump()})
        assert session.ended is not None  # the graph has run to its end
        return session.ended

    source = iter(sessions)
    running: set[asyncio.Task[ProblemResult]] = set()
    done: set[asyncio.Task[ProblemResult]] = set()
    try:
        while True:
            room = 0 if stop is not None and stop.is_set() else concurrency - len(running)
            running |= {asyncio.create_task(solve(session)) for session in islice(source, room)}
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        raised = sys.exception()
        for task in running:
            task.cancel()
        # Of several that failed one is raised, and says of the others.
        for error in await asyncio.gather(*running, *done, return_exceptions=True):
            if raised is not None and isinstance(error, Exception) and error is not raised:
                raised.add_note(f"another problem failed with {type(error).__name__}: {error}")
