"""The search graph: one node explores with any strategy, one node concludes with the best so far.

The exploring node keeps a window of trials in flight (a fan-out of `Send` tasks would wait for the slowest of every
round) and streams every event. Embed it in an app, or run many side by side as `solve` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from actorcritic.actor import ModelActor
from actorcritic.budget import Budget, Lease, Ledger
from actorcritic.critic import ModelCritic
from actorcritic.errors import InputError
from actorcritic.graphs.events import EventJournal, Watcher
from actorcritic.graphs.exploration import Exploration
from actorcritic.graphs.results import record_of
from actorcritic.graphs.session import Session
from actorcritic.graphs.trial import Attempt, TrialState, trial_graph
from actorcritic.metering import Price
from actorcritic.protocols import Actor, Critic
from actorcritic.records import ProblemInput, problem_of
from actorcritic.search.strategies import StrategySpec, make_policy, needs_critic, parse_strategy
from actorcritic.tasks.checkers import vote_key
from actorcritic.types import Failure, Problem, Trial
