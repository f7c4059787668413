"""LEMMA (Pan et al. 2025, arXiv 2503.17439): errors analysed, put in on purpose, and reflected on in one pass.

`analyse-error`: a teacher names kind and place of the error of a wrong attempt. `inject-error`: it puts an error into
a right attempt of a problem that the actor has failed, of a kind drawn from the distribution that the analyses of the
run show. `reflect`: it goes on after the first bad step of either, by fixing the error or by starting afresh, and
smooths what it wrote. Deviations: errors go into right attempts, not into gold solutions; the steps before an injected
error must stand word for word.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from actorcritic.codec import encode
from actorcritic.collection.asking import SAMPLED, ask, ask_object, quoted_steps, section, solution_of
from actorcritic.collection.step import (
    PASS_RATE,
    CollectionStep,
    Job,
    Made,
    Unreadable,
    Work,
    attempts_option,
    chosen,
    gold_answer,
    is_right,
)
from actorcritic.export.chat import solution_text
from actorcritic.export.needs import ERROR_TYPES, INJECTABLE
from actorcritic.export.reading import collected
from actorcritic.metering import CallMeter, derive_seed
from actorcritic.search.options import choice, integer
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue, Solution

__all__ = ["ANALYSE_ERROR", "INJECT_ERROR", "REFLECT", "count_types"]

STRATEGIES = ("fix-continue", "fresh-restart")
UNKNOWN = "(many answers are right)"
"""Where a problem has no single gold answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Analysis:
    valid: bool
    error_type: str | None = None
    first_bad_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Injected:
    error_type: str
    solution: Solution
    first_bad_step: int
    correct: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flaw:
    """A flawed solution to go on from."""

    trial: int
    source: str
    solution: Solution
    first_bad_step: int
    error_type: str


def _analysis_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for attempt in chosen(episode, work.options):
        if attempt.solution is not None and attempt.solution.steps:
            yield Job(trial=attempt.id, work=partial(_analyse, episode, attempt.solution, work))


async def _analyse(episode: Episode, solution: Solution, work: Work, meter: CallMeter) -> Made:
    request = load_template("collect_analyse_error").fill(
        problem=quote(episode.problem.text, "problem"),
        answer=quote(gold_answer(episode) or UNKNOWN, "answer"),
        steps=quoted_steps(solution.steps),
        types=", ".join(ERROR_TYPES),
    )
    said = await ask_object(work.teacher, request, meter=meter)
    if not isinstance(said, dict) or not isinstance(said.get("valid"), bool):
        raise Unreadable("an analysis that does not say whether it is valid")
    explanation = said.get("explanation")
    made: dict[str, JsonValue] = {
        "by": work.critic_model,
        "valid": said["valid"],
        "error_type": None,
        "first_bad_step": None,
        "explanation": explanation if isinstance(explanation, str) else "",
    }
    if said["valid"]:
        step, kind = said.get("step"), said.get("error_type")
        if not isinstance(step, int) or isinstance(step, bool) or not 1 <= step <= len(solution.steps):
            raise Unreadable(f"step {step!r} of {len(solution.steps)}")
        if kind not in ERROR_TYPES:
            raise Unreadable(f"an unknown kind of error: {str(kind)[:40]!r}")
        made |= {"error_type": kind, "first_bad_step": step - 1}
    return made


def count_types(episodes: Iterable[Episode]) -> JsonValue:
    """Return how often each kind of error was found in the run, of those that can be put in."""
    counts: dict[str, JsonValue] = {}
    for episode in episodes:
        for _, found in collected(episode, "analyse-error", _Analysis):
            if found.error_type in INJECTABLE:
                before = counts.get(found.error_type)
                counts[found.error_type] = (before if isinstance(before, int) else 0) + 1
    return counts


def _injection_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    if all(attempt.correct is not False for attempt in episode.attempts):
        return
    for attempt in chosen(episode, work.options):
        for sample in range(work.options.whole("samples")):
            kind = _draw_type(work, episode.problem.id, attempt.id, sample)
            if attempt.solution is not None and attempt.solution.steps:
                make = partial(_inject, episode, attempt.solution, kind, work)
                yield Job(trial=attempt.id, work=make, key=f"{sample}:{kind}")


def _draw_type(work: Work, problem: str, trial: int, sample: int) -> str:
    """Return a kind of error, drawn as often as the run shows it; evenly where no analysis is there."""
    found = work.survey if isinstance(work.survey, dict) else {}
    weights = [count if isinstance(count := found.get(kind), int) else 0 for kind in INJECTABLE]
    draw = random.Random(work.draw("type", problem, trial, sample))
    return draw.choices(INJECTABLE, weights if any(weights) else None)[0]


