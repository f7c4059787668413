"""Worked solutions of training problems, by the task's own solver: the original reasoning data. Knows no model."""

from __future__ import annotations

import random

from actorcritic.formats.lines import parse_problem
from actorcritic.metering import derive_seed
from actorcritic.training.embedded.attempts import solution
from actorcritic.types import Problem

__all__ = ["worked_solution"]

TRIES = 20
"""A drawn solution may pass through a held-out problem; then another one is drawn."""


def worked_solution(problem: Problem, *, seed: int = 0) -> str | None:
    """Return a right solution, one step a line, that passes through no held-out problem.

    Args:
        problem: A training problem.
        seed: Of the choice where there are several.

    Returns:
        None for a problem of a family without a solver, and where no such solution was found.
    """
    puzzle = parse_problem(problem.text)
    if puzzle is None:
        return None
    rng = random.Random(derive_seed(seed, "worked", problem.id))
    found = (solution(puzzle, rng) for _ in range(TRIES))
    steps = next((steps for steps in found if steps is not None), None)
    return None if steps is None else "\n".join(steps)
