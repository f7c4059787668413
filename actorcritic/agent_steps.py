"""What an agent does, step by step, and what a step critic says of it: frozen values, and the critic's protocol.

A step is one message of the actor: tool calls, or the answer. It is judged before it is carried out and once more when
its results are there. Steps and calls count from 0. Knows no model, no tool and no graph.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias, cast

from actorcritic.protocols import Meter
from actorcritic.types import Failure, Generation, JsonValue, Message, Problem, ToolCall, ToolSpec

__all__ = [
    "Act",
    "AgentStep",
    "Judgement",
    "Phase",
    "Ruling",
    "StepCritic",
    "ToolResult",
    "ToolStatus",
    "cut_text",
    "distinct_calls",
    "message_of",
    "read_arguments",
]

Phase: TypeAlias = Literal["action", "observation"]
"""When a step is judged: before it is carried out, or with its results."""

ToolStatus: TypeAlias = Literal["done", "failed", "refused", "blocked"]
"""`failed`: the tool raised or took too long. `refused`: never run: unknown, bad arguments, or no call left.
`blocked`: never run, since a critic objects."""


class Ruling(StrEnum):
    """What a step critic decides. Unscored is an outcome of its own: neither a pass nor a block."""

    PASS = "pass"
    WARN = "warn"
    """Go on; the actor reads the explanation."""
    BLOCK = "block"
    """Before an action: do not carry it out. After an observation: take back from the step that went wrong."""
    UNSCORED = "unscored"
    """Nothing was said, or nothing that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What became of one tool call."""

    call: ToolCall
    text: str
    """What the tool gave back, or what went wrong; hostile input wherever a model reads it."""
    status: ToolStatus = "done"
    error: str | None = None
    """What went wrong, by name: the class of the exception, `UnknownTool`, `BadArguments`, `TimeLimit`, `CallLimit`."""
    length: int = 0
    """Characters that the tool gave back; more than `text` has where that was cut."""
    seconds: float = 0.0

    @property
    def left_out(self) -> int:
        """How many characters of what the tool gave back `text` lacks, between its two parts."""
        return max(0, self.length - len(self.text))

    @property
    def parts(self) -> tuple[str, str]:
        """The beginning and the end of what the tool gave back, where `text` was cut."""
        first = _first_part(len(self.text))
        return self.text[:first], self.text[first:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a step critic says of one step."""

    ruling: Ruling
    explanation: str | None = None
    """Why; the actor reads it where the ruling is a warning or a block."""
    calls: tuple[int, ...] = ()
    """Before an action: which of its calls a block means; empty = all."""
    step: int | None = None
    """After an observation: the first step that went wrong, where the ruling is a block; None = the one just done."""
    score: float | None = None
    """Probability in [0, 1] that the step is right; None = unscored."""
    by: str = ""
    """Who says so: "human", a model's name ...; filled in with the critic's name where empty."""
    checks: tuple[ToolResult, ...] = ()
    """Tools that the critic called to make up its mind."""
    failure: Failure | None = None
    """What the critic failed of, where it is unscored for that."""
    raw: str = ""
    """A model's own text."""
    oracle: bool = False
    """True where a gold answer or the task's own checker stood behind it."""

    @classmethod
    def passed(cls, score: float | None = None) -> Judgement:
        """Return a pass."""
        return cls(ruling=Ruling.PASS, score=score)

    @classmethod
    def warn(cls, explanation: str) -> Judgement:
        """Return a warning, with what the actor is to read."""
        return cls(ruling=Ruling.WARN, explanation=explanation)

    @classmethod
    def block(cls, explanation: str, *, calls: tuple[int, ...] = (), step: int | None = None) -> Judgement:
        """Return a block, with what the actor is to read; see the fields."""
        return cls(ruling=Ruling.BLOCK, explanation=explanation, calls=calls, step=step)

    @classmethod
    def unscored(cls, explanation: str | None = None) -> Judgement:
        """Return a judgement that says nothing, and why."""
        return cls(ruling=Ruling.UNSCORED, explanation=explanation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One message of the actor and what came of it."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    """Empty = the message is an answer."""
    results: tuple[ToolResult, ...] = ()
    """One per call, in their order; empty before they are carried out."""
    judgements: tuple[Judgement, ...] = ()

    @property
    def is_blocked(self) -> bool:
        """Whether a critic kept all of it from being carried out."""
        return bool(self.results) and all(result.status == "blocked" for result in self.results)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStep:
    """What a step critic is shown."""

    problem: Problem
    """The conversation before the agent began."""
    index: int
    """Number of the step, 0-based."""
    phase: Phase
    act: Act
    before: tuple[Act, ...] = ()
    """The steps before this one; what was taken back is not among them."""
    tools: tuple[ToolSpec, ...] = field(default=(), repr=False)
    """What the actor may call."""

    @property
    def task(self) -> str:
        """What the user asked."""
        return self.problem.text

    @property
    def text(self) -> str:
        """What the actor wrote beside its calls; the answer, where there are none."""
        return self.act.text

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls of this step."""
        return self.act.calls

    @property
    def results(self) -> tuple[ToolResult, ...]:
        """Their results; empty before they are carried out."""
        return self.act.results

    @property
    def is_answer(self) -> bool:
        """Whether the actor answers instead of calling a tool."""
        return not self.act.calls

    @property
    def digest(self) -> str:
        """A hash of what is judged: the text, the calls and their results."""
        parts = [self.text, *(f"{call.name} {call.arguments}" for call in self.calls)]
        parts += [f"{result.status} {result.text}" for result in self.results]
        return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()[:16]

    def arguments(self, call: int = 0) -> Mapping[str, JsonValue]:
        """Return the arguments of a call; empty where they cannot be read."""
        return read_arguments(self.calls[call]) or {}


class StepCritic(Protocol):
    """Who judges an agent's steps."""

    @property
    def name(self) -> str:
        """Who it is; stands in the log beside every judgement."""
        ...

    @property
    def oracle(self) -> bool:
        """True where a gold answer or the task's own checker stands behind the judgement."""
        ...

    def wants(self, step: AgentStep) -> bool:
        """Return whether this step is any of its business; cheap, and the same whenever it is asked."""
        ...

    async def judge(self, step: AgentStep, *, meter: Meter) -> Judgement:
        """Judge a step; what cannot be judged is unscored. Model calls go through the meter."""
        ...


def read_arguments(call: ToolCall) -> dict[str, JsonValue] | None:
    """Return the arguments of a call; None where they are no JSON object."""
    try:
        given: object = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, JsonValue]", given) if isinstance(given, dict) else None


def distinct_calls(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """Return the calls of one message, each with an id of its own."""
    seen: set[str] = set()
    distinct: list[ToolCall] = []
    for place, call in enumerate(calls):
        ident = call.id
        while not ident or ident in seen:
            ident = f"{ident}_{place}" if ident else f"call_{place}"
        seen.add(ident)
        distinct.append(replace(call, id=ident))
    return tuple(distinct)


def message_of(said: Generation, calls: Sequence[ToolCall]) -> Message:
    """Return what a model wrote as a message that can be sent back to it.

    Servers refuse a history with arguments that are no JSON: those become empty, and the call's result quotes them.
    """
    sent = tuple(call if read_arguments(call) is not None else replace(call, arguments="{}") for call in calls)
    native = {name: value for name, value in said.native.items() if name != "id"}
    return Message(role="assistant", content=said.text, tool_calls=sent, native=native)


def cut_text(text: str, most: int) -> str:
    """Return a text of at most `most` characters: three quarters from its beginning, the rest from its end."""
    if len(text) <= most:
        return text
    first = _first_part(most)
    return text[:first] + text[len(text) - (most - first) :]


def _first_part(shown: int) -> int:
    """Return how many characters of a shortened text are from its beginning."""
    return shown * 3 // 4
