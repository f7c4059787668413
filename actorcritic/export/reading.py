"""What recipes ask of an episode: who helped an attempt, what critics said of it, how a state is put to the actor.

Pure; knows no recipe.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, cast

from actorcritic import answers
from actorcritic.codec import decode
from actorcritic.export.chat import solution_text
from actorcritic.export.recipe import Columns, Drop, Setting
from actorcritic.search.policy import MAX_STEPS
from actorcritic.tasks.checkers import FAMILIES, checker_of
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Critique, JsonValue, Solution

__all__ = [
    "Judgement",
    "actions_at",
    "collected",
    "equals_gold",
    "helped",
    "judgements",
    "own_text",
    "read_text",
    "refusal",
    "rescored",
    "reward_columns",
    "said_in",
    "state_prompt",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one critic said of an attempt."""

    critic: str
    """The critic's model; "critic" where the log does not say."""
    critique: Critique
    trial: int
    """The trial in which it was said."""


def helped(episode: Episode, attempt: EpisodeAttempt) -> bool:
    """Whether an attempt, or one that it goes on from, was written with a critique in view."""
    place: EpisodeAttempt | None = attempt
    while place is not None:
        if place.action in (Action.REVISE, Action.REFINE):
            return True
        place = None if place.parent is None else episode.attempt(place.parent)
    return False


def refusal(attempt: EpisodeAttempt) -> Drop | None:
    """Return why an attempt cannot be a target whose correctness counts, None if it can."""
    if attempt.solution is None:
        return Drop("failed or cancelled")
    if not attempt.solution.complete:
        return Drop("unfinished")
    return Drop("correctness unknown") if attempt.correct is None else None


def judgements(episode: Episode, attempt: EpisodeAttempt) -> Iterator[Judgement]:
    """Yield all critiques of an attempt's solution: its own, those of judging trials, those collected afterwards.

    A collected one is an event of the step `critique` with `critic` (name) and `critique` (as logged in a run).
    """
    judging = (child for child in episode.children(attempt.id) if child.action is Action.JUDGE)
    for said in (attempt, *judging):
        if said.critique is not None:
            models = [call.model for call in said.calls if call.role == "critic"]
            yield Judgement(critic=models[-1] if models else "critic", critique=said.critique, trial=said.id)
    for made in episode.derived:
        if made.step == "critique" and made.trial == attempt.id:
            critique = decode(Critique, made.payload.get("critique"))
            yield Judgement(critic=str(made.payload.get("critic", "critic")), critique=critique, trial=attempt.id)


def equals_gold(episode: Episode, answer: str) -> bool | None:
    """Return whether an answer equals the gold one, None where the problem has none to compare with."""
    name = checker_of(episode.problem)
    gold = None if episode.gold is None else episode.gold.answer
    if gold is None and name in FAMILIES:
        gold = FAMILIES[name].value(episode.problem.text)
    if gold is None:
        return None
    return answers.CHECKERS[name if name in answers.CHECKERS else "exact"].equivalent(answer, gold)


def reward_columns(episode: Episode) -> Columns:
    """Return the columns with which the task's checker rewards an answer; no model reads them."""
    gold = None if episode.gold is None else episode.gold.answer
    return {"problem": episode.problem.text, "answer": gold or "", "checker": checker_of(episode.problem)}


def actions_at(episode: Episode, parent: int | None) -> list[EpisodeAttempt]:
    """Return what was tried in a state; where a search adds single steps, a rollout that plays one out is no action."""
    tried = [a for a in episode.children(parent) if a.action in (Action.PROPOSE, Action.EXTEND)]
    steps = [a for a in tried if MAX_STEPS in a.trial.options]
    return steps or tried


def own_text(solution: Solution) -> str:
    """Return what an attempt wrote itself, without the steps that it kept."""
    return solution_text(solution, slice(solution.kept, None))


def read_text(solution: Solution, setting: Setting) -> str:
    """Return a solution as a person reads it: a chat model's own text; of a text of the model's own, the steps."""
    return solution_text(solution) if setting.words.name == "chat" else solution.text


def state_prompt(episode: Episode, attempt: EpisodeAttempt, setting: Setting) -> JsonValue:
    """Return what the actor had before it when it wrote an attempt: the question, then the steps kept so far."""
    if attempt.solution is None:
        return setting.words.ask(episode.problem)
    kept = replace(attempt.solution, steps=attempt.solution.steps[: attempt.solution.kept], complete=False)
    return setting.words.go_on(episode.problem, kept)


def collected(episode: Episode, step: str, kind: type[T]) -> Iterator[tuple[int | None, T]]:
    """Yield what a collection step made, in the order of the log: the trial that it was made of, and the payload.

    Args:
        episode: Whose events.
        step: Its name in `needs.COLLECTED`.
        kind: A dataclass with the fields of its payload that are wanted; others are passed over.

    Raises:
        RecordError: a payload does not hold what its step documents.
    """
    names = [field.name for field in fields(cast("Any", kind))]
    for made in episode.derived:
        if made.step == step:
            yield made.trial, decode(kind, {name: made.payload[name] for name in names if name in made.payload})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rescored:
    """Payload of the collection step `rescore`."""

    logprobs: tuple[float, ...]


def rescored(episode: Episode) -> dict[int, tuple[float, ...]]:
    """Return, by trial, what the model to be tuned says now of the tokens that an attempt wrote; the last word counts.

    Raises:
        RecordError: a payload does not hold what the step documents.
    """
    found = collected(episode, "rescore", _Rescored)
    return {trial: said.logprobs for trial, said in found if trial is not None}


def said_in(chat: list[JsonValue]) -> str:
    """Return the words of a chat, messages apart by a blank line."""
    return "\n\n".join(str(message["content"]) for message in chat if isinstance(message, dict))
