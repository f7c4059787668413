"""MultiCritique: one critique put together from the valid parts of several critics'.

Lan et al. 2024 (arXiv 2410.15287), its first stage: several models criticise a solution in units (where, what kind, how
severe, how to mend); a meta-critic labels every unit and aggregates the valid ones (collection step
`aggregate-critiques`). Its second stage, pairs validated by their outcome, is the recipe `marv`; `outcome=required`
holds critiques of wrong solutions to the same test here. Deviations: the verdict has to agree with the gold side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from actorcritic.export.chat import CRITIC_TEMPLATES, assistant, critic_prompt, critique_text
from actorcritic.export.critics import RATIO, even_sides, inconsistency, judged, refined
from actorcritic.export.needs import derived, scored
from actorcritic.export.reading import collected, refusal
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import choice, integer, number
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Critique, Verdict

__all__ = ["RECIPE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    critic: str
    text: str
    step: int | None = None
    kind: str = ""
    severity: str = ""
    fix: str | None = None
    valid: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aggregated:
    """Payload of the collection step `aggregate-critiques`."""

    by: str
    critique: Critique
    units: tuple[_Unit, ...] = ()


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the aggregated critiques of a problem's attempts, one of each attempt."""
    seen: set[int] = set()
    for trial, made in collected(episode, "aggregate-critiques", _Aggregated):
        if trial is None:
            continue
        attempt = episode.attempt(trial)
        drop = refusal(attempt) or _refusal(episode, attempt, made, setting)
        if drop is None and trial in seen:
            drop = Drop("second one of its attempt")
        if drop is not None or attempt.solution is None:
            yield drop or Drop("failed or cancelled")
            continue
        seen.add(trial)
        columns: Columns = {
            "prompt": critic_prompt(episode.problem, attempt.solution),
            "completion": assistant(critique_text(attempt.solution, made.critique)),
            "verdict": "right" if made.critique.verdict is Verdict.CORRECT else "wrong",
            "critics": len({unit.critic for unit in made.units}),
            "valid_units": sum(unit.valid is True for unit in made.units),
        }
        yield Row(columns=columns, attempts=(trial,), filters=("verdict agrees", "units valid", "outcome"))


def _refusal(episode: Episode, attempt: EpisodeAttempt, made: _Aggregated, setting: Setting) -> Drop | None:
    """Return why an aggregated critique is no target, None if it is one."""
    drop = inconsistency(made.critique, correct=attempt.correct is True)
    if drop is not None:
        return drop
    if len({unit.critic for unit in made.units}) < setting.options.whole("critics"):
        return Drop("too few critics")
    if attempt.correct:
        return None
    if not any(unit.valid for unit in made.units):
        return Drop("no valid unit")
    if setting.options.text("outcome") == "off" or attempt.solution is None:
        return None
    text = critique_text(attempt.solution, made.critique)
    said = next((s for s in judged(episode, attempt) if critique_text(attempt.solution, s.critique) == text), None)
    if said is None or said.utility is None:
        return Drop("nobody refined with it")
    return Drop("too few refinements come out right") if said.utility < setting.options.real("tau") else None


def _arrange(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    return even_sides(rows, setting, lambda row: row.columns["verdict"] == "right")


RECIPE = Recipe(
    name="multicritique",
    paper="Lan et al. 2024, arXiv:2410.15287",
    summary="critic: critiques aggregated from the valid units of several critics",
    forms={"sft": Form(dataset="prompt-completion", trainer="SFTTrainer")},
    rows=_rows,
    shows=frozenset({"attempt"}),
    templates=CRITIC_TEMPLATES,
    needs=(scored(), derived("aggregate-critiques"), replace(refined(), when=("outcome", "required"))),
    options=(
        integer("critics", 2, "Critics whose units were aggregated, at least."),
        choice("outcome", ("off", "required"), "Whether refinements with it must come out right."),
        number("tau", 0.5, "As a share, at least; for outcome=required.", low=0, high=1),
        RATIO,
    ),
    arrange=_arrange,
)
