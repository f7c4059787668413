"""The edges where outside data enters and leaves: problem files in, result objects out.

Pydantic checks what a person wrote and fixes what a program reads. Nothing inside the library passes these models on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from actorcritic.errors import InputError
from actorcritic.types import Message, Problem, Reference, StopReason, ToolCall, ToolSpec, Verdict

__all__ = [
    "CritiqueRecord",
    "FailureRecord",
    "MessageRecord",
    "ProblemInput",
    "ProblemRecord",
    "ResultRecord",
    "SolutionRecord",
    "StepCritiqueRecord",
    "StepRecord",
    "ToolCallRecord",
    "ToolRecord",
    "UsageRecord",
    "UsagesRecord",
    "parse_problems",
    "problem_of",
    "problem_record",
    "prompt_record",
    "read_problems",
]


class _Strict(BaseModel):
    """Unknown fields are refused, so that a misspelt one does not vanish."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ToolCallRecord(_Strict):
    """A tool call in a chat history."""

    id: str
    name: str
    arguments: str


class MessageRecord(_Strict):
    """One chat message of a problem."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: list[ToolCallRecord] = []
    tool_call_id: str | None = None


class ToolRecord(_Strict):
    """A tool offered with a problem."""

    name: str
    description: str = ""
    parameters: dict[str, JsonValue] = {}


class ProblemRecord(_Strict):
    """One line of a problem file."""

    id: str = Field(min_length=1)
    problem: str | list[MessageRecord] = Field(min_length=1)
    answer: str | None = None
    solution: str | None = None
    """A worked solution: gold, for training data alone."""
    checker: str | None = None
    tools: list[ToolRecord] = []
    meta: dict[str, JsonValue] = {}

    def split(self) -> tuple[Problem, Reference]:
        """Return what models may see and, apart from it, the gold side."""
        prompt = self.problem if isinstance(self.problem, str) else tuple(map(_message, self.problem))
        tools = tuple(ToolSpec(name=t.name, description=t.description, parameters=t.parameters) for t in self.tools)
        problem = Problem(id=self.id, prompt=prompt, checker=self.checker, tools=tools, meta=self.meta)
        return problem, Reference(answer=self.answer, solution=self.solution)


def _message(record: MessageRecord) -> Message:
    """Return a message as the library passes it around."""
    calls = tuple(ToolCall(id=c.id, name=c.name, arguments=c.arguments) for c in record.tool_calls)
    return Message(role=record.role, content=record.content, tool_calls=calls, tool_call_id=record.tool_call_id)


class StepRecord(_Strict):
    """One step of the answer."""

    index: int
    text: str


class SolutionRecord(_Strict):
    """The answer's steps."""

    steps: list[StepRecord]


class StepCritiqueRecord(_Strict):
    """What the critic said of one step."""

    index: int
    verdict: Verdict
    explanation: str | None


class CritiqueRecord(_Strict):
    """What the critic said of the answer."""

    steps: list[StepCritiqueRecord]
    first_error: int | None
    verdict: Verdict
    score: float | None


class UsageRecord(_Strict):
    """Tokens and calls of one role."""

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


class UsagesRecord(_Strict):
    """Tokens and calls of all roles."""

    actor: UsageRecord = UsageRecord()
    critic: UsageRecord = UsageRecord()
    reward_model: UsageRecord = UsageRecord()
    total_tokens: int = 0
    """Logical tokens, all models."""
    environment_steps: int = 0
    """Steps in environments, those of a replay left out."""
    replayed_steps: int = 0
    """Steps that were taken again in order to come back to a state."""


class FailureRecord(_Strict):
    """Something that went wrong on the way."""

    where: str
    type: str
    message: str


class ResultRecord(_Strict):
    """What `solve --json` prints for one problem."""

    id: str
    problem: str | list[MessageRecord]
    answer: str | None
    correct: bool | None
    solution: SolutionRecord | None
    critique: CritiqueRecord | None
    reward: float | None = None
    """What a reward model, a verifier or an environment gave the answer, in [0, 1]."""
    strategy: str
    attempts: int
    usage: UsagesRecord
    budget: Literal["hard", "estimated"]
    stopped_by: StopReason
    failures: list[FailureRecord]
    oracle: bool
    seed: int
    width: int
    run: str | None


def read_problems(path: Path) -> Iterator[ProblemRecord]:
    """Read a problem file: JSON lines, blank lines skipped.

    Raises:
        InputError: the file or a line cannot be read, or an id stands twice; the message names the line (1-based).
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot read the problem file {path}: {reason}") from error
    return parse_problems(lines, str(path))


def parse_problems(lines: Iterable[str], name: str) -> Iterator[ProblemRecord]:
    """Parse the lines of a problem file; see `read_problems`."""
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = ProblemRecord.model_validate(json.loads(line))
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{name}, line {number}: not JSON: {error}") from error
        except ValidationError as error:
            raise InputError(f"{name}, line {number}: {_first_complaint(error)}") from error
        if record.id in seen:
            raise InputError(f"{name}, line {number}: the id {record.id!r} already stands in line {seen[record.id]}")
        seen[record.id] = number
        yield record


def _first_complaint(error: ValidationError) -> str:
    """Return the first of pydantic's complaints in one line."""
    first: Mapping[str, object] = {**error.errors(include_url=False, include_input=False)[0]}
    location = first["loc"]
    where = ".".join(map(str, location)) if isinstance(location, tuple) else ""
    hint = " (put fields of your own under meta)" if first["type"] == "extra_forbidden" else ""
    return f"{where or 'the line'}: {first['msg']}{hint}"


ProblemInput: TypeAlias = str | Sequence[Mapping[str, JsonValue]] | Mapping[str, JsonValue]
"""A problem as an app hands it over: text, a list of chat messages, or the fields of a `ProblemRecord`."""


def problem_of(value: ProblemInput) -> Problem:
    """Return the problem in what an app handed over; without an id it is named by its content's hash.

    Raises:
        InputError: it is none of the accepted shapes, or it brings a gold answer along, which no search may see.
    """
    fields: dict[str, object] = dict(value) if isinstance(value, Mapping) else {"problem": value}
    if fields.get("answer") is not None or fields.get("solution") is not None:
        raise InputError("the problem carries a gold answer: keep it apart, no model may see it")
    if "id" not in fields:
        content = json.dumps(fields, sort_keys=True, default=str)
        fields["id"] = hashlib.sha256(content.encode()).hexdigest()[:16]
    try:
        problem, _ = ProblemRecord.model_validate(fields).split()
    except ValidationError as error:
        raise InputError(f"cannot read the problem: {_first_complaint(error)}") from error
    return problem


def prompt_record(problem: Problem) -> str | list[MessageRecord]:
    """Return a problem's prompt as it stands in files and results."""
    if isinstance(problem.prompt, str):
        return problem.prompt
    return [
        MessageRecord(
            role=message.role,
            content=message.content,
            tool_calls=[ToolCallRecord(id=c.id, name=c.name, arguments=c.arguments) for c in message.tool_calls],
            tool_call_id=message.tool_call_id,
        )
        for message in problem.prompt
    ]


def problem_record(problem: Problem) -> ProblemRecord:
    """Return a problem as a line of a problem file, without a gold answer."""
    return ProblemRecord(
        id=problem.id,
        problem=prompt_record(problem),
        checker=problem.checker,
        tools=[
            ToolRecord(name=t.name, description=t.description, parameters=dict(t.parameters)) for t in problem.tools
        ],
        meta=dict(problem.meta),
    )
