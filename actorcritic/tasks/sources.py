"""Problem sets by name: different problems of one side of the held-out rule, the same ones every time.

A problem's id is made of the problem itself, so it does not depend on how many were asked for. Knows the families'
generators, no model and no file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

from actorcritic.errors import InputError
from actorcritic.tasks import arithmetic, countdown, gym, sudoku
from actorcritic.tasks.heldout import Split
from actorcritic.types import Problem

__all__ = ["TASKS", "TASK_NAMES", "draw_problems"]

GIVE_UP = 20_000
"""So many draws in a row that bring nothing new: the set is exhausted."""


def _countdown(size: int) -> Callable[[Split, int], Iterator[Problem]]:
    def draw(split: Split, seed: int) -> Iterator[Problem]:
        for puzzle in countdown.generate(split, seed, size):
            yield Problem(id=puzzle.key, prompt=puzzle.render(), checker="countdown")

    return draw


def _mixed(split: Split, seed: int) -> Iterator[Problem]:
    """Yield problems of 3 and of 4 numbers in turn."""
    for pair in zip(_countdown(3)(split, seed), _countdown(4)(split, seed), strict=False):
        yield from pair


def _sudoku(split: Split, seed: int) -> Iterator[Problem]:
    for puzzle in sudoku.generate(split, seed):
        # The published key names the solved grid, which many puzzles share and no problem may carry.
        yield Problem(id=f"sudoku:{puzzle.clues}", prompt=puzzle.render(), checker="sudoku")


def _arithmetic(split: Split, seed: int) -> Iterator[Problem]:
    for puzzle in arithmetic.generate(split, seed):
        yield Problem(id=puzzle.key, prompt=puzzle.render(), checker="arithmetic")


TASKS: Mapping[str, Callable[[Split, int], Iterator[Problem]]] = {
    "countdown": _mixed,
    "countdown-3": _countdown(3),
    "countdown-4": _countdown(4),
    "sudoku": _sudoku,
    "arithmetic": _arithmetic,
}
"""Every task by name: an endless stream of problems of a split, from a seed; problems come again."""

TASK_NAMES = (*TASKS, f"{gym.PREFIX}NAME")
"""What `draw_problems` takes; NAME is any task of reasoning_gym (extra: tasks)."""


def draw_problems(task: str, split: Split, count: int, *, seed: int = 0) -> tuple[Problem, ...]:
    """Return the first `count` different problems of a task.

    Args:
        task: One of `TASK_NAMES`.
        split: Which side of the held-out rule.
        count: How many, >= 1; fewer problems asked for are the beginning of more.
        seed: The same seed gives the same problems.

    Raises:
        InputError: the task is unknown, or it does not have so many problems.
    """
    if count < 1:
        raise InputError(f"the number of problems must be at least 1, not {count}")
    found: dict[str, Problem] = {}
    last_new = 0
    for drawn, problem in enumerate(_stream(task, split, seed)):
        if problem.id not in found:
            found[problem.id], last_new = problem, drawn
        if len(found) == count:
            break
        if drawn - last_new > GIVE_UP:
            raise InputError(f"the task {task} has about {len(found)} {split} problems, not {count}")
    return tuple(itertools.islice(found.values(), count))


def _stream(task: str, split: Split, seed: int) -> Iterator[Problem]:
    if task.startswith(gym.PREFIX):
        return gym.generate(task.removeprefix(gym.PREFIX), split, seed)
    if task not in TASKS:
        raise InputError(f"unknown task {task!r}; choose from: {', '.join(TASK_NAMES)}")
    return TASKS[task](split, seed)
