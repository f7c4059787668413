"""Texts about how a solution came to be mended: `self-talk`, `explain-repair`.

Self-talk via critique (Xi et al. 2024, arXiv 2411.16579): steps and critiques by turns, each wrong step followed by its
correction, smoothed by a model. Deviation: the actor writes the corrected step and what follows it in one call; what
follows is kept as far as the critic finds it right. MORepair (Yang et al. 2024, arXiv 2404.12636): the rationale.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from actorcritic.collection.asking import ask, section, solution_of
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
from actorcritic.metering import CallMeter
from actorcritic.scores import checked_critique
from actorcritic.search.options import integer
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, JsonValue, Solution, Verdict

__all__ = ["EXPLAIN_REPAIR", "SELF_TALK"]


def _talk_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for attempt in chosen(episode, work.options):
        if attempt.solution is not None and attempt.solution.steps:
            yield Job(trial=attempt.id, work=partial(_talk, episode, attempt.solution, work))


async def _talk(episode: Episode, solution: Solution, work: Work, meter: CallMeter) -> Made:
    chain = await _chain(episode, solution, work, meter)
    request = load_template("collect_self_talk").fill(
        problem=quote(episode.problem.text, "problem"), chain="\n\n".join(map(_shown, chain))
    )
    text = section(await ask(work.teacher, request, meter=meter), "monologue")
    listed: list[JsonValue] = [dict(entry) for entry in chain]
    return {
        "by": work.critic_model,
        "chain": listed,
        "text": text,
        "correct": await is_right(episode, solution_of(text)),
    }


async def _chain(episode: Episode, solution: Solution, work: Work, meter: CallMeter) -> list[dict[str, JsonValue]]:
    """Return the steps with what the critic said of each, corrected ones after those that they replace.

    Raises:
        Unreadable: the critic gave no verdict, or found something wrong after the last round.
    """
    assert work.critic is not None  # the step asks for one
    chain: list[dict[str, JsonValue]] = []
    begin = 0
    for turn in range(work.options.whole("rounds") + 1):
        critique = checked_critique(await work.critic.critique(episode.problem, solution, meter=meter), solution)
        if critique.verdict is Verdict.UNSCORED:
            raise Unreadable("a critique without a verdict")
        bad = critique.first_error
        end = len(solution.steps) if bad is None else bad + 1
        for index in range(min(begin, end - 1), end):
            said = critique.steps[index]
            entry: dict[str, JsonValue] = {
                "text": solution.steps[index].text,
                "verdict": said.verdict.value,
                "critique": said.explanation,
                "index": index,
            }
            chain.append(entry)
        if bad is None:
            return chain
        if turn < work.options.whole("rounds"):
            solution = await work.actor.revise(episode.problem, solution, critique, meter=meter)
            if not solution.complete or len(solution.steps) <= bad:
                raise Unreadable("a correction that did not come to its end")
            begin = bad
    raise Unreadable(f"something is still wrong after {work.options.whole('rounds')} corrections")


def _shown(entry: dict[str, JsonValue]) -> str:
    """Return an entry of the chain as a model reads it."""
    judged = f"found {entry['verdict']}"
    said = f"\n{quote(str(entry['critique']), 'thought')}" if entry["critique"] else ""
    index = entry["index"]
    assert isinstance(index, int)
    return f"Step {index + 1}, {judged}:\n{quote(str(entry['text']), 'step')}{said}"


def _repair_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for attempt in chosen(episode, work.options):
        if attempt.action in (Action.REVISE, Action.REFINE) and attempt.parent is not None and attempt.correct:
            before = episode.attempt(attempt.parent)
            if before.correct is False and before.solution is not None and attempt.solution is not None:
                yield Job(trial=attempt.id, work=partial(_explain, episode, before.solution, attempt.solution, work))


async def _explain(episode: Episode, wrong: Solution, right: Solution, work: Work, meter: CallMeter) -> Made:
    request = load_template("collect_explain_repair").fill(
        problem=quote(episode.problem.text, "problem"),
        wrong=quote(wrong.text, "solution"),
        right=quote(right.text, "solution"),
    )
    return {
        "by": work.critic_model,
        "explanation": section(await ask(work.teacher, request, meter=meter), "explanation"),
    }


SELF_TALK = CollectionStep(
    name="self-talk",
    summary="steps, critiques and corrections smoothed to a monologue, by the critic's model (MathCritique)",
    jobs=_talk_jobs,
    asks=frozenset({"actor", "chat-critic"}),
    options=(
        integer("rounds", 4, "Corrections at most."),
        attempts_option("wrong", "all", "right"),
        PASS_RATE,
    ),
)

EXPLAIN_REPAIR = CollectionStep(
    name="explain-repair",
    summary="why a right refinement mends the wrong attempt before it, by the critic's model (MORepair)",
    jobs=_repair_jobs,
    asks=frozenset({"chat-critic"}),
    options=(attempts_option("right", "all"), PASS_RATE),
)
