"""Attempts at training problems by other hands than a model's: solutions, hasty tries, corrupted ones, wrong steps.

What each family's problems, labels and held-out states are to the training, too. Steps are those that a person reads;
pure Python, knows no token.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from actorcritic.formats.lines import MAX_VALUE, Puzzle, render_lines, step_count
from actorcritic.tasks import arithmetic, countdown, sudoku
from actorcritic.tasks.arithmetic import Arithmetic
from actorcritic.tasks.countdown import Countdown, Equation
from actorcritic.tasks.heldout import Split, may_train
from actorcritic.tasks.sudoku import Fill, Sudoku

__all__ = [
    "FAMILIES",
    "Attempt",
    "attempt_labels",
    "corrupted",
    "finish",
    "hasty",
    "problems",
    "solution",
    "solved",
    "trainable",
    "vote_key",
    "wrong_step",
]

FAMILIES = ("countdown-3", "countdown-4", "sudoku", "arithmetic")
Attempt = tuple[Puzzle, tuple[str, ...]]
"""A problem and the steps of an attempt at it, as a person reads them."""


def problems(family: str, split: Split, seed: int, operations: range = arithmetic.OPERATIONS) -> Iterator[Puzzle]:
    """Yield problems of a family and split without end; arithmetic ones with so many operations."""
    if family == "sudoku":
        return iter(sudoku.generate(split, seed))
    if family == "arithmetic":
        return iter(arithmetic.generate(split, seed, operations))
    return iter(countdown.generate(split, seed, int(family[-1])))


def attempt_labels(puzzle: Puzzle, steps: Sequence[str]) -> tuple[str, ...]:
    """Return the exact label of every step."""
    match puzzle:
        case Countdown():
            labels = countdown.label(puzzle, steps)
        case Sudoku():
            labels = sudoku.label(puzzle, steps)
        case Arithmetic():
            labels = arithmetic.label(puzzle, steps)
    return tuple(item.code for item in labels)


def solved(puzzle: Puzzle, steps: Sequence[str]) -> bool:
    """Return True if the steps solve the problem."""
    return len(steps) == step_count(puzzle) and all(code == "ok" for code in attempt_labels(puzzle, steps))


def vote_key(puzzle: Puzzle, steps: Sequence[str]) -> str | None:
    """Return the canonical form of a whole attempt."""
    match puzzle:
        case Countdown():
            return countdown.vote_key(puzzle, steps)
        case Sudoku():
            return sudoku.vote_key(puzzle, steps)
        case Arithmetic():
            return arithmetic.vote_key(puzzle, steps)


def trainable(puzzle: Puzzle, steps: Sequence[str]) -> bool:
    """Return True if neither the problem nor a state on the way is held out (test or development)."""
    match puzzle:
        case Countdown():
            return _trainable_countdown(puzzle, steps)
        case Sudoku():
            return may_train((puzzle.key,))
        case Arithmetic():
            return arithmetic.trainable(puzzle, steps)


def _trainable_countdown(puzzle: Countdown, steps: Sequence[str]) -> bool:
    state = tuple(sorted(puzzle.numbers))
    if countdown.state_split(state, puzzle.target) != "train":
        return False
    for text in steps:
        equation = countdown.parse_step(text)
        if equation is None:
            return True
        state = countdown.after(state, equation)
        if len(state) >= 3 and countdown.state_split(state, puzzle.target) != "train":
            return False
    return True


def solution(puzzle: Puzzle, rng: random.Random) -> tuple[str, ...] | None:
    """Return a right solution that the models have words for and may see; None if a try found none."""
    steps = finish(puzzle, (), rng)
    if not steps or not trainable(puzzle, steps) or len(render_lines(puzzle, steps)) < step_count(puzzle):
        return None
    return steps


def finish(puzzle: Puzzle, before: Sequence[str], rng: random.Random) -> tuple[str, ...]:
    """Return right steps that finish what right steps began; none if there are none."""
    match puzzle:
        case Countdown():
            return countdown.solve(Countdown(_state(puzzle, before), puzzle.target), rng) or ()
        case Sudoku():
            return (sudoku.solve(puzzle) or ())[len(before) :]
        case Arithmetic():
            return arithmetic.solve(Arithmetic(_left(puzzle, before)))


def hasty(puzzle: Puzzle) -> tuple[str, ...] | None:
    """Return the failure of a hasty solver; None where it succeeds, or there is none for such a problem.

    With three numbers it always takes the step whose result is nearest to the target; in an expression it forgets what
    is carried and borrowed.
    """
    match puzzle:
        case Countdown():
            return _hasty_countdown(puzzle) if len(puzzle.numbers) == 3 else None
        case Sudoku():
            return None
        case Arithmetic():
            steps = _worked_out(puzzle, _without_carry)
            return None if solved(puzzle, steps) else steps


def _hasty_countdown(puzzle: Countdown) -> tuple[str, ...] | None:
    state, steps = tuple(sorted(puzzle.numbers)), list[str]()
    while len(state) > 1:
        move = min(countdown.moves(state), key=lambda m: abs(m.result - puzzle.target))
        steps.append(move.render())
        state = countdown.after(state, move)
    return None if state == (puzzle.target,) else tuple(steps)


def wrong_step(puzzle: Puzzle, before: Sequence[str], rng: random.Random) -> str | None:
    """Return a wrong step after right ones, mostly of the kind that a model writes; None: draw again."""
    match puzzle:
        case Countdown():
            return _wrong_countdown(puzzle, before, rng)
        case Sudoku():
            return _wrong_sudoku(puzzle, before, rng)
        case Arithmetic():
            return _broken_operation(_left(puzzle, before), rng).render()


def _wrong_countdown(puzzle: Countdown, before: Sequence[str], rng: random.Random) -> str | None:
    state = _state(puzzle, before)
    if rng.random() < 0.2:
        return _broken(state, rng).render()
    wrong = [m for m in countdown.moves(state) if not countdown.reachable(countdown.after(state, m), puzzle.target)]
    return rng.choice(wrong).render() if wrong else None


def _wrong_sudoku(puzzle: Sudoku, before: Sequence[str], rng: random.Random) -> str:
    grid, cell = _filled(puzzle, before), puzzle.empty[len(before)]
    right = (puzzle.solution or "")[cell]
    values = [v for v in "1234" if v != right]
    quiet = [v for v in values if all(grid[i] != v for i in sudoku.peers(cell))]
    return Fill(cell, int(rng.choice(quiet if quiet and rng.random() < 0.7 else values))).render()


def _filled(puzzle: Sudoku, steps: Sequence[str]) -> list[str]:
    grid = list(puzzle.clues)
    for text in steps:
        fill = sudoku.parse_step(text)
        if fill:
            grid[fill.cell] = str(fill.value)
    return grid


def _state(puzzle: Countdown, steps: Sequence[str]) -> tuple[int, ...]:
    state = tuple(sorted(puzzle.numbers))
    for text in steps:
        equation = countdown.parse_step(text)
        if equation:
            state = countdown.after(state, equation)
    return state


def _broken(state: tuple[int, ...], rng: random.Random) -> Equation:
    """Return a step with a wrong result, or with a number that is not there."""
    move = rng.choice(countdown.moves(state))
    if rng.random() < 0.6:
        near = move.result + rng.choice((-10, -3, -2, -1, 1, 2, 3, 10))
        result = near if rng.random() < 0.7 and near > 0 else rng.randint(1, 99)
        return Equation(move.left, move.op, move.right, result if result != move.result else result + 1)
    foreign = rng.choice((rng.randint(1, 25), max(1, move.right + rng.choice((-1, 1))), move.left))
    left, right = (move.left, foreign) if rng.random() < 0.5 else (foreign, move.right)
    if right > left:
        left, right = right, left
    value = countdown.apply(left, move.op, right)
    return Equation(left, move.op if value else "+", right, value or left + right)


def _left(puzzle: Arithmetic, steps: Sequence[str]) -> arithmetic.Tree:
    """Return what the steps leave to be worked out."""
    state = puzzle.tree
    for text in steps:
        equation = arithmetic.parse_step(text)
        changed = arithmetic.after(state, equation) if equation else None
        state = state if changed is None else changed
    return state


def _worked_out(puzzle: Arithmetic, result: Callable[[int, str, int], int]) -> tuple[str, ...]:
    """Return the attempt that works out the leftmost operation every time, with such results."""
    state, steps = puzzle.tree, list[str]()
    while not isinstance(state, int):
        left, op, right = arithmetic.ready(state)[0]
        steps.append(arithmetic.Equation(left, op, right, result(left, op, right)).render())
        state = _left(Arithmetic(state), steps[-1:])
    return tuple(steps)


def _without_carry(left: int, op: str, right: int) -> int:
    """Return a result in which every digit was worked out by itself, kept in 0..99."""
    if op == "*":
        return min(arithmetic.apply(left, op, right), arithmetic.MAX_VALUE)
    tens, ones = arithmetic.apply(left // 10, op, right // 10), arithmetic.apply(left % 10, op, right % 10)
    return 10 * (tens % 10) + ones % 10


def _broken_operation(state: arithmetic.Tree, rng: random.Random) -> arithmetic.Equation:
    """Return a step with a wrong result, or one that works out what is not there to work out."""
    left, op, right = rng.choice(arithmetic.ready(state)[:2])
    if rng.random() < 0.7:
        return arithmetic.Equation(left, op, right, _near(arithmetic.apply(left, op, right), rng))
    foreign = rng.choice((rng.randint(1, 20), *arithmetic.numbers(state)))
    turn = rng.randrange(3)
    if turn == 0:
        left = foreign
    elif turn == 1:
        right = foreign
    else:
        op = rng.choice("+-*")
    value = arithmetic.apply(left, op, right)
    return arithmetic.Equation(left, op, right, value if 0 <= value <= arithmetic.MAX_VALUE else _near(value, rng))


def _near(value: int, rng: random.Random) -> int:
    """Return another value in 0..99, mostly a near one."""
    near = value + rng.choice((-10, -2, -1, 1, 2, 10))
    if rng.random() < 0.8 and 0 <= near <= arithmetic.MAX_VALUE:
        return near
    return (max(value, 0) + rng.randint(1, arithmetic.MAX_VALUE)) % (arithmetic.MAX_VALUE + 1)


def corrupted(puzzle: Puzzle, rng: random.Random) -> tuple[str, ...] | None:
    """Return a synthetic attempt, right or wrong in some steps; None: draw again."""
    match puzzle:
        case Countdown():
            return _corrupted_countdown(puzzle, rng)
        case Sudoku():
            return _corrupted_sudoku(puzzle, rng)
        case Arithmetic():
            return _corrupted_arithmetic(puzzle, rng)


def _corrupted_sudoku(puzzle: Sudoku, rng: random.Random) -> tuple[str, ...]:
    solution, grid = puzzle.solution or "", list(puzzle.clues)
    kind = rng.random()
    flips = 0.0 if kind < 0.33 else rng.choice((0.08, 0.16, 0.3))
    follow = kind >= 0.66
    steps: list[str] = []
    strayed = False
    for cell in puzzle.empty:
        right = solution[cell]
        quiet = [v for v in "1234" if all(grid[i] != v for i in sudoku.peers(cell))]
        value = right
        if follow and strayed and right not in quiet and quiet:
            value = rng.choice(quiet)
        elif rng.random() < flips:
            others = [v for v in (quiet if rng.random() < 0.7 else "1234") if v != right]
            value = rng.choice(others) if others else right
        strayed |= value != right
        grid[cell] = value
        steps.append(Fill(cell, int(value)).render())
    return tuple(steps)


def _corrupted_countdown(puzzle: Countdown, rng: random.Random) -> tuple[str, ...] | None:
    state, steps = tuple(sorted(puzzle.numbers)), []
    right_share = rng.choice((1.0, 0.7, 0.4))
    while len(state) > 1:
        legal = countdown.moves(state)
        if rng.random() < 0.08:
            move = _broken(state, rng)
        else:
            right = [m for m in legal if countdown.reachable(countdown.after(state, m), puzzle.target)]
            move = rng.choice(right if right and rng.random() < right_share else legal)
        if move.result > MAX_VALUE:
            return None
        steps.append(move.render())
        state = countdown.after(state, move)
        if len(steps) == len(puzzle.numbers) - 1:
            break
    return tuple(steps)


def _corrupted_arithmetic(puzzle: Arithmetic, rng: random.Random) -> tuple[str, ...] | None:
    state, steps = puzzle.tree, list[str]()
    wrong_share = rng.choice((0.0, 0.3, 0.6))
    while not isinstance(state, int) and len(steps) < step_count(puzzle):
        left, op, right = arithmetic.ready(state)[0]
        equation = arithmetic.Equation(left, op, right, arithmetic.apply(left, op, right))
        if rng.random() < wrong_share:
            equation = _broken_operation(state, rng)
        if not 0 <= equation.result <= arithmetic.MAX_VALUE:
            return None
        steps.append(equation.render())
        state = _left(Arithmetic(state), steps[-1:])
    return tuple(steps)
