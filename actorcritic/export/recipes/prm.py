"""Step labels for a process reward model: how often a solution that goes on from each step comes out right.

Math-Shepherd (Wang et al. 2023, arXiv 2312.08935): from every step N completions; hard label = any of them reaches the
gold answer, soft label = the share that does. Nothing after the first wrong step is labelled. `source=value` takes the
values of a search tree in place of completions, `source=exact` the task's own step checker.

    form=steps    {prompt, completions: [step], labels: [bool or float]}: TRL's former stepwise type
    form=tokens   {input_ids, labels}: every step is followed by `?`, whose label is `+` or `-` and the only live one;
                  the score of a step is the softmax over those two where the `?` is predicted

Deviation: the marker is `?`, a token of its own in every common vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

from actorcritic.errors import InputError
from actorcritic.export.needs import derived, valued
from actorcritic.export.reading import said_in
from actorcritic.export.recipe import Columns, Drop, Form, Need, Recipe, Result, Row, Setting, Tokenizer
from actorcritic.search.options import choice
from actorcritic.tasks.checkers import label as exact_labels
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, JsonValue, Solution

__all__ = ["RECIPE", "marked_tokens"]

MARKER, GOOD, BAD = "?", "+", "-"
IGNORED = -100


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the attempts of a problem with a label per step."""
    sources = {"rollouts": _from_rollouts, "value": _from_values, "exact": _from_checker}
    seen: set[str] = set()
    for attempt, values in sources[setting.options.text("source")](episode):
        solution = attempt.solution
        if solution is None or not solution.steps:
            yield Drop("failed or cancelled")
        elif values is None:
            yield Drop("no labels for its steps")
        elif len(values) > len(solution.steps):
            yield Drop("more labels than steps")
        elif solution.text in seen:
            yield Drop("same as another attempt of its problem")
        else:
            seen.add(solution.text)
            yield _row(episode, attempt, solution, _until_wrong(values), setting)


_Labelled: TypeAlias = Iterator[tuple[EpisodeAttempt, Sequence[float] | None]]


def _from_rollouts(episode: Episode) -> _Labelled:
    """Yield attempts with the share of completions from each of their steps that came out right."""
    shares = {
        made.trial: _shares(made.payload.get("successes"), made.payload.get("rollouts"))
        for made in episode.derived
        if made.step == "step-rollouts"
    }
    for attempt in episode.attempts:
        if attempt.action is not Action.JUDGE:
            yield attempt, shares.get(attempt.id)


def _shares(successes: JsonValue, rollouts: JsonValue) -> list[float] | None:
    if not isinstance(successes, list) or not isinstance(rollouts, int) or rollouts < 1:
        return None
    counts = [count for count in successes if isinstance(count, int) and 0 <= count <= rollouts]
    return [count / rollouts for count in counts] if len(counts) == len(successes) else None


def _from_values(episode: Episode) -> _Labelled:
    """Yield the leaves of a search tree with the values along their branches, one node per step."""
    inner = {attempt.parent for attempt in episode.attempts}
    for attempt in episode.attempts:
        if attempt.id in inner or attempt.action not in (Action.PROPOSE, Action.EXTEND):
            continue
        values: list[float] = []
        place: EpisodeAttempt | None = attempt
        while place is not None and place.solution is not None and place.value is not None:
            values[:0] = [place.value] * (len(place.solution.steps) - place.solution.kept)
            place = None if place.parent is None else episode.attempt(place.parent)
        yield attempt, values if place is None and values else None


def _from_checker(episode: Episode) -> _Labelled:
    """Yield attempts with the exact labels of the task's own step checker."""
    for attempt in episode.attempts:
        if attempt.action is not Action.JUDGE:
            labels = None if attempt.solution is None else exact_labels(episode.problem, attempt.solution)
            yield attempt, None if labels is None else [float(label.correct) for label in labels]


def _until_wrong(values: Sequence[float]) -> Sequence[float]:
    """Return the values up to the first step from which nothing came out right, that one included."""
    wrong = next((index for index, value in enumerate(values) if value <= 0), len(values))
    return values[: wrong + 1]


def _row(
    episode: Episode, attempt: EpisodeAttempt, solution: Solution, values: Sequence[float], setting: Setting
) -> Row:
    soft = setting.options.text("labels") == "soft"
    steps = [step.text for step in solution.steps[: len(values)]]
    labels: list[JsonValue] = [value if soft else value > 0 for value in values]
    asked = taught = None
    if setting.form == "tokens":
        if soft:
            raise InputError("form=tokens has no place for soft labels: give labels=hard or form=steps")
        prompt = setting.prompt(episode.problem)
        columns, asked = marked_tokens(prompt, steps, [value > 0 for value in values], setting.tokens), said_in(prompt)
        taught = "\n".join(steps)
    else:
        columns = {"prompt": episode.problem.text, "completions": cast("list[JsonValue]", steps), "labels": labels}
    passed = ("labelled", "distinct", "cut after an error")
    return Row(columns=columns, attempts=(attempt.id,), filters=passed, asked=asked, taught=taught)


def marked_tokens(
    prompt: Sequence[JsonValue], steps: Sequence[str], labels: Sequence[bool], tokenizer: Tokenizer
) -> Columns:
    """Return the row of a generative process reward model: exactly one live label per step.

    Raises:
        InputError: the marker or one of the two labels is no single token of this tokenizer.
    """
    marker, good, bad = (_single(text, tokenizer) for text in (MARKER, GOOD, BAD))
    ids = tokenizer.chat(cast("list[dict[str, JsonValue]]", list(prompt)), ask=True)
    live = [IGNORED] * len(ids)
    for step, label in zip(steps, labels, strict=True):
        text = tokenizer.encode(f"{step}\n")
        ids += [*text, marker]
        live += [*([IGNORED] * len(text)), good if label else bad]
    return {"input_ids": cast("list[JsonValue]", ids), "labels": cast("list[JsonValue]", live)}


def _single(text: str, tokenizer: Tokenizer) -> int:
    ids = tokenizer.encode(text)
    if len(ids) != 1:
        raise InputError(f"{text!r} is no single token of {tokenizer.name}: form=tokens cannot be used with it")
    return ids[0]


def _is_checked(episode: Episode) -> bool:
    return any(values is not None for _, values in _from_checker(episode))


RECIPE = Recipe(
    name="prm",
    paper="Wang et al. 2023, arXiv:2312.08935",
    summary="step labels for a process reward model",
    forms={
        "steps": Form(dataset="stepwise", trainer="none in TRL 1.16: our own"),
        "tokens": Form(dataset="tokenized", trainer="SFTTrainer", tokens=True),
    },
    rows=_rows,
    needs=(
        replace(derived("step-rollouts"), when=("source", "rollouts")),
        replace(valued(), when=("source", "value")),
        Need(
            what="problems whose checker labels steps (countdown, sudoku, arithmetic)",
            found=_is_checked,
            collect="actorcritic collect --problems F.jsonl --out RUN",
            when=("source", "exact"),
        ),
    ),
    options=(
        choice("source", ("rollouts", "value", "exact"), "Where labels come from."),
        choice("labels", ("hard", "soft"), "hard = any completion came out right; soft = the share that did."),
    ),
)
