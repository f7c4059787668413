"""The refinement graph: generate, critique, route, revise, until the critic accepts or the budget ends.

One trial after another, each node a step of its own, so that any checkpointer can stop and resume in between. The
state is plain JSON. Which move comes next is the policy's business, not the graph's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypedDict, TypeVar

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.managed import RemainingSteps

from actorcritic.budget import Lease, Ledger, Spend
from actorcritic.codec import decode, encode
from actorcritic.errors import BudgetExhausted
from actorcritic.exploration import out_of_budget
from actorcritic.graphs.critique_memory import CritiqueMemory
from actorcritic.graphs.journals import StreamJournal, TeeJournal, go_back, next_seq_of
from actorcritic.graphs.results import record_of
from actorcritic.graphs.scoring import score, wants_reward
from actorcritic.graphs.session import Journal, Session, SilentJournal
from actorcritic.graphs.settings import SearchSettings, check_roles
from actorcritic.graphs.trial import Attempt, act, judge, wants_critique
from actorcritic.protocols import Actor, Critic
from actorcritic.records import ProblemInput, problem_of
from actorcritic.search.strategies import load_policy, parse_strategy
from actorcritic.tasks.checkers import vote_key
from actorcritic.types import Action, Critique, Failure, JsonValue, Problem, Reward, Solution, StopReason, Trial

__all__ = ["RefinementGraph", "RefinementState", "refinement_graph"]

T = TypeVar("T")

STEPS_PER_TRIAL = 4
"""Supersteps of one trial at most: the move, the critique, the score, the route."""
SEEN = 6
"""How many of the latest token sequences the state remembers, so that a shared prefix is not billed again."""
MOVES = {
    Action.PROPOSE: "generate",
    Action.EXTEND: "generate",
    Action.REVISE: "revise",
    Action.REFINE: "revise",
    Action.JUDGE: "generate",
}
"""Which node makes which move."""


class RefinementState(TypedDict, total=False):
    """What goes in (`problem`), what comes out (`answer`, `result`), and what a checkpoint needs in between."""

    problem: ProblemInput
    answer: str | None
    result: dict[str, JsonValue]
    """A `ResultRecord`; `correct` is null, since the graph knows no gold answer."""
    progress: JsonValue
    remaining_steps: RemainingSteps


RefinementGraph = CompiledStateGraph[RefinementState, None, RefinementState, RefinementState]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A token sequence that a model has read or written."""

    model: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Progress:
    """Where the loop stands, between two nodes."""

    policy: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    trial: Trial | None = None
    """The trial at work."""
    solution: Solution | None = None
    critique: Critique | None = None
    reward: Reward | None = None
    failure: Failure | None = None
    cost: Spend = Spend()
    """What the trial at work was charged."""
    spend: Spend = Spend()
    """Everything charged, the trial at work included."""
    attempts: Mapping[str, Attempt] = field(default_factory=dict[str, Attempt])
    """By trial id: any of them may yet become the answer, or a parent."""
    failures: tuple[Failure, ...] = ()
    seen: tuple[_Seen, ...] = ()
    deadline: float | None = None
    """Unix timestamp in seconds after which no call is made."""
    spent: StopReason | None = None
    """The limit that the trial at work could not pay under."""
    next_seq: int | None = None
    """Number of the next event in the problem's log; None where nobody numbers them."""


