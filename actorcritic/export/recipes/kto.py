"""KTO: every attempt by itself, with whether it is good; no pairs.

KTO (Ethayarajh et al. 2024, arXiv 2402.01306). The two sides are balanced by weights: the paper asks for
weight x number of good rows over weight x number of bad ones in [1, 4/3]. TRL forms its KL pairs by rotating inside
each batch, so rows are shuffled here, the sampler must be sequential and a batch hold more than one row.
With `unit=step` a row is one step of a search tree, good where its value is at least `tau`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from actorcritic.export.needs import scored, valued
from actorcritic.export.reading import helped, refusal, state_prompt
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import choice, integer, number
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, JsonValue

__all__ = ["RECIPE", "balance"]

AIM = 1.15
"""Where in [1, 4/3] the balance of the two sides is put."""


def balance(good: int, bad: int) -> tuple[float, float]:
    """Return the weights of good and bad rows; the smaller side gets the larger weight, the other 1."""
    if not good or not bad or 1 <= good / bad <= 4 / 3:
        return 1.0, 1.0
    return (AIM * bad / good, 1.0) if good < bad else (1.0, good / (AIM * bad))


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield a problem's attempts or steps, at most `cap` of each label."""
    cap = setting.options.maybe_whole("cap")
    label = _attempt if setting.options.text("unit") == "attempt" else _step
    counts = {True: 0, False: 0}
    seen: set[str] = set()
    for attempt in episode.attempts:
        if attempt.action is Action.JUDGE:
            continue
        result = label(episode, attempt, setting)
        if isinstance(result, Drop):
            yield result
            continue
        good, text = result.columns["label"] is True, str((result.columns["prompt"], result.columns["completion"]))
        if text in seen:
            yield Drop("same as another row of its problem")
        elif cap is not None and counts[good] >= cap:
            yield Drop("over the cap of its problem and label")
        else:
            seen.add(text)
            counts[good] += 1
            yield result


def _attempt(episode: Episode, attempt: EpisodeAttempt, setting: Setting) -> Row | Drop:
    """Return a whole attempt; one that was written with help is no sample of what the prompt brings."""
    refused = refusal(attempt)
    if refused is not None or attempt.solution is None:
        return refused or Drop("failed or cancelled")
    if helped(episode, attempt):
        return Drop("written after a critique")
    columns: Columns = {
        "prompt": setting.words.ask(episode.problem),
        "completion": setting.words.answer(episode.problem, attempt.solution),
        "label": attempt.correct is True,
    }
    return Row(columns=columns, attempts=(attempt.id,), filters=("correctness known", "distinct"))


def _step(episode: Episode, attempt: EpisodeAttempt, setting: Setting) -> Row | Drop:
    """Return one step of a search tree with the value that the search found for it."""
    if attempt.solution is None or attempt.value is None or not attempt.visits:
        return Drop("not explored")
    if helped(episode, attempt):
        return Drop("written after a critique")
    columns: Columns = {
        "prompt": state_prompt(episode, attempt, setting),
        "completion": setting.words.answer(episode.problem, attempt.solution, attempt.solution.kept),
        "label": attempt.value >= setting.options.real("tau"),
    }
    parents = () if attempt.parent is None else (attempt.parent,)
    return Row(columns=columns, attempts=(*parents, attempt.id), filters=("explored", "distinct"))


def _shuffle(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    """Return the rows in a random order that depends on the seed alone."""
    shuffled = list(rows)
    setting.draw("shuffle").shuffle(shuffled)
    return shuffled


def _trainer_settings(rows: Sequence[Columns]) -> Mapping[str, JsonValue]:
    good = sum(row["label"] is True for row in rows)
    desirable, undesirable = balance(good, len(rows) - good)
    return {
        "desirable_weight": round(desirable, 6),
        "undesirable_weight": round(undesirable, 6),
        "train_sampling_strategy": "sequential",
        "per_device_train_batch_size": 2,
    }


RECIPE = Recipe(
    name="kto",
    paper="Ethayarajh et al. 2024, arXiv:2402.01306",
    summary="unpaired: every attempt with whether it is right",
    forms={"kto": Form(dataset="unpaired-preference", trainer="KTOTrainer")},
    rows=_rows,
    wordings=ANY,
    shows=frozenset({"attempt"}),
    shows_when={"attempt": ("unit", "step")},
    needs=(
        replace(scored(), when=("unit", "attempt")),
        replace(valued(), when=("unit", "step")),
    ),
    options=(
        choice("unit", ("attempt", "step"), "What a row is: a whole attempt, or a step of a search tree."),
        number("tau", 0.5, "Value from which a step is good.", low=0, high=1),
        integer("cap", None, "Rows per problem and label at most."),
    ),
    arrange=_shuffle,
    trainer_settings=_trainer_settings,
)
