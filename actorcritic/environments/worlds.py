"""The environments of one problem: opened as trials need them, and brought back to the state that a trial starts from.

Back by snapshot where the environment has any, otherwise by replay of the actions, every observation of which must be
the one that was logged. Knows no actor, no budget and no policy.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from actorcritic.errors import EnvironmentFault, ReplayDiffers
from actorcritic.observation import Observation
from actorcritic.protocols import Environment, EnvironmentInfo, OpenEnvironment, SnapshotEnvironment
from actorcritic.types import JsonValue, Problem, Step

__all__ = ["STATE", "Path", "Visit", "Worlds", "acted", "problem_in", "same_observation"]

STATE = "state"
"""Field of a problem's `meta`: the hash of the state that the environment begins in."""

Path: TypeAlias = tuple[str, ...]
"""The actions that lead to a state from the beginning."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _World:
    """An open environment and where it stands. Mutable."""

    environment: Environment
    path: Path | None = None
    """None = not at the beginning yet."""


class Worlds:
    """The environments of one problem. Mutable: it keeps idle ones and snapshots until it is closed."""

    def __init__(
        self, open: OpenEnvironment, info: EnvironmentInfo, problem: Problem, *, allow_replay: bool = False
    ) -> None:
        """Open nothing yet.

        Args:
            open: Opens an environment for the problem.
            info: What all of them declare.
            problem: Whose they are.
            allow_replay: Replay even where steps have side effects, which then happen again.
        """
        self._open = open
        self._info = info
        self._problem = problem
        self._may_replay = allow_replay or not info.side_effects
        self._idle: list[_World] = []
        self._snapshots: dict[Path, object] = {}
        self._closed = False

    @asynccontextmanager
    async def visit(self, steps: Sequence[Step]) -> AsyncGenerator[Visit, None]:
        """Give leave to act from the state after some steps; no environment is entered before the first action."""
        visit = Visit(self, acted(steps))
        try:
            yield visit
        finally:
            await visit.leave()

    async def aclose(self) -> None:
        """Close every environment that is idle; those at work are closed as they come back."""
        self._closed = True
        self._snapshots.clear()
        while self._idle:
            await self._idle.pop().environment.aclose()

    async def enter(self, steps: Sequence[Step], note: Callable[[], None]) -> _World:
        """Return an environment in the state after these steps.

        Args:
            steps: Actions with their observations.
            note: Called for every step that is replayed.

        Raises:
            EnvironmentFault: an environment broke down, or did not come back to the state (`ReplayDiffers`).
        """
        path = tuple(step.text for step in steps)
        world = next((world for world in self._idle if world.path == path), None)
        if world is None:
            world = self._idle[-1] if self._idle else await self._opened()
        if world in self._idle:
            self._idle.remove(world)
        try:
            self._check_way_back(world, path)
            if world.path != path:
                await self._bring(world, steps, path, note)
        except BaseException:
            await world.environment.aclose()
            raise
        return world

    async def step(self, world: _World, action: str) -> Observation:
        """Take a step and remember where it led; after a failure the environment is of no more use."""
        assert world.path is not None  # it has been entered
        path, world.path = (*world.path, action), None
        observation = await _guarded(world.environment.step(action))
        if isinstance(world.environment, SnapshotEnvironment):
            self._snapshots[path] = await _guarded(world.environment.snapshot())
        world.path = path
        return observation

    async def give_back(self, world: _World) -> None:
        """Keep an environment for the next trial, or close one that broke off in the middle of a step."""
        if world.path is None or self._closed:
            await world.environment.aclose()
        else:
            self._idle.append(world)

    async def _opened(self) -> _World:
        environment = await _guarded(self._open(self._problem))
        if environment.info != self._info:
            await environment.aclose()
            raise EnvironmentFault(f"an environment {environment.info} was opened where {self._info} was declared")
        return _World(environment)

    def _check_way_back(self, world: _World, path: Path) -> None:
        """Refuse a replay that may not be, even where this very environment happens to stand at the right place."""
        if path and not self._may_replay and not isinstance(world.environment, SnapshotEnvironment):
            raise ReplayDiffers(
                f"steps in {self._info.name} have side effects and it gives no snapshots: search whole episodes "
                "(greedy, best-of-n), or allow replay"
            )

    async def _bring(self, world: _World, steps: Sequence[Step], path: Path, note: Callable[[], None]) -> None:
        """Bring an environment to a state: by the nearest snapshot on the way, or from the beginning."""
        world.path = None
        environment = world.environment
        known = next((end for end in range(len(path), 0, -1) if path[:end] in self._snapshots), 0)
        if known and isinstance(environment, SnapshotEnvironment):
            await _guarded(environment.restore(self._snapshots[path[:known]]))
        else:
            known = 0
            self._check_beginning(await _guarded(environment.reset()))
        world.path = path[:known]
        if known < len(path) and not self._may_replay:
            raise ReplayDiffers(f"steps in {self._info.name} have side effects, and there is no snapshot: allow replay")
        for place in range(known, len(path)):
            note()
            seen = await self.step(world, path[place])
            logged = steps[place].observation
            if logged is None or not same_observation(logged, seen):
                raise ReplayDiffers(
                    f"step {place} ({path[place]!r}) led {self._info.name} to another state than before: {seen.text!r}"
                )

    def _check_beginning(self, seen: Observation) -> None:
        logged = self._problem.meta.get(STATE)
        if isinstance(logged, str) and logged != seen.state:
            raise ReplayDiffers(
                f"{self._info.name} does not begin in the state that problem {self._problem.id!r} names"
            )


class Visit:
    """One trial's stay in the environments of its problem. Mutable."""

    def __init__(self, worlds: Worlds, steps: tuple[Step, ...]) -> None:
        self._worlds = worlds
        self._steps = list(steps)
        self._world: _World | None = None

    async def step(self, action: str, note: Callable[[], None]) -> Observation:
        """Take a step from where the visit stands; see `TakeStep`."""
        if self._world is None:
            self._world = await self._worlds.enter(self._steps, note)
        return await self._worlds.step(self._world, action)

    def moved(self, step: Step) -> None:
        """Take in that a step was taken, now or before the run broke off."""
        self._steps.append(step)

    async def leave(self) -> None:
        """Give the environment back."""
        if self._world is not None:
            world, self._world = self._world, None
            await self._worlds.give_back(world)


