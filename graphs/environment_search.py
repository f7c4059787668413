"""Search over environments: any strategy, every trial an episode or one action of it.

The search graph with an actor that plays: several actions are tried from the same state, ranked, expanded, backed up.
`AGENT_Q` and `LATS` are the strategies of those papers. Where the environment's reward is the task's own checker and
the strategy goes by it, the run is an oracle run; `score=critic` is what can be done without.
"""

from __future__ import annotations

from collections.abc import Callable

from actorcritic.budget import Budget
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.environments.scoring import EnvironmentReward
from actorcritic.graphs.scoring import Scorers
from actorcritic.graphs.session import Session
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import TreeSearchGraph, tree_search_graph
from actorcritic.protocols import Critic, EnvironmentInfo
from actorcritic.search.strategies import parse_strategy
from actorcritic.types import Problem

__all__ = ["AGENT_Q", "LATS", "ROLLOUTS", "environment_search_graph", "environment_settings"]

ROLLOUTS = "mcts:nodes=step,leaf=rollout,selection=agent-q,score=verifier"
"""What episodes earn is backed up, and nothing else; needs no critic."""
AGENT_Q = f"{ROLLOUTS},alpha=0.5,rank=critic"
"""Putta et al. 2024 (arXiv 2408.07199): the mean of what episodes earned, mixed with the critic's rank of siblings."""
LATS = "mcts:nodes=step,leaf=rollout,selection=uct,c_uct=1,score=verifier,reflections=3,stop_at=1"
"""Zhou et al. 2023 (arXiv 2310.04406). Deviations: a node's value is that of a rollout to the end by the actor, not a
model's guess; the share of equal siblings (self-consistency) is no part of it, and equal actions are not merged; a
failure counts 0, not -1. `selection=lats-code` divides the mean by the visits once more, as their program does."""


def environment_settings(
    strategy: str,
    info: EnvironmentInfo,
    *,
    budget: Budget = Budget(),
    width: int = 1,
    seed: int = 0,
    partial: bool = False,
) -> SearchSettings:
    """Return how to search an environment.

    Args:
        strategy: As text; with `score=verifier` it goes by the environment's reward.
        info: What the environment declares.
        budget: Per problem: tokens, calls, seconds, money, and `steps` in the environment.
        width: Trials in flight, >= 1; each has an environment of its own.
        seed: Of the run.
        partial: An unfinished episode counts what it has earned so far; for environments that reward progress.

    Raises:
        InputError: the strategy, an option or a value is unknown.
    """
    return SearchSettings(
        strategy=parse_strategy(strategy),
        budget=budget,
        width=width,
        seed=seed,
        trial_steps=info.max_steps,
        scorers=Scorers(verifier=EnvironmentReward(info, partial=partial)),
    )


def environment_search_graph(
    actor: EnvironmentActor,
    critic: Critic | None = None,
    settings: SearchSettings | None = None,
    *,
    session: Callable[[Problem], Session] | None = None,
) -> TreeSearchGraph:
    """Compile a graph that searches one problem's environment per run.

    Args:
        actor: Plays; its environments are closed when a search ends.
        critic: Judges episodes, finished or not; may be None where the strategy needs none.
        settings: How to search; by default `AGENT_Q`, or `ROLLOUTS` without a critic.
        session: Opens a problem: gives it a journal of its own, or goes on where an earlier run broke off.

    Returns:
        A graph from `{"problem": ...}` to `{"answer": ..., "result": ...}`: the answer is what was done in the best
        episode, one action per line. The problem is what `problem_in` makes of an environment.

    Raises:
        InputError: the strategy needs a critic and there is none.
    """
    if settings is None:
        settings = environment_settings(ROLLOUTS if critic is None else AGENT_Q, actor.info)
    return tree_search_graph(actor, critic, settings, session=session)
