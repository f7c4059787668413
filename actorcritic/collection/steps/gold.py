"""Steps that show a model the gold side: `rationalise`, `paraphrase`, `judge-equivalence`.

STaR (Zelikman et al. 2022, arXiv 2203.14465): a solution written with the answer as a hint, which no row holds.
S3FT (Gupta et al. 2025, arXiv 2502.08130): the gold solution in the tuned model's own words, and whether a text says
the same as the gold solution. Where there is no worked solution, the judge is shown the gold answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from actorcritic.codec import encode
from actorcritic.collection.asking import GREEDY, SAMPLED, ask, solution_of, word
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
    gold_solution,
    is_right,
)
from actorcritic.metering import CallMeter
from actorcritic.search.options import choice, integer
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Message, Solution

__all__ = ["JUDGE_EQUIVALENCE", "PARAPHRASE", "RATIONALISE"]


def _hinted_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    answer = gold_answer(episode)
    wrong = next(chosen(episode, work.options), None)
    if answer is not None and wrong is not None:
        for sample in range(work.options.whole("samples")):
            yield Job(trial=wrong.id, work=partial(_rationalise, episode, answer, work, sample), key=str(sample))


async def _rationalise(episode: Episode, answer: str, work: Work, sample: int, meter: CallMeter) -> Made:
    messages = work.actor.format.propose(episode.problem).content
    if isinstance(messages, str) or not messages or messages[-1].role != "user":
        raise Unreadable("a problem whose chat does not end with a question takes no hint")
    hinted = load_template("collect_rationalise").fill(request=messages[-1].content, answer=quote(answer, "answer"))
    chat: tuple[Message, ...] = (*messages[:-1], replace(messages[-1], content=hinted))
    sampling = SAMPLED if sample else GREEDY
    solution = solution_of(await ask(work.actor.engine, chat, meter=meter, role="actor", sampling=sampling))
    return {"solution": encode(solution), "correct": await is_right(episode, solution) is True}


def _paraphrase_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    gold = gold_solution(episode)
    if gold is not None:
        yield Job(trial=None, work=partial(_paraphrase, episode, gold, work))


async def _paraphrase(episode: Episode, gold: str, work: Work, meter: CallMeter) -> Made:
    request = load_template("collect_paraphrase").fill(
        problem=quote(episode.problem.text, "problem"), solution=quote(gold, "solution")
    )
    solution = solution_of(await ask(work.actor.engine, request, meter=meter, role="actor"))
    judged = work.options.text("judge") == "model"
    return {
        "model": work.actor_model,
        "solution": encode(solution),
        "correct": await is_right(episode, solution),
        "equivalent": await _equivalent(episode, gold, solution, work, meter) if judged else None,
    }


async def _equivalent(episode: Episode, gold: str, solution: Solution, work: Work, meter: CallMeter) -> bool | None:
    """Return whether a model takes a solution for the same as the gold one, None where it gives no verdict."""
    request = load_template("collect_equivalence").fill(
        problem=quote(episode.problem.text, "problem"),
        gold=quote(gold, "solution"),
        solution=quote(solution.text, "solution"),
    )
    try:
        return word(await ask(work.teacher, request, meter=meter), ("yes", "no")) == "yes"
    except Unreadable:
        return None


def _equivalence_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    gold = gold_solution(episode) or gold_answer(episode)
    for attempt in chosen(episode, work.options):
        if gold is not None and attempt.solution is not None:
            yield Job(trial=attempt.id, work=partial(_judge, episode, gold, attempt.solution, work))


async def _judge(episode: Episode, gold: str, solution: Solution, work: Work, meter: CallMeter) -> Made:
    return {"by": work.critic_model, "equivalent": await _equivalent(episode, gold, solution, work, meter)}


RATIONALISE = CollectionStep(
    name="rationalise",
    summary="a solution written with the gold answer as a hint, where every attempt failed (STaR)",
    jobs=_hinted_jobs,
    asks=frozenset({"chat-actor"}),
    options=(
        integer("samples", 1, "Solutions per problem: the first greedy, the others at temperature 1."),
        attempts_option("wrong", "all"),
        replace(PASS_RATE, default=0.0),
    ),
)

PARAPHRASE = CollectionStep(
    name="paraphrase",
    summary="the gold solution in the words of the actor's model, the one to be tuned (S3FT)",
    jobs=_paraphrase_jobs,
    asks=frozenset({"chat-actor"}),
    options=(choice("judge", ("checker", "model"), "model = ask the critic's model too whether it says the same."),),
    asks_when={("judge", "model"): "chat-critic"},
)

JUDGE_EQUIVALENCE = CollectionStep(
    name="judge-equivalence",
    summary="whether an attempt says the same as the gold solution, by the critic's model (S3FT)",
    jobs=_equivalence_jobs,
    asks=frozenset({"chat-critic"}),
    options=(attempts_option("all", "right", "wrong"), PASS_RATE),
)
