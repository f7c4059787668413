"""Reading a critique written as one JSON object, bare or in a code fence, with prose around it.

    {"steps": [{"index": 1, "verdict": "correct", "explanation": "..."}, ...], "verdict": "incorrect"}

Indices are 1-based in the text. An object that is not valid JSON, says a key twice or lacks a key says nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import cast

from actorcritic.parsing.findings import Finding, Findings, read_verdict
from actorcritic.types import JsonValue

__all__ = ["EXPLANATION_LENGTH", "critique_schema", "json_begin", "read_json"]

EXPLANATION_LENGTH = 240
"""Characters of one explanation under the schema, at most."""

_OBJECT = re.compile(r"\{\s*\"")
_VERDICT = re.compile(r"\"verdict\"\s*:\s*\"")


def critique_schema(steps: int) -> dict[str, JsonValue]:
    """Return the JSON schema of a critique of so many steps, for constrained decoding.

    Whatever a model could go on with for ever has an end: a number at the last step, an explanation at
    `EXPLANATION_LENGTH` characters.
    """
    verdict: dict[str, JsonValue] = {"type": "string", "enum": ["correct", "incorrect"]}
    # Explained before judged: a verdict that follows its reasons is the better one.
    step: dict[str, JsonValue] = {
        "type": "object",
        "properties": {
            "index": {"type": "integer", "minimum": 1, "maximum": max(1, steps)},
            "explanation": {"type": "string", "maxLength": EXPLANATION_LENGTH},
            "verdict": verdict,
        },
        "required": ["index", "explanation", "verdict"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": step, "minItems": steps, "maxItems": steps},
            "verdict": verdict,
        },
        "required": ["steps", "verdict"],
        "additionalProperties": False,
    }


def json_begin(text: str, begin: int) -> int | None:
    """Return where the first object of the text begins, None if there is none."""
    found = _OBJECT.search(text, begin)
    return None if found is None else found.start()


def read_json(text: str, begin: int) -> tuple[Findings, int] | None:
    """Read the object at `begin`; return what it says and where it ends, None where it is no critique."""
    try:
        value, end = json.JSONDecoder(object_pairs_hook=_unique).raw_decode(text, begin)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, JsonValue]", value)
    steps, final = fields.get("steps"), fields.get("verdict")
    if not isinstance(steps, list) or not isinstance(final, str):
        return None
    findings = tuple(_finding(step) for step in steps)
    finals = (Finding(verdict=read_verdict(final), explanation=_text(fields.get("explanation"))),)
    return _locate(Findings(steps=findings, finals=finals), text, begin, end), end


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands twice")
    return fields


def _finding(value: JsonValue) -> Finding:
    if not isinstance(value, dict):
        return Finding()
    index, verdict = value.get("index"), value.get("verdict")
    return Finding(
        label=index if isinstance(index, int) and not isinstance(index, bool) else None,
        verdict=read_verdict(verdict) if isinstance(verdict, str) else None,
        explanation=_text(value.get("explanation")),
    )


def _text(value: JsonValue) -> str:
    return value.strip() if isinstance(value, str) else ""


def _locate(found: Findings, text: str, begin: int, end: int) -> Findings:
    """Add where the verdicts' words stand, where that is certain: as many places as verdicts, the final one last."""
    places = [match.end() for match in _VERDICT.finditer(text, begin, end)]
    judged = [finding for finding in found.steps if finding.verdict is not None]
    if len(places) != len(judged) + 1 or text.rfind("]", begin, end) > places[-1]:
        return found
    words = iter(places)
    return Findings(
        steps=tuple(replace(finding, at=next(words) if finding.verdict else None) for finding in found.steps),
        finals=tuple(replace(final, at=places[-1]) for final in found.finals),
    )
