"""The task's own labeller as a critic and its checker as a verifier, for ceilings: a run with one is an oracle run."""

from __future__ import annotations

from actorcritic.errors import InputError
from actorcritic.protocols import Meter
from actorcritic.tasks.checkers import checker_of, label, verify
from actorcritic.types import Critique, Problem, Reference, Solution, StepCritique, Verdict

__all__ = ["OracleCritic", "TaskVerifier"]


class OracleCritic:
    """A `Critic` that knows: labels every step by the task's exact rules and makes no model call."""

    oracle = True

    async def critique(self, problem: Problem, solution: Solution, *, meter: Meter) -> Critique:
        """See `Critic.critique`.

        Raises:
            InputError: the problem's checker has no labeller.
        """
        labels = label(problem, solution)
        if labels is None:
            raise InputError(f"there is no oracle critic for problems with the checker {checker_of(problem)!r}")
        steps = tuple(
            StepCritique(
                verdict=Verdict.CORRECT if item.correct else Verdict.INCORRECT,
                explanation=None if item.correct else f"{item.code}: {solution.steps[index].text}",
                score=float(item.correct),
            )
            for index, item in enumerate(labels)
        )
        wrong = not all(item.correct for item in labels)
        right = bool(await verify(problem, solution, Reference())) if solution.complete else not wrong
        return Critique(
            steps=steps,
            verdict=Verdict.CORRECT if right else Verdict.INCORRECT,
            score=float(right),
            oracle=True,
        )


class TaskVerifier:
    """A `Verifier` that knows: the task's exact rules, or the gold answer."""

    async def verify(self, problem: Problem, solution: Solution, reference: Reference) -> bool | None:
        """See `Verifier.verify`."""
        return await verify(problem, solution, reference)
