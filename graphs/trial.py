"""The trial graph: the actor acts once, then the critic judges what it wrote.

One run of it is one trial of a search. Whatever fails inside comes back as data, so that siblings stay in play. It
knows no policy; it is never checkpointed itself, since the trajectory log is what a run resumes from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from actorcritic.errors import ActorCriticError, BudgetExhausted, EnvironmentFault, InputError, RecordError
from actorcritic.exploration import without_means
from actorcritic.graphs.scoring import Scorers, gold_verdict, score, wants_reward
from actorcritic.protocols import Actor, Critic, Meter
from actorcritic.scores import checked_critique
from actorcritic.search.policy import ORACLE
from actorcritic.types import (
    Action,
    Critique,
    Failure,
    Outcome,
    Payload,
    Problem,
    Reward,
    Sampling,
    Solution,
    StepCritique,
    Trial,
    Verdict,
)

__all__ = [
    "Attempt",
    "Emit",
    "Recall",
    "TrialGraph",
    "TrialRun",
    "TrialState",
    "Turns",
    "act",
    "judge",
    "outcome_of",
    "trial_graph",
    "unscored",
    "wants_critique",
]


class Emit(Protocol):
    """Takes what a trial brings forth, as it happens: for the log and for whoever watches."""

    def __call__(self, trial: Trial, payload: Payload) -> None:
        """Take a solution, a critique, a reward or a failure of a trial."""
        ...


Recall: TypeAlias = Callable[[Trial, Solution], Critique | None]
"""Returns what the critic said of the same solution before; None = it has to be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a finished trial left behind: the node's payload."""

    solution: Solution
    critique: Critique | None = None
    vote_key: str | None = None
    """Canonical form of the answer, by which votes compare; None = no answer."""
    reward: Reward | None = None
    """What the reward model or the verifier gave it; None = nobody was asked, or it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRun:
    """One trial on its way: what it begins with, and what has come of it so far."""

    problem: Problem
    trial: Trial
    parent: Attempt | None = None
    meter: Meter
    emit: Emit
    recall: Recall | None = None
    """What the critic has said already; None = it is asked every time."""
    solution: Solution | None = None
    critique: Critique | None = None
    """None = nobody was asked, or it failed."""
    reward: Reward | None = None
    """Likewise."""
    failure: Failure | None = None
    """Set where there is no solution."""


class Turns(Protocol):
    """Gives an endless run of the trial graph its trials; see `lanes`."""

    async def turn(self, ended: TrialRun | None) -> TrialRun:
        """Take what became of a trial (at first: of none) and return the next one, when there is one."""
        ...


class TrialState(TypedDict, total=False):
    """What goes through the graph: few keys, since LangGraph asks a price for each of them at every step."""

    lane: Turns
    """Only in an endless run, and then all that it begins with."""
    run: TrialRun


TrialGraph = CompiledStateGraph[TrialState, None, TrialState, TrialState]


async def act(
    actor: Actor, problem: Problem, trial: Trial, parent: Attempt | None, meter: Meter, emit: Emit
) -> Solution | Failure:
    """Carry out the action of a trial; a failure is a value, and so is the end of the budget (see `out_of_budget`)."""
    try:
        solution = await _dispatch(actor, problem, trial, parent, meter)
    except BudgetExhausted as error:
        return without_means(error)
    except RecordError:
        raise  # what cannot be logged must not go on as if it had been
    except Exception as error:  # noqa: BLE001 - whatever an actor fails of is recorded as this trial's failure
        failure = _failure("environment" if isinstance(error, EnvironmentFault) else "actor", error)
        emit(trial, failure)
        return failure
    emit(trial, solution)
    return solution


async def judge(
    critic: Critic,
    problem: Problem,
    trial: Trial,
    solution: Solution,
    meter: Meter,
    emit: Emit,
    scorers: Scorers | None = None,
) -> Critique | None:
    """Let the critic judge a solution; None where it failed or the budget ended: the solution stands, unscored.

    A trial that asks for the oracle gets the verdict of a verifier that is one; all else in the critique is the
    critic's, whose opinion never takes the verdict's place.
    """
    critique: Critique | None = None
    try:
        critique = checked_critique(await critic.critique(problem, solution, meter=meter), solution)
    except BudgetExhausted:
        pass  # what could be paid for stands
    except RecordError:
        raise  # what cannot be logged must not go on as if it had been
    except Exception as error:  # noqa: BLE001 - whatever a critic fails of is recorded; the solution stands, unscored
        emit(trial, _failure("critic", error))
    if scorers is not None and scorers.gold is not None and trial.options.get(ORACLE) is True:
        verdict = await gold_verdict(scorers.gold, problem, trial, solution, meter, emit)
        critique = replace(critique if critique is not None else unscored(solution), verdict=verdict, oracle=True)
    if critique is not None:
        emit(trial, critique)
    return critique


def wants_critique(trial: Trial, solution: Solution) -> bool:
    """Return whether the critic is to judge: not where the policy needs none, nor a text that was cut off."""
    if trial.options.get("critique") is False:
        return False
    return solution.complete or "max_steps" in trial.options


def trial_graph(
    actor: Actor, critic: Critic | None, scorers: Scorers | None = None, *, endless: bool = False
) -> TrialGraph:
    """Compile the graph of one trial: `actor`, then `critic` and `scorer` where the trial wants one and there is one.

    Args:
        actor: Who writes.
        critic: Who judges.
        scorers: Who gives a reward to trials that ask for one, or the verdict to those that ask for the oracle's.
        endless: After a trial wait for the next one that the state's `lane` gives; otherwise end.
    """
    rewarders = scorers if scorers is not None else Scorers()
    end = "actor" if endless else END

    async def actor_node(state: TrialState) -> TrialState:
        run = await state["lane"].turn(state.get("run")) if endless else state["run"]
        result = await act(actor, run.problem, run.trial, run.parent, run.meter, run.emit)
        ended = replace(run, failure=result) if isinstance(result, Failure) else replace(run, solution=result)
        return {"run": ended}

    async def critic_node(state: TrialState) -> TrialState:
        run = state["run"]
        assert critic is not None and run.solution is not None  # the routing below leads here only with both
        said = run.recall(run.trial, run.solution) if run.recall is not None else None
        if said is not None:
            run.emit(run.trial, said)
            return {"run": replace(run, critique=said)}
        critique = await judge(critic, run.problem, run.trial, run.solution, run.meter, run.emit, rewarders)
        return {"run": replace(run, critique=critique)}

    async def scorer_node(state: TrialState) -> TrialState:
        run = state["run"]
        assert run.solution is not None  # likewise
        reward = await score(rewarders, run.problem, run.trial, run.solution, run.meter, run.emit)
        return {"run": replace(run, reward=reward)}

    # Routing functions are asynchronous: LangGraph sends a plain one through a thread, which costs more than a step.
    async def after_actor(state: TrialState) -> str:
        run = state["run"]
        if critic is None or run.solution is None or not wants_critique(run.trial, run.solution):
            return await after_critic(state)
        return "critic"

    async def after_critic(state: TrialState) -> str:
        run = state["run"]
        return "scorer" if run.solution is not None and wants_reward(run.trial, run.solution) else END

    graph = StateGraph(TrialState)
    graph.add_node("actor", actor_node)
    graph.add_node("critic", critic_node)
    graph.add_edge(START, "actor")
    if rewarders == Scorers():  # a way that nobody goes still costs every trial its look at the sign
        graph.add_conditional_edges("actor", after_actor, {"critic": "critic", END: end})
        graph.add_edge("critic", end)
    else:
        graph.add_node("scorer", scorer_node)
        graph.add_conditional_edges("actor", after_actor, {"critic": "critic", "scorer": "scorer", END: end})
        graph.add_conditional_edges("critic", after_critic, {"scorer": "scorer", END: end})
        graph.add_edge("scorer", end)
    return graph.compile(checkpointer=False, name="trial")


async def _dispatch(actor: Actor, problem: Problem, trial: Trial, parent: Attempt | None, meter: Meter) -> Solution:
    """Call the actor's method for the trial's action with the trial's options.

    Raises:
        InputError: the trial starts from a parent that it was not given.
    """
    options = trial.options
    temperature, max_steps, start = options.get("temperature"), options.get("max_steps"), options.get("revise_from")
    sampling = Sampling(temperature=float(temperature)) if isinstance(temperature, int | float) else None
    steps = max_steps if isinstance(max_steps, int) else None
    if trial.action is Action.PROPOSE:
        return await actor.propose(problem, meter=meter, sampling=sampling, max_steps=steps)
    if parent is None:
        raise InputError(f"trial {trial.id} ({trial.action}) needs the solution of trial {trial.parent}")
    if trial.action is Action.JUDGE:
        return parent.solution
    if trial.action is Action.EXTEND:
        return await actor.extend(problem, parent.solution, meter=meter, sampling=sampling, max_steps=steps)
    critique = parent.critique if parent.critique is not None else unscored(parent.solution)
    if trial.action is Action.REFINE:
        return await actor.refine(problem, parent.solution, critique, meter=meter, sampling=sampling)
    revise_from = start if isinstance(start, int) else None
    return await actor.revise(
        problem, parent.solution, critique, meter=meter, sampling=sampling, revise_from=revise_from
    )


def _failure(where: str, error: Exception) -> Failure:
    """Return an exception as data."""
    message = str(error) if isinstance(error, ActorCriticError) else f"{error}" or type(error).__name__
    return Failure(where=where, type=type(error).__name__, message=message)


def unscored(solution: Solution) -> Critique:
    """Return the critique of a critic that said nothing."""
    steps = tuple(StepCritique(verdict=Verdict.UNSCORED) for _ in solution.steps)
    return Critique(steps=steps, verdict=Verdict.UNSCORED)


def outcome_of(attempt: Attempt, tokens: int) -> Outcome:
    """Return all that a policy may learn of a finished trial that cost so many logical tokens."""
    solution = attempt.solution
    critique = attempt.critique if attempt.critique is not None else unscored(solution)
    logprobs = [value for step in solution.steps for value in step.logprobs]
    return Outcome(
        complete=solution.complete,
        vote_key=attempt.vote_key if solution.complete else None,
        verdict=critique.verdict,
        first_error=critique.first_error,
        score=critique.score,
        logprob=_mean(logprobs),
        least_confident=_least_confident(solution),
        steps=len(solution.steps),
        tokens=tokens,
        step_scores=tuple(step.score for step in attempt.critique.steps) if attempt.critique is not None else (),
        reward=attempt.reward.score if attempt.reward is not None else None,
        step_rewards=attempt.reward.steps if attempt.reward is not None else (),
    )


def _mean(logprobs: Sequence[float]) -> float | None:
    """Return the mean log-probability per token; None where there are none, or where one is no number."""
    mean = sum(logprobs) / len(logprobs) if logprobs else math.nan
    return mean if math.isfinite(mean) else None


def _least_confident(solution: Solution) -> int | None:
    """Return the index of the step that holds the least likely token, the first of equals; None without logprobs."""
    lowest = [(min(step.logprobs), index) for index, step in enumerate(solution.steps) if step.logprobs]
    return min(lowest)[1] if lowest else None
