"""What happens in a run, as versioned events: one JSON object per line.

The values inside are written by the library's exact codec, so what was logged can be rebuilt: `payload` holds the
solution, critique, call, outcome or failure under its name. Knows no file and no policy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, cast

import orjson

from actorcritic.budget import Charge
from actorcritic.codec import decode, encode
from actorcritic.errors import RecordError
from actorcritic.metering import Call
from actorcritic.types import Action, JsonValue, Reward, Solution, Usage

__all__ = [
    "DONE",
    "SCHEMA_VERSION",
    "Event",
    "Kind",
    "call_payload",
    "parse_line",
    "read_call",
    "read_score",
    "score_payload",
    "spans",
    "to_line",
]

SCHEMA_VERSION = 1
"""Of the event's own fields and of every payload; a reader for each older version stays in `parse_line`."""


class Kind(StrEnum):
    """What happened. The payload's fields stand beside each kind."""

    RUN_STARTED = "run_started"
    """`config`: whatever the caller says of the run."""
    PROBLEM_STARTED = "problem_started"
    """Also when a problem goes on after an interruption. `config`: strategy, seed, width, budget ..."""
    ASKED = "asked"
    """`trial`, before its first call."""
    CALLED = "called"
    """One call that ended: see `call_payload`."""
    PROPOSED = "proposed"
    """`solution` and its steps' `spans`."""
    EXTENDED = "extended"
    """As `proposed`."""
    REVISED = "revised"
    """As `proposed`."""
    REFINED = "refined"
    """As `proposed`."""
    JUDGED = "judged"
    """As `proposed`: the parent's solution, taken over for a critique."""
    CRITIQUED = "critiqued"
    """`critique`."""
    STEPPED = "stepped"
    """An `EnvironmentStep`: `environment`, `action`, `observation` (absent where it failed), `replayed`, `seconds`."""
    TOOL_CALLED = "tool_called"
    """`name`, `arguments` (as the model wrote them), `result`; of an agent also `step`, `id`, `status`, `error`,
    `length`, `seconds` and `by`, the role that called: see `LoggedToolCall`."""
    STEP_JUDGED = "step_judged"
    """A step critic's word on an agent's step: `step`, `phase`, `of` (a hash of what was judged), `judgement`."""
    SCORED = "scored"
    """A verifier's or reward model's word: `by`, `score`, `steps`, `gold` (whether a gold answer was used)."""
    DERIVED = "derived"
    """What a collection step made of the trial, or of the whole problem where no trial is named: `step`, the name of
    that step, and the fields that it documents. Written after the search; a resumed search passes over it."""
    FORKED = "forked"
    """Somebody went back in time, such as to an earlier LangGraph checkpoint: `after`, the number of the event that
    what follows goes on from, -1 = the beginning. See `forks`."""
    FAILED = "failed"
    """`failure`."""
    COMMITTED = "committed"
    """`outcome`, or `failure`, or neither where the trial was cancelled; `spend`: what it was charged, per role."""
    BUDGET = "budget"
    """`limit`: which one was met."""
    INTERRUPTED = "interrupted"
    """`reason`."""
    FINISHED = "finished"
    """`best`, `answer`, `stopped_by`, `attempts`, `spend`, `failures`; `tree` where the strategy counts visits: by
    columns `trials`, `visits` and mean `values`."""


DONE: Mapping[Action, Kind] = {
    Action.PROPOSE: Kind.PROPOSED,
    Action.EXTEND: Kind.EXTENDED,
    Action.REVISE: Kind.REVISED,
    Action.REFINE: Kind.REFINED,
    Action.JUDGE: Kind.JUDGED,
}
"""What the solution of an action is logged as."""


CODED = frozenset({Kind.ASKED, Kind.CALLED, Kind.STEPPED, *DONE.values(), Kind.CRITIQUED, Kind.FAILED, Kind.COMMITTED})
"""Kinds whose payload is written by the codec alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened."""

    kind: Kind
    run: str
    """Id of the run."""
    problem: str | None = None
    """Id of the problem; None = of the run as a whole."""
    seq: int
    """0, 1, 2 ... within its problem, or within the run's own events."""
    trial: int | None = None
    parent: int | None = None
    """The trial whose solution this one's starts from."""
    time: str
    """UTC, ISO 8601, with microseconds."""
    payload: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    version: int = SCHEMA_VERSION


