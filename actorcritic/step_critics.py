"""Critics of single steps: a language model, with tools of its own or without; a function; a critic of whole solutions.

Each judges a step before it is carried out, with its results, or both. What cannot be judged is unscored, never a pass
and never a block. A human as critic needs a graph that can wait: see `actorcritic.graphs.human_critic`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from inspect import isawaitable
from typing import Any

from actorcritic.agent_steps import (
    AgentStep,
    Judgement,
    Phase,
    Ruling,
    ToolResult,
    distinct_calls,
    message_of,
)
from actorcritic.answers import extract_answer
from actorcritic.errors import BudgetExhausted, EngineError, InputError
from actorcritic.formats.agent import render_request, render_result
from actorcritic.formats.chat import render_critique
from actorcritic.parsing.judgements import judgement_schema, read_judgement
from actorcritic.parsing.steps import split_steps
from actorcritic.protocols import Critic, Engine, Meter
from actorcritic.tools.running import AgentTool, ToolBox
from actorcritic.types import (
    Failure,
    FinishReason,
    GenerateRequest,
    Generation,
    Message,
    Prompt,
    Sampling,
    Solution,
    ToolCall,
    Verdict,
)

__all__ = ["AnswerStepCritic", "FunctionStepCritic", "ModelStepCritic"]

GREEDY = Sampling(temperature=0.0)
BOTH: tuple[Phase, ...] = ("action", "observation")
MOST_CHECKS = 8
"""Calls that a critic may make in one message."""


class FunctionStepCritic:
    """A `StepCritic` over the caller's own function, plain or asynchronous.

    Args:
        function: Takes a step and returns a judgement; None = nothing to say, which is unscored.
        name: Stands in the log; by default the function's own.
        phases: When it is asked.
        oracle: Say True where the function looks at a gold answer or at the task's own checker.
    """

    def __init__(
        self,
        function: Callable[[AgentStep], Judgement | Awaitable[Judgement | None] | None],
        *,
        name: str | None = None,
        phases: Collection[Phase] = BOTH,
        oracle: bool = False,
    ) -> None:
        self._function = function
        self._name = name if name is not None else str(getattr(function, "__name__", type(function).__name__))
        self._phases = frozenset(phases)
        self._oracle = oracle

    @property
    def name(self) -> str:
        """See `StepCritic.name`."""
        return self._name

    @property
    def oracle(self) -> bool:
        """See `StepCritic.oracle`."""
        return self._oracle

    def wants(self, step: AgentStep) -> bool:
        """See `StepCritic.wants`."""
        return step.phase in self._phases

    async def judge(self, step: AgentStep, *, meter: Meter) -> Judgement:
        """See `StepCritic.judge`.

        Raises:
            InputError: the function returned something else than a judgement.
        """
        result = self._function(step)
        said: Any = await result if isawaitable(result) else result
        if said is None:
            return Judgement.unscored("nothing to say")
        if isinstance(said, Judgement):
            return said
        raise InputError(f"the critic {self._name} returned {said!r}: return a Judgement, or None")


class AnswerStepCritic:
    """Lets a critic of whole solutions judge the answer, before it is given: by execution, calculation, a model.

    Args:
        critic: Such as `ExecutionCritic()`, which runs the code in an answer against the tests in the question.
        name: Stands in the log; by default the critic's class.
    """

    def __init__(self, critic: Critic, *, name: str | None = None) -> None:
        self._critic = critic
        self._name = name if name is not None else type(critic).__name__

    @property
    def name(self) -> str:
        """See `StepCritic.name`."""
        return self._name

    @property
    def oracle(self) -> bool:
        """See `StepCritic.oracle`."""
        return self._critic.oracle

    def wants(self, step: AgentStep) -> bool:
        """See `StepCritic.wants`."""
        return step.is_answer

    async def judge(self, step: AgentStep, *, meter: Meter) -> Judgement:
        """See `StepCritic.judge`."""
        steps = split_steps(step.text, "auto")
        solution = Solution(steps=steps, answer=extract_answer(step.text))
        critique = await self._critic.critique(step.problem, solution, meter=meter)
        rulings = {Verdict.CORRECT: Ruling.PASS, Verdict.INCORRECT: Ruling.BLOCK, Verdict.UNSCORED: Ruling.UNSCORED}
        ruling = rulings[critique.verdict]
        blocks = ruling is Ruling.BLOCK
        return Judgement(
            ruling=ruling,
            explanation=render_critique(solution, critique) if blocks else critique.explanation,
            score=critique.score,
            raw=critique.raw,
            oracle=critique.oracle,
        )


class ModelStepCritic:
    """A `StepCritic` over a language model, which may check claims with tools before it judges.

    Args:
        engine: Where the tokens come from; may be the actor's own.
        tools: What the critic itself may call, such as `calculate_tool()` and `python_tool()`; its calls are counted
            and logged with those of the actor.
        phases: When it is asked.
        sampling: Greedy by default; a second try after an unreadable judgement is drawn at temperature 1.
        max_tokens: Completion tokens of one message, >= 1.
        retries: How often an unreadable judgement is asked for again before it counts as unscored, >= 0.
        rounds: How often it may call tools before it must judge, >= 1.

    Raises:
        InputError: a number is out of range, or the engine takes no tools.
    """

    oracle = False

    def __init__(
        self,
        engine: Engine,
        *,
        tools: Sequence[AgentTool] = (),
        phases: Collection[Phase] = BOTH,
        sampling: Sampling = GREEDY,
        max_tokens: int = 512,
        retries: int = 1,
        rounds: int = 3,
    ) -> None:
        if max_tokens < 1 or retries < 0 or rounds < 1:
            raise InputError("a step critic needs max_tokens >= 1, retries >= 0 and rounds >= 1")
        if tools and not engine.info.capabilities.tools:
            raise InputError(f"{engine.info.name} takes no tools: give the critic none, or another engine")
        self.engine = engine
        self._box = ToolBox(tools)
        self._phases = frozenset(phases)
        self._sampling = sampling
        self._max_tokens = max_tokens
        self._retries = retries
        self._rounds = rounds

    @property
    def name(self) -> str:
        """See `StepCritic.name`."""
        return self.engine.info.name

    def wants(self, step: AgentStep) -> bool:
        """See `StepCritic.wants`."""
        return step.phase in self._phases

    async def judge(self, step: AgentStep, *, meter: Meter) -> Judgement:
        """See `StepCritic.judge`; a failure is an unscored judgement that says so."""
        checks: list[ToolResult] = []
        judgement = Judgement.unscored()
        try:
            for attempt in range(self._retries + 1):
                sampling = self._sampling if attempt == 0 else Sampling(temperature=1.0)
                said = await self._ask(step, sampling, meter, checks)
                judgement = read_judgement(said.text, step, complete=said.finish_reason is FinishReason.STOP)
                if judgement.ruling is not Ruling.UNSCORED:
                    break
        except BudgetExhausted as error:
            judgement = replace(judgement, explanation=judgement.explanation or str(error))
        except EngineError as error:
            failure = Failure(where="critic", type=type(error).__name__, message=str(error))
            judgement = replace(Judgement.unscored(str(error)), failure=failure)
        return replace(judgement, checks=tuple(checks))

    async def _ask(self, step: AgentStep, sampling: Sampling, meter: Meter, checks: list[ToolResult]) -> Generation:
        """Ask until the model writes something else than tool calls, or has none left."""
        able = self.engine.info.capabilities
        specs = tuple(self._box.specs.values())
        schema = judgement_schema(step) if able.json_schema and not specs else None
        messages = render_request(step, with_tools=bool(specs))
        for left in range(self._rounds if specs else 0, -1, -1):
            request = GenerateRequest(
                prompt=Prompt(content=messages),
                max_tokens=self._max_tokens,
                sampling=sampling,
                logprobs=False,
                tools=specs,
                json_schema=schema,
            )
            said = await meter.generate(self.engine, request, role="critic")
            if not said.tool_calls or not left:
                return said
            calls = distinct_calls(said.tool_calls)
            results = await self._check(calls)
            checks += results
            messages = (*messages, message_of(said, calls))
            messages += tuple(
                Message(role="tool", content=render_result(result, self._box.specs), tool_call_id=result.call.id)
                for result in results
            )
        raise AssertionError("unreachable")

    async def _check(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        """Carry out calls side by side."""
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._box.run(call)) for call in calls[:MOST_CHECKS]]
        late = [ToolResult(call=call, text="", status="refused", error="CallLimit") for call in calls[MOST_CHECKS:]]
        return [task.result().result for task in running] + late
