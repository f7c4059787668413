"""Selective self-to-supervised fine-tuning: the model's own right answer where it has one, the gold one elsewhere.

S3FT (Gupta et al. 2025, arXiv 2502.08130). For every question, once: the model's own answer if a judge finds it
equivalent to the gold one; else its own paraphrase of the gold solution, if that is; else the gold solution. The run
must be one of the model that is going to be tuned, before tuning: rows name it in `model`, other models' are left out.
Where no gold solution is written out, the gold answer alone stands for it; a problem with neither can be left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from actorcritic.export.chat import assistant, mentions_help, solution_text
from actorcritic.export.needs import derived, scored
from actorcritic.export.reading import collected, helped
from actorcritic.export.recipe import Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import choice
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Solution

__all__ = ["RECIPE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paraphrase:
    """Payload of the collection step `paraphrase`."""

    model: str
    solution: Solution
    correct: bool | None = None
    equivalent: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """Payload of the collection step `judge-equivalence`."""

    equivalent: bool | None = None


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the one row of a problem."""
    models = _actors(episode)
    if len(models) > 1:
        yield Drop("several actors: a run of the model to be tuned alone is wanted")
    elif not models or not episode.attempts:
        yield Drop("nothing tried by a model with a name")
    else:
        yield _row(episode, models.pop(), setting)


def _row(episode: Episode, model: str, setting: Setting) -> Row | Drop:
    own = next((attempt for attempt in episode.attempts if attempt.complete and not helped(episode, attempt)), None)
    source, text = "gold", _gold(episode)
    if own is not None and own.solution is not None and _is_equivalent(episode, own, setting):
        source, text = "self", solution_text(own.solution)
    else:
        found = next(_paraphrases(episode, model, setting), None)
        if found is not None:
            source, text = "paraphrase", found
    if text is None:
        return Drop("no right answer, and no gold solution")
    return Row(
        columns={
            "prompt": setting.prompt(episode.problem),
            "completion": assistant(text),
            "source": source,
            "model": model,
        },
        attempts=((own or episode.attempts[0]).id,),
        filters=("once per problem", f"judged by the {setting.options.text('judge')}"),
    )


def _gold(episode: Episode) -> str | None:
    """Return the gold solution, or the answer where there is no more."""
    gold = episode.gold
    found = None if gold is None else gold.solution or gold.answer
    return found.strip() or None if found else None


def _actors(episode: Episode) -> set[str]:
    """Return the models that wrote a problem's attempts."""
    called = {call.model for attempt in episode.attempts for call in attempt.calls if call.role == "actor"}
    return called or {origin.model for origin in episode.provenance.models if origin.role == "actor"}


def _is_equivalent(episode: Episode, attempt: EpisodeAttempt, setting: Setting) -> bool:
    """Whether the judge says that an attempt is as good as the gold solution; an unreadable verdict says nothing."""
    if setting.options.text("judge") == "checker":
        return attempt.correct is True
    said = [verdict for trial, verdict in collected(episode, "judge-equivalence", _Verdict) if trial == attempt.id]
    return bool(said) and said[-1].equivalent is True


def _paraphrases(episode: Episode, model: str, setting: Setting) -> Iterator[str]:
    """Yield the texts in which this model says the gold solution in its own words, as far as the judge agrees."""
    for _, made in collected(episode, "paraphrase", _Paraphrase):
        judged = made.correct if setting.options.text("judge") == "checker" else made.equivalent
        text = solution_text(made.solution)
        if made.model == model and judged is True and made.solution.complete and not mentions_help(text):
            yield text


RECIPE = Recipe(
    name="s3ft",
    paper="Gupta et al. 2025, arXiv:2502.08130",
    summary="every question once: the model's own right answer, its paraphrase of the gold one, or the gold one",
    forms={"sft": Form(dataset="prompt-completion", trainer="SFTTrainer")},
    rows=_rows,
    needs=(
        replace(scored(), when=("judge", "checker")),
        replace(derived("judge-equivalence"), when=("judge", "model")),
        replace(derived("paraphrase"), when=("paraphrase", "required")),
    ),
    options=(
        choice("judge", ("checker", "model"), "Who finds answers equivalent: the task's checker, or a judging model."),
        choice("paraphrase", ("required", "if-given"), "Whether the run must hold paraphrases."),
    ),
)
