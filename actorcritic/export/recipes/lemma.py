"""LEMMA: solutions that make an error, notice it at once and go on to a right end, all in one pass.

Pan et al. 2025 (arXiv 2503.17439). A flawed solution, the model's own or a right one with an error put in, stands up to
and including its first bad step, word for word; then a phrase of transition, the error's name and its correction
(fix-continue) or another approach (fresh-restart). Errors are put in only where the model fails at least once.
Deviations: the smoothing pass rewrites what follows the bad step alone; the phrases are ours, drawn where the
continuation begins with none; `form=tokens` can leave the bad step out of the loss, which the paper's code does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from actorcritic.answers import extract_answer
from actorcritic.export.chat import assistant, mentions_help
from actorcritic.export.masking import masked_tokens
from actorcritic.export.needs import ERROR_TYPES, derived
from actorcritic.export.reading import collected, equals_gold, said_in
from actorcritic.export.recipe import Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import choice
from actorcritic.tasks.checkers import label as exact_labels
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Solution, Step

__all__ = ["RECIPE", "TRANSITIONS", "begins_with_transition"]

TRANSITIONS = (
    "Wait, let me look at that step again.",
    "Hold on, this does not look right.",
    "Wait, maybe there is a mistake here.",
    "Hmm, let me check what I have just written.",
    "But wait, does this make sense?",
    "Let me pause and go over that once more.",
    "Wait a second, something is off here.",
    "This result looks strange, so let me check it.",
    "Let me pause and see what we know so far.",
)

_TRANSITION = re.compile(
    r"(?:but,? )?(?:wait|hold on|hmm+|actually|on second thought"
    r"|let(?:(?:'|\u2019)s| us| me) (?:pause|reconsider|rethink|check|double|look|go over|see if)"
    r"|could i have|does this make sense|something (?:is|seems|looks)|(?:this|that|the) (?:result |answer )?"
    r"(?:looks|seems|does not|doesn(?:'|\u2019)t|didn(?:'|\u2019)t|is not|isn(?:'|\u2019)t))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reflection:
    """Payload of the collection step `reflect`."""

    source: Literal["natural", "injected"]
    strategy: Literal["fix-continue", "fresh-restart"]
    error_type: str
    flawed: Solution
    first_bad_step: int
    continuation: str
    correct: bool | None = None


def begins_with_transition(text: str) -> bool:
    """Whether a continuation begins by pausing over what stands before it."""
    return _TRANSITION.match(text.lstrip()) is not None


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the one-pass corrections of a problem's flawed solutions, each text once."""
    seen: set[str] = set()
    for number, (trial, made) in enumerate(collected(episode, "reflect", _Reflection)):
        if trial is None:
            yield Drop("of no attempt")
            continue
        steps = _flawed(episode, trial, made).steps
        drop = _refusal(episode, trial, made, setting) or _broken(made, len(steps))
        if drop is not None:
            yield drop
            continue
        head = [_raw(step) for step in steps[: made.first_bad_step + 1]]
        random = setting.draw("transition", episode.problem.id, number)
        parts = _parts(head, made.continuation, random.choice(TRANSITIONS))
        text = "".join(parts)
        if mentions_help(text):
            yield Drop("speaks of help that the prompt does not hold")
        elif text in seen:
            yield Drop("same as another row of its problem")
        else:
            seen.add(text)
            yield _row(episode, trial, made, parts, setting)


def _flawed(episode: Episode, trial: int, made: _Reflection) -> Solution:
    """Return the flawed solution; the model's own as the log has it."""
    own = episode.attempt(trial).solution
    return own if made.source == "natural" and own is not None else made.flawed


def _refusal(episode: Episode, trial: int, made: _Reflection, setting: Setting) -> Drop | None:
    """Return why a reflection cannot be trusted, None if it can."""
    failed = any(attempt.correct is False for attempt in episode.attempts)
    if made.source == "injected" and not failed and setting.options.text("injected") == "failed":
        return Drop("error put into a question that is never failed")
    flaw = _is_flawed(episode, trial, made)
    if flaw is None:
        return Drop("flawed solution cannot be checked")
    if not flaw:
        return Drop("flawed solution has the gold answer")
    answer = extract_answer(made.continuation)
    right = made.correct if answer is None else equals_gold(episode, answer)
    if not (made.correct if right is None else right):
        return Drop("does not end with the gold answer")
    return None


def _broken(made: _Reflection, steps: int) -> Drop | None:
    """Return why the payload makes no row, None if it can make one."""
    if made.error_type not in ERROR_TYPES:
        return Drop("unknown kind of error")
    if not 0 <= made.first_bad_step < steps:
        return Drop("first bad step out of range")
    return None if made.continuation.strip() else Drop("no continuation")


def _is_flawed(episode: Episode, trial: int, made: _Reflection) -> bool | None:
    """Whether the flawed solution is wrong, None where nobody can say."""
    if made.source == "natural":
        correct = episode.attempt(trial).correct
        return None if correct is None else not correct
    right = None if made.flawed.answer is None else equals_gold(episode, made.flawed.answer)
    if right is None:
        labels = exact_labels(episode.problem, made.flawed)
        return None if labels is None else not all(label.correct for label in labels)
    return not right


def _raw(step: Step) -> str:
    return step.raw or f"{step.text}\n"


def _parts(head: list[str], continuation: str, transition: str) -> tuple[str, str, str]:
    """Return the good steps, the bad one, and what follows it, beginning with a transition."""
    bad = head[-1] if head[-1][-1:].isspace() else f"{head[-1]}\n"
    after = continuation.strip()
    if not begins_with_transition(after):
        after = f"{transition} {after}"
    good = "".join(head[:-1])
    return (good.lstrip(), bad if good.strip() else bad.lstrip(), after)


def _row(episode: Episode, trial: int, made: _Reflection, parts: tuple[str, str, str], setting: Setting) -> Row:
    prompt = setting.prompt(episode.problem)
    if setting.form == "tokens":
        live = setting.options.text("error") == "learnt"
        columns = masked_tokens(prompt, ((parts[0], True), (parts[1], live), (parts[2], True)), setting.tokens)
    else:
        columns = {"prompt": prompt, "completion": assistant("".join(parts))}
    return Row(
        columns={
            **columns,
            "strategy": made.strategy,
            "source": made.source,
            "error_type": made.error_type,
            "bad_step": made.first_bad_step,
        },
        attempts=(trial,),
        filters=("flawed", "ends right", "head kept", "distinct"),
        asked=said_in(prompt) if setting.form == "tokens" else None,
        taught="".join(parts) if setting.form == "tokens" else None,
    )


RECIPE = Recipe(
    name="lemma",
    paper="Pan et al. 2025, arXiv:2503.17439",
    summary="one-pass solutions that make an error, notice it and end right",
    forms={
        "sft": Form(dataset="prompt-completion", trainer="SFTTrainer"),
        "tokens": Form(dataset="tokenized", trainer="SFTTrainer", tokens=True),
    },
    rows=_rows,
    needs=(derived("reflect"),),
    options=(
        choice("injected", ("failed", "all"), "Errors put in on purpose: where the model fails at least once, or all."),
        choice("error", ("masked", "learnt"), "With form=tokens: whether the loss leaves out the bad step."),
    ),
)
