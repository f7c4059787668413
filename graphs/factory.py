"""Graphs from model specs, for whoever can send only JSON: LangGraph's server and Studio, through `langgraph.json`.

Everything stands under `configurable`: actor, critic, reward_model, verifier, strategy, budget_tokens, seed, and width
for a search; for the tool agent actor, critic, tools, budget_tokens, max_steps and seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ConfigDict, ValidationError

from actorcritic.budget import Budget
from actorcritic.engines.load import load_engine
from actorcritic.errors import InputError
from actorcritic.graphs.agent_state import ToolAgentSettings
from actorcritic.graphs.refinement import RefinementGraph, refinement_graph
from actorcritic.graphs.scoring import Scorers
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tool_agent import ToolAgentGraph, tool_agent_graph
from actorcritic.graphs.tree_search import TreeSearchGraph, tree_search_graph
from actorcritic.loading import Roles, load_roles, load_verifier
from actorcritic.protocols import Capabilities, Engine, EngineInfo
from actorcritic.search.strategies import parse_strategy
from actorcritic.tools import calculate_tool, check_answer_tool, python_tool, run_tests_tool
from actorcritic.types import GenerateRequest, Generation, Prompt, ToolSpec

__all__ = ["AgentOptions", "GraphOptions", "refinement", "tool_agent", "tree_search"]

MODELS_KEPT = 4
"""Pairs of loaded models that are kept for the next graph; a server asks for a graph on every request."""
TOOLS = {
    "calculate": calculate_tool,
    "check_answer": check_answer_tool,
    "python": python_tool,
    "run_tests": run_tests_tool,
}
"""Tools of the agent by name."""

_Options = TypeVar("_Options", bound=BaseModel)


class GraphOptions(BaseModel):
    """What `configurable` may hold; the server's own keys beside these are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    actor: str = "embedded"
    critic: str | None = None
    """None = the actor's."""
    reward_model: str | None = None
    """For `score=reward-model`: `hf-prm:PATH_OR_ID?format=NAME` or `hf-orm:PATH_OR_ID`."""
    verifier: str | None = None
    """For `score=verifier`: `calculate`, or `oracle`, the task's own rules, which makes it an oracle run."""
    strategy: str = "revise"
    budget_tokens: int | None = None
    """Logical tokens per problem, critic included; None = no limit."""
    width: int = 1
    seed: int = 0

    def settings(self, roles: Roles) -> SearchSettings:
        """Return how to search with these roles."""
        return SearchSettings(
            strategy=parse_strategy(self.strategy),
            budget=Budget(tokens=self.budget_tokens),
            width=self.width,
            seed=self.seed,
            exact=roles.exact,
            scorers=Scorers(
                reward_model=roles.reward_model,
                verifier=None if self.verifier is None else load_verifier(self.verifier),
            ),
        )


class AgentOptions(BaseModel):
    """What `configurable` may hold for the tool agent; the server's own keys beside these are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    actor: str | None = None
    """A model spec that takes tools; a run without one ends as failed and says so."""
    critic: str | None = None
    """A model spec, `human`, `execution` or `calculate`; None = no critic."""
    tools: tuple[str, ...] = ("calculate",)
    """Names of `TOOLS`."""
    budget_tokens: int | None = None
    """Logical tokens per turn, critic included; None = no limit."""
    max_steps: int = 25
    seed: int = 0


def refinement(config: RunnableConfig) -> RefinementGraph:
    """Return the refinement graph that a configuration asks for."""
    options = _options_of(config, GraphOptions)
    roles = _load(options.actor, options.critic, options.reward_model)
    if roles.critic is None:
        raise InputError("the refinement graph needs a critic: name one in configurable.critic")
    return refinement_graph(roles.actor, roles.critic, options.settings(roles))


def tree_search(config: RunnableConfig) -> TreeSearchGraph:
    """Return the search graph that a configuration asks for."""
    options = _options_of(config, GraphOptions)
    roles = _load(options.actor, options.critic, options.reward_model)
    return tree_search_graph(roles.actor, roles.critic, options.settings(roles))


def tool_agent(config: RunnableConfig) -> ToolAgentGraph:
    """Return the agent that a configuration asks for."""
    options = _options_of(config, AgentOptions)
    unknown = [name for name in options.tools if name not in TOOLS]
    if unknown:
        raise InputError(f"configurable.tools: no tool {unknown[0]!r}; choose from: {', '.join(TOOLS)}")
    settings = ToolAgentSettings(
        budget=Budget(tokens=options.budget_tokens), max_steps=options.max_steps, seed=options.seed
    )
    actor = _NoActor() if options.actor is None else _engine(options.actor)
    critic = actor if options.critic is not None and options.critic == options.actor else options.critic
    return tool_agent_graph(actor, [TOOLS[name]() for name in options.tools], critic, settings)


class _NoActor:
    """Stands in for an actor that nobody named: servers ask for a graph before they know its configuration."""

    info = EngineInfo(model="none", name="no actor", capabilities=Capabilities(chat=True, tools=True))

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """See `Engine.encode`."""
        return ()

    async def generate(self, request: GenerateRequest) -> Generation:
        """Say what is missing."""
        raise InputError("name an actor that calls tools in configurable.actor, such as openai:MODEL@URL")

    async def aclose(self) -> None:
        """Do nothing."""


def _options_of(config: RunnableConfig, kind: type[_Options]) -> _Options:
    """Read a configuration.

    Raises:
        InputError: a value is not of its kind.
    """
    try:
        return kind.model_validate(config.get("configurable", {}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(f"configurable.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


@lru_cache(maxsize=MODELS_KEPT)
def _engine(spec: str) -> Engine:
    """Load one model once."""
    return load_engine(spec)


@lru_cache(maxsize=MODELS_KEPT)
def _load(actor: str, critic: str | None, reward_model: str | None) -> Roles:
    """Load a pair of models once, with a reward model where one is named."""
    return load_roles(actor, critic, reward_model=reward_model)