def acted(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps that were actions; a model's thinking changes no world."""
    return tuple(step for step in steps if step.observation is not None)


def same_observation(logged: Observation, seen: Observation) -> bool:
    """Return whether two observations are of one state: by its hash, or without one by all that is shown."""
    if logged.state or seen.state:
        return logged.state == seen.state
    return logged == seen


async def problem_in(
    environment: Environment, id: str, *, meta: dict[str, JsonValue] | None = None, checker: str = "environment"
) -> Problem:
    """Return the problem that an environment sets: its first observation is what an actor is asked.

    Args:
        environment: Is reset.
        id: The problem's.
        meta: What else it says, such as which environment it is; `state` and `actions` are added.
        checker: Who says afterwards whether an episode was a success.
    """
    first = await environment.reset()
    said: dict[str, JsonValue] = {**(meta or {}), STATE: first.state}
    if first.actions is not None:
        said["actions"] = list(first.actions)
    return Problem(id=id, prompt=first.text, checker=checker, meta=said)


async def _guarded(work: Awaitable[T]) -> T:
    """Return what an environment gives; whatever it raises is its own fault.

    Raises:
        EnvironmentFault: it raised.
    """
    try:
        return await work
    except EnvironmentFault:
        raise
    except Exception as error:  # environments are foreign code
        raise EnvironmentFault(f"{type(error).__name__}: {error}") from error
