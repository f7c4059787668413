"""An actor in an environment: another actor writes the actions, each is done, and what it shows stands in its step.

So a step of a solution is an action with its observation, a whole solution is an episode, and every search policy works
on environments as it does on texts. A step on the bill is taken once: those of a replay are counted beside it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from actorcritic.actor import ModelActor
from actorcritic.environments.worlds import Visit, Worlds, acted
from actorcritic.errors import BudgetExhausted, EngineError, InputError
from actorcritic.protocols import Actor, ActorFormat, Engine, EnvironmentInfo, Meter, OpenEnvironment
from actorcritic.types import Critique, Problem, Sampling, Solution, Step

__all__ = ["EnvironmentActor"]

NOTHING = Solution(steps=(), complete=False)


class EnvironmentActor:
    """An `Actor` that plays.

    A solution is complete when the environment says that the episode is done; its answer is what was done, one action
    per line. An episode that the budget or `max_steps` cuts off is not complete.

    Args:
        actor: Writes one action at a time; asked with `max_steps=1`, and the text of the step is the action.
        open: Opens an environment for a problem; as many as there are trials in flight.
        info: What these environments declare.
        allow_replay: Replay even where steps have side effects, which then happen again.
        max_steps: Actions of one episode at most, where the environment has no such limit of its own.
    """

    def __init__(
        self,
        actor: Actor,
        open: OpenEnvironment,
        info: EnvironmentInfo,
        *,
        allow_replay: bool = False,
        max_steps: int = 50,
    ) -> None:
        if max_steps < 1:
            raise InputError(f"max_steps must be at least 1, not {max_steps}")
        self.actor = actor
        self.info = info
        self.max_steps = info.max_steps if info.max_steps is not None else max_steps
        self._open = open
        self._allow_replay = allow_replay
        self._worlds: dict[str, Worlds] = {}

    @property
    def engine(self) -> Engine:
        """Where the tokens of the actions come from.

        Raises:
            InputError: no model writes them.
        """
        return self._model.engine

    @property
    def format(self) -> ActorFormat:
        """How the model is asked for an action.

        Raises:
            InputError: no model is.
        """
        return self._model.format

    @property
    def _model(self) -> ModelActor:
        if not isinstance(self.actor, ModelActor):
            raise InputError(f"{type(self.actor).__name__} is no model: take a ModelActor for this")
        return self.actor

    async def propose(
        self, problem: Problem, *, meter: Meter, sampling: Sampling | None = None, max_steps: int | None = None
    ) -> Solution:
        """See `Actor.propose`: act from the beginning."""
        return await self._play(problem, NOTHING, None, meter, sampling, max_steps)

    async def extend(
        self,
        problem: Problem,
        solution: Solution,
        *,
        meter: Meter,
        sampling: Sampling | None = None,
        max_steps: int | None = None,
    ) -> Solution:
        """See `Actor.extend`: act on from the state after the last step."""
        return await self._play(problem, solution, None, meter, sampling, max_steps)

    async def revise(
        self,
        problem: Problem,
        solution: Solution,
        critique: Critique,
        *,
        meter: Meter,
        sampling: Sampling | None = None,
        revise_from: int | None = None,
    ) -> Solution:
        """See `Actor.revise`: go back to the state before a step, and act from there with the critique.

        Raises:
            InputError: there is no such step, or none was given and the critique names no error.
        """
        start = critique.first_error if revise_from is None else revise_from
        if start is None or not 0 <= start < len(solution.steps):
            raise InputError(f"cannot revise from step {start} of {len(solution.steps)}: name a step that exists")
        write = partial(
            self.actor.revise, problem, solution, critique, meter=meter, sampling=sampling, revise_from=start
        )
        kept = Solution(steps=solution.steps[:start], complete=False)
        return await self._play(problem, kept, write, meter, sampling, None)

    async def refine(
        self,
        problem: Problem,
        solution: Solution,
        critique: Critique,
        *,
        meter: Meter,
        sampling: Sampling | None = None,
    ) -> Solution:
        """See `Actor.refine`: act once more from the beginning, with the critique before the first action."""
        write = partial(self.actor.refine, problem, solution, critique, meter=meter, sampling=sampling)
        return await self._play(problem, NOTHING, write, meter, sampling, None)

    async def leave(self, problem: Problem) -> None:
        """See `ResidentActor.leave`: close the problem's environments."""
        worlds = self._worlds.pop(problem.id, None)
        if worlds is not None:
            await worlds.aclose()

    async def _play(
        self,
        problem: Problem,
        start: Solution,
        write: Callable[[], Awaitable[Solution]] | None,
        meter: Meter,
        sampling: Sampling | None,
        max_steps: int | None,
    ) -> Solution:
        """Act from where a solution ends until the episode does; `write` writes the first action, if not as usual."""
        if problem.id not in self._worlds:
            self._worlds[problem.id] = Worlds(self._open, self.info, problem, allow_replay=self._allow_replay)
        room = self.max_steps - len(acted(start.steps))
        limit = room if max_steps is None else min(max_steps, room)
        solution = replace(start, kept=len(start.steps), complete=False, answer=None)
        async with self._worlds[problem.id].visit(start.steps) as visit:
            for number in range(limit):
                usual = partial(self._write, problem, solution, meter, sampling)
                try:
                    meter.admit_step()
                    written = await (write if write is not None and number == 0 else usual)()
                    new = _up_to_action(written.steps[len(solution.steps) :], meter)
                except BudgetExhausted:
                    if number == 0:
                        raise
                    break
                solution = await self._act(solution, new, visit, meter)
                if solution.complete:
                    break
        return solution

    async def _write(self, problem: Problem, solution: Solution, meter: Meter, sampling: Sampling | None) -> Solution:
        """Let the other actor write the next action."""
        if not solution.steps:
            return await self.actor.propose(problem, meter=meter, sampling=sampling, max_steps=1)
        return await self.actor.extend(problem, solution, meter=meter, sampling=sampling, max_steps=1)

    async def _act(self, solution: Solution, new: tuple[Step, ...], visit: Visit, meter: Meter) -> Solution:
        """Do the action that the new steps end with."""
        action = new[-1]
        observation = await meter.step(self.info.name, action.text, partial(visit.step, action.text))
        step = replace(action, observation=observation)
        visit.moved(step)
        steps = (*solution.steps, *new[:-1], step)
        return Solution(
            steps=steps,
            answer="\n".join(step.text for step in acted(steps)) if observation.done else None,
            complete=observation.done,
            kept=solution.kept,
            logprob=_logprob(steps),
        )


def _up_to_action(new: tuple[Step, ...], meter: Meter) -> tuple[Step, ...]:
    """Return the new steps up to the first action; whatever was written after it came before its observation.

    Raises:
        BudgetExhausted: there is none, since the budget has cut it off.
        EngineError: there is none for another reason.
    """
    place = next((place for place, step in enumerate(new) if not step.thinking and step.text), None)
    if place is None:
        meter.admit_step()
        raise EngineError("no action was written, or it was cut off: ask for one, or allow more tokens")
    return new[: place + 1]


def _logprob(steps: tuple[Step, ...]) -> float | None:
    """Return the sum over all tokens of the actions; None where one of them has none."""
    if not all(step.logprobs for step in acted(steps)):
        return None
    return sum(value for step in steps for value in step.logprobs)
