"""The trial graph: the actor acts once, then the critic judges what it wrote.

One run of it is one trial of a search. Whatever fails inside comes back as data, so that siblings stay in play. It
knows no policy; it is never checkpointed itself, since the trajectory log is what a run resumes from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from actorcritic.errors import ActorCriticError, BudgetExhausted, InputError
from actorcritic.metering import CallMeter
from actorcritic.protocols import Actor, Critic
from actorcritic.types import (
    Action,
    Critique,
    Failure,
    Outcome,
    Problem,
    Sampling,
    Solution,
    StepCritique,
    Trial,
    Verdict,
)

__all__ = ["Attempt", "Emit", "TrialState", "VoteKey", "outcome_of", "trial_graph", "unscored"]

VoteKey = Callable[[Problem, Solution], str | None]
"""Gives the canonical form of a solution's answer, by which votes compare; None = no answer."""


class Emit(Protocol):
    """Takes what happens, as it happens: for the log and for whoever watches."""

    def __call__(self, kind: str, trial: Trial, payload: Solution | Critique | Failure) -> None:
        """Take one event of a trial: "proposed", "extended", "revised", "refined", "critiqued" or "failed"."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a finished trial left behind: the node's payload."""

    solution: Solution
    critique: Critique | None = None


class TrialState(TypedDict, total=False):
    """One trial on its way through the graph."""

    problem: Problem
    trial: Trial
    parent: Attempt | None
    meter: CallMeter
    emit: Emit
    solution: Solution | None
    critique: Critique | None
    failure: Failure | None


DONE: Mapping[Action, str] = {
    Action.PROPOSE: "proposed",
    Action.EXTEND: "extended",
    Action.REVISE: "revised",
    Action.REFINE: "refined",
}

async def act(
    actor: Actor, problem: Problem, trial: Trial, parent: Attempt | None, meter: CallMeter
) -> Solution:
    """Carry out the action of a trial.

    Raises:
        InputError: the trial starts from a parent that it was not given, or from one without a critique.
    """
    options = trial.options
    temperature, max_steps, start = options.get("temperature"), options.get("max_steps"), options.get("revise_from")
    sampling = Sampling(temperature=float(temperature)) if isinstance(temperature, int | float) else None
    steps = max_steps if isinstance(max_steps, int) else None
    if trial.action is Action.PROPOSE:
        return await actor.propose(problem, meter=meter, sampling=sampling, max_steps=steps)
    if parent is None:
        raise InputError(f"trial {trial.id} ({trial.action}) needs the solution of trial {trial.parent}")
    if trial.action is Action.EXTEND:
        return await actor.extend(problem, parent.solution, meter=meter, sampling=sampling, max_steps=steps)
    critique = parent.critique if parent.critique is not None else unscored(parent.solution)
    if trial.action is Action.REFINE:
        return await actor.refine(problem, parent.solution, critique, meter=meter, sampling=sampling)
    revise_from = start if isinstance(start, int) else None
    return await actor.revise(
        problem, parent.solution, critique, meter=meter, sampling=sampling, revise_from=revise_from
    )


def trial_graph(actor: Actor, critic: Critic | None) -> CompiledStateGraph[TrialState, None, TrialState, TrialState]:
    """Compile the graph of one trial: `actor`, then `critic` where the trial wants one and there is one."""

    async def actor_node(state: TrialState) -> TrialState:
        trial, emit = state["trial"], state["emit"]
        try:
            solution = await act(actor, state["problem"], trial, state.get("parent"), state["meter"])
        except Exception as error:  # noqa: BLE001 - any failure of an actor is recorded as the trial's own
            failure = failure_of("actor", error)
            emit("failed", trial, failure)
            return {"failure": failure}
        emit(DONE[trial.action], trial, solution)
        return {"solution": solution}

    async def critic_node(state: TrialState) -> TrialState:
        trial, emit, solution = state["trial"], state["emit"], state.get("solution")
        if critic is None or solution is None:
            return {}
        try:
            critique = await critic.critique(state["problem"], solution, meter=state["meter"])
        except BudgetExhausted:
            return {}  # the solution stands, unscored
        except Exception as error:  # noqa: BLE001 - any failure of a critic is recorded; the solution stands, unscored
            failure = failure_of("critic", error)
            emit("failed", trial, failure)
            return {"failure": failure}
        emit("critiqued", trial, critique)
        return {"critique": critique}

    def after_actor(state: TrialState) -> str:
        solution, trial = state.get("solution"), state["trial"]
        if critic is None or solution is None or trial.options.get("critique") is False:
            return END
        # A cut-off text is not a finished solution: the critic is asked only where a part was asked for.
        return "critic" if solution.complete or "max_steps" in trial.options else END

    graph = StateGraph(TrialState)
    graph.add_node("actor", actor_node)
    graph.add_node("critic", critic_node)
    graph.add_edge(START, "actor")
    graph.add_conditional_edges("actor", after_actor, ["critic", END])
    graph.add_edge("critic", END)
    return graph.compile(checkpointer=False, name="trial")


def failure_of(where: str, error: Exception) -> Failure:
    """Return an exception as data."""
    message = str(error) if isinstance(error, ActorCriticError) else f"{error}" or type(error).__name__
    return Failure(where=where, type=type(error).__name__, message=message)


def unscored(solution: Solution) -> Critique:
    """Return the critique of a critic that said nothing."""
    steps = tuple(StepCritique(verdict=Verdict.UNSCORED) for _ in solution.steps)
    return Critique(steps=steps, verdict=Verdict.UNSCORED)


def outcome_of(problem: Problem, attempt: Attempt, vote_key: VoteKey, tokens: int) -> Outcome:
    """Return all that a policy may learn of a finished trial that cost so many logical tokens."""
    solution = attempt.solution
    critique = attempt.critique if attempt.critique is not None else unscored(solution)
    logprobs = [value for step in solution.steps for value in step.logprobs]
    return Outcome(
        complete=solution.complete,
        vote_key=vote_key(problem, solution) if solution.complete else None,
        verdict=critique.verdict,
        first_error=critique.first_error,
        score=critique.score,
        logprob=sum(logprobs) / len(logprobs) if logprobs else None,
        least_confident=least_confident(solution),
        steps=len(solution.steps),
        tokens=tokens,
    )


def least_confident(solution: Solution) -> int | None:
    """Return the index of the step that holds the least likely token, the first of equals; None without logprobs."""
    lowest = [(min(step.logprobs), index) for index, step in enumerate(solution.steps) if step.logprobs]
    return min(lowest)[1] if lowest else None
