"""4x4 sudoku, empty cells filled in row order: exact generator, checker, labeller and vote key.

A puzzle has 4 to 6 clues and one solution; only 288 full grids exist, so problems are held out by solved grid.
Knows text and grids, no model and no prompt.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from actorcritic.tasks.heldout import Split, split_of
from actorcritic.tasks.labels import OK, StepLabel

__all__ = [
    "CELLS",
    "CODES",
    "Fill",
    "Sudoku",
    "generate",
    "grids",
    "label",
    "parse",
    "parse_step",
    "peers",
    "solve",
    "solved",
    "vote_key",
]

CELLS = 16
CODES = ("ok", "malformed", "wrong-cell", "clash", "wrong-value")
"""Labels of a step. `clash`: its wrong value stands already in the row, column or box; `wrong-value`: it does not
clash yet, but it is not the value of the only solution."""

_PROBLEM = re.compile(r"\s*fill\s+the\s+sudoku\s+([1-4.]{4})/([1-4.]{4})/([1-4.]{4})/([1-4.]{4})\s*", re.IGNORECASE)
_STEP = re.compile(r"\s*r([1-4])\s*c([1-4])\s*=\s*([1-4])\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sudoku:
    """One puzzle."""

    clues: str
    """16 characters row by row, a digit or a dot."""

    @property
    def solution(self) -> str | None:
        """The only full grid that fits, 16 digits; None if there is none or more than one."""
        return _only(self.clues)

    @property
    def empty(self) -> tuple[int, ...]:
        """Indices (0..15, row by row) of the cells to fill, in the order of the steps."""
        return tuple(i for i, c in enumerate(self.clues) if c == ".")

    @property
    def key(self) -> str:
        """Published key of the held-out rule.

        Raises:
            ValueError: the puzzle has no single solution, so it has no key.
        """
        if self.solution is None:
            raise ValueError("a puzzle without a single solution has no key")
        return f"sudoku:{self.solution}"

    def render(self) -> str:
        """Return the text that a person types."""
        return "Fill the sudoku " + "/".join(self.clues[i : i + 4] for i in range(0, CELLS, 4))


@dataclass(frozen=True, slots=True)
class Fill:
    """One step: a value for a cell."""

    cell: int
    """0..15, row by row."""
    value: int
    """1..4."""

    def render(self) -> str:
        """Return the step that a person reads, such as `r1c2 = 3`."""
        return f"r{self.cell // 4 + 1}c{self.cell % 4 + 1} = {self.value}"


def parse(text: str) -> Sudoku | None:
    """Read a problem text; None if it is no puzzle with 4 to 6 clues and exactly one solution."""
    found = _PROBLEM.fullmatch(text)
    if found is None:
        return None
    puzzle = Sudoku("".join(found.groups()))
    return puzzle if 4 <= CELLS - len(puzzle.empty) <= 6 and puzzle.solution else None


def parse_step(text: str) -> Fill | None:
    """Read one step; None if it does not name one cell and one value."""
    found = _STEP.fullmatch(text)
    return Fill(4 * int(found[1]) + int(found[2]) - 5, int(found[3])) if found else None


@cache
def peers(cell: int) -> tuple[int, ...]:
    """Return the other cells in the row, column or box of a cell."""
    row, column = divmod(cell, 4)
    box = (row // 2, column // 2)
    return tuple(
        i for i in range(CELLS) if i != cell and (i // 4 == row or i % 4 == column or (i // 8, i % 4 // 2) == box)
    )


@cache
def grids() -> tuple[str, ...]:
    """Return all 288 full grids, 16 digits each, in lexicographic order."""
    found = [""]
    for cell in range(CELLS):
        before = [i for i in peers(cell) if i < cell]
        found = [g + v for g in found for v in "1234" if all(g[i] != v for i in before)]
    return tuple(found)


@cache
def _holding() -> tuple[tuple[int, ...], ...]:
    """Return per cell and value (1..4, index 0 unused) the grids that hold it, as a bit set over `grids()`."""
    table = [[0] * 5 for _ in range(CELLS)]
    for at, grid in enumerate(grids()):
        for cell, value in enumerate(grid):
            table[cell][int(value)] |= 1 << at
    return tuple(tuple(row) for row in table)


@lru_cache(maxsize=1 << 16)
def _only(clues: str) -> str | None:
    left = (1 << len(grids())) - 1
    for cell, value in enumerate(clues):
        if value != ".":
            left &= _holding()[cell][int(value)]
    return grids()[left.bit_length() - 1] if left.bit_count() == 1 else None


def label(problem: Sudoku, steps: Sequence[str]) -> tuple[StepLabel, ...]:
    """Label every step by itself against the only solution; a step must fill the next empty cell in row order.

    Raises:
        ValueError: the puzzle has no single solution.
    """
    solution = problem.solution
    if solution is None:
        raise ValueError("only a puzzle with a single solution can be labelled")
    grid = list(problem.clues)
    labels: list[StepLabel] = []
    for at, text in enumerate(steps):
        fill = parse_step(text)
        if fill is None or at >= len(problem.empty):
            labels.append(StepLabel("malformed"))
        elif fill.cell != problem.empty[at]:
            labels.append(StepLabel("wrong-cell"))
        else:
            labels.append(_judge(grid, solution, fill))
            grid[fill.cell] = str(fill.value)
    return tuple(labels)


def _judge(grid: Sequence[str], solution: str, fill: Fill) -> StepLabel:
    value = str(fill.value)
    if solution[fill.cell] == value:
        return OK
    return StepLabel("clash" if any(grid[i] == value for i in peers(fill.cell)) else "wrong-value")


def solved(problem: Sudoku, steps: Sequence[str]) -> bool:
    """Return True if the steps fill every empty cell, in row order, with the only solution."""
    return len(steps) == len(problem.empty) and all(item.correct for item in label(problem, steps))


def solve(problem: Sudoku) -> tuple[str, ...] | None:
    """Return the steps of the only solution, None if there is not exactly one."""
    solution = problem.solution
    return tuple(Fill(i, int(solution[i])).render() for i in problem.empty) if solution else None


def vote_key(problem: Sudoku, steps: Sequence[str]) -> str | None:
    """Return the filled grid, 16 digits; None if the steps do not fill every empty cell in row order."""
    fills = [parse_step(text) for text in steps]
    if tuple(f.cell for f in fills if f) != problem.empty or None in fills:
        return None
    grid = list(problem.clues)
    for fill in fills:
        if fill:
            grid[fill.cell] = str(fill.value)
    return "".join(grid)


@cache
def _grids_of(split: Split) -> tuple[str, ...]:
    return tuple(g for g in grids() if split_of(f"sudoku:{g}") == split)


def generate(split: Split, seed: int) -> Iterator[Sudoku]:
    """Yield puzzles of a split without end: a uniform grid, a uniform number of clues in 4..6, a uniform clue set.

    Clue sets that leave more than one solution are drawn again. The same seed gives the same puzzles.
    """
    rng = random.Random(f"sudoku:{split}:{seed}")
    while True:
        grid, count = rng.choice(_grids_of(split)), rng.randint(4, 6)
        while True:
            kept = set(rng.sample(range(CELLS), count))
            puzzle = Sudoku("".join(v if i in kept else "." for i, v in enumerate(grid)))
            if _unique(puzzle.clues):
                break
        yield puzzle


def _unique(clues: str) -> bool:
    left = (1 << len(grids())) - 1
    for cell, value in enumerate(clues):
        if value != ".":
            left &= _holding()[cell][int(value)]
    return left.bit_count() == 1
