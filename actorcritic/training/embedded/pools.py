"""Files of what the actor writes by itself: attempts at training problems, and revisions of its wrong ones.

JSON lines of `[family, problem, [step, ...]]`. An attempt that passes through a held-out state is not written.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from actorcritic.formats.lines import Puzzle, problem_prompt
from actorcritic.training.embedded.attempts import problems, trainable
from actorcritic.training.embedded.batches import hash_seed
from actorcritic.training.embedded.data import encode
from actorcritic.training.embedded.model import Llama
from actorcritic.training.embedded.pair import ACTOR, LIMIT, problem_of, read_solution, texts
from actorcritic.training.embedded.revisions import true_critique
from actorcritic.training.embedded.sampling import generate
from actorcritic.types import Solution

__all__ = ["write_pool"]

TEMPERATURES = (1.0, 1.0, 0.7, 1.2)
"""Of the attempts at each problem."""


def write_pool(
    actor: Llama, families: Sequence[str], path: Path, size: int, seed: int, *, revisions: bool = False
) -> None:
    """Write about `size` attempts per family, and as many revisions of the wrong ones if asked for."""
    temporary = path.with_suffix(".tmp")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("w", encoding="utf-8") as file:
        for at, family in enumerate(families):
            drawn = list(itertools.islice(problems(family, "train", hash_seed(seed, at)), size // len(TEMPERATURES)))
            for round_, temperature in enumerate(TEMPERATURES):
                solutions = _attempts(actor, drawn, temperature, round_)
                _write(file, family, drawn, solutions)
                if revisions:
                    again = _revised(actor, drawn, solutions, round_)
                    _write(file, family, [puzzle for puzzle, _ in again], [solution for _, solution in again])
            sys.stderr.write(f"attempts: {family} done\n")
    temporary.replace(path)


def _attempts(actor: Llama, puzzles: Sequence[Puzzle], temperature: float, seed: int) -> list[Solution]:
    prompts = [encode(problem_prompt(puzzle)) for puzzle in puzzles]
    drawn = generate(actor, prompts, limit=LIMIT, temperature=temperature, seed=seed)
    return [read_solution(puzzle, one) for puzzle, one in zip(puzzles, drawn, strict=True)]


def _revised(
    actor: Llama, puzzles: Sequence[Puzzle], solutions: Sequence[Solution], seed: int
) -> list[tuple[Puzzle, Solution]]:
    """Return revisions of the wrong attempts, told the truth about the first wrong step or about a later one."""
    rng = random.Random(seed)
    cases: list[tuple[Puzzle, Solution, str]] = []
    for puzzle, solution in zip(puzzles, solutions, strict=True):
        critique = true_critique(puzzle, solution)
        wrong = [i for i, step in enumerate(critique.steps) if step.verdict == "incorrect"]
        if wrong:
            at = wrong[0] if rng.random() < 0.8 else rng.choice(wrong)
            prompt = ACTOR.revise(problem_of(puzzle), solution, critique, at)
            cases.append((puzzle, Solution(steps=solution.steps[:at]), f"{prompt.content}{prompt.prefill}"))
    drawn = generate(actor, [encode(text) for *_, text in cases], limit=LIMIT, temperature=1.0, seed=seed)
    return [(p, read_solution(p, one, kept)) for (p, kept, _), one in zip(cases, drawn, strict=True)]


def _write(file: TextIO, family: str, puzzles: Sequence[Puzzle], solutions: Sequence[Solution]) -> None:
    for puzzle, solution in zip(puzzles, solutions, strict=True):
        steps = texts(solution)
        if steps and trainable(puzzle, steps):
            file.write(json.dumps([family, puzzle.render(), steps]) + "\n")
