"""Keeps out of the log what must not stand there: whatever a function takes out of texts, and prompts altogether.

Where a text is changed, its token ids and its tokens' texts go with it, since they would give it back. A log that a
function took texts out of says so and is not resumed from; what had finished stays usable. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import Any, cast

from actorcritic.trajectory.events import Event, Kind
from actorcritic.trajectory.recorder import Recorder
from actorcritic.types import JsonValue, Problem, Reference

__all__ = ["Redact", "RedactingRecorder", "is_redacted", "redact_event", "withhold_prompt"]

Redact = Callable[[str], str]
"""Returns a text without what must not be kept."""

TEXTS = frozenset(
    {"text", "raw", "content", "prefill", "explanation", "answer", "vote_key", "arguments", "result", "reasoning",
     "message", "stop", "description", "reason"}
)  # fmt: skip
"""Fields that hold what a person or a model wrote; every other string is the library's own."""

STEP_TEXTS = TEXTS | {"action", "actions"}
"""The same of a step in an environment, whose action a model wrote; elsewhere it is the name of ours."""

TOKENS = ("token_ids", "logprobs", "tokens", "prompt_ids", "prefill_ids")
"""Fields of the same object that give a text back, or make no sense without it."""


class RedactingRecorder:
    """Passes events on without what must not be kept."""

    def __init__(self, inner: Recorder, *, redact: Redact | None = None, prompts: bool = True) -> None:
        """Wrap a recorder.

        Args:
            inner: Where the events go.
            redact: Applied to every text of a person or a model; None = texts stay as they are.
            prompts: Whether the prompts of calls are kept.
        """
        self._inner = inner
        self._redact = redact
        self._prompts = prompts

    def record(self, event: Event) -> None:
        """See `Recorder.record`."""
        self._inner.record(redact_event(event, self._redact, prompts=self._prompts))

    def flush(self) -> None:
        """See `Recorder.flush`."""
        self._inner.flush()

    def close(self) -> None:
        """See `Recorder.close`."""
        self._inner.close()


def redact_event(event: Event, redact: Redact | None, *, prompts: bool = True) -> Event:
    """Return an event without what must not be kept; its kind, ids, numbers and verdicts stay."""
    payload = dict(event.payload)
    if event.kind is Kind.PROBLEM_STARTED:
        config = payload.get("config")
        marks: dict[str, JsonValue] = {"prompts": prompts, "redacted": redact is not None}
        return replace(event, payload={**payload, "config": {**(config if isinstance(config, dict) else {}), **marks}})
    if event.kind is Kind.CALLED and not prompts:
        payload = _without_prompt(payload)
    if redact is not None:
        texts = STEP_TEXTS if event.kind is Kind.STEPPED else TEXTS
        cleaned = cast("dict[str, JsonValue]", _clean(payload, redact, texts))
        if event.kind is Kind.CALLED and cleaned != payload:
            cleaned = _without_ids(cleaned)
        payload = cleaned
    return replace(event, payload=payload)


def is_redacted(event: Event) -> bool:
    """Return whether a problem's start says that a function took texts out of what follows."""
    config = event.payload.get("config")
    return isinstance(config, dict) and config.get("redacted") is True


def withhold_prompt(problem: Problem, reference: Reference | None) -> tuple[Problem, Reference | None]:
    """Return a problem as a run folder keeps it where prompts are withheld: its id, checker and gold side."""
    return Problem(id=problem.id, prompt="", checker=problem.checker), reference


def _without_prompt(payload: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a call without the text and the ids of its prompt."""
    request, generation, charge = payload.get("request"), payload.get("generation"), payload.get("charge")
    kept = dict(payload)
    if isinstance(request, dict):
        asked: dict[str, JsonValue] = {name: item for name, item in request.items() if name != "tools"}
        asked["prompt"] = {"content": ""}
        kept["request"] = asked
    if isinstance(generation, dict):
        kept["generation"] = {name: item for name, item in generation.items() if name != "prompt_ids"}
    if isinstance(charge, dict) and charge.get("prompt_ids") is not None:
        kept["charge"] = {**charge, "prompt_ids": []}
    return kept


def _without_ids(payload: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a call without any token: what was taken out of one text may stand in all that follows it."""
    kept = dict(payload)
    for part in ("generation", "charge"):
        held = kept.get(part)
        if isinstance(held, dict):
            kept[part] = {**held, **{name: [] for name in TOKENS if isinstance(held.get(name), list | dict)}}
    return kept


def _clean(value: JsonValue, redact: Redact, texts: Set[str]) -> JsonValue:
    """Return a value with its texts redacted, and without the tokens of those that changed."""
    if isinstance(value, list):
        return [_clean(item, redact, texts) for item in value]
    if not isinstance(value, dict):
        return value
    cleaned: dict[str, Any] = {}
    for name, item in value.items():
        if name == "native" and isinstance(item, dict):
            # What only one library can read may hold a text anywhere.
            cleaned[name] = {key: kept for key, kept in item.items() if key == "id"}
        else:
            cleaned[name] = _redact_all(item, redact) if name in texts else _clean(item, redact, texts)
    if cleaned != value:
        for name in TOKENS:
            if isinstance(cleaned.get(name), list | dict):
                cleaned[name] = []
    return cleaned


def _redact_all(value: JsonValue, redact: Redact) -> JsonValue:
    """Return what a person or a model wrote with every text in it redacted, whatever name it goes by."""
    match value:
        case str():
            return redact(value)
        case list():
            return [_redact_all(item, redact) for item in value]
        case dict():
            return {name: _redact_all(item, redact) for name, item in value.items()}
        case _:
            return value
