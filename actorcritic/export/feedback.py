"""What was said of an attempt in place of a number: by the environment, or by its critic.

Pure; knows no recipe. Two recipes put it in front of the attempt that it is about, so that a model learns to write what
the feedback says it wrote, and is asked at inference as if there were nothing to complain of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from actorcritic.export.needs import critiqued, derived
from actorcritic.export.reading import collected, judgements
from actorcritic.export.recipe import Need
from actorcritic.search.options import choice
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Critique, Verdict

__all__ = ["SOURCE", "Feedback", "feedback_needs", "feedback_of"]

SOURCE = choice("source", ("feedback", "critique"), "Whose words: the environment's (collected), or the critic's.")
"""The option of a recipe that uses this module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What was said of an attempt; the payload of the collection step `feedback`."""

    passed: bool
    """Whether there is nothing to complain of."""
    messages: tuple[str, ...] = ()
    """What is to be complained of: one per violated constraint, or one stack trace; empty where passed."""


def feedback_needs() -> tuple[Need, Need]:
    """Return what a run must hold, by the option `source`."""
    return replace(derived("feedback"), when=("source", "feedback")), replace(critiqued(), when=("source", "critique"))


def feedback_of(episode: Episode, attempt: EpisodeAttempt, source: str) -> Feedback | None:
    """Return the last word on an attempt, None where nobody gave a readable one, or `source` is none of the two."""
    sources = {"feedback": _environment, "critique": _critics}
    said = list(sources[source](episode, attempt)) if source in sources else []
    return said[-1] if said else None


def _environment(episode: Episode, attempt: EpisodeAttempt) -> Iterator[Feedback]:
    for trial, feedback in collected(episode, "feedback", Feedback):
        if trial == attempt.id:
            messages = tuple(text.strip() for text in feedback.messages if text.strip())
            yield Feedback(passed=feedback.passed, messages=() if feedback.passed else messages)


def _critics(episode: Episode, attempt: EpisodeAttempt) -> Iterator[Feedback]:
    for judgement in judgements(episode, attempt):
        critique = judgement.critique
        if critique.verdict is not Verdict.UNSCORED:
            passed = critique.verdict is Verdict.CORRECT
            yield Feedback(passed=passed, messages=() if passed else _complaints(critique))


def _complaints(critique: Critique) -> tuple[str, ...]:
    """Return what a critique says of the steps that it calls wrong, or else what it says of the whole."""
    wrong = [step.explanation for step in critique.steps if step.verdict is Verdict.INCORRECT]
    said = [text.strip() for text in wrong if text and text.strip()]
    return tuple(said) or tuple(text.strip() for text in (critique.explanation or critique.raw,) if text.strip())
