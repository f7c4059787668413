"""LangGraph graphs; the only place that imports langgraph."""

from actorcritic.graphs.agent_state import ToolAgentSettings
from actorcritic.graphs.environment_runs import search_environments
from actorcritic.graphs.environment_search import environment_search_graph
from actorcritic.graphs.human_critic import HumanStepCritic
from actorcritic.graphs.refinement import refinement_graph
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tool_agent import tool_agent_graph
from actorcritic.graphs.tree_search import solve_all, tree_search_graph
from actorcritic.graphs.trial import trial_graph

__all__ = [
    "HumanStepCritic",
    "SearchSettings",
    "ToolAgentSettings",
    "environment_search_graph",
    "refinement_graph",
    "search_environments",
    "solve_all",
    "tool_agent_graph",
    "tree_search_graph",
    "trial_graph",
]
