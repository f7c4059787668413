"""`aggregate-critiques`: several critiques taken apart, every point labelled, the true ones put together.

MultiCritique (Lan et al. 2024, arXiv 2410.15287): analytical critique units, a meta-critique's label for each, one
critique out of the valid ones. Deviation: the units of a critique are read out of its text by the aggregating model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from actorcritic.codec import encode
from actorcritic.collection.asking import ask, ask_object, quoted_steps, word
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
)
from actorcritic.export.reading import Judgement, judgements
from actorcritic.formats.chat import render_critique
from actorcritic.metering import CallMeter, derive_seed
from actorcritic.parsing.critiques import parse_critique
from actorcritic.search.options import integer
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Critique, JsonValue, Solution, Verdict

__all__ = ["AGGREGATE_CRITIQUES"]

SEVERITIES = ("negligible", "minor", "severe")
NOTHING = "Nothing has been found to be wrong."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    critic: str
    step: int | None
    kind: str
    severity: str
    text: str
    fix: str | None
    valid: bool | None = None

    def shown(self) -> str:
        """As a model reads it."""
        place = "the whole solution" if self.step is None else f"step {self.step + 1}"
        return f"On {place} ({self.kind}, {self.severity}): {self.text}" + (f" Fix: {self.fix}" if self.fix else "")


def _jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for attempt in chosen(episode, work.options):
        said = [one for one in judgements(episode, attempt) if _usable(one.critique)]
        if attempt.solution is not None and attempt.solution.steps and len(said) >= work.options.whole("least"):
            key = str(derive_seed(*(f"{one.critic}:{one.critique.raw}" for one in said)))
            yield Job(trial=attempt.id, work=partial(_aggregate, episode, attempt.solution, said, work), key=key)


def _usable(critique: Critique) -> bool:
    return critique.verdict is not Verdict.UNSCORED and not critique.oracle


async def _aggregate(
    episode: Episode, solution: Solution, said: Sequence[Judgement], work: Work, meter: CallMeter
) -> Made:
    about = {"problem": quote(episode.problem.text, "problem"), "steps": quoted_steps(solution.steps)}
    units = [unit for one in said for unit in await _units(about, solution, one, work, meter)]
    labelled = [(unit, await _is_valid(about, episode, unit, work, meter)) for unit in units]
    points = [unit.shown() for unit, valid in labelled if valid]
    request = load_template("collect_aggregate").fill(
        **about,
        units="\n\n".join(quote(point, "point") for point in points) or NOTHING,
        task=load_template("critic_text").fill(aim=load_template("aim_whole").text),
    )
    critique = parse_critique(await ask(work.teacher, request, meter=meter), [step.text for step in solution.steps])
    if critique.verdict is Verdict.UNSCORED:
        raise Unreadable("the aggregated critique has no verdict")
    listed: list[JsonValue] = [
        {
            "critic": unit.critic,
            "step": unit.step,
            "kind": unit.kind,
            "severity": unit.severity,
            "text": unit.text,
            "fix": unit.fix,
            "valid": valid,
        }
        for unit, valid in labelled
    ]
    return {"by": work.critic_model, "units": listed, "critique": encode(critique)}


async def _units(
    about: dict[str, str], solution: Solution, said: Judgement, work: Work, meter: CallMeter
) -> list[_Unit]:
    """Return the points of a critique.

    Raises:
        Unreadable: the model did not list them.
    """
    critique = quote(said.critique.raw or render_critique(solution, said.critique), "critique")
    request = load_template("collect_units").fill(**about, critique=critique)
    listed = await ask_object(work.teacher, request, meter=meter)
    if not isinstance(listed, list):
        raise Unreadable("points that are no list")
    return [_unit(item, said.critic, len(solution.steps)) for item in listed]


def _unit(item: JsonValue, critic: str, steps: int) -> _Unit:
    """Return one point.

    Raises:
        Unreadable: it lacks a field, or names a step or severity that does not exist.
    """
    if not isinstance(item, dict):
        raise Unreadable("a point that is no object")
    step, kind, severity = item.get("step"), item.get("kind"), item.get("severity")
    text, fix = item.get("text"), item.get("fix")
    place = None
    if step is not None:
        if not isinstance(step, int) or isinstance(step, bool) or not 1 <= step <= steps:
            raise Unreadable(f"step {str(step)[:40]} of {steps}")
        place = step - 1
    if not isinstance(severity, str) or severity not in SEVERITIES:
        raise Unreadable(f"an unknown severity: {str(severity)[:40]!r}")
    if not isinstance(kind, str) or not isinstance(text, str) or not text.strip():
        raise Unreadable("a point without kind or text")
    shown_fix = fix if isinstance(fix, str) and fix.strip() else None
    return _Unit(critic=critic, step=place, kind=kind, severity=severity, text=text, fix=shown_fix)


async def _is_valid(about: dict[str, str], episode: Episode, unit: _Unit, work: Work, meter: CallMeter) -> bool | None:
    """Return the meta-critic's label of a point, None where it gave none."""
    answer = gold_answer(episode)
    request = load_template("collect_meta_critique").fill(
        **about,
        answer=quote(answer if answer is not None else "(not known)", "answer"),
        unit=quote(unit.shown(), "point"),
    )
    try:
        return word(await ask(work.teacher, request, meter=meter), ("yes", "no")) == "yes"
    except Unreadable:
        return None


AGGREGATE_CRITIQUES = CollectionStep(
    name="aggregate-critiques",
    summary="the true points of several critiques in one, by the critic's model (MultiCritique)",
    jobs=_jobs,
    asks=frozenset({"chat-critic"}),
    options=(
        integer("least", 2, "Critiques that an attempt must have."),
        attempts_option("all", "wrong", "right"),
        PASS_RATE,
    ),
)
