"""The tables of a run: their columns, what stands in them, and the rows of one episode. Knows no file format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from actorcritic.codec import encode
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.trajectory.events import Event

__all__ = ["TABLES", "Column", "ColumnType", "Row", "attempt_rows", "call_rows", "event_row"]

ColumnType: TypeAlias = Literal["text", "whole", "real", "yes", "wholes", "reals"]
"""Text, a whole number, a real one, true or false, a list of either kind of number. Every value may be null."""

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    type: ColumnType
    says: str


TABLES: Mapping[str, tuple[Column, ...]] = {
    "events": (
        Column("problem", "text", "id of the problem; null = of the run as a whole"),
        Column("seq", "whole", "0, 1, 2 ... within the problem"),
        Column("kind", "text", "what happened"),
        Column("trial", "whole", "number of the trial"),
        Column("parent", "whole", "the trial whose solution this one's starts from"),
        Column("time", "text", "UTC, ISO 8601"),
        Column("run", "text", "id of the run"),
        Column("late", "yes", "whether it became known after the run"),
        Column("payload", "text", "everything else, as JSON"),
    ),
    "attempts": (
        Column("problem", "text", "id of the problem"),
        Column("trial", "whole", "number of the trial, in the order of asking"),
        Column("parent", "whole", "the trial whose solution this one starts from; null = the problem itself"),
        Column("action", "text", "propose, extend, revise, refine or judge"),
        Column("text", "text", "the solution's steps, one per line; null = none"),
        Column("answer", "text", "as extracted from the text"),
        Column("complete", "yes", "whether the solution came to a natural end"),
        Column("steps", "whole", "how many"),
        Column("kept", "whole", "how many steps were taken over from the parent"),
        Column("verdict", "text", "the critic's: correct, incorrect or unscored; null = no critic"),
        Column("first_error", "whole", "the first step that the critic rejects, from 0"),
        Column("score", "real", "the critic's probability that the solution is correct"),
        Column("critique", "text", "the critic's own text"),
        Column("correct", "yes", "whether it is right, by the last word with a gold side; null = nobody knows"),
        Column("best", "yes", "whether it is the answer"),
        Column("settled", "yes", "whether it was committed; false = in flight when the log broke off"),
        Column("failure", "text", "why there is no solution"),
        Column("visits", "whole", "results backed up through it in the search tree"),
        Column("value", "real", "their mean"),
        Column("logprob", "real", "sum over the tokens that the trial wrote itself, natural logarithm"),
        Column("tokens", "whole", "logical tokens that the trial cost, all roles"),
        Column("seed", "whole", "of the actor's first call"),
        Column("strategy", "text", "with its options"),
        Column("oracle", "yes", "whether a gold side took part in the run"),
        Column("actor", "text", "fingerprint of the actor's model"),
        Column("critic", "text", "fingerprint of the critic's model"),
        Column("licence", "text", "of the actor's model, SPDX"),
    ),
    "calls": (
        Column("problem", "text", "id of the problem"),
        Column("trial", "whole", "number of the trial"),
        Column("call", "whole", "0, 1, 2 ... within the trial"),
        Column("role", "text", "actor, critic or reward_model"),
        Column("engine", "text", "the model spec"),
        Column("model", "text", "the model's fingerprint"),
        Column("prompt", "text", "the prompt's text; of a chat the messages, as JSON"),
        Column("text", "text", "the completion; null = the call failed or was cancelled"),
        Column("finish_reason", "text", "stop, length, tool_calls, filtered or aborted"),
        Column("seed", "whole", "of the request"),
        Column("temperature", "real", "0 = greedy"),
        Column("prompt_tokens", "whole", "shared prefixes counted every time"),
        Column("cached_tokens", "whole", "prompt tokens that the engine did not compute again"),
        Column("completion_tokens", "whole", "generated tokens"),
        Column("logical_tokens", "whole", "what the budget was charged"),
        Column("money", "real", "in the currency of the price table"),
        Column("seconds", "real", "of the clock"),
        Column("token_ids", "wholes", "ids of the completion"),
        Column("logprobs", "reals", "per token of the completion, natural logarithms"),
    ),
}
"""Every table with its columns, in order."""


def event_row(event: Event, *, late: bool) -> Row:
    """Return an event as a row of `events`."""
    return {
        "problem": event.problem,
        "seq": event.seq,
        "kind": event.kind.value,
        "trial": event.trial,
        "parent": event.parent,
        "time": event.time,
        "run": event.run,
        "late": late,
        "payload": json.dumps(event.payload, ensure_ascii=False),
    }


def attempt_rows(episode: Episode) -> Iterator[Row]:
    """Yield an episode's rows of `attempts`."""
    models = {origin.role: origin for origin in reversed(episode.provenance.models)}
    actor, critic = models.get("actor"), models.get("critic")
    shared: Row = {
        "problem": episode.problem.id,
        "strategy": episode.provenance.strategy,
        "oracle": episode.oracle,
        "actor": None if actor is None else actor.model,
        "critic": None if critic is None else critic.model,
        "licence": None if actor is None else actor.licence,
    }
    for attempt in episode.attempts:
        yield {**shared, **_attempt_row(attempt), "best": attempt.id == episode.best}


def _attempt_row(attempt: EpisodeAttempt) -> Row:
    """Return what an attempt says of itself."""
    solution, critique, failure = attempt.solution, attempt.critique, attempt.failure
    row: Row = {
        "trial": attempt.id,
        "parent": attempt.parent,
        "action": attempt.action.value,
        "complete": attempt.complete,
        "correct": attempt.correct,
        "settled": attempt.settled,
        "failure": None if failure is None else f"{failure.where}: {failure.type}: {failure.message}",
        "visits": attempt.visits,
        "value": attempt.value,
        "logprob": sum(attempt.logprobs) if attempt.logprobs else None,
        "tokens": None if attempt.outcome is None else attempt.outcome.tokens,
        "seed": attempt.seed,
    }
    if solution is not None:
        row |= {"text": solution.text, "answer": solution.answer, "steps": len(solution.steps), "kept": solution.kept}
    if critique is not None:
        row |= {
            "verdict": critique.verdict.value,
            "first_error": critique.first_error,
            "score": critique.score,
            "critique": critique.raw,
        }
    return row


def call_rows(episode: Episode) -> Iterator[Row]:
    """Yield an episode's rows of `calls`."""
    for attempt in episode.attempts:
        for number, call in enumerate(attempt.calls):
            generation, content = call.generation, call.request.prompt.content
            usage = call.usage
            tokens = () if generation is None else generation.tokens
            yield {
                "problem": episode.problem.id,
                "trial": attempt.id,
                "call": number,
                "role": call.role,
                "engine": call.engine,
                "model": call.model,
                "prompt": content if isinstance(content, str) else json.dumps(encode(content), ensure_ascii=False),
                "text": None if generation is None else generation.text,
                "finish_reason": None if generation is None else generation.finish_reason.value,
                "seed": call.request.seed,
                "temperature": call.request.sampling.temperature,
                "prompt_tokens": usage.prompt_tokens,
                "cached_tokens": usage.cached_tokens,
                "completion_tokens": usage.completion_tokens,
                "logical_tokens": usage.logical_tokens,
                "money": call.charge.money,
                "seconds": call.seconds,
                "token_ids": [] if generation is None else list(generation.token_ids),
                "logprobs": [token.logprob for token in tokens],
            }
