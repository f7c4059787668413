"""iTool: pairs of sibling actions that differ after a shared beginning, of the problems that are hardest for the model.

Zeng et al. 2025 (arXiv 2501.09766). Complexity of a problem = perplexity of its gold response under the current policy
(collection step `perplexity`); the hardest `share` of the problems with tools and, apart, of those without is searched.
In every state the child with the highest value is preferred to the one with the lowest; SimPO, then the next round.
`form=warm-up` is the training before: gold responses, easy ones first. Deviations: the share is of the problems whose
search has a pair; with `complexity=logged` right attempts' own log-probabilities stand for the perplexity; a call's
worth is its value in the search: the paper's five checks (name, number, names and values of parameters, meaning) and
four grades, whose bounds are not published, are not made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from statistics import fmean

from actorcritic.export.chat import assistant, solution_text
from actorcritic.export.needs import derived, valued
from actorcritic.export.reading import actions_at, collected, own_text, state_prompt
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import choice, integer, number
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode

__all__ = ["RECIPE", "hardest"]

STAGES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Perplexity:
    """Payload of the collection step `perplexity`."""

    perplexity: float


def hardest(perplexities: Sequence[float], share: float) -> set[int]:
    """Return the places of the highest perplexities: `share` of all, rounded down; among equals the first ones."""
    # A product such as 0.3 * 10 may fall short of the whole number that it stands for.
    count = math.floor(share * len(perplexities) + 1e-9)
    return set(sorted(range(len(perplexities)), key=lambda place: -perplexities[place])[:count])


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the pairs of a problem's search, or its gold response, with what is known of its complexity."""
    complexity = _complexity(episode, setting)
    if complexity is None:
        yield Drop("problem of unknown complexity")
        return
    columns: Columns = {"perplexity": complexity[1], "has_tools": _has_tools(episode)}
    if setting.form == "warm-up":
        yield _gold(episode, complexity[0], columns, setting)
        return
    made = 0
    for parent in dict.fromkeys(attempt.parent for attempt in episode.attempts):
        for result in _pair(episode, parent, columns, setting):
            if isinstance(result, Row) and made >= setting.options.whole("cap"):
                result = Drop("over the cap of its problem")
            made += isinstance(result, Row)
            yield result


def _complexity(episode: Episode, setting: Setting) -> tuple[int | None, float] | None:
    """Return what is taken for the gold response (a trial, or None for the gold solution) and its perplexity."""
    if setting.options.text("complexity") == "gold":
        said = list(collected(episode, "perplexity", _Perplexity))
        return (said[-1][0], said[-1][1].perplexity) if said else None
    right = [a for a in episode.attempts if a.correct and a.complete and a.logprobs]
    if not right:
        return None
    return right[0].id, math.exp(-fmean(value for attempt in right for value in attempt.logprobs))


def _has_tools(episode: Episode) -> bool:
    return bool(episode.problem.tools) or any(attempt.tool_calls for attempt in episode.attempts)


def _gold(episode: Episode, trial: int | None, columns: Columns, setting: Setting) -> Row | Drop:
    """Return a gold response as a row of the warm-up; its stage is known with all of them."""
    if trial is None:
        text, source = (episode.gold.solution or "") if episode.gold else "", [a.id for a in episode.attempts[:1]]
    else:
        attempt = episode.attempt(trial)
        if attempt.solution is None or not attempt.complete or not attempt.correct:
            return Drop("gold response is not right")
        text, source = solution_text(attempt.solution), [trial]
    if not text.strip() or not source:
        return Drop("no gold response")
    made: Columns = {
        "prompt": setting.prompt(episode.problem),
        "completion": assistant(text.strip()),
        **columns,
        "stage": 0,
    }
    return Row(columns=made, attempts=tuple(source), filters=("gold", "complexity known"))


