"""`deep-critique`: every step judged, judged again from another side, and both merged (DeepCritic).

Yang et al. 2025, arXiv 2505.00662: one initial critique per step (T 0.7, top_p 0.9), n deeper ones (T 1, top_p 0.9),
by turns a critique of the first and a check from another angle; the first deeper one whose verdict is that of the
label is merged with it. Labels come from the task's exact rules or from `step-rollouts` by the paper's own rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from actorcritic.collection.asking import GREEDY, ask, quoted_steps, section, word
from actorcritic.collection.labels import Located, locate_error
from actorcritic.collection.step import (
    PASS_RATE,
    CollectionStep,
    Job,
    Made,
    Unreadable,
    Work,
    attempts_option,
    chosen,
)
from actorcritic.export.reading import collected
from actorcritic.metering import CallMeter
from actorcritic.search.options import choice, integer, number
from actorcritic.tasks.checkers import label
from actorcritic.tasks.labels import first_wrong
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue, Sampling, Solution, Verdict

__all__ = ["DEEP_CRITIQUE"]

INITIAL = Sampling(temperature=0.7, top_p=0.9)
DEEPER = Sampling(temperature=1.0, top_p=0.9)
KINDS = ("of-critique", "other-angle")
LEAKS = ("original critique", "initial critique", "previous critique", "first judgement", "second judgement")
"""Words that a merged critique may not use: its reader has seen no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rollouts:
    """Payload of the collection step `step-rollouts`."""

    rollouts: int
    successes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What one critique says of a step."""

    verdict: Verdict
    text: str

    def payload(self) -> dict[str, JsonValue]:
        """As it is logged."""
        return {"verdict": self.verdict.value, "text": self.text}


def _jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for attempt in chosen(episode, work.options):
        located = _locate(episode, attempt, work)
        if located is not None and attempt.solution is not None and attempt.solution.steps:
            make = partial(_criticise, episode, attempt.solution, located, work)
            yield Job(trial=attempt.id, work=make, key=str(located.first_bad_step))


def _locate(episode: Episode, attempt: EpisodeAttempt, work: Work) -> Located | None:
    """Return where an attempt goes wrong, None where nobody can tell."""
    if attempt.solution is None:
        return None
    if work.options.text("label") == "exact":
        labels = label(episode.problem, attempt.solution)
        return None if labels is None else Located(first_wrong(labels))
    found = [made for trial, made in collected(episode, "step-rollouts", _Rollouts) if trial == attempt.id]
    if not found or attempt.correct is None or len(found[-1].successes) != len(attempt.solution.steps):
        return None
    last = found[-1]
    return locate_error(
        last.successes, last.rollouts, correct=attempt.correct, threshold=work.options.real("threshold")
    )


async def _criticise(episode: Episode, solution: Solution, located: Located, work: Work, meter: CallMeter) -> Made:
    bad = located.first_bad_step
    steps: list[JsonValue] = []
    for index in range(len(solution.steps) if bad is None else bad + 1):
        gold = Verdict.INCORRECT if index == bad else Verdict.CORRECT
        steps.append(await _judge_step(episode, solution, index, gold, work, meter))
    return {"by": work.critic_model, "steps": steps, "first_bad_step": bad}


async def _judge_step(
    episode: Episode, solution: Solution, index: int, gold: Verdict, work: Work, meter: CallMeter
) -> JsonValue:
    about = {
        "problem": quote(episode.problem.text, "problem"),
        "steps": quoted_steps(solution.steps[: index + 1]),
        "number": str(index + 1),
    }
    request = load_template("collect_deep_initial").fill(**about)
    initial = await _judge(request, INITIAL, work, meter)
    deeper: list[tuple[str, _Judged]] = []
    for turn in range(work.options.whole("n")):
        kind = KINDS[turn % len(KINDS)]
        template = load_template("collect_deep_of_critique" if kind == KINDS[0] else "collect_deep_other_angle")
        request = template.fill(**about, critique=quote(initial.text or "(none)", "critique"))
        deeper.append((kind, await _judge(request, DEEPER, work, meter)))
    right = next((judged for _, judged in deeper if judged.verdict is gold), None)
    merged = None if right is None else await _merge(about, initial, right, work, meter)
    listed: list[JsonValue] = [{**judged.payload(), "kind": kind} for kind, judged in deeper]
    return {"initial": initial.payload(), "deeper": listed, "merged": merged}


async def _judge(request: str, sampling: Sampling, work: Work, meter: CallMeter) -> _Judged:
    """Return one critique of a step; what cannot be read is unscored."""
    said = ""
    try:
        said = await ask(work.teacher, request, meter=meter, sampling=sampling)
        verdict = Verdict(word(section(said, "verdict"), (Verdict.CORRECT.value, Verdict.INCORRECT.value)))
        return _Judged(verdict=verdict, text=section(said, "critique"))
    except Unreadable:
        return _Judged(verdict=Verdict.UNSCORED, text=said)


async def _merge(about: dict[str, str], initial: _Judged, deeper: _Judged, work: Work, meter: CallMeter) -> str | None:
    """Return one critique out of two, None where it cannot be read or speaks of the two."""
    request = load_template("collect_deep_merge").fill(
        **about, initial=quote(initial.text or "(none)", "critique"), deeper=quote(deeper.text, "critique")
    )
    try:
        text = section(await ask(work.teacher, request, meter=meter, sampling=GREEDY), "critique")
    except Unreadable:
        return None
    return None if any(leak in text.lower() for leak in LEAKS) else text


DEEP_CRITIQUE = CollectionStep(
    name="deep-critique",
    summary="critiques of every step, deeper ones, and the two merged, by the critic's model (DeepCritic)",
    jobs=_jobs,
    asks=frozenset({"chat-critic"}),
    options=(
        integer("n", 16, "Deeper critiques per step."),
        choice("label", ("exact", "rollouts"), "Whose word on the first bad step: the task's rules or step-rollouts."),
        number("threshold", 0.5, "Share of completions that come out right before the error.", low=0.0, high=1.0),
        attempts_option("all", "wrong", "right"),
        PASS_RATE,
    ),
)
