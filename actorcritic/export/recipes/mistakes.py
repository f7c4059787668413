"""Mistake tuning: right and wrong rationales of one question, each after words that say which it is.

Tong et al. 2024 (arXiv 2403.20046). Every question gives two rows, one of each kind, with the prefix in the completion,
where it is learnt; at inference the answer is made to begin with that of the right ones (`inference_prompt`).
Deviation: the right rationale is the gold solution where the problem file has one, else a right attempt of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from actorcritic.export.chat import assistant, mentions_help, solution_text
from actorcritic.export.needs import scored
from actorcritic.export.reading import equals_gold, helped, refusal
from actorcritic.export.recipe import Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import choice, integer
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, JsonValue, Problem

__all__ = ["RECIPE", "RIGHT", "WRONG", "inference_prompt"]

RIGHT, WRONG = "[CORRECT RATIONALE] ", "[INCORRECT RATIONALE] "


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rationale:
    text: str
    trial: int | None
    """The attempt that it is; None = the gold solution."""


def inference_prompt(problem: Problem, setting: Setting) -> list[JsonValue]:
    """Return the chat whose last message, the beginning of the answer, the trained model goes on from."""
    return [*setting.prompt(problem), *assistant(RIGHT)]


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield pairs of a right and a wrong rationale, the first of each first."""
    found: dict[bool, dict[str, _Rationale]] = {True: {}, False: {}}
    solution = None if episode.gold is None else episode.gold.solution
    if solution and solution.strip() and setting.options.text("right") == "any":
        found[True][solution.strip()] = _Rationale(text=solution.strip(), trial=None)
    for attempt in episode.attempts:
        if attempt.action is Action.JUDGE:
            continue
        drop = _refusal(episode, attempt)
        if drop is None and attempt.solution is not None:
            text = solution_text(attempt.solution)
            side = found[attempt.correct is True]
            drop = Drop("same as another rationale of its problem") if text in side else None
            side.setdefault(text, _Rationale(text=text, trial=attempt.id))
        if drop is not None:
            yield drop
    right, wrong = (list(found[kind].values()) for kind in (True, False))
    pairs = list(zip(right, wrong, strict=False))[: setting.options.whole("cap")]
    if not pairs:
        yield Drop("problem without a wrong rationale" if right else "problem without a right rationale")
    yield from (Drop("without a partner, or over the cap") for _ in range(len(right) + len(wrong) - 2 * len(pairs)))
    for pair in pairs:
        yield from _pair(episode, *pair, setting)


def _refusal(episode: Episode, attempt: EpisodeAttempt) -> Drop | None:
    """Return why an attempt is no rationale, None if it is one."""
    refused = refusal(attempt)
    if refused is not None or attempt.solution is None:
        return refused or Drop("failed or cancelled")
    if helped(episode, attempt) or mentions_help(solution_text(attempt.solution)):
        return Drop("written after a critique")
    answer = attempt.solution.answer
    if not attempt.correct and answer is not None and equals_gold(episode, answer):
        return Drop("called wrong, and its answer is the gold one")
    return None


def _pair(episode: Episode, right: _Rationale, wrong: _Rationale, setting: Setting) -> Iterator[Row]:
    trials = tuple(one.trial for one in (right, wrong) if one.trial is not None)
    for prefix, one in ((RIGHT, right), (WRONG, wrong)):
        yield Row(
            columns={
                "prompt": setting.prompt(episode.problem),
                "completion": assistant(f"{prefix}{one.text}"),
                "source": "gold" if one.trial is None else "attempt",
            },
            attempts=trials if one.trial is None else (one.trial,),
            filters=("correctness known", "distinct", "paired"),
        )


RECIPE = Recipe(
    name="mistakes",
    paper="Tong et al. 2024, arXiv:2403.20046",
    summary="a right and a wrong rationale of each question, each after words that say which",
    forms={"sft": Form(dataset="prompt-completion", trainer="SFTTrainer")},
    rows=_rows,
    needs=(scored(),),
    options=(
        integer("cap", 1, "Pairs per problem at most."),
        choice("right", ("any", "attempt"), "any = the gold solution first, where the problem file has one."),
    ),
    conditions={"answer_prefix": RIGHT},
)
