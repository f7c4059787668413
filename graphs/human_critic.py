"""A human as step critic: the graph waits at LangGraph's interrupt until somebody says what to do.

The graph needs a checkpointer, and goes on with `Command(resume=...)`. An answer that cannot be read is asked for
again: a human's silence never lets an action through.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from langgraph.types import interrupt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actorcritic.agent_steps import AgentStep, Judgement, Phase, Ruling
from actorcritic.protocols import Meter
from actorcritic.types import JsonValue

__all__ = ["HumanStepCritic"]


BEFORE: tuple[Phase, ...] = ("action",)
RULINGS = (Ruling.PASS, Ruling.WARN, Ruling.BLOCK)
"""What a human may say."""


class _Answer(BaseModel):
    """What a human sends."""

    model_config = ConfigDict(extra="forbid")

    ruling: Literal[Ruling.PASS, Ruling.WARN, Ruling.BLOCK]
    explanation: str | None = None
    calls: tuple[int, ...] = ()
    """0-based places of the calls that a block means; empty = all."""
    step: int | None = None
    """0-based number of the first step that went wrong."""
    score: float | None = Field(default=None, ge=0, le=1)


class HumanStepCritic:
    """A `StepCritic` that asks a human through LangGraph's interrupt.

    The interrupt's value is a JSON object: `ask` ("judge_step"), `task`, `step`, `phase`, `text`, `calls` (`name`,
    `arguments`), `results` (`status`, `text`), `answer` (whether the step is the answer), `rulings` (what may be sent
    back), `error` (what was wrong with the last reply, else null). Go on with `Command(resume="pass")`, or with an
    object: `{"ruling": "block", "explanation": "...", "calls": [0], "step": 0}`.

    Args:
        tools: Ask only before steps that call one of these; None = any step.
        answers: Ask about answers, too.
        phases: When to ask; by default before an action alone.
        name: Stands in the log.
    """

    oracle = False

    def __init__(
        self,
        *,
        tools: Collection[str] | None = None,
        answers: bool = True,
        phases: Collection[Phase] = BEFORE,
        name: str = "human",
    ) -> None:
        self._tools = None if tools is None else frozenset(tools)
        self._answers = answers
        self._phases = frozenset(phases)
        self._name = name

    @property
    def name(self) -> str:
        """See `StepCritic.name`."""
        return self._name

    def wants(self, step: AgentStep) -> bool:
        """See `StepCritic.wants`."""
        if step.phase not in self._phases:
            return False
        if step.is_answer:
            return self._answers
        return self._tools is None or any(call.name in self._tools for call in step.calls)

    async def judge(self, step: AgentStep, *, meter: Meter) -> Judgement:
        """See `StepCritic.judge`; raises LangGraph's interrupt until there is an answer that can be read."""
        error: str | None = None
        while True:
            answer = interrupt(_question(step, error))
            try:
                return _read(answer, step)
            except ValueError as problem:
                error = str(problem)


def _question(step: AgentStep, error: str | None) -> dict[str, JsonValue]:
    return {
        "ask": "judge_step",
        "task": step.task,
        "step": step.index,
        "phase": step.phase,
        "text": step.text,
        "calls": [{"name": call.name, "arguments": call.arguments} for call in step.calls],
        "results": [{"status": result.status, "text": result.text} for result in step.results],
        "answer": step.is_answer,
        "rulings": [ruling.value for ruling in RULINGS],
        "error": error,
    }


def _read(answer: Any, step: AgentStep) -> Judgement:
    """Read what a human sent.

    Raises:
        ValueError: it is no judgement of this step; the message says why.
    """
    try:
        said = _Answer.model_validate({"ruling": answer} if isinstance(answer, str) else answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'the reply'}: {first['msg']}") from error
    if any(not 0 <= call < len(step.calls) for call in said.calls):
        raise ValueError(f"calls: this step has {len(step.calls)} calls, counted from 0")
    if said.step is not None and not 0 <= said.step <= step.index:
        raise ValueError(f"step: there are the steps 0 to {step.index}")
    return Judgement(
        ruling=said.ruling, explanation=said.explanation, calls=said.calls, step=said.step, score=said.score
    )
