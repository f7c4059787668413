"""Rejection sampling: the model's own correct solutions, distinct ones, at most so many per problem.

RFT (Yuan et al. 2023, arXiv 2308.01825) with the cap of ReST-EM (Singh et al. 2023, arXiv 2312.06585) and, with
`sources=all`, the rationalised solutions of STaR (Zelikman et al. 2022, arXiv 2203.14465), whose hint no row holds, and
what was written after a critique, in the run or by the collection step `refine`.
Retrain from the base model in every round.
Deviations: solutions are distinct by their equations, as in RFT, or by their words where they have none; which of them
stay under the cap is chosen by shared runs of three words in place of edit distance, whose cost is quadratic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from actorcritic.codec import decode
from actorcritic.export.chat import mentions_help
from actorcritic.export.exclusion import words_of
from actorcritic.export.needs import scored
from actorcritic.export.reading import collected, helped, read_text, refusal
from actorcritic.export.recipe import Drop, Form, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import choice, integer
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Solution

__all__ = ["RECIPE"]

_FORMULA = re.compile(r"[\d.,+\-*/×÷^()= \t]+")
_OPERATION = re.compile(r"\d\s*[-+*/×÷^]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refinement:
    """One refinement in a payload of the collection step `refine`."""

    solution: Solution
    correct: bool | None = None
    incorporates: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refined:
    """Payload of the collection step `refine`."""

    refinements: tuple[_Refinement, ...]


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield a problem's correct, distinct solutions."""
    found: dict[tuple[str, ...], tuple[int, str, Solution]] = {}
    for trial, solution, drop in _candidates(episode, setting):
        if drop is not None or solution is None:
            yield drop or Drop("failed or cancelled")
            continue
        text = read_text(solution, setting)
        if mentions_help(text):
            yield Drop("speaks of help that the prompt does not hold")
        elif _signature(text, setting) in found:
            yield Drop("same as another solution of its problem")
        else:
            found[_signature(text, setting)] = (trial, text, solution)
    chosen = _choose(list(found.values()), setting)
    yield from (Drop("over the cap of its problem") for _ in range(len(found) - len(chosen)))
    if not chosen:
        yield Drop("problem without a correct solution")
    for trial, _, solution in chosen:
        words = setting.words
        columns = {"prompt": words.ask(episode.problem), "completion": words.answer(episode.problem, solution)}
        yield Row(columns=columns, attempts=(trial,), filters=("correct", "distinct"))


def _candidates(episode: Episode, setting: Setting) -> Iterator[tuple[int, Solution | None, Drop | None]]:
    """Yield what could be a row, with why it cannot."""
    everything = setting.options.text("sources") == "all"
    for attempt in episode.attempts:
        if attempt.action is Action.JUDGE:
            continue
        refused = _refusal(episode, attempt, everything=everything)
        yield attempt.id, attempt.solution, refused
    for made in episode.derived if everything else ():
        if made.step == "rationalise" and made.trial is not None:
            right = made.payload.get("correct") is True
            yield made.trial, decode(Solution, made.payload.get("solution")), None if right else Drop("wrong")
    for trial, lot in collected(episode, "refine", _Refined) if everything else ():
        for one in lot.refinements:
            if trial is not None:
                yield trial, one.solution, _refined_refusal(one)


def _refined_refusal(one: _Refinement) -> Drop | None:
    if not one.solution.complete:
        return Drop("unfinished")
    if one.correct is None:
        return Drop("correctness unknown")
    return None if one.correct else Drop("wrong")


def _refusal(episode: Episode, attempt: EpisodeAttempt, *, everything: bool) -> Drop | None:
    refused = refusal(attempt)
    if refused is None and not attempt.correct:
        return Drop("wrong")
    if refused is None and not everything and helped(episode, attempt):
        return Drop("written after a critique")
    return refused


def _signature(text: str, setting: Setting) -> tuple[str, ...]:
    """Return by what two solutions are the same: their equations in order, or their words."""
    if setting.options.text("distinct") == "equations":
        formulas = ("".join(run.split()).strip(".,") for run in _FORMULA.findall(text))
        equations = tuple(formula for formula in formulas if "=" in formula and _OPERATION.search(formula))
        if equations:
            return equations
    return words_of(text)


def _choose(found: list[tuple[int, str, Solution]], setting: Setting) -> list[tuple[int, str, Solution]]:
    """Return at most `cap` solutions, each as unlike those before it as can be, in the order of their trials."""
    cap = setting.options.whole("cap")
    if len(found) <= cap:
        return found
    if setting.options.text("select") == "first":
        return found[:cap]
    runs = [_runs(text) for _, text, _ in found]
    chosen = [0]
    nearest = [_likeness(run, runs[0]) for run in runs]
    while len(chosen) < cap:
        best = min((index for index in range(len(found)) if index not in chosen), key=lambda index: nearest[index])
        chosen.append(best)
        nearest = [max(near, _likeness(run, runs[best])) for near, run in zip(nearest, runs, strict=True)]
    return [found[index] for index in sorted(chosen)]


def _runs(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {words[start : start + 3] for start in range(max(1, len(words) - 2))}


def _likeness(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other)


RECIPE = Recipe(
    name="rft",
    paper="Yuan et al. 2023, arXiv:2308.01825; Singh et al. 2023, arXiv:2312.06585; "
    "Zelikman et al. 2022, arXiv:2203.14465",
    summary="rejection sampling: correct, distinct solutions",
    forms={"sft": Form(dataset="prompt-completion", trainer="SFTTrainer")},
    rows=_rows,
    wordings=ANY,
    needs=(scored(),),
    options=(
        integer("cap", 10, "Solutions per problem at most."),
        choice("distinct", ("equations", "words"), "By what two solutions are the same."),
        choice("select", ("diverse", "first"), "Which of them stay under the cap."),
        choice("sources", ("own", "all"), "all = also what was written after a critique or a hint."),
    ),
)