def to_line(event: Event) -> bytes:
    """Return an event as one line of JSON, its newline included."""
    record = {
        "version": event.version,
        "kind": event.kind.value,
        "run": event.run,
        "problem": event.problem,
        "seq": event.seq,
        "trial": event.trial,
        "parent": event.parent,
        "time": event.time,
        "payload": event.payload,
    }
    try:
        if event.kind in CODED:
            # Several times as fast, but it would put null for an infinity, which the codec lets nobody write.
            return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except (TypeError, UnicodeEncodeError):
        # Half of a surrogate pair is no UTF-8; escaped, it survives. So does a number of more than 64 bits.
        return json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def parse_line(line: bytes) -> Event:
    """Read one line.

    Raises:
        RecordError: it is no event, or of a version that this library does not know.
    """
    try:
        data = json.loads(line)
    except ValueError as error:
        raise RecordError(f"not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RecordError("not an object")
    record = cast("dict[str, Any]", data)
    if record.get("version") != SCHEMA_VERSION:
        raise RecordError(f"an event of version {record.get('version')!r}; this library reads {SCHEMA_VERSION}")
    try:
        record["kind"] = Kind(record["kind"])
        return Event(**record)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"not an event: {error}") from error


def call_payload(call: Call) -> dict[str, JsonValue]:
    """Return a call as it is logged: role, engine, model, request, generation, usage, charge, seconds.

    Of the charge only what the generation does not hold already is written.
    """
    charge, generation = call.charge, call.generation
    shared = generation is not None and charge.prompt_ids == generation.prompt_ids
    return {
        "role": call.role,
        "engine": call.engine,
        "model": call.model,
        "request": encode(call.request),
        "generation": encode(generation),
        "charge": {
            "prompt_ids": None if shared else list(charge.prompt_ids),
            "usage": None if generation is not None and charge.usage == generation.usage else encode(charge.usage),
            "money": encode(charge.money),
        },
        "usage": encode(call.usage),
        "seconds": encode(call.seconds),
    }


def read_call(payload: Mapping[str, JsonValue]) -> Call:
    """Return the call that `call_payload` wrote.

    Raises:
        RecordError: the payload has another shape.
    """
    short = payload.get("charge")
    if not isinstance(short, dict):
        raise RecordError("a call without its charge")
    unfinished: dict[str, JsonValue] = {
        "role": payload.get("role"),
        "model": payload.get("model"),
        "prompt_ids": [],
        "completion_ids": [],
        "usage": encode(Usage()),
    }
    call = decode(Call, {**payload, "charge": unfinished})
    generation = call.generation
    prompt_ids, usage = short.get("prompt_ids"), short.get("usage")
    charge = decode(
        Charge,
        {
            **unfinished,
            "prompt_ids": prompt_ids if prompt_ids is not None or generation is None else list(generation.prompt_ids),
            "completion_ids": list(generation.token_ids) if generation is not None else [],
            "usage": usage if usage is not None or generation is None else encode(generation.usage),
            "money": short.get("money", 0.0),
        },
    )
    return replace(call, charge=charge)


def score_payload(reward: Reward) -> dict[str, JsonValue]:
    """Return what a reward model or a verifier said during a search, as it is logged."""
    return {"by": reward.by, "score": reward.score, "steps": list(reward.steps), "gold": reward.oracle}


def read_score(payload: Mapping[str, JsonValue]) -> Reward:
    """Return the reward that `score_payload` wrote.

    Raises:
        RecordError: the payload has another shape.
    """
    named = {"by": payload.get("by"), "score": payload.get("score"), "oracle": payload.get("gold")}
    return decode(Reward, {**named, "steps": payload.get("steps", [])})


def spans(solution: Solution) -> list[JsonValue]:
    """Return where each step stands in the solution's own text: `[start, end]` in characters, end excluded."""
    positions: list[JsonValue] = []
    start = 0
    for step in solution.steps:
        end = start + len(step.raw)
        positions.append([start, end])
        start = end
    return positions
