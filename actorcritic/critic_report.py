"""What a critic is worth: how exactly it finds errors (open loop), and what its critiques change (closed loop).

Pure: from what a run folder says of one attempt per problem to the object that `critic-eval --json` prints. The figures
are those of ProcessBench (Zheng et al. 2024, arXiv 2412.06559) and of critique models (Xi et al. 2024, arXiv
2411.16579). Runs nothing and knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from actorcritic.errors import InputError
from actorcritic.metrics import (
    UNPARSED,
    Difference,
    Interval,
    ProcessBench,
    auroc,
    bootstrap,
    critique_effect,
    paired_difference,
    process_bench,
    wilson,
)
from actorcritic.types import Critique, Verdict

__all__ = ["CriticFacts", "CriticReport", "CriticRow", "Figure", "Versus", "compare_critics", "named_step", "summarize"]

ROUNDS = 300
"""Draws of a bootstrap interval."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CriticRow(_Record):
    """One problem: the actor's attempt, what the critic said of it, and what became of it."""

    problem: str
    finished: bool
    """Whether there is a whole attempt; the critic is asked of no other."""
    right: bool
    error: int | None
    """Index of the attempt's first wrong step, the number of its steps where only the end is missing; None = right."""
    labelled: bool
    """Whether the task has exact rules for steps; without them `error` says nothing."""
    verdict: Verdict
    named: int | None
    """Index of the step that the critic named, None where it called the attempt right, `metrics.UNPARSED` else."""
    score: float | None
    """The critic's, in [0, 1]; None = unscored."""
    right_after: bool
    """After one revision from the first wrong step, where the critic called the attempt wrong; else as before."""
    actor_tokens: int
    """Logical tokens of the attempt."""
    critic_tokens: int
    """Logical tokens of the critique and of the revision."""


class Figure(_Record):
    """One measured number with its 95% interval; None where there was nothing to measure."""

    value: float | None
    low: float | None = None
    high: float | None = None
    count: int
    """Problems it is measured on."""


class CriticFacts(_Record):
    """What a report says of the measurement as a whole."""

    task: str
    split: str | None
    actor: str
    critic: str
    seed: int
    temperature: float


