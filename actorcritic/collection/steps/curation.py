"""CLEAR (Chen and Mueller 2024, arXiv 2403.12776): `confidence` in a training target, and `rectify`.

The confidence is BSDetector's: O, the mean agreement of k sampled answers with the target, and S, what the model says
of the target when asked to choose (A correct, B incorrect, C unsure). Targets are attempts, or the gold solution.
`rectify` has the actor, tuned on the confident targets, write a candidate, which the critic's model compares with the
target in both orders. Deviation: answers agree by the task's canonical form, and where one has none a model is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from actorcritic.codec import encode
from actorcritic.collection.asking import GREEDY, SAMPLED, ask, ask_yes, solution_of, word
from actorcritic.collection.step import (
    PASS_RATE,
    CollectionStep,
    Job,
    Made,
    Unreadable,
    Work,
    attempts_option,
    chosen,
    gold_solution,
)
from actorcritic.metering import CallMeter
from actorcritic.search.options import choice, integer
from actorcritic.tasks.checkers import vote_key
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Solution

__all__ = ["CONFIDENCE", "RECTIFY"]

CHOICES = {"a": 1.0, "b": 0.0, "c": 0.5}
"""What each choice is worth (BSDetector)."""

_TARGET = choice("target", ("attempts", "gold"), "Whose text is the training target.")


def _targets(episode: Episode, work: Work) -> Iterator[tuple[int | None, Solution]]:
    """Yield training targets with their trials; None = the gold solution."""
    if work.options.text("target") == "attempts":
        for attempt in chosen(episode, work.options):
            if attempt.solution is not None and attempt.solution.steps:
                yield attempt.id, attempt.solution
    elif gold := gold_solution(episode):
        yield None, solution_of(gold)


def _confidence_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for trial, target in _targets(episode, work):
        yield Job(trial=trial, work=partial(_confidence, episode, target, work))


async def _confidence(episode: Episode, target: Solution, work: Work, meter: CallMeter) -> Made:
    samples = work.options.whole("k")
    agreement = 0.0
    for _ in range(samples):
        sampled = await work.actor.propose(episode.problem, meter=meter, sampling=SAMPLED)
        agreement += await _agree(episode, sampled, target, work, meter)
    chosen_worth = [await _reflect(episode, target, work, turn, meter) for turn in range(work.options.whole("choices"))]
    worth = [value for value in chosen_worth if value is not None]
    if not worth:
        raise Unreadable("the model chose none of A, B and C")
    return {
        "by": work.actor_model,
        "samples": samples,
        "observed": agreement / samples,
        "reflected": sum(worth) / len(worth),
    }


async def _agree(episode: Episode, sampled: Solution, target: Solution, work: Work, meter: CallMeter) -> float:
    """Return in [0, 1] how far a sampled answer agrees with the target; one that was cut off does not."""
    if not sampled.complete:
        return 0.0
    keys = [await vote_key(episode.problem, one) for one in (sampled, target)]
    if None not in keys:
        return float(keys[0] == keys[1])
    request = load_template("collect_agrees").fill(
        problem=quote(episode.problem.text, "problem"),
        first=quote(sampled.text, "answer"),
        second=quote(target.text, "answer"),
    )
    return await ask_yes(work.actor.engine, request, meter=meter, role="actor")


async def _reflect(episode: Episode, target: Solution, work: Work, turn: int, meter: CallMeter) -> float | None:
    """Return what the model's choice is worth, None where it chose nothing."""
    request = load_template("collect_reflect_target").fill(
        problem=quote(episode.problem.text, "problem"), target=quote(target.text, "answer")
    )
    try:
        said = await ask(work.actor.engine, request, meter=meter, role="actor", sampling=SAMPLED if turn else GREEDY)
        return CHOICES[word(said, tuple(CHOICES))]
    except Unreadable:
        return None


def _rectify_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for trial, target in _targets(episode, work):
        for sample in range(work.options.whole("samples")):
            yield Job(trial=trial, work=partial(_rectify, episode, target, work, sample), key=str(sample))


async def _rectify(episode: Episode, target: Solution, work: Work, sample: int, meter: CallMeter) -> Made:
    sampling = SAMPLED if sample else GREEDY
    candidate = await work.actor.propose(episode.problem, meter=meter, sampling=sampling)
    if not candidate.complete or not candidate.steps:
        raise Unreadable("a candidate that did not come to its end")
    better: list[float] = []
    for _ in range(work.options.whole("judgements")):
        try:
            first = await _is_better(episode, candidate, target, work, meter)
            second = await _is_better(episode, target, candidate, work, meter)
        except Unreadable:
            continue  # both orders or neither
        better += [first, 1.0 - second]
    return {
        "by": work.critic_model,
        "model": work.actor_model,
        "solution": encode(candidate),
        "better": [*better],
    }


async def _is_better(episode: Episode, first: Solution, second: Solution, work: Work, meter: CallMeter) -> float:
    request = load_template("collect_better").fill(
        problem=quote(episode.problem.text, "problem"),
        first=quote(first.text, "answer"),
        second=quote(second.text, "answer"),
    )
    return await ask_yes(work.teacher, request, meter=meter)


CONFIDENCE = CollectionStep(
    name="confidence",
    summary="how sure the actor's model is of a training target (CLEAR)",
    jobs=_confidence_jobs,
    asks=frozenset({"chat-actor"}),
    options=(
        integer("k", 5, "Answers sampled."),
        integer("choices", 2, "How often the model is asked to choose: first greedy, then at temperature 1."),
        _TARGET,
        attempts_option("all", "right", "wrong"),
        PASS_RATE,
    ),
)

RECTIFY = CollectionStep(
    name="rectify",
    summary="an answer of the tuned actor in place of a training target, compared by the critic's model (CLEAR)",
    jobs=_rectify_jobs,
    asks=frozenset({"actor", "chat-critic"}),
    options=(
        integer("samples", 1, "Candidates per target: the first greedy, the others at temperature 1."),
        integer("judgements", 1, "Comparisons in each of the two orders."),
        _TARGET,
        attempts_option("all", "right", "wrong"),
        PASS_RATE,
    ),
)
