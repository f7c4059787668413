"""Reading what a model says of one step of an agent: one JSON object, bare or in a code fence, with prose around it.

    {"explanation": "...", "ruling": "block", "calls": [1], "step": 2}

Numbers are 1-based in the text. Anything but one clear ruling is unscored: an object that is broken, says a key twice,
names a call or a step that is not there, or stands beside another one that says something else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from actorcritic.agent_steps import AgentStep, Judgement, Ruling
from actorcritic.parsing.critique_json import EXPLANATION_LENGTH
from actorcritic.types import JsonValue

__all__ = ["judgement_schema", "read_judgement"]

_OBJECT = re.compile(r"\{\s*\"")
_RULING = re.compile(r"(?<!\\)\"ruling\"\s*:")
_RULINGS = {ruling.value: ruling for ruling in (Ruling.PASS, Ruling.WARN, Ruling.BLOCK)}
MOST_OBJECTS = 50
"""Places at which an object may begin; a text with more is no judgement."""


class _Unreadable(Exception):
    """What was found is no judgement; the message says why."""


def judgement_schema(step: AgentStep) -> dict[str, JsonValue]:
    """Return the JSON schema of a judgement of this step, for constrained decoding."""
    # Explained before ruled: a ruling that follows its reasons is the better one.
    properties: dict[str, JsonValue] = {"explanation": {"type": "string", "maxLength": EXPLANATION_LENGTH}}
    if step.phase == "observation":
        properties["step"] = {"type": "integer", "minimum": 1, "maximum": step.index + 1}
    elif step.calls:
        number: JsonValue = {"type": "integer", "minimum": 1, "maximum": len(step.calls)}
        properties["calls"] = {"type": "array", "items": number, "maxItems": len(step.calls)}
    properties["ruling"] = {"type": "string", "enum": list(_RULINGS)}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read_judgement(text: str, step: AgentStep, *, complete: bool = True) -> Judgement:
    """Read a model's judgement of a step.

    Args:
        text: What the model wrote; hostile.
        step: What it was shown.
        complete: False where the text was cut off: then it says nothing.
    """
    if not complete:
        return Judgement(ruling=Ruling.UNSCORED, explanation="the judgement was cut off", raw=text)
    try:
        return _judgement(_only_object(text), step, text)
    except _Unreadable as error:
        return Judgement(ruling=Ruling.UNSCORED, explanation=str(error), raw=text)


def _only_object(text: str) -> Mapping[str, JsonValue]:
    """Return the one object with a ruling; several are fine where they say the same."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique)
    found: list[Mapping[str, JsonValue]] = []
    at = _OBJECT.search(text)
    tried = 0
    while at is not None:
        tried += 1
        if tried > MOST_OBJECTS:
            raise _Unreadable("the judgement is no JSON object")
        end = at.start() + 1
        try:
            value, end = decoder.raw_decode(text, at.start())
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and "ruling" in value:
            found.append(cast("Mapping[str, JsonValue]", value))
        at = _OBJECT.search(text, end)
    # A ruling outside of what could be read may say the opposite.
    if not found or len(_RULING.findall(text)) != len(found):
        raise _Unreadable("the judgement is no JSON object with a ruling")
    if any(other != found[0] for other in found):
        raise _Unreadable("there are several judgements that differ")
    return found[0]


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands twice")
    return fields


def _judgement(fields: Mapping[str, JsonValue], step: AgentStep, text: str) -> Judgement:
    word = fields["ruling"]
    ruling = _RULINGS.get(word.strip().casefold()) if isinstance(word, str) else None
    if ruling is None:
        raise _Unreadable("the ruling is none of pass, warn and block")
    explanation = fields.get("explanation")
    blocks = ruling is Ruling.BLOCK
    return Judgement(
        ruling=ruling,
        explanation=(explanation.strip() or None) if isinstance(explanation, str) else None,
        calls=_calls(fields.get("calls"), step) if blocks and step.phase == "action" else (),
        step=_step(fields.get("step"), step) if blocks and step.phase == "observation" else None,
        raw=text,
    )


def _calls(value: JsonValue, step: AgentStep) -> tuple[int, ...]:
    if value is None:
        return ()
    numbers = value if isinstance(value, list) else [value]
    if not all(_is_number(number, len(step.calls)) for number in numbers):
        raise _Unreadable("the judgement names a call that is not there")
    return tuple(sorted({cast("int", number) - 1 for number in numbers}))


def _step(value: JsonValue, step: AgentStep) -> int | None:
    if value is None:
        return None
    if not _is_number(value, step.index + 1):
        raise _Unreadable("the judgement names a step that is not there")
    return cast("int", value) - 1


def _is_number(value: JsonValue, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