class _Loop:
    """The nodes, closed over who plays and how."""

    def __init__(
        self,
        actor: Actor,
        critic: Critic | None,
        settings: SearchSettings,
        journal: Callable[[Problem], Journal] | None,
    ) -> None:
        self.actor = actor
        self.critic = critic
        self.settings = settings
        self.journal = journal

    def open(self, state: RefinementState) -> tuple[_Progress, Session]:
        """Return where the loop stands and the session that this makes."""
        problem = problem_of(state["problem"])
        saved = state.get("progress")
        seconds = self.settings.budget.seconds
        deadline = None if seconds is None else time.time() + seconds
        progress = _Progress(deadline=deadline) if saved is None else decode(_Progress, saved)
        ledger = Ledger(self.settings.budget, spend=progress.spend)
        for seen in progress.seen:
            ledger.tree(seen.model).add(seen.ids)
        policy = self.settings.policy(problem)
        keeper = self.journal(problem) if self.journal is not None else SilentJournal()
        go_back(keeper, progress.next_seq)
        session = Session(
            problem=problem,
            policy=load_policy(dict(progress.policy)) if progress.policy else policy,
            ledger=ledger,
            seed=self.settings.seed,
            journal=TeeJournal((keeper, StreamJournal(get_stream_writer(), problem.id))),
            prices=self.settings.prices,
            attempts={int(trial): attempt for trial, attempt in progress.attempts.items()},
            failures=list(progress.failures),
        )
        return progress, session

    async def move(self, state: RefinementState) -> RefinementState:
        """Let the actor make the move of the trial at work."""
        progress, session = self.open(state)
        trial = progress.trial
        assert trial is not None  # the route leads here only with a trial
        parent = None if trial.parent is None else session.attempts[trial.parent]

        async def call(lease: Lease) -> Solution | Failure:
            meter = session.meter(trial, lease)
            return await act(self.actor, session.problem, trial, parent, meter, session.brought)

        result, progress = await _within(progress, session, trial, call)
        if isinstance(result, Solution):
            return _saved(replace(progress, solution=result), session)
        if out_of_budget(result):
            return _saved(replace(progress, spent=session.ledger.spent_limit() or "tokens"), session)
        return _saved(replace(progress, failure=result), session)

    async def criticize(self, state: RefinementState) -> RefinementState:
        """Let the critic judge the solution of the trial at work."""
        progress, session = self.open(state)
        trial, solution, critic = progress.trial, progress.solution, self.critic
        assert trial is not None and solution is not None and critic is not None  # see `after_move`
        said = CritiqueMemory(critic, session.attempts).recall(trial, solution)
        if said is not None:
            session.brought(trial, said)
            return _saved(replace(progress, critique=said), session)

        async def call(lease: Lease) -> Critique | None:
            meter = session.meter(trial, lease)
            return await judge(critic, session.problem, trial, solution, meter, session.brought, self.settings.scorers)

        critique, progress = await _within(progress, session, trial, call)
        return _saved(replace(progress, critique=critique), session)

    async def reward(self, state: RefinementState) -> RefinementState:
        """Let a reward model or a verifier score the solution of the trial at work."""
        progress, session = self.open(state)
        trial, solution = progress.trial, progress.solution
        assert trial is not None and solution is not None  # see `after_critique`

        async def call(lease: Lease) -> Reward | None:
            meter = session.meter(trial, lease)
            return await score(self.settings.scorers, session.problem, trial, solution, meter, session.brought)

        reward, progress = await _within(progress, session, trial, call)
        return _saved(replace(progress, reward=reward), session)

    async def route(self, state: RefinementState) -> RefinementState:
        """Settle the trial at work, then ask for the next move or come to an end."""
        progress, session = self.open(state)
        if progress.trial is not None:
            session.settle(progress.trial, await _result_of(session.problem, progress), progress.cost)
        reason = session.policy.stopped or self._limit(progress, session, state)
        trials = session.policy.ask(1) if reason is None else ()
        if not trials:
            record = record_of(session.conclude(reason or "exhausted"), self.settings.facts(self.critic))
            return {"answer": record.answer, "result": record.model_dump(mode="json"), "progress": None}
        session.journal.asked(trials[0])
        return _saved(
            _Progress(
                policy=session.policy.dump(),
                trial=trials[0],
                spend=progress.spend,
                attempts={str(trial): attempt for trial, attempt in session.attempts.items()},
                failures=tuple(session.failures),
                seen=progress.seen,
                deadline=progress.deadline,
            ),
            session,
        )

    def _limit(self, progress: _Progress, session: Session, state: RefinementState) -> StopReason | None:
        """Return which limit leaves no room for another trial."""
        if progress.deadline is not None and time.time() >= progress.deadline:
            return "seconds"
        if state["remaining_steps"] <= STEPS_PER_TRIAL:
            return "exhausted"
        return progress.spent or session.ledger.spent_limit()

    async def after_route(self, state: RefinementState) -> str:
        """Return the next move's node, or the end."""
        saved = state.get("progress")
        trial = None if saved is None else decode(_Progress, saved).trial
        return END if trial is None else MOVES[trial.action]

    async def after_move(self, state: RefinementState) -> str:
        """Return the critique's node where there is something to judge."""
        progress = decode(_Progress, state["progress"])
        trial, solution = progress.trial, progress.solution
        if self.critic is None or trial is None or solution is None or not wants_critique(trial, solution):
            return await self.after_critique(state)
        return "critique"

    async def after_critique(self, state: RefinementState) -> str:
        """Return the scorer's node where the trial wants a score."""
        progress = decode(_Progress, state["progress"])
        trial, solution = progress.trial, progress.solution
        return "score" if trial is not None and solution is not None and wants_reward(trial, solution) else "route"


