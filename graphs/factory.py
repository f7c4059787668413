"""Graphs from model specs, for whoever can send only JSON: LangGraph's server and Studio, through `langgraph.json`.

Everything stands under `configurable`: actor, critic, reward_model, verifier, strategy, budget_tokens, seed, and width
for a search.
"""

from __future__ import annotations

from functools import lru_cache

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ConfigDict, ValidationError

from actorcritic.budget import Budget
from actorcritic.errors import InputError
from actorcritic.graphs.refinement import RefinementGraph, refinement_graph
from actorcritic.graphs.scoring import Scorers
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import TreeSearchGraph, tree_search_graph
from actorcritic.loading import Roles, load_roles, load_verifier
from actorcritic.search.strategies import parse_strategy

__all__ = ["GraphOptions", "refinement", "tree_search"]

MODELS_KEPT = 4
"""Pairs of loaded models that are kept for the next graph; a server asks for a graph on every request."""


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


def refinement(config: RunnableConfig) -> RefinementGraph:
    """Return the refinement graph that a configuration asks for."""
    options = _options_of(config)
    roles = _load(options.actor, options.critic, options.reward_model)
    if roles.critic is None:
        raise InputError("the refinement graph needs a critic: name one in configurable.critic")
    return refinement_graph(roles.actor, roles.critic, options.settings(roles))


def tree_search(config: RunnableConfig) -> TreeSearchGraph:
    """Return the search graph that a configuration asks for."""
    options = _options_of(config)
    roles = _load(options.actor, options.critic, options.reward_model)
    return tree_search_graph(roles.actor, roles.critic, options.settings(roles))


def _options_of(config: RunnableConfig) -> GraphOptions:
    """Read a configuration.

    Raises:
        InputError: a value is not of its kind.
    """
    try:
        return GraphOptions.model_validate(config.get("configurable", {}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(f"configurable.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


@lru_cache(maxsize=MODELS_KEPT)
def _load(actor: str, critic: str | None, reward_model: str | None) -> Roles:
    """Load a pair of models once, with a reward model where one is named."""
    return load_roles(actor, critic, reward_model=reward_model)
