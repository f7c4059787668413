"""Critiques and what becomes of them: `critique`, `refine`, `incorporates`.

`critique`: further critiques of attempts, several by one critic or, called again with another --critic, by several.
With `pass_rate=0` critics work on problems alone that the actor failed: the difficulty-aware exploration of
MathCritique (Xi et al. 2024, arXiv 2411.16579).
`refine`: k refinements per critique, each scored by the checker: what ILF (arXiv 2303.16755), MARV (2410.15287),
RefCritic (2507.15024) and the soft filter of AutoMathCritique go by. `incorporates`: ILF's InstructRM.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from actorcritic.codec import encode
from actorcritic.collection.asking import SAMPLED, ask_yes
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
from actorcritic.critic import ModelCritic
from actorcritic.export.reading import Judgement, judgements
from actorcritic.formats.chat import render_critique
from actorcritic.metering import CallMeter, derive_seed
from actorcritic.protocols import Critic
from actorcritic.scores import checked_critique
from actorcritic.search.options import choice, integer
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Critique, JsonValue, Solution, Verdict

__all__ = ["CRITIQUE", "INCORPORATES", "REFINE"]

WORDINGS = ("incorporates_1", "incorporates_2", "incorporates_3", "incorporates_4", "incorporates_5")
"""ILF averages over several wordings of one question."""


def _critique_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for attempt in chosen(episode, work.options):
        if attempt.solution is not None and attempt.solution.steps:
            for sample in range(work.options.whole("samples")):
                work_on = partial(_critique, episode, attempt.solution, work, sample)
                yield Job(trial=attempt.id, work=work_on, key=str(sample))


async def _critique(episode: Episode, solution: Solution, work: Work, sample: int, meter: CallMeter) -> Made:
    critic = _sampling(work.critic) if sample else work.critic
    assert critic is not None  # the step asks for one
    critique = checked_critique(await critic.critique(episode.problem, solution, meter=meter), solution)
    return {"critic": work.critic_model, "critique": encode(critique)}


def _sampling(critic: Critic | None) -> Critic | None:
    """Return the critic drawing at temperature 1: the first critique is greedy, the others are samples."""
    if not isinstance(critic, ModelCritic):
        return critic
    return ModelCritic(critic.engine, critic.format, sampling=SAMPLED, retries=critic.retries)


def _refine_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    wrong_only = work.options.text("critiques") == "wrong"
    for attempt in chosen(episode, work.options):
        for said in judgements(episode, attempt):
            verdict = said.critique.verdict
            usable = verdict is Verdict.INCORRECT if wrong_only else verdict is not Verdict.UNSCORED
            if usable and not said.critique.oracle and attempt.solution is not None:
                # By its words, so that a critique added later does not make those before it new.
                key = f"{said.critic}:{derive_seed(json.dumps(encode(said.critique)))}"
                yield Job(trial=attempt.id, work=partial(_refine, episode, attempt.solution, said, work), key=key)


async def _refine(episode: Episode, solution: Solution, said: Judgement, work: Work, meter: CallMeter) -> Made:
    refinements: list[JsonValue] = []
    asked = work.options.text("incorporates") == "yes"
    for _ in range(work.options.whole("k")):
        refined = await _rewrite(episode, solution, said.critique, work, meter)
        chances = await _chances(episode, solution, said.critique, refined, work, meter) if asked else []
        refinements.append(
            {"solution": encode(refined), "correct": await is_right(episode, refined), "incorporates": [*chances]}
        )
    return {
        "critic": said.critic,
        "critique": encode(said.critique),
        "actor": work.actor_model,
        "refinements": refinements,
    }


def _incorporates_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for attempt in chosen(episode, work.options):
        if attempt.action in (Action.REVISE, Action.REFINE) and attempt.parent is not None:
            before = episode.attempt(attempt.parent)
            if before.solution is not None and before.critique is not None and not before.critique.oracle:
                work_on = partial(_incorporates, episode, before, attempt, work)
                yield Job(trial=attempt.id, work=work_on)


async def _rewrite(episode: Episode, solution: Solution, critique: Critique, work: Work, meter: CallMeter) -> Solution:
    """Let the actor write a solution anew: all of it, or from the first step that the critique calls wrong."""
    if work.options.text("rewrite") == "from-error" and critique.first_error is not None:
        return await work.actor.revise(episode.problem, solution, critique, meter=meter)
    return await work.actor.refine(episode.problem, solution, critique, meter=meter)


async def _incorporates(
    episode: Episode, before: EpisodeAttempt, after: EpisodeAttempt, work: Work, meter: CallMeter
) -> Made:
    if before.solution is None or before.critique is None or after.solution is None:
        raise Unreadable("a revision without what it starts from")
    chances = await _chances(episode, before.solution, before.critique, after.solution, work, meter)
    return {"by": work.critic_model, "probabilities": [*chances]}


async def _chances(
    episode: Episode, solution: Solution, critique: Critique, refined: Solution, work: Work, meter: CallMeter
) -> list[float]:
    """Return P(yes) in every wording that a refinement takes up its critique."""
    texts = load_template("collect_incorporates").fill(
        problem=quote(episode.problem.text, "problem"),
        solution=quote(solution.text, "solution"),
        critique=quote(render_critique(solution, critique), "critique"),
        refinement=quote(refined.text, "refinement"),
    )
    questions = [load_template(f"collect_{name}").text for name in WORDINGS]
    return [await ask_yes(work.teacher, f"{texts}\n\n{question}", meter=meter) for question in questions]


CRITIQUE = CollectionStep(
    name="critique",
    summary="further critiques of attempts, by another critic or several by one",
    jobs=_critique_jobs,
    asks=frozenset({"critic"}),
    options=(
        integer("samples", 1, "Critiques per attempt: the first greedy, the others at temperature 1."),
        attempts_option("all", "wrong", "right"),
        PASS_RATE,
    ),
)

REFINE = CollectionStep(
    name="refine",
    summary="k refinements per critique, each scored by the checker (ILF, MARV, RefCritic, soft filter)",
    jobs=_refine_jobs,
    asks=frozenset({"actor"}),
    options=(
        integer("k", 5, "Refinements per critique."),
        choice("critiques", ("all", "wrong"), "wrong = those alone that find a mistake; unscored ones never."),
        choice("rewrite", ("whole", "from-error"), "from-error = the steps before the first wrong one stay."),
        choice("incorporates", ("no", "yes"), "Ask the critic's model whether each takes up its critique (ILF)."),
        attempts_option("all", "wrong", "right"),
        PASS_RATE,
    ),
    asks_when={("incorporates", "yes"): "chat-critic"},
)

INCORPORATES = CollectionStep(
    name="incorporates",
    summary="whether a logged revision or refinement takes up its critique (ILF's InstructRM)",
    jobs=_incorporates_jobs,
    asks=frozenset({"chat-critic"}),
    options=(attempts_option("all", "right", "wrong"), PASS_RATE),
)
