"""LangGraph graphs; the only place that imports langgraph."""

from actorcritic.graphs.environment_search import environment_search_graph
from actorcritic.graphs.refinement import refinement_graph
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import solve_all, tree_search_graph
from actorcritic.graphs.trial import trial_graph

__all__ = [
    "SearchSettings",
    "environment_search_graph",
    "refinement_graph",
    "solve_all",
    "tree_search_graph",
    "trial_graph",
]
