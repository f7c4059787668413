"""Training samples for the actor and the critic: drawn from the tasks, written in the pair's format.

Every sample comes from training problems whose later states are training problems too. Pure Python; knows no tensor.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from actorcritic.formats.lines import (
    ACCEPT,
    END,
    MAX_VALUE,
    REASONS,
    Puzzle,
    critic_prompt,
    problem_prompt,
    reject_block,
    render_lines,
    step_count,
    vocabulary,
)
from actorcritic.tasks import countdown, sudoku
from actorcritic.tasks.countdown import Countdown, Equation
from actorcritic.tasks.heldout import Split, may_train
from actorcritic.tasks.sudoku import Fill, Sudoku

__all__ = [
    "FAMILIES",
    "LABELS",
    "Attempt",
    "Sample",
    "actor_sample",
    "attempt_labels",
    "corrupted",
    "critic_sample",
    "encode",
    "problems",
    "revision_sample",
    "solved",
    "trainable",
    "vote_key",
]

FAMILIES = ("countdown-3", "countdown-4", "sudoku")
LABELS = (ACCEPT, *REASONS)
"""Classes of the auxiliary head, in this order."""

VOCABULARY = vocabulary()
_IDS = {word: at for at, word in enumerate(VOCABULARY)}
_TOKEN = re.compile(r"<eos>|\S+[ \n]")
Attempt = tuple[Puzzle, tuple[str, ...]]
"""A problem and the steps of an attempt at it, as a person reads them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One training sequence."""

    ids: list[int]
    start: int
    """Tokens from here on are to be predicted."""
    ends: list[int]
    """Positions of the last token of each line."""
    labels: list[int]
    """Class of each line; empty where the auxiliary head has nothing to learn."""
    values: list[int] = field(default_factory=list[int])
    """Of a sudoku attempt: the right value (0..3) of each line's cell, to be known just before the line."""


def encode(text: str) -> list[int]:
    """Return the token ids of a text of the pair's format."""
    return [_IDS[word] for word in _TOKEN.findall(text)]


def problems(family: str, split: Split, seed: int) -> Iterator[Puzzle]:
    """Yield problems of a family and split without end."""
    if family == "sudoku":
        return iter(sudoku.generate(split, seed))
    return iter(countdown.generate(split, seed, int(family[-1])))


def attempt_labels(puzzle: Puzzle, steps: Sequence[str]) -> tuple[str, ...]:
    """Return the exact label of every step."""
    if isinstance(puzzle, Countdown):
        return tuple(item.code for item in countdown.label(puzzle, steps))
    return tuple(item.code for item in sudoku.label(puzzle, steps))


def solved(puzzle: Puzzle, steps: Sequence[str]) -> bool:
    """Return True if the steps solve the problem."""
    return len(steps) == step_count(puzzle) and all(code == "ok" for code in attempt_labels(puzzle, steps))


def vote_key(puzzle: Puzzle, steps: Sequence[str]) -> str | None:
    """Return the canonical form of a whole attempt."""
    if isinstance(puzzle, Countdown):
        return countdown.vote_key(puzzle, steps)
    return sudoku.vote_key(puzzle, steps)


def trainable(puzzle: Puzzle, steps: Sequence[str]) -> bool:
    """Return True if neither the problem nor a state on the way is held out (test or development)."""
    if isinstance(puzzle, Sudoku):
        return may_train((puzzle.key,))
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


def _solution(puzzle: Puzzle, rng: random.Random) -> tuple[str, ...] | None:
    """Return a right solution that the models have words for and may see; None if a try found none."""
    steps = sudoku.solve(puzzle) if isinstance(puzzle, Sudoku) else countdown.solve(puzzle, rng)
    if steps is None or not trainable(puzzle, steps) or len(render_lines(puzzle, steps)) < step_count(puzzle):
        return None
    return steps


def actor_sample(puzzle: Puzzle, rng: random.Random, *, revision: float, hasty: float = 0.0) -> Sample | None:
    """Return a whole solution, or with probability `revision` the rest of one after a critique; None: draw again.

    With probability `hasty` a 3-number problem comes with the failure of a hasty solver instead, if it fails.
    """
    if isinstance(puzzle, Countdown) and len(puzzle.numbers) == 3 and rng.random() < hasty:
        return _hasty_sample(puzzle)
    steps = _solution(puzzle, rng)
    if steps is None:
        return None
    if rng.random() < revision:
        at = rng.randrange(len(steps))
        wrong = _wrong_step(puzzle, steps[:at], rng)
        return _revision(puzzle, steps, at, wrong, rng) if wrong else None
    head = encode(problem_prompt(puzzle))
    return Sample(head + encode("".join(render_lines(puzzle, steps)) + END), len(head), [], [])


