"""Critique-in-the-loop agents and test-time scaling.

An actor writes solutions step by step, a critic says which step is wrong and why, the actor revises from there, a
search decides where the next tokens go. Graphs live in `actorcritic.graphs`; importing this package loads no model
library.
"""

from actorcritic.actor import ModelActor
from actorcritic.agent_steps import AgentStep, Judgement, Ruling
from actorcritic.budget import Budget
from actorcritic.critic import CalculationCritic, ExecutionCritic, FunctionCritic, ModelCritic
from actorcritic.errors import ActorCriticError, BudgetExhausted, EngineError, InputError, NoResult
from actorcritic.functions import (
    Candidate,
    Scaled,
    ab_mcts,
    adaptive_vote,
    best_of_n,
    majority,
    mcts,
    refine,
    run_sync,
    scale,
    this_call,
    typed_codec,
    weighted_vote,
)
from actorcritic.loading import LoadOptions, Roles, load_roles
from actorcritic.metering import free_meter
from actorcritic.search.strategies import parse_strategy
from actorcritic.step_critics import AnswerStepCritic, FunctionStepCritic, ModelStepCritic
from actorcritic.trajectory.agent_log import AgentLog
from actorcritic.types import Critique, Message, Problem, Sampling, Solution, Step, StepCritique, Usage, Verdict

__all__ = [
    "ActorCriticError",
    "AgentLog",
    "AgentStep",
    "AnswerStepCritic",
    "Budget",
    "BudgetExhausted",
    "CalculationCritic",
    "Candidate",
    "Critique",
    "EngineError",
    "ExecutionCritic",
    "FunctionCritic",
    "FunctionStepCritic",
    "InputError",
    "Judgement",
    "LoadOptions",
    "Message",
    "ModelActor",
    "ModelCritic",
    "ModelStepCritic",
    "NoResult",
    "Problem",
    "Roles",
    "Ruling",
    "Sampling",
    "Scaled",
    "Solution",
    "Step",
    "StepCritique",
    "Usage",
    "Verdict",
    "ab_mcts",
    "adaptive_vote",
    "best_of_n",
    "free_meter",
    "load_roles",
    "majority",
    "mcts",
    "parse_strategy",
    "refine",
    "run_sync",
    "scale",
    "this_call",
    "typed_codec",
    "weighted_vote",
]
