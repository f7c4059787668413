"""Completions from the states that an attempt passed through: step labels, and a student in an expert's place.

`step-rollouts`: Math-Shepherd (Wang et al. 2023, arXiv 2312.08935), N completions after every step. After the last
step of a finished solution there is nothing to complete: its label is the solution's own.
`resimulate`: EEF (Lan et al. 2025, arXiv 2504.13145), the actor as the student from every l-th state. Deviation: the
states are prefixes of solutions, so a replay is faithful where the student's solution begins with the same steps. In an
environment it is faithful where every step leads to the state that was logged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from actorcritic.codec import encode
from actorcritic.collection.step import (
    PASS_RATE,
    CollectionStep,
    Job,
    Made,
    Unreadable,
    Work,
    attempts_option,
    chosen,
    is_right,
)
from actorcritic.errors import ReplayDiffers
from actorcritic.metering import CallMeter
from actorcritic.search.options import choice, integer
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue, Solution

__all__ = ["RESIMULATE", "STEP_ROLLOUTS"]


def _prefix(solution: Solution, steps: int) -> Solution:
    """Return the first steps of a solution as a partial one."""
    return Solution(steps=solution.steps[:steps], complete=False)


async def _complete(episode: Episode, start: Solution, work: Work, meter: CallMeter) -> Solution:
    """Return one completion by the actor; without a beginning, a solution of its own."""
    if not start.steps:
        return await work.actor.propose(episode.problem, meter=meter)
    return await work.actor.extend(episode.problem, start, meter=meter)


def _label_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for attempt in chosen(episode, work.options):
        if attempt.correct is not None and attempt.solution is not None and attempt.solution.steps:
            yield Job(trial=attempt.id, work=partial(_label, episode, attempt, attempt.solution, work))


async def _label(episode: Episode, attempt: EpisodeAttempt, solution: Solution, work: Work, meter: CallMeter) -> Made:
    rollouts, thrifty = work.options.whole("n"), work.options.text("until") == "dead"
    successes: list[JsonValue] = []
    for end in range(1, len(solution.steps)):
        right = 0
        for _ in range(rollouts):
            right += await is_right(episode, await _complete(episode, _prefix(solution, end), work, meter)) is True
        successes.append(right)
        if thrifty and right == 0:
            return {"rollouts": rollouts, "successes": successes}
    return {"rollouts": rollouts, "successes": [*successes, rollouts if attempt.correct else 0]}


def _student_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for attempt in chosen(episode, work.options):
        if attempt.solution is not None and attempt.solution.steps:
            yield Job(trial=attempt.id, work=partial(_simulate, episode, attempt.solution, work))


async def _simulate(episode: Episode, solution: Solution, work: Work, meter: CallMeter) -> Made:
    every, simulations = work.options.whole("every"), work.options.whole("m")
    states: list[JsonValue] = []
    for at in range(0, len(solution.steps), every):
        start = _prefix(solution, at)
        try:
            tried = [await _complete(episode, start, work, meter) for _ in range(simulations)]
        except ReplayDiffers:
            states.append({"at": at, "faithful": False, "rollouts": []})
            continue
        verdicts = [await is_right(episode, one) for one in tried]
        if None in verdicts:
            raise Unreadable("nobody knows whether a solution of this problem is right: give it an answer")
        rollouts: list[JsonValue] = [
            {"solution": encode(replace(one, kept=at)), "correct": right is True}
            for one, right in zip(tried, verdicts, strict=True)
        ]
        faithful = all(one.steps[:at] == start.steps for one in tried)
        states.append({"at": at, "faithful": faithful, "rollouts": rollouts})
    return {"student": work.actor_model, "every": every, "states": states}


STEP_ROLLOUTS = CollectionStep(
    name="step-rollouts",
    summary="N completions after every step of an attempt, for step labels (Math-Shepherd, DeepCritic)",
    jobs=_label_jobs,
    asks=frozenset({"actor"}),
    options=(
        integer("n", 8, "Completions per step."),
        choice("until", ("end", "dead"), "dead = stop at the first step from which nothing comes out right."),
        attempts_option("all", "right", "wrong"),
        PASS_RATE,
    ),
)

RESIMULATE = CollectionStep(
    name="resimulate",
    summary="the actor as a student goes on from every l-th state of an expert's failed attempt (EEF)",
    jobs=_student_jobs,
    asks=frozenset({"actor"}),
    options=(
        integer("every", 1, "l: steps between states."),
        integer("m", 5, "Simulations per state."),
        attempts_option("wrong", "right", "all"),
        PASS_RATE,
    ),
)