def _pair(episode: Episode, parent: int | None, columns: Columns, setting: Setting) -> Iterator[Result]:
    """Yield the pair of one state: its best child against its worst."""
    least = setting.options.whole("visits")
    children = [
        (attempt.value, attempt)
        for attempt in actions_at(episode, parent)
        if attempt.solution is not None and attempt.value is not None and (attempt.visits or 0) >= least
    ]
    if len(children) < 2:
        return
    (high, better), (low, worse) = max(children, key=lambda c: c[0]), min(children, key=lambda c: c[0])
    chosen, rejected = _own(better), _own(worse)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(chosen, rejected, strict=False))
    shared = "".join(letter for letter, _ in same)
    if high - low <= setting.options.real("theta"):
        yield Drop("values too close")
    elif chosen == rejected:
        yield Drop("same action twice")
    elif len(shared) < setting.options.real("shared") * min(len(chosen), len(rejected)):
        yield Drop("too little of the beginning is shared")
    else:
        made: Columns = {
            "prompt": state_prompt(episode, better, setting),
            "chosen": assistant(chosen),
            "rejected": assistant(rejected),
            "score_chosen": high,
            "score_rejected": low,
            "shared": shared,
            **columns,
        }
        trials = (better.id, worse.id) if parent is None else (parent, better.id, worse.id)
        yield Row(columns=made, attempts=trials, filters=("explored", "margin", "shared beginning"))


def _own(attempt: EpisodeAttempt) -> str:
    return "" if attempt.solution is None else own_text(attempt.solution)


def _arrange(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    """Yield the pairs of the hardest problems, or the gold responses from easy to hard."""
    if setting.form == "warm-up":
        ordered = sorted(rows, key=_perplexity)
        for place, row in enumerate(ordered):
            yield replace(row, columns={**row.columns, "stage": place * STAGES // len(ordered)})
        return
    kept: set[str] = set()
    for tools in (True, False):
        problems = list({row.problem: row for row in rows if row.columns["has_tools"] is tools}.values())
        chosen = hardest([_perplexity(row) for row in problems], setting.options.real("share"))
        kept.update(problems[place].problem for place in chosen)
    for row in rows:
        yield row if row.problem in kept else Drop("problem is not among the hardest")


def _perplexity(row: Row) -> float:
    value = row.columns["perplexity"]
    return value if isinstance(value, float) else math.inf


def _settings(rows: Sequence[Columns]) -> Columns:
    if any("stage" in row for row in rows):
        return {}
    return {"loss_type": "simpo", "beta": 2.5, "simpo_gamma": 0.5, "cpo_alpha": 0.0, "learning_rate": 1e-6}


RECIPE = Recipe(
    name="itool",
    paper="Zeng et al. 2025, arXiv:2501.09766",
    summary="preference: sibling actions with a shared beginning, of the hardest problems; or a warm-up",
    forms={
        "simpo": Form(dataset="preference", trainer="trl.experimental.cpo.CPOTrainer"),
        "warm-up": Form(dataset="prompt-completion", trainer="SFTTrainer"),
    },
    rows=_rows,
    shows=frozenset({"attempt"}),
    shows_when={"attempt": ("form", "simpo")},
    needs=(
        replace(valued(), when=("form", "simpo")),
        replace(derived("perplexity"), when=("complexity", "gold")),
    ),
    options=(
        choice("complexity", ("gold", "logged"), "Whose perplexity: the gold response's, or logged right attempts'."),
        number(
            "share", 0.3, "Of the problems, the hardest; of those with tools and those without apart.", low=0, high=1
        ),
        number("theta", 0.0, "Values must differ by more than this.", low=0, high=1),
        number("shared", 0.0, "Shared beginning, as a share of the shorter action, at least.", low=0, high=1),
        integer("visits", 1, "Visits of both actions at least."),
        integer("cap", 8, "Pairs per problem at most."),
    ),
    arrange=_arrange,
    trainer_settings=_settings,
)
