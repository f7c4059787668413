"""Who says what a problem's answers are, by the checker's name: vote keys during a run, right or wrong after it.

A vote key looks only at what the actor wrote. `verify` and `label` look at the task's own rules or the gold answer:
they are oracles, kept for scoring and for explicit oracle runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from actorcritic import answers
from actorcritic.errors import InputError
from actorcritic.tasks import arithmetic, countdown, environment, gym, python_tests, sudoku
from actorcritic.tasks.labels import StepLabel
from actorcritic.types import Problem, Reference, Solution

__all__ = ["CHECKERS", "DEFAULT_CHECKER", "Family", "checker_of", "has_gold", "label", "verify", "vote_key"]

DEFAULT_CHECKER = "exact"
"""For a problem that names no checker and belongs to no family known by its text."""

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Family:
    """A family of problems that is known by its text and has exact rules; all functions take the problem's text."""

    knows: Callable[[str], bool]
    vote_key: Callable[[str, Sequence[str]], str | None]
    solved: Callable[[str, Sequence[str]], bool]
    label: Callable[[str, Sequence[str]], tuple[StepLabel, ...]]
    plain_answer: Callable[[Sequence[str], str], str | None] = lambda steps, answer: None
    """Canonical form of the answer of a solution that is not written in the family's steps; None: it has none."""
    value: Callable[[str], str | None] = lambda text: None
    """What that canonical form has to be; an oracle."""


def _family(
    parse: Callable[[str], P | None],
    vote_key: Callable[[P, Sequence[str]], str | None],
    solved: Callable[[P, Sequence[str]], bool],
    label: Callable[[P, Sequence[str]], tuple[StepLabel, ...]],
) -> Family:
    """Return a family from a task module's functions over its puzzles."""

    def puzzle(text: str) -> P:
        found = parse(text)
        if found is None:
            raise InputError(f"the problem {text!r} is not one that its checker can read")
        return found

    return Family(
        knows=lambda text: parse(text) is not None,
        vote_key=lambda text, steps: vote_key(puzzle(text), steps),
        solved=lambda text, steps: solved(puzzle(text), steps),
        label=lambda text, steps: label(puzzle(text), steps),
    )


FAMILIES: Mapping[str, Family] = {
    "countdown": _family(countdown.parse, countdown.vote_key, countdown.solved, countdown.label),
    "sudoku": _family(sudoku.parse, sudoku.vote_key, sudoku.solved, sudoku.label),
    "arithmetic": replace(
        _family(arithmetic.parse, arithmetic.vote_key, arithmetic.solved, arithmetic.label),
        plain_answer=arithmetic.plain_answer,
        value=lambda text: str(puzzle.value) if (puzzle := arithmetic.parse(text)) else None,
    ),
}

CHECKERS = (*FAMILIES, *answers.CHECKERS, gym.CHECKER, python_tests.CHECKER, environment.CHECKER)
"""Every checker by name."""


def checker_of(problem: Problem) -> str:
    """Return the name of a problem's checker: its own, or that of the family that its text belongs to, or the default.

    Raises:
        InputError: it names one that does not exist, or one that cannot work with what the problem says.
    """
    if problem.checker == gym.CHECKER:
        gym.origin_of(problem)
    if problem.checker is not None:
        if problem.checker not in CHECKERS:
            raise InputError(
                f"problem {problem.id!r}: unknown checker {problem.checker!r}; choose from: {', '.join(CHECKERS)}"
            )
        return problem.checker
    return next((name for name, family in FAMILIES.items() if family.knows(problem.text)), DEFAULT_CHECKER)


def _texts(solution: Solution) -> list[str]:
    return [step.text for step in solution.steps]


async def vote_key(problem: Problem, solution: Solution) -> str | None:
    """Return the canonical form of a solution's answer, by which votes compare; None where it has none."""
    name = checker_of(problem)
    if name in FAMILIES:
        family, steps = FAMILIES[name], _texts(solution)
        return family.vote_key(problem.text, steps) or family.plain_answer(steps, solution.answer or "")
    if name == python_tests.CHECKER:
        return python_tests.vote_key(solution)
    if name == environment.CHECKER:
        return environment.vote_key(solution)
    if name == gym.CHECKER:
        return None if solution.answer is None else gym.vote_key(solution.answer)
    return None if solution.answer is None else await answers.vote_key(answers.CHECKERS[name], solution.answer)


def has_gold(problem: Problem, reference: Reference) -> bool:
    """Return whether there is anything to compare a solution with: exact rules or a gold answer."""
    return checker_of(problem) in (*FAMILIES, gym.CHECKER, environment.CHECKER) or reference.answer is not None


async def verify(problem: Problem, solution: Solution | None, reference: Reference) -> bool | None:
    """Return whether a solution is right; a missing or cut-off one is wrong.

    Returns:
        None where there is nothing to compare with (no exact rules, no gold answer) or no sandbox knows the program.
    """
    name = checker_of(problem)
    if name in FAMILIES:
        return solution is not None and solution.complete and _solved(FAMILIES[name], problem.text, solution)
    if name == gym.CHECKER:
        if solution is None or not solution.complete or solution.answer is None:
            return False
        return await asyncio.to_thread(gym.solved, problem, solution.answer)
    if name == environment.CHECKER:
        return solution is not None and environment.solved(solution)
    if reference.answer is None:
        return None
    if name == python_tests.CHECKER:
        return solution is not None and await asyncio.to_thread(python_tests.solved, solution, reference.answer)
    if solution is None or not solution.complete or solution.answer is None:
        return False
    return await answers.equivalent(answers.CHECKERS[name], solution.answer, reference.answer)


def _solved(family: Family, text: str, solution: Solution) -> bool:
    """Return whether a whole solution is right, by its steps or, where it has none of the family's, by its answer."""
    steps = _texts(solution)
    if family.solved(text, steps):
        return True
    answer = family.plain_answer(steps, solution.answer or "")
    return answer is not None and answer == family.value(text)


def label(problem: Problem, solution: Solution) -> tuple[StepLabel, ...] | None:
    """Return the exact label of every step, None where the problem's checker has no labeller."""
    name = checker_of(problem)
    return FAMILIES[name].label(problem.text, _texts(solution)) if name in FAMILIES else None