class CriticReport(CriticFacts):
    """What `critic-eval --json` prints; shares in [0, 1]."""

    problems: int
    unfinished: int
    """Problems without a whole attempt: wrong, and not judged."""
    unscored: int
    """Critiques that could not be read."""
    f1: Figure
    """ProcessBench: harmonic mean of the next two."""
    acc_err: Figure
    """Of the wrong attempts, the share whose first wrong step was named exactly."""
    acc_cor: Figure
    """Of the right ones, the share that was called right."""
    auroc: Figure
    """Chance that a right attempt scores above a wrong one."""
    discriminability: Figure
    """Share of verdicts that are the gold side's; unscored is never right."""
    before: Figure
    """Accuracy of the attempts."""
    after: Figure
    """After one revision of what the critic called wrong."""
    gain: Figure
    """After minus before, paired."""
    helpfulness: Figure
    """Of the attempts that were wrong, the share right after."""
    harm: Figure
    """Of those that were right, the share wrong after."""
    actor_tokens: float
    critic_tokens: float
    """Logical tokens per problem: the attempt; the critique and the revision on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """The second critic against the first, on the same problems."""

    problems: int
    f1: Difference
    """Its interval is a bootstrap over problems."""
    after: Difference


def named_step(critique: Critique) -> int | None:
    """Return the step that a critique names as the first wrong one, None where it calls the solution right.

    What cannot be read, or calls the solution wrong and no step, is `metrics.UNPARSED`.
    """
    if critique.first_error is not None:
        return critique.first_error
    return None if critique.verdict is Verdict.CORRECT else UNPARSED


def summarize(rows: Sequence[CriticRow], facts: CriticFacts) -> CriticReport:
    """Add up the rows of a measurement.

    Raises:
        InputError: there is none.
    """
    effect = critique_effect([row.right for row in rows], [row.right_after for row in rows])
    judged = [row for row in rows if row.finished]
    wrong = [row.right_after for row in rows if not row.right]
    right = [not row.right_after for row in rows if row.right]
    gain = paired_difference([float(row.right_after) for row in rows], [float(row.right) for row in rows])
    says = [row.verdict is (Verdict.CORRECT if row.right else Verdict.INCORRECT) for row in judged]
    return CriticReport(
        **facts.model_dump(),
        problems=len(rows),
        unfinished=len(rows) - len(judged),
        unscored=sum(row.verdict is Verdict.UNSCORED for row in judged),
        f1=_resampled(judged, lambda bench: bench.f1),
        acc_err=_resampled(judged, lambda bench: bench.acc_err),
        acc_cor=_resampled(judged, lambda bench: bench.acc_cor),
        auroc=_auroc(judged),
        discriminability=_share(says),
        before=_share([row.right for row in rows]),
        after=_share([row.right_after for row in rows]),
        gain=_figure(effect.gain, Interval(gain.low, gain.high), len(rows)),
        helpfulness=_share(wrong),
        harm=_share(right),
        actor_tokens=round(fmean(row.actor_tokens for row in rows), 2),
        critic_tokens=round(fmean(row.critic_tokens for row in rows), 2),
    )


def compare_critics(first: Sequence[CriticRow], second: Sequence[CriticRow]) -> Versus:
    """Return how much better the second critic is than the first, on the problems that both were measured on.

    Raises:
        InputError: there is no such problem.
    """
    before, after = ({row.problem: row for row in rows} for rows in (first, second))
    problems = sorted(before.keys() & after.keys())
    if not problems:
        raise InputError("the two critics were not measured on the same problems")
    both = [
        (before[name], after[name])
        for name in problems
        if all(side[name].finished and side[name].labelled for side in (before, after))
    ]

    def lead(places: Sequence[int]) -> float:
        ours, theirs = (_bench([both[at][side] for at in places]).f1 for side in (1, 0))
        return ours - theirs

    low, high = bootstrap(len(both), lead, rounds=ROUNDS) if both else Interval(math.nan, math.nan)
    return Versus(
        problems=len(problems),
        f1=Difference(value=lead(range(len(both))), low=low, high=high),
        after=paired_difference(
            [float(after[name].right_after) for name in problems],
            [float(before[name].right_after) for name in problems],
        ),
    )


def _bench(rows: Sequence[CriticRow]) -> ProcessBench:
    return process_bench([row.named for row in rows], [row.error for row in rows])


def _resampled(judged: Sequence[CriticRow], part: Callable[[ProcessBench], float]) -> Figure:
    """Return a part of ProcessBench over the attempts whose steps have labels."""
    rows = [row for row in judged if row.labelled]
    if not rows:
        return Figure(value=None, count=0)
    interval = bootstrap(len(rows), lambda places: part(_bench([rows[at] for at in places])), rounds=ROUNDS)
    return _figure(part(_bench(rows)), interval, len(rows))


def _auroc(judged: Sequence[CriticRow]) -> Figure:
    scored = [(row.score, row.right) for row in judged if row.score is not None]

    def measure(places: Sequence[int]) -> float:
        return auroc([scored[at][0] for at in places], [scored[at][1] for at in places])

    value = measure(range(len(scored)))
    if math.isnan(value):
        return Figure(value=None, count=len(scored))
    return _figure(value, bootstrap(len(scored), measure, rounds=ROUNDS), len(scored))


def _share(flags: Sequence[bool]) -> Figure:
    if not flags:
        return Figure(value=None, count=0)
    return _figure(fmean(flags), wilson(sum(flags), len(flags)), len(flags))


def _figure(value: float, interval: Interval, count: int) -> Figure:
    return Figure(value=round(value, 6), low=round(interval.low, 6), high=round(interval.high, 6), count=count)
