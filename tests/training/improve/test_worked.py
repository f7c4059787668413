"""Worked solutions are right, pass through no held-out problem, and are the same for the same seed."""

from __future__ import annotations

import pytest

from actorcritic.export.exclusion import heldout_state
from actorcritic.formats.lines import parse_problem
from actorcritic.tasks.sources import draw_problems
from actorcritic.training.embedded.attempts import solved
from actorcritic.training.improve.worked import worked_solution
from actorcritic.types import Problem, Solution, Step


@pytest.mark.parametrize("task", ["countdown", "sudoku", "arithmetic"])
def test_they_solve_what_training_may_see(task: str) -> None:
    found = 0
    for problem in draw_problems(task, "train", 40):
        text = worked_solution(problem)
        if text is None:
            continue
        puzzle = parse_problem(problem.text)
        steps = text.splitlines()
        assert puzzle is not None and solved(puzzle, steps)
        assert heldout_state(problem, Solution(steps=tuple(Step(text=step) for step in steps))) is None
        assert worked_solution(problem) == text
        found += 1
    assert found > 30


def test_no_solver_no_solution() -> None:
    assert worked_solution(Problem(id="p", prompt="How many hats?")) is None
