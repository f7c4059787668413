"""Whether an environment keeps to what a search relies on: play it at random, twice, and see whether it is the same.

    problem = await problem_in(MyWorld(), "p")
    print(await check_environment(open_my_world, problem, ["look", "go north"]))  # () = nothing to complain of

Finds what random play meets, and proves nothing. Knows no search.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from actorcritic.environments.worlds import STATE, same_observation
from actorcritic.errors import InputError
from actorcritic.observation import Observation
from actorcritic.protocols import Environment, OpenEnvironment, SnapshotEnvironment
from actorcritic.types import Problem

__all__ = ["check_environment"]

LONGEST = 200
"""Actions of one episode at most, where the environment says nothing."""
NONSENSE = "\t<no such action>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Episode:
    """What was done, and what was shown: one observation more than actions."""

    actions: tuple[str, ...]
    shown: tuple[Observation, ...]
    snapshots: tuple[object, ...] = ()
    """After the beginning and each action, where the environment gives any."""


async def check_environment(
    open: OpenEnvironment, problem: Problem, actions: Sequence[str] = (), *, episodes: int = 5, seed: int = 0
) -> tuple[str, ...]:
    """Return what does not hold, one line each; empty = nothing was found.

    Args:
        open: Opens environments for the problem.
        problem: As `problem_in` makes it.
        actions: What to do where the environment does not say what can be done.
        episodes: How many to play, >= 1.
        seed: Of the choice of actions.

    Raises:
        InputError: nobody says what can be done.
        EnvironmentFault: the environment broke down.
    """
    draw, found = random.Random(seed), list[str]()
    one, other = await open(problem), await open(problem)
    try:
        for _ in range(episodes):
            played = await _play(one, draw, actions)
            found += _check_episode(one, problem, played)
            found += await _check_replay(one, played)
            found += await _check_replay(other, played)
            if isinstance(other, SnapshotEnvironment):
                found += await _check_snapshots(other, played, draw)
    finally:
        for environment in (one, other, one):  # to close twice must do no harm
            await environment.aclose()
    return tuple(dict.fromkeys(found))


async def _play(environment: Environment, draw: random.Random, known: Sequence[str]) -> _Episode:
    """Play an episode at random, one action of which is nonsense."""
    done: list[str] = []
    shown = [await environment.reset()]
    snapshots = [await environment.snapshot()] if isinstance(environment, SnapshotEnvironment) else []
    nonsense = draw.randrange(4)
    while not shown[-1].done and len(done) < (environment.info.max_steps or LONGEST) + 1:
        can = shown[-1].actions if shown[-1].actions is not None else known
        if not can:
            raise InputError("nobody says what can be done: give some actions")
        done.append(NONSENSE if len(done) == nonsense else draw.choice(list(can)))
        shown.append(await environment.step(done[-1]))
        if isinstance(environment, SnapshotEnvironment):
            snapshots.append(await environment.snapshot())
    return _Episode(actions=tuple(done), shown=tuple(shown), snapshots=tuple(snapshots))


def _check_episode(environment: Environment, problem: Problem, played: _Episode) -> list[str]:
    """Return what one episode shows to be wrong."""
    found: list[str] = []
    first, last = played.shown[0], played.shown[-1]
    if problem.meta.get(STATE, first.state) != first.state:
        found.append("it does not begin in the state that the problem names")
    if environment.info.max_steps is not None and not last.done:
        found.append(f"an episode goes on after {environment.info.max_steps} steps, though it declares that limit")
    rewards = [shown.reward for shown in played.shown if shown.reward is not None]
    total = math.fsum(rewards)
    if last.done and rewards and not -1e-9 <= total <= 1 + 1e-9:
        found.append(f"an episode's rewards add up to {total:g}, not to a return in [0, 1]")
    if any(shown.done and shown.actions for shown in played.shown):
        found.append("there is something to do after the end")
    return found


async def _check_replay(environment: Environment, played: _Episode) -> list[str]:
    """Return where the same actions lead elsewhere: in the same world, once more, or in another."""
    if not same_observation(played.shown[0], await environment.reset()):
        return ["it begins in another way each time"]
    for place, action in enumerate(played.actions):
        if not same_observation(played.shown[place + 1], await environment.step(action)):
            return [f"the same actions lead elsewhere, from action {place} on: a replay would fail"]
    return []


async def _check_snapshots(environment: SnapshotEnvironment, played: _Episode, draw: random.Random) -> list[str]:
    """Return where a snapshot of another world does not bring this one to the state in which it was made."""
    for place in draw.sample(range(len(played.actions)), min(3, len(played.actions))):
        await environment.restore(played.snapshots[place])
        if not same_observation(played.shown[place + 1], await environment.step(played.actions[place])):
            return ["after a restore the same action leads elsewhere"]
    return []
