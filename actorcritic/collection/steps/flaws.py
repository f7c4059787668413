"""`flawed-critique`: the three generators of flawed solutions of AutoMathCritique, their critiques, and refinements.

Xi et al. 2024, arXiv 2411.16579. Flawed solutions: `response`, wrong attempts as the actor wrote them (collect them at
a high temperature); `location`, a right attempt gone on from a drawn step, at a raised temperature, until the end is
wrong; `detail`, a right attempt whose drawn step a model writes again with a mistake of a known kind, gone on from by
the actor. The critic is told what is known of the error. How many of N refinements come out right is what the soft
filter of the export goes by. Deviation: `hint=no` is for critics that read no hint, such as the embedded one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from actorcritic.codec import encode
from actorcritic.collection.asking import GREEDY, SAMPLED, ask, quoted_steps, section
from actorcritic.collection.step import (
    PASS_RATE,
    CollectionStep,
    Job,
    Made,
    Unreadable,
    Work,
    chosen,
    gold_answer,
    is_right,
)
from actorcritic.export.chat import mentions_help
from actorcritic.export.needs import INJECTABLE
from actorcritic.formats.chat import ChatCriticFormat
from actorcritic.metering import CallMeter
from actorcritic.scores import checked_critique
from actorcritic.search.options import Options, choice, integer, number
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Critique, GenerateRequest, Sampling, Solution, Step, Verdict

__all__ = ["FLAWED_CRITIQUE"]

_SELECTION = (replace(PASS_RATE), choice("attempts", ("right", "wrong"), ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flawed:
    """A solution with a wrong end, and what is known of its error."""

    solution: Solution
    first_bad_step: int | None = None
    error_type: str | None = None


def _jobs(episode: Episode, work: Work) -> Iterator[Job]:
    source = work.options.text("source")
    wanted = {"attempts": "wrong" if source == "response" else "right", "pass_rate": work.options["pass_rate"]}
    for attempt in chosen(episode, Options(_SELECTION, wanted)):
        if attempt.solution is not None and attempt.solution.steps:
            # A wrong attempt is flawed as it is: there is one of it.
            for sample in range(1 if source == "response" else work.options.whole("samples")):
                yield Job(trial=attempt.id, work=partial(_make, episode, attempt, work, sample), key=str(sample))


async def _make(episode: Episode, attempt: EpisodeAttempt, work: Work, sample: int, meter: CallMeter) -> Made:
    flawed = await _flaw(episode, attempt, work, sample, meter)
    critique = await _critique(episode, flawed, work, meter)
    refinements = work.options.whole("n")
    right = 0
    for _ in range(refinements):
        refined = await work.actor.refine(episode.problem, flawed.solution, critique, meter=meter)
        right += await is_right(episode, refined) is True
    return {
        "by": work.critic_model,
        "source": work.options.text("source"),
        "solution": encode(flawed.solution),
        "first_bad_step": flawed.first_bad_step,
        "critique": encode(critique),
        "actor": work.actor_model,
        "refined": refinements,
        "successes": right,
    }


async def _flaw(episode: Episode, attempt: EpisodeAttempt, work: Work, sample: int, meter: CallMeter) -> _Flawed:
    """Return a flawed solution by the generator that is asked for.

    Raises:
        Unreadable: none was found in so many tries.
    """
    solution, source = attempt.solution, work.options.text("source")
    assert solution is not None  # `_jobs` has looked
    if source == "response":
        return _Flawed(solution=solution)
    draw = random.Random(work.draw("flaw", source, episode.problem.id, attempt.id, sample))
    at = draw.randrange(len(solution.steps))
    start, kind = solution.steps[:at], None
    if source == "detail":
        kind = draw.choice(INJECTABLE)
        start = (*start, await _write_flaw(episode, solution, at, kind, work, meter))
    sampling = Sampling(temperature=work.options.real("temperature")) if source == "location" else None
    for _ in range(work.options.whole("tries")):
        tried = await _go_on(episode, start, work, sampling, meter)
        if tried.complete and await is_right(episode, tried) is False:
            return _Flawed(solution=tried, first_bad_step=at, error_type=kind)
    raise Unreadable(f"{work.options.whole('tries')} completions from step {at} did not end wrong")


async def _go_on(
    episode: Episode, start: Sequence[Step], work: Work, sampling: Sampling | None, meter: CallMeter
) -> Solution:
    if not start:
        return await work.actor.propose(episode.problem, meter=meter, sampling=sampling)
    begun = Solution(steps=tuple(start), complete=False)
    return await work.actor.extend(episode.problem, begun, meter=meter, sampling=sampling)


async def _write_flaw(episode: Episode, solution: Solution, at: int, kind: str, work: Work, meter: CallMeter) -> Step:
    """Return a step written again with a mistake of this kind."""
    request = load_template("collect_flawed_step").fill(
        problem=quote(episode.problem.text, "problem"),
        head=quoted_steps(solution.steps[:at]) or "(none yet)",
        step=quote(solution.steps[at].text, "step"),
        error_type=kind.replace("_", " "),
    )
    text = section(await ask(work.teacher, request, meter=meter, sampling=SAMPLED), "step")
    raw = solution.steps[at].raw
    if text == solution.steps[at].text:
        raise Unreadable("the step was written again without a mistake")
    return Step(text=text, raw=text + (raw[len(raw.rstrip()) :] or "\n"))


async def _critique(episode: Episode, flawed: _Flawed, work: Work, meter: CallMeter) -> Critique:
    """Return the critic's judgement, told what is known of the error.

    Raises:
        Unreadable: it has no verdict, or speaks of what it was told.
    """
    if work.options.text("hint") == "no":
        assert work.critic is not None  # the step asks for one
        said = await work.critic.critique(episode.problem, flawed.solution, meter=meter)
        critique = checked_critique(said, flawed.solution)
    else:
        critique = await _hinted_critique(episode, flawed, work, meter)
    if critique.verdict is Verdict.UNSCORED:
        raise Unreadable("a critique without a verdict")
    if mentions_help(critique.raw):
        raise Unreadable("a critique that speaks of its hint")
    return critique


async def _hinted_critique(episode: Episode, flawed: _Flawed, work: Work, meter: CallMeter) -> Critique:
    form = ChatCriticFormat(top_logprobs=0)
    prompt = form.ask(episode.problem, flawed.solution)
    assert not isinstance(prompt.content, str)  # a chat
    hint = load_template("collect_hint").fill(hint=_hint(episode, flawed))
    last = replace(prompt.content[-1], content=f"{prompt.content[-1].content}\n\n{hint}")
    request = GenerateRequest(
        prompt=replace(prompt, content=(*prompt.content[:-1], last)),
        max_tokens=form.max_tokens(flawed.solution),
        sampling=GREEDY,
        logprobs=False,
    )
    generation = await meter.generate(work.teacher, request, role="critic")
    return form.read(episode.problem, flawed.solution, generation)


def _hint(episode: Episode, flawed: _Flawed) -> str:
    """Return what is known: the final answer is wrong, the right one, where the error was made, its kind."""
    answer = gold_answer(episode)
    lines = ["The final answer of the solution is wrong."]
    if answer is not None:
        lines.append(f"The right one is:\n{quote(answer, 'answer')}")
    if flawed.first_bad_step is not None:
        lines.append(f"The mistake was made in step {flawed.first_bad_step + 1}.")
    if flawed.error_type is not None:
        lines.append(f"It is of the kind {flawed.error_type.replace('_', ' ')}.")
    return "\n".join(lines)


FLAWED_CRITIQUE = CollectionStep(
    name="flawed-critique",
    summary="flawed solutions by three generators, their critiques with hints, refinements (AutoMathCritique)",
    jobs=_jobs,
    asks=frozenset({"actor"}),
    asks_when={
        ("hint", "yes"): "chat-critic",
        ("hint", "no"): "critic",
        ("source", "detail"): "chat-critic",
    },
    options=(
        choice("source", ("response", "location", "detail"), "Which generator."),
        choice("hint", ("yes", "no"), "Whether the critic is told what is known of the error."),
        integer("n", 10, "N: refinements with each critique; 0 = none.", low=0),
        integer("samples", 1, "Flawed solutions per right attempt."),
        integer("tries", 4, "Completions until the end is wrong."),
        number("temperature", 1.0, "Of those from a drawn step (location).", low=0.0, open_low=True),
        PASS_RATE,
    ),
)
