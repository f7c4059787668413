"""Who plays in a tool agent: engines from models, step critics from whatever an app has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from actorcritic.agent_steps import AgentStep, Judgement, StepCritic
from actorcritic.critic import CalculationCritic, ExecutionCritic
from actorcritic.engines.langchain import LangChainEngine, is_chat_model
from actorcritic.engines.load import load_engine
from actorcritic.errors import InputError
from actorcritic.graphs.human_critic import HumanStepCritic
from actorcritic.loading import Model
from actorcritic.protocols import Critic, Engine
from actorcritic.step_critics import AnswerStepCritic, FunctionStepCritic, ModelStepCritic

__all__ = ["AnyStepCritic", "critics_of", "engine_of"]

NAMED: Mapping[str, Callable[[], StepCritic]] = {
    "human": HumanStepCritic,
    "execution": lambda: AnswerStepCritic(ExecutionCritic()),
    "calculate": lambda: AnswerStepCritic(CalculationCritic()),
}
"""Critics by name, beside the model specs; the last two judge the answer."""

AnyStepCritic: TypeAlias = (
    StepCritic | Critic | Model | Callable[[AgentStep], Judgement | Awaitable[Judgement | None] | None]
)
"""A step critic; a critic of solutions, which judges the answer; a model or a name in `NAMED`; a function of a step."""


def engine_of(model: Model, *, own_sampling: bool = False, role: str = "the actor") -> Engine:
    """Return the engine of a model that calls tools.

    Args:
        model: A spec, an engine, or a LangChain chat model.
        own_sampling: Leave a chat model's temperature as it is set.
        role: Who it is for, for the error message.

    Raises:
        InputError: the spec is unknown.
    """
    if isinstance(model, str):
        return load_engine(model)
    if is_chat_model(model):
        return LangChainEngine(model, own_sampling=own_sampling)
    if not hasattr(model, "generate") or not hasattr(model, "info"):
        raise InputError(f"{role} is {model!r}: give a model spec, an engine or a LangChain chat model")
    return model


def critics_of(
    critic: AnyStepCritic | Sequence[AnyStepCritic] | None, model: Model, actor: Engine
) -> tuple[StepCritic, ...]:
    """Return the step critics that an app gave, in their order.

    Args:
        critic: One, several, or none.
        model: The actor's model as it was given.
        actor: Its engine, which a critic by the same spec shares.

    Raises:
        InputError: one is no critic.
    """
    if critic is None:
        return ()
    given = cast("Sequence[AnyStepCritic]", critic if isinstance(critic, list | tuple) else (critic,))
    return tuple(ModelStepCritic(actor) if _is_spec(one, model) else _critic_of(one) for one in given)


def _is_spec(critic: AnyStepCritic, model: Model) -> bool:
    """Return whether a critic is the very spec of the actor's model, which is then loaded once."""
    return isinstance(critic, str) and isinstance(model, str) and critic == model


def _critic_of(critic: AnyStepCritic) -> StepCritic:
    one: Any = critic
    if isinstance(one, str) and one in NAMED:
        return NAMED[one]()
    if hasattr(one, "judge") and hasattr(one, "wants"):
        return cast("StepCritic", one)
    if hasattr(one, "critique"):
        return AnswerStepCritic(cast("Critic", one))
    if isinstance(one, str) or is_chat_model(one) or hasattr(one, "generate"):
        return ModelStepCritic(engine_of(one, role="the critic"))
    if callable(one):
        return FunctionStepCritic(cast("Any", one))
    raise InputError(f"{one!r} is no step critic: give a model, a function of a step, 'human' or a StepCritic")
