"""Episodes in environments as solutions: what was done, what it earned, whether that is a success.

A success earns 1: all that can be had. Pure; knows no environment: the rewards stand in the steps.
"""

from __future__ import annotations

import math

from actorcritic.types import Solution

__all__ = ["CHECKER", "episode_return", "solved", "vote_key"]

CHECKER = "environment"
_ROUNDING = 1e-9


def episode_return(solution: Solution) -> float | None:
    """Return the sum of an episode's rewards so far, in [0, 1]; None where no step has any."""
    rewards = [step.observation.reward for step in solution.steps if step.observation is not None]
    known = [reward for reward in rewards if reward is not None]
    if not known:
        return None
    total = math.fsum(known)
    return 1.0 if total > 1.0 - _ROUNDING else max(0.0, total)


def solved(solution: Solution) -> bool | None:
    """Return whether a finished episode is a success; None where the environment gave no reward."""
    if not solution.complete:
        return False
    earned = episode_return(solution)
    return None if earned is None else earned >= 1.0


def vote_key(solution: Solution) -> str | None:
    """Return what was done, by which episodes are told apart; None where nothing was."""
    return "\n".join(step.text for step in solution.steps if step.observation is not None) or None
