"""CLEAR: of noisy training targets keep those that the model is sure of, and replace others by a better answer.

Chen and Mueller 2024 (arXiv 2403.12776). Confidence C = beta * O + (1 - beta) * S, observed consistency and the model's
own reflection (collection step `confidence`). `stage=filter` keeps targets with C > gamma, by default the median of
all. `stage=correct` replaces any target by the answer of the model tuned on those, where a judge prefers it with a
confidence above eta, both orders judged (collection step `rectify`); then train from the base model on both. No
stronger model and no gold side take part: targets are attempts, or gold solutions of a doubtful source, whatever the
checker says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from actorcritic.export.chat import assistant, mentions_help, solution_text
from actorcritic.export.needs import derived
from actorcritic.export.reading import collected
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import choice, number
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Solution

__all__ = ["RECIPE", "confidence"]

KEEP, REPLACE = "keep", "replace"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Confidence:
    """Payload of the collection step `confidence`."""

    observed: float
    reflected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rectified:
    """Payload of the collection step `rectify`."""

    solution: Solution
    better: tuple[float, ...] = ()


def confidence(observed: float, reflected: float, beta: float) -> float:
    """Return how sure the model is of a target, in [0, 1], from its consistency and its reflection, both in [0, 1]."""
    return beta * observed + (1 - beta) * reflected


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield every target with its confidence, or what replaces it; which are sure enough is seen with all of them."""
    sure = dict(collected(episode, "confidence", _Confidence))
    rectified = dict(collected(episode, "rectify", _Rectified)) if setting.options.text("stage") == "correct" else {}
    seen: set[str] = set()
    for trial, said in sure.items():
        text = _target(episode, trial)
        if isinstance(text, Drop):
            yield text
        elif text in seen:
            yield Drop("same as another target of its problem")
        else:
            seen.add(text)
            better = _replacement(rectified.get(trial), text, setting)
            columns: Columns = {
                "prompt": setting.prompt(episode.problem),
                "completion": assistant(text if better is None else better),
                "confidence": confidence(said.observed, said.reflected, setting.options.real("beta")),
                "action": KEEP if better is None else REPLACE,
                "old": "" if better is None else text,
            }
            source = episode.attempts[0].id if trial is None else trial
            yield Row(columns=columns, attempts=(source,), filters=("confident",) if better is None else ("better",))


def _target(episode: Episode, trial: int | None) -> str | Drop:
    """Return the text of a target: an attempt, or the gold solution."""
    if not episode.attempts:
        return Drop("problem without an attempt")
    if trial is None:
        gold = None if episode.gold is None else episode.gold.solution
        return gold.strip() if gold and gold.strip() else Drop("no gold solution")
    solution = episode.attempt(trial).solution
    if solution is None or not solution.complete:
        return Drop("failed or cancelled" if solution is None else "unfinished")
    return solution_text(solution)


def _replacement(made: _Rectified | None, text: str, setting: Setting) -> str | None:
    """Return what replaces a target, None where it stays."""
    if made is None or not made.better or not made.solution.complete:
        return None
    candidate = solution_text(made.solution)
    if fmean(made.better) <= setting.options.real("eta") or candidate == text or mentions_help(candidate):
        return None
    return candidate


def _arrange(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    """Yield the rows that are sure enough or were replaced."""
    sure = [value for row in rows if isinstance(value := row.columns["confidence"], float)]
    gamma = setting.options["gamma"]
    least = float(gamma) if isinstance(gamma, int | float) else median(sure or [0.0])
    for row, value in zip(rows, sure, strict=True):
        yield row if value > least or row.columns["action"] == REPLACE else Drop("not confident enough")


RECIPE = Recipe(
    name="clear",
    paper="Chen and Mueller 2024, arXiv:2403.12776",
    summary="noisy targets: those that the model is sure of, others replaced by a better answer",
    forms={"sft": Form(dataset="prompt-completion", trainer="SFTTrainer")},
    rows=_rows,
    needs=(derived("confidence"), replace(derived("rectify"), when=("stage", "correct"))),
    options=(
        choice("stage", ("filter", "correct"), "filter = keep or drop; correct = replace as well."),
        number("beta", 0.7, "Weight of the observed consistency beside the reflection.", low=0, high=1),
        number("gamma", None, "Confidence to be exceeded; none = the median of all.", low=0, high=1),
        number("eta", 0.8, "Confidence of the judge to be exceeded by a replacement.", low=0, high=1),
    ),
    arrange=_arrange,
)
