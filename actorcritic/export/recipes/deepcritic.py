"""DeepCritic: critiques that judge a step, question that judgement, and then decide; or labels to be rewarded by.

Yang et al. 2025 (arXiv 2505.00662). Of every step an initial critique and deeper ones (a critique of the critique, or
another angle), of which those count whose verdict is that of the label; both are merged. A row ends at the first wrong
step, with its number from 1, or -1 (collection step `deep-critique`). Wrong solutions stay, right ones where a
judgement was corrected, and at most `plain` others. `form=grpo` asks the same with a label out of `step-rollouts`: the
first step from which no completion comes out right. Deviation: a label that comes and goes is dropped as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from actorcritic.export.chat import assistant, user
from actorcritic.export.needs import derived
from actorcritic.export.reading import collected, refusal
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import integer
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue, Solution, Verdict

__all__ = ["RECIPE", "first_collapse"]

TEMPLATE = "export_deepcritic"
NONE_WRONG = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    verdict: Verdict
    text: str = ""
    kind: str = ""
    """`of-critique` or `other-angle`; empty for an initial one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    initial: _Said
    deeper: tuple[_Said, ...] = ()
    merged: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deep:
    """Payload of the collection step `deep-critique`."""

    steps: tuple[_Step, ...]
    first_bad_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rollouts:
    """Payload of the collection step `step-rollouts`."""

    successes: tuple[int, ...]


def first_collapse(successes: Sequence[int]) -> int | None:
    """Return the first step from which no completion comes out right, -1 if there is none.

    Args:
        successes: Per step, how many completions from it came out right.

    Returns:
        None where completions come out right again after such a step, or there is no step.
    """
    bad = next((index for index, count in enumerate(successes) if count == 0), NONE_WRONG)
    return None if not successes or (bad >= 0 and any(successes[bad:])) else bad


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the deep critiques, or the questions, of a problem's attempts, one of each attempt."""
    seen: set[int] = set()
    made = _critiques(episode) if setting.form == "sft" else _questions(episode)
    for trial, result in made:
        if isinstance(result, Row) and trial in seen:
            result = Drop("second one of its attempt")
        if isinstance(result, Row):
            seen.add(trial)
        yield result


def _critiques(episode: Episode) -> Iterator[tuple[int, Result]]:
    for trial, deep in collected(episode, "deep-critique", _Deep):
        if trial is None:
            continue
        attempt = episode.attempt(trial)
        drop = _refusal(attempt) or _inconsistency(attempt, deep)
        if drop is not None or attempt.solution is None:
            yield trial, drop or Drop("failed or cancelled")
            continue
        bad = deep.first_bad_step
        texts = [f"Step {number}\n{(step.merged or '').strip()}" for number, step in enumerate(deep.steps, start=1)]
        label = NONE_WRONG if bad is None else bad + 1
        columns: Columns = {
            "prompt": _prompt(episode, attempt.solution),
            "completion": assistant("\n\n".join([*texts, f"**Answer**: \\boxed{{{label}}}"])),
            "label": label,
            "kind": "wrong" if bad is not None else "corrected" if _is_corrected(deep) else "plain",
        }
        yield trial, Row(columns=columns, attempts=(trial,), filters=("every step merged", "verdicts agree"))


def _refusal(attempt: EpisodeAttempt) -> Drop | None:
    return refusal(attempt) or (None if attempt.solution and attempt.solution.steps else Drop("no steps"))


def _label(deep: _Deep, index: int) -> Verdict:
    return Verdict.INCORRECT if index == deep.first_bad_step else Verdict.CORRECT


def _is_corrected(deep: _Deep) -> bool:
    """Whether a first judgement of a step was not the right one."""
    return any(step.initial.verdict is not _label(deep, index) for index, step in enumerate(deep.steps))


def _inconsistency(attempt: EpisodeAttempt, deep: _Deep) -> Drop | None:
    """Return why a deep critique cannot be trusted, None if it can."""
    assert attempt.solution is not None
    bad, steps = deep.first_bad_step, len(attempt.solution.steps)
    if bad is None and not attempt.correct:
        return Drop("no step is called wrong, and the answer is")
    if len(deep.steps) != (steps if bad is None else bad + 1) or len(deep.steps) > steps:
        return Drop("steps without a critique, or critiques without a step")
    agreed = [
        step.merged and any(one.verdict is _label(deep, index) for one in step.deeper)
        for index, step in enumerate(deep.steps)
    ]
    return None if all(agreed) else Drop("a step of which no deeper critique is right")


def _questions(episode: Episode) -> Iterator[tuple[int, Result]]:
    for trial, rollouts in collected(episode, "step-rollouts", _Rollouts):
        if trial is None:
            continue
        attempt = episode.attempt(trial)
        bad = first_collapse(rollouts.successes)
        drop = _refusal(attempt)
        if drop is None and attempt.solution is not None and len(rollouts.successes) != len(attempt.solution.steps):
            drop = Drop("steps without a label, or labels without a step")
        elif drop is None and (bad is None or (bad == NONE_WRONG) != attempt.correct):
            drop = Drop("labels that come and go, or contradict the gold side")
        if drop is not None or attempt.solution is None or bad is None:
            yield trial, drop or Drop("failed or cancelled")
            continue
        columns: Columns = {
            "prompt": _prompt(episode, attempt.solution),
            "label": bad if bad == NONE_WRONG else bad + 1,
        }
        yield trial, Row(columns=columns, attempts=(trial,), filters=("labels clear",))


def _prompt(episode: Episode, solution: Solution) -> list[JsonValue]:
    steps = (f"Step {number}\n{quote(step.text, 'step')}" for number, step in enumerate(solution.steps, start=1))
    question = quote(episode.problem.text, "problem")
    return user(load_template(TEMPLATE).fill(question=question, steps="\n\n".join(steps)))


def _arrange(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    """Yield the rows in their order, only so many plain ones as there may be."""
    plain = [index for index, row in enumerate(rows) if row.columns.get("kind") == "plain"]
    room = setting.options.whole("plain")
    kept = set(setting.draw("plain").sample(plain, min(room, len(plain))))
    for index, row in enumerate(rows):
        left_out = row.columns.get("kind") == "plain" and index not in kept
        yield Drop("too many right solutions without a correction") if left_out else row


RECIPE = Recipe(
    name="deepcritic",
    paper="Yang et al. 2025, arXiv:2505.00662",
    summary="critic: every step judged twice, down to the first wrong one; or labels for that",
    forms={
        "sft": Form(dataset="prompt-completion", trainer="SFTTrainer"),
        "grpo": Form(dataset="prompt-only", trainer="GRPOTrainer"),
    },
    rows=_rows,
    shows=frozenset({"attempt"}),
    templates=(TEMPLATE,),
    needs=(
        replace(derived("deep-critique"), when=("form", "sft")),
        replace(derived("step-rollouts"), when=("form", "grpo")),
    ),
    options=(integer("plain", 250, "Right solutions at most of which no first judgement was corrected.", low=0),),
    arrange=_arrange,
)
