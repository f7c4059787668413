"""The open-loop figures of the pair on held-out problems, each with its number of problems and a 95 % interval."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from actorcritic.critic import CalculationCritic
from actorcritic.formats.lines import Puzzle, problem_prompt
from actorcritic.metering import free_meter
from actorcritic.metrics import UNPARSED, ProcessBench, auroc, bootstrap, pass_at_k, process_bench, wilson
from actorcritic.tasks.heldout import Split
from actorcritic.tasks.labels import StepLabel, first_wrong
from actorcritic.training.embedded.attempts import attempt_labels, problems, solved
from actorcritic.training.embedded.data import encode
from actorcritic.training.embedded.model import Llama
from actorcritic.training.embedded.pair import LIMIT, attempt, judge, problem_of, read_solution, texts
from actorcritic.training.embedded.sampling import generate
from actorcritic.types import Critique, Solution

__all__ = ["BENCH_PARTS", "Figure", "actor_figures", "critic_figures", "held_out", "tool_figures"]

ROUNDS = 300
"""Draws of a bootstrap interval."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    family: str
    name: str
    value: float
    low: float
    high: float
    """The 95 % interval."""
    count: int
    """Problems it is measured on."""


def held_out(family: str, split: Split, count: int, seed: int = 0) -> list[Puzzle]:
    """Return `count` different problems of a split."""
    found: dict[Puzzle, None] = {}
    for puzzle in problems(family, split, seed):
        found[puzzle] = None
        if len(found) == count:
            break
    return list(found)


def actor_figures(
    actor: Llama, families: Sequence[str], split: Split, count: int, *, temperature: float = 1.0, samples: int = 16
) -> list[Figure]:
    """Return greedy accuracy, pass@1 and unbiased pass@16 per family."""
    figures: list[Figure] = []
    for family in families:
        puzzles = held_out(family, split, count)
        greedy = [_right(p, s) for p, s in zip(puzzles, attempt(actor, puzzles, temperature=0, seed=0), strict=True)]
        figures.append(Figure(family, "greedy", sum(greedy) / count, *wilson(sum(greedy), count), count))
        prompts = [encode(problem_prompt(p)) for p in puzzles for _ in range(samples)]
        drawn = generate(actor, prompts, limit=LIMIT, temperature=temperature, seed=1)
        right = [
            sum(_right(p, read_solution(p, d)) for d in drawn[at * samples : (at + 1) * samples])
            for at, p in enumerate(puzzles)
        ]
        for k in (1, samples):
            each = [pass_at_k(samples, c, k) for c in right]
            figures.append(Figure(family, f"pass@{k}", sum(each) / count, *wilson(sum(each), count), count))
    return figures


def _right(puzzle: Puzzle, solution: Solution) -> bool:
    return solution.complete and solved(puzzle, texts(solution))


def critic_figures(
    actor: Llama, critic: Llama, families: Sequence[str], split: Split, count: int, *, temperature: float = 1.0
) -> list[Figure]:
    """Return ProcessBench F1 and its two parts, and AUROC of the solution score, on one sample per problem.

    Beside them the AUROC of what needs no critic: the log-probability of the whole solution by the actor itself.
    """
    figures: list[Figure] = []
    for family in families:
        puzzles = held_out(family, split, count)
        solutions = attempt(actor, puzzles, temperature=temperature, seed=2)
        critiques = judge(critic, puzzles, solutions)
        figures += _critic_figures(family, puzzles, solutions, critiques)
        right = [_right(p, s) for p, s in zip(puzzles, solutions, strict=True)]
        own = [s.logprob if s.logprob is not None else -math.inf for s in solutions]
        figures.append(_resampled(family, "AUROC of the actor's log-probability", count, _auroc_part(own, right)))
    return figures


def tool_figures(
    actor: Llama, families: Sequence[str], split: Split, count: int, *, temperature: float = 1.0
) -> list[Figure]:
    """Return the same figures for the critic that recomputes every step, on the same samples.

    Only where a step is an equation. It sees a wrong result, and not whether the step was one to take.
    """
    figures: list[Figure] = []
    for family in families:
        if family == "sudoku":
            continue
        puzzles = held_out(family, split, count)
        solutions = attempt(actor, puzzles, temperature=temperature, seed=2)
        critiques = asyncio.run(_calculated(puzzles, solutions))
        figures += _critic_figures(family, puzzles, solutions, critiques, prefix="calculate: ")
    return figures


async def _calculated(puzzles: Sequence[Puzzle], solutions: Sequence[Solution]) -> list[Critique]:
    critic = CalculationCritic(accept=True)
    return [
        await critic.critique(problem_of(puzzle), solution, meter=free_meter())
        for puzzle, solution in zip(puzzles, solutions, strict=True)
    ]


def _critic_figures(
    family: str,
    puzzles: Sequence[Puzzle],
    solutions: Sequence[Solution],
    critiques: Sequence[Critique],
    prefix: str = "",
) -> list[Figure]:
    true = [_first_wrong(p, s) for p, s in zip(puzzles, solutions, strict=True)]
    found = [_found(c) for c in critiques]
    right = [_right(p, s) for p, s in zip(puzzles, solutions, strict=True)]
    scores = [c.score if c.score is not None else 0.0 for c in critiques]
    count = len(puzzles)
    figures = [
        _resampled(family, prefix + name, count, _bench_part(found, true, part)) for name, part in BENCH_PARTS.items()
    ]
    return [*figures, _resampled(family, prefix + "AUROC", count, _auroc_part(scores, right))]


BENCH_PARTS: Mapping[str, Callable[[ProcessBench], float]] = {
    "ProcessBench F1": lambda bench: bench.f1,
    "acc_err": lambda bench: bench.acc_err,
    "acc_cor": lambda bench: bench.acc_cor,
}


def _resampled(family: str, name: str, count: int, measure: Callable[[Sequence[int]], float]) -> Figure:
    return Figure(family, name, measure(range(count)), *bootstrap(count, measure, rounds=ROUNDS), count)


def _bench_part(
    found: Sequence[int | None], true: Sequence[int | None], part: Callable[[ProcessBench], float]
) -> Callable[[Sequence[int]], float]:
    return lambda i: part(process_bench([found[j] for j in i], [true[j] for j in i]))


def _auroc_part(scores: Sequence[float], right: Sequence[bool]) -> Callable[[Sequence[int]], float]:
    return lambda i: auroc([scores[j] for j in i], [right[j] for j in i])


def _first_wrong(puzzle: Puzzle, solution: Solution) -> int | None:
    """Return the exact first wrong step; an attempt that stops early is wrong at the step that is missing."""
    codes = attempt_labels(puzzle, texts(solution))
    first = first_wrong([StepLabel(code) for code in codes])
    return first if first is not None or _right(puzzle, solution) else len(codes)


def _found(critique: Critique) -> int | None:
    """Return the critic's first error; `UNPARSED` where any verdict before it is missing."""
    first = critique.first_error
    if first is None:
        return None if critique.score is not None else UNPARSED
    return first