async def _inject(episode: Episode, solution: Solution, kind: str, work: Work, meter: CallMeter) -> Made:
    request = load_template("collect_inject_error").fill(
        problem=quote(episode.problem.text, "problem"),
        solution=quote(solution.text, "solution"),
        error_type=kind.replace("_", " "),
    )
    said = await ask(work.teacher, request, meter=meter, sampling=SAMPLED)
    flawed, number = solution_of(section(said, "solution")), section(said, "step")
    if not number.isascii() or not number.isdigit() or not 1 <= int(number[:6]) <= len(flawed.steps):
        raise Unreadable(f"step {number[:40]!r} of {len(flawed.steps)}")
    bad = int(number) - 1
    if [step.text for step in flawed.steps[:bad]] != [step.text for step in solution.steps[:bad]]:
        raise Unreadable("the steps before the mistake do not stand word for word")
    right = await is_right(episode, flawed)
    if right is None:
        raise Unreadable("nobody knows whether its answer equals the gold one")
    return {
        "by": work.critic_model,
        "error_type": kind,
        "solution": encode(flawed),
        "first_bad_step": bad,
        "explanation": section(said, "explanation"),
        "correct": right,
    }


def _flaws(episode: Episode) -> Iterator[_Flaw]:
    """Yield what there is to reflect on: analysed wrong attempts, and injected errors whose end is wrong."""
    for trial, found in collected(episode, "analyse-error", _Analysis):
        solution = None if trial is None else episode.attempt(trial).solution
        if trial is not None and solution is not None and found.first_bad_step is not None and found.error_type:
            yield _Flaw(
                trial=trial,
                source="natural",
                solution=solution,
                first_bad_step=found.first_bad_step,
                error_type=found.error_type,
            )
    for trial, made in collected(episode, "inject-error", _Injected):
        if trial is not None and not made.correct:
            yield _Flaw(
                trial=trial,
                source="injected",
                solution=made.solution,
                first_bad_step=made.first_bad_step,
                error_type=made.error_type,
            )


def _reflection_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    wanted = work.options.text("strategy")
    for flaw in _flaws(episode):
        text = derive_seed(flaw.source, flaw.first_bad_step, flaw.error_type, flaw.solution.text)
        for strategy in STRATEGIES if wanted == "both" else (wanted,):
            make = partial(_reflect, episode, flaw, strategy, work)
            yield Job(trial=flaw.trial, work=make, key=f"{strategy}:{text}")


async def _reflect(episode: Episode, flaw: _Flaw, strategy: str, work: Work, meter: CallMeter) -> Made:
    head = solution_text(flaw.solution, slice(flaw.first_bad_step + 1))
    request = load_template(f"collect_{strategy.replace('-', '_')}").fill(
        problem=quote(episode.problem.text, "problem"),
        answer=quote(gold_answer(episode) or UNKNOWN, "answer"),
        head=quote(head, "solution"),
        error_type=flaw.error_type.replace("_", " "),
    )
    said = section(await ask(work.teacher, request, meter=meter), "continuation")
    if work.options.text("smooth") == "yes":
        again = load_template("collect_smooth").fill(head=quote(head, "text"), continuation=quote(said, "text"))
        said = section(await ask(work.teacher, again, meter=meter), "continuation")
    return {
        "by": work.critic_model,
        "source": flaw.source,
        "strategy": strategy,
        "error_type": flaw.error_type,
        "flawed": encode(flaw.solution),
        "first_bad_step": flaw.first_bad_step,
        "continuation": said,
        "correct": await is_right(episode, solution_of(f"{head}\n\n{said}")) is True,
    }


ANALYSE_ERROR = CollectionStep(
    name="analyse-error",
    summary="kind and place of the error of a wrong attempt, by the critic's model as a teacher (LEMMA)",
    jobs=_analysis_jobs,
    asks=frozenset({"chat-critic"}),
    options=(attempts_option("wrong", "all"), PASS_RATE),
)

INJECT_ERROR = CollectionStep(
    name="inject-error",
    summary="a right attempt with an error put in, of a kind that the run shows; problems failed at least once (LEMMA)",
    jobs=_injection_jobs,
    asks=frozenset({"chat-critic"}),
    options=(integer("samples", 1, "Errors per attempt."), attempts_option("right", "all"), PASS_RATE),
    survey=count_types,
)

REFLECT = CollectionStep(
    name="reflect",
    summary="how analysed and injected errors go on to a right end in one pass (LEMMA)",
    jobs=_reflection_jobs,
    asks=frozenset({"chat-critic"}),
    options=(
        choice("strategy", ("both", *STRATEGIES), "Mend the bad step, or solve it in another way."),
        choice("smooth", ("yes", "no"), "Have the text smoothed."),
    ),
)