def refinement_graph(
    actor: Actor,
    critic: Critic | None,
    settings: SearchSettings | None = None,
    *,
    journal: Callable[[Problem], Journal] | None = None,
) -> RefinementGraph:
    """Build the graph of the critique loop.

    Args:
        actor: Who writes.
        critic: Who judges every step; may be None where the strategy needs none.
        settings: How to search; by default `revise` with up to 8 trials. Its `width` is not used: trials run in turn.
        journal: Makes the journal of a problem, such as one that writes a run folder. Every node asks for it, so give
            the same one each time, or one that goes on after the log's last event. Where it numbers its events, as
            `TrajectoryJournal` does, going on from an earlier checkpoint (time travel, `update_state`, a node that is
            run again after a crash) makes a fork in its log; see `trajectory.forks`.

    Returns:
        A compiled graph from `{"problem": ...}` to `{"answer": ..., "result": ...}`. It keeps within the steps that its
        caller's recursion limit leaves, and then returns the best so far. As a subgraph it uses its parent's
        checkpointer; its events are seen with `stream_mode="custom"` and `subgraphs=True`.

    Raises:
        InputError: the strategy needs another critic.
    """
    chosen = settings if settings is not None else SearchSettings(strategy=parse_strategy("revise"))
    check_roles(chosen.strategy, critic, chosen.scorers)
    loop = _Loop(actor, critic, chosen, journal)
    graph = StateGraph(RefinementState)
    graph.add_node("route", loop.route)
    graph.add_node("generate", loop.move)
    graph.add_node("revise", loop.move)
    graph.add_node("critique", loop.criticize)
    graph.add_node("score", loop.reward)
    graph.add_edge(START, "route")
    graph.add_conditional_edges("route", loop.after_route, ["generate", "revise", END])
    for move in ("generate", "revise"):
        graph.add_conditional_edges(move, loop.after_move, ["critique", "score", "route"])
    graph.add_conditional_edges("critique", loop.after_critique, ["score", "route"])
    graph.add_edge("score", "route")
    return graph.compile(name="refinement").with_config(recursion_limit=_recursion_limit(chosen))


def _recursion_limit(settings: SearchSettings) -> int:
    """Return more supersteps than the budget can pay for: a trial makes a call, and a call costs a token."""
    budget = settings.budget
    trials = min(limit for limit in (budget.tokens, budget.calls, 3000) if limit is not None)
    return STEPS_PER_TRIAL * (trials + 2)


async def _within(
    progress: _Progress, session: Session, trial: Trial, call: Callable[[Lease], Awaitable[T]]
) -> tuple[T | None, _Progress]:
    """Make a role's call within what is left of the budget; None where it ended first."""
    remaining = None if progress.deadline is None else progress.deadline - time.time()
    try:
        lease = session.ledger.lease(trial.id)
    except BudgetExhausted:
        return None, progress
    assert lease is not None  # trials run in turn, so no other lease is open
    result: T | None = None
    with contextlib.suppress(TimeoutError):  # the route sees the deadline and ends with the best so far
        async with asyncio.timeout(remaining):
            result = await call(lease)
    seen = (*progress.seen, *(_Seen(model=c.model, ids=c.prompt_ids + c.completion_ids) for c in lease.charges))
    charged = session.ledger.commit(trial.id)
    return result, replace(
        progress,
        cost=progress.cost.plus(charged),
        spend=progress.spend.plus(charged),
        seen=seen[-SEEN:],
        failures=tuple(session.failures),
    )


async def _result_of(problem: Problem, progress: _Progress) -> Attempt | Failure | None:
    """Return what the trial at work came to; None where the budget ended before it wrote anything."""
    if progress.solution is None:
        return progress.failure
    key = await vote_key(problem, progress.solution)
    return Attempt(solution=progress.solution, critique=progress.critique, reward=progress.reward, vote_key=key)


def _saved(progress: _Progress, session: Session) -> RefinementState:
    """Return the state's part of where the loop stands."""
    return {"progress": encode(replace(progress, next_seq=next_seq_of(session.journal)))}
