"""The actor: writes, extends, revises and refines solutions with a language model.

Works over any `Engine` in any `ActorFormat`. Knows no policy and no budget of its own: every call goes through the
meter that it is given.
"""

from __future__ import annotations

from dataclasses import replace

from actorcritic.errors import InputError
from actorcritic.protocols import ActorFormat, Engine, Meter
from actorcritic.types import Critique, GenerateRequest, Problem, Prompt, Sampling, Solution

__all__ = ["ModelActor"]


class ModelActor:
    """An `Actor` over a language model.

    Args:
        engine: Where the tokens come from.
        format: How problems and critiques are put to the model.
        sampling: How tokens are drawn unless a call says otherwise.
        max_tokens: Completion tokens of one solution at most, >= 1.
    """

    def __init__(
        self, engine: Engine, format: ActorFormat, *, sampling: Sampling | None = None, max_tokens: int = 1024
    ) -> None:
        if max_tokens < 1:
            raise InputError(f"max_tokens must be at least 1, not {max_tokens}")
        self.engine = engine
        self.format = format
        self.sampling = sampling if sampling is not None else Sampling()
        self.max_tokens = max_tokens

    async def propose(
        self, problem: Problem, *, meter: Meter, sampling: Sampling | None = None, max_steps: int | None = None
    ) -> Solution:
        """See `Actor.propose`."""
        prompt = self.format.propose(problem)
        if max_steps is None:
            return await self._write(problem, None, prompt, meter, sampling)
        solution = await self._write_step(problem, None, prompt, meter, sampling)
        return await self._more_steps(problem, solution, max_steps - 1, meter, sampling)

    async def extend(
        self,
        problem: Problem,
        solution: Solution,
        *,
        meter: Meter,
        sampling: Sampling | None = None,
        max_steps: int | None = None,
    ) -> Solution:
        """See `Actor.extend`."""
        kept = len(solution.steps)
        if max_steps is None:
            longer = await self._write(problem, solution, self.format.extend(problem, solution), meter, sampling)
        else:
            longer = await self._more_steps(problem, solution, max_steps, meter, sampling)
        return replace(longer, kept=kept)

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
        """See `Actor.revise`.

        Raises:
            InputError: there is no such step, or none was given and the critique names no error.
        """
        start = critique.first_error if revise_from is None else revise_from
        if start is None or not 0 <= start < len(solution.steps):
            raise InputError(f"cannot revise from step {start} of {len(solution.steps)}: name a step that exists")
        prompt = self.format.revise(problem, solution, critique, start)
        kept = Solution(steps=solution.steps[:start], complete=False) if start else None
        return await self._write(problem, kept, prompt, meter, sampling)

    async def refine(
        self,
        problem: Problem,
        solution: Solution,
        critique: Critique,
        *,
        meter: Meter,
        sampling: Sampling | None = None,
    ) -> Solution:
        """See `Actor.refine`."""
        return await self._write(problem, None, self.format.refine(problem, solution, critique), meter, sampling)

    async def _write(
        self,
        problem: Problem,
        kept: Solution | None,
        prompt: Prompt,
        meter: Meter,
        sampling: Sampling | None,
        stop: tuple[str, ...] | None = None,
    ) -> Solution:
        """Make one call and read what comes back after the kept steps."""
        request = GenerateRequest(
            prompt=prompt,
            max_tokens=self.max_tokens,
            sampling=sampling if sampling is not None else self.sampling,
            stop=self.format.stop if stop is None else stop,
            tools=problem.tools,
        )
        generation = await meter.generate(self.engine, request, role="actor")
        return self.format.read(problem, kept, generation)

    async def _write_step(
        self, problem: Problem, kept: Solution | None, prompt: Prompt, meter: Meter, sampling: Sampling | None
    ) -> Solution:
        """Write one step; a text that ended with a step's own end is a partial solution."""
        ends = self.format.step_stop
        solution = await self._write(problem, kept, prompt, meter, sampling, stop=self.format.stop + ends)
        grew = len(solution.steps) > (len(kept.steps) if kept else 0)
        if solution.complete and grew and ends and solution.steps[-1].raw.endswith(ends):
            return replace(solution, complete=False)
        return solution

    async def _more_steps(
        self, problem: Problem, solution: Solution, steps: int, meter: Meter, sampling: Sampling | None
    ) -> Solution:
        """Go on step by step until the solution is complete, stops growing, or has so many more steps."""
        for _ in range(steps):
            if solution.complete:
                break
            before = len(solution.steps)
            prompt = self.format.extend(problem, solution)
            solution = await self._write_step(problem, solution, prompt, meter, sampling)
            if len(solution.steps) == before:
                break
        return solution