def revision_sample(attempt: Attempt, rng: random.Random) -> Sample | None:
    """Return a revision of an attempt from its first wrong step on; None: there is none, or leave it out."""
    puzzle, written = attempt
    codes = attempt_labels(puzzle, written)
    at = next((i for i, code in enumerate(codes) if code != ACCEPT), None)
    if at is None or codes[at] not in REASONS:
        return None
    steps = (*written[:at], *(_rest(puzzle, written[:at], rng)))
    if not trainable(puzzle, steps) or len(render_lines(puzzle, steps)) < step_count(puzzle):
        return None
    return _revision(puzzle, steps, at, written[at], rng)


def _rest(puzzle: Puzzle, before: Sequence[str], rng: random.Random) -> tuple[str, ...]:
    """Return right steps that finish what right steps began."""
    if isinstance(puzzle, Sudoku):
        return (sudoku.solve(puzzle) or ())[len(before) :]
    return countdown.solve(Countdown(_state(puzzle, before), puzzle.target), rng) or ()


def _revision(puzzle: Puzzle, steps: tuple[str, ...], at: int, wrong: str, rng: random.Random) -> Sample | None:
    """Return right steps from `at` on (or from an earlier one), after the critique of a wrong step `at`."""
    lines, rejected = render_lines(puzzle, steps), render_lines(puzzle, (*steps[:at], wrong))
    if len(rejected) <= at or not trainable(puzzle, (*steps[:at], wrong)):
        return None
    code = attempt_labels(puzzle, (*steps[:at], wrong))[-1]
    if code == ACCEPT:
        return None
    block = reject_block(rejected[at], "wrong" if code not in REASONS or rng.random() < 0.2 else code)
    kept = rng.randrange(at + 1) if rng.random() < 0.15 else at
    head = encode(problem_prompt(puzzle) + "".join(lines[:kept]) + block)
    return Sample(head + encode("".join(lines[kept:]) + END), len(head), [], [])


def _hasty_sample(puzzle: Countdown) -> Sample | None:
    """Return the failure of a solver that always takes the step whose result is nearest to the target."""
    state, steps = tuple(sorted(puzzle.numbers)), []
    while len(state) > 1:
        move = min(countdown.moves(state), key=lambda m: abs(m.result - puzzle.target))
        steps.append(move.render())
        state = countdown.after(state, move)
    lines = render_lines(puzzle, steps)
    if len(lines) < len(steps) or state == (puzzle.target,) or not trainable(puzzle, steps):
        return None
    head = encode(problem_prompt(puzzle))
    return Sample(head + encode("".join(lines) + END), len(head), [], [])


def _wrong_step(puzzle: Puzzle, before: tuple[str, ...], rng: random.Random) -> str | None:
    """Return a wrong step after right ones, mostly of the kind that a model writes."""
    if isinstance(puzzle, Sudoku):
        grid, cell = _filled(puzzle, before), puzzle.empty[len(before)]
        right = (puzzle.solution or "")[cell]
        values = [v for v in "1234" if v != right]
        quiet = [v for v in values if all(grid[i] != v for i in sudoku.peers(cell))]
        return Fill(cell, int(rng.choice(quiet if quiet and rng.random() < 0.7 else values))).render()
    state = _state(puzzle, before)
    if rng.random() < 0.2:
        return _broken(state, rng).render()
    wrong = [m for m in countdown.moves(state) if not countdown.reachable(countdown.after(state, m), puzzle.target)]
    return rng.choice(wrong).render() if wrong else None


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


def corrupted(puzzle: Puzzle, rng: random.Random) -> tuple[str, ...] | None:
    """Return a synthetic attempt, right or wrong in some steps; None: draw again."""
    return _corrupted_sudoku(puzzle, rng) if isinstance(puzzle, Sudoku) else _corrupted_countdown(puzzle, rng)


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


def critic_sample(attempt: Attempt, rng: random.Random, *, partial: float) -> Sample | None:
    """Return an attempt (cut short with probability `partial`) with the verdict of every line; None: leave it out."""
    puzzle, steps = attempt
    if rng.random() < partial:
        steps = steps[: rng.randint(1, len(steps))]
    lines = render_lines(puzzle, steps)
    codes = attempt_labels(puzzle, steps)
    if not lines or len(lines) < len(steps) or not trainable(puzzle, steps):
        return None
    if any(code not in LABELS for code in codes):
        return None
    ends, at = [], len(encode(problem_prompt(puzzle)))
    for line in lines:
        at += len(encode(line))
        ends.append(at - 1)
    head = encode(critic_prompt(puzzle, lines))
    tail = encode("".join(f"{code}\n" for code in codes) + END)
    values: list[int] = []
    if isinstance(puzzle, Sudoku):
        values = [int((puzzle.solution or "")[cell]) - 1 for cell in puzzle.empty[: len(lines)]]
    return Sample(head + tail, len(head), ends, [LABELS.index(code) for code in codes], values)
