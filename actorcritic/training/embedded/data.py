"""Training samples for the actor and the critic: drawn from the tasks, written in the pair's format.

Every sample comes from training problems whose later states are training problems too. Pure Python; knows no tensor.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from actorcritic.formats.lines import (
    ACCEPT,
    END,
    REASONS,
    Puzzle,
    critic_prompt,
    problem_prompt,
    reject_block,
    render_lines,
    step_count,
    vocabulary,
)
from actorcritic.tasks.sudoku import Sudoku
from actorcritic.training.embedded.attempts import (
    Attempt,
    attempt_labels,
    finish,
    hasty,
    solution,
    trainable,
    wrong_step,
)

__all__ = ["LABELS", "Sample", "actor_sample", "critic_sample", "encode", "revision_sample"]

LABELS = (ACCEPT, *REASONS)
"""Classes of the auxiliary head, in this order."""

VOCABULARY = vocabulary()
_IDS = {word: at for at, word in enumerate(VOCABULARY)}
_TOKEN = re.compile(r"<eos>|\S+[ \n]")


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


def actor_sample(puzzle: Puzzle, rng: random.Random, *, revision: float, hasty_share: float = 0.0) -> Sample | None:
    """Return a whole solution, or with probability `revision` the rest of one after a critique; None: draw again.

    With probability `hasty_share` the problem comes with the failure of a hasty solver instead, if it fails.
    """
    if rng.random() < hasty_share:
        return _written(puzzle, hasty(puzzle))
    steps = solution(puzzle, rng)
    if steps is None:
        return None
    if rng.random() < revision:
        at = rng.randrange(len(steps))
        wrong = wrong_step(puzzle, steps[:at], rng)
        return _revision(puzzle, steps, at, wrong, rng) if wrong else None
    return _written(puzzle, steps)


def _written(puzzle: Puzzle, steps: tuple[str, ...] | None) -> Sample | None:
    """Return an attempt as the actor is to write it, None where it must not be seen or has no words."""
    if steps is None or not trainable(puzzle, steps):
        return None
    lines = render_lines(puzzle, steps)
    head = encode(problem_prompt(puzzle))
    return Sample(head + encode("".join(lines) + END), len(head), [], []) if len(lines) == len(steps) else None


def revision_sample(attempt: Attempt, rng: random.Random) -> Sample | None:
    """Return a revision of an attempt from its first wrong step on; None: there is none, or leave it out."""
    puzzle, written = attempt
    codes = attempt_labels(puzzle, written)
    at = next((i for i, code in enumerate(codes) if code != ACCEPT), None)
    if at is None or codes[at] not in REASONS:
        return None
    steps = (*written[:at], *finish(puzzle, written[:at], rng))
    if not trainable(puzzle, steps) or len(render_lines(puzzle, steps)) < step_count(puzzle):
        return None
    return _revision(puzzle, steps, at, written[at], rng)


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
