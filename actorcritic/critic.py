"""Critics: who judges solutions step by step.

`ModelCritic` asks a language model, `FunctionCritic` wraps the caller's own function. Without a model,
`CalculationCritic` checks equations with the calculator and `ExecutionCritic` runs code against the tests that a
problem shows. What cannot be judged is unscored, never a pass.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable

from actorcritic.errors import BudgetExhausted, InputError, ToolError
from actorcritic.parsing.code import find_program, shown_tests
from actorcritic.protocols import CriticFormat, Engine, Meter
from actorcritic.scores import checked_critique
from actorcritic.tools.calculate import calculate
from actorcritic.tools.execution import Execution, Limits, Sandbox
from actorcritic.tools.run_tests import SuiteReport, run_tests
from actorcritic.tools.sandboxes import SandboxName, open_sandbox
from actorcritic.types import (
    Critique,
    GenerateRequest,
    Problem,
    Sampling,
    Solution,
    Step,
    StepCritique,
    Verdict,
)

__all__ = ["CalculationCritic", "ExecutionCritic", "FunctionCritic", "ModelCritic"]

GREEDY = Sampling(temperature=0.0)
EQUATION = re.compile(r"(?P<left>[-+*/^().\d\s]*\d[-+*/^().\d\s]*)=\s*(?P<right>-?\d+(?:\.\d+)?(?:\s*/\s*\d+)?)")


class ModelCritic:
    """A `Critic` over a language model.

    Args:
        engine: Where the tokens come from; may be the actor's own.
        format: How solutions are put to the model.
        sampling: Greedy by default; a second try after an unreadable critique is drawn at temperature 1.
        retries: How often an unreadable critique is asked for again before it counts as unscored, >= 0.
    """

    oracle = False

    def __init__(self, engine: Engine, format: CriticFormat, *, sampling: Sampling = GREEDY, retries: int = 1) -> None:
        if retries < 0:
            raise InputError(f"retries must be at least 0, not {retries}")
        self.engine = engine
        self.format = format
        self.sampling = sampling
        self.retries = retries

    @property
    def repeatable(self) -> bool:
        """See `RepeatableCritic.repeatable`."""
        return self.sampling.temperature == 0

    async def critique(self, problem: Problem, solution: Solution, *, meter: Meter) -> Critique:
        """See `Critic.critique`."""
        capabilities = self.engine.info.capabilities
        sampling = self.sampling
        critique: Critique | None = None
        for _ in range(self.retries + 1):
            request = GenerateRequest(
                prompt=self.format.ask(problem, solution),
                max_tokens=self.format.max_tokens(solution),
                sampling=sampling,
                logprobs=capabilities.logprobs,
                top_logprobs=min(self.format.top_logprobs, capabilities.top_logprobs),
                json_schema=self.format.json_schema(solution) if capabilities.json_schema else None,
            )
            try:
                generation = await meter.generate(self.engine, request, role="critic")
            except BudgetExhausted:
                if critique is None:
                    raise
                break  # what was paid for stands: the first, unreadable critique
            critique = self.format.read(problem, solution, generation)
            if critique.verdict is not Verdict.UNSCORED:
                break
            sampling = Sampling(temperature=1.0)
        assert critique is not None  # the loop ran at least once
        return critique


class FunctionCritic:
    """A `Critic` over the caller's own function, plain or asynchronous.

    Args:
        function: Takes a problem and a solution and returns a critique with one entry per step; scores lie in [0, 1].
        oracle: Say True where the function looks at a gold answer or at the task's own checker.
    """

    def __init__(
        self, function: Callable[[Problem, Solution], Critique | Awaitable[Critique]], *, oracle: bool = False
    ) -> None:
        self._function = function
        self._oracle = oracle

    @property
    def oracle(self) -> bool:
        """See `Critic.oracle`."""
        return self._oracle

    async def critique(self, problem: Problem, solution: Solution, *, meter: Meter) -> Critique:
        """See `Critic.critique`.

        Raises:
            InputError: the function returned something else than a critique of every step with scores in [0, 1]. In a
                search that is this trial's failure: the solution stands, unscored.
        """
        result = self._function(problem, solution)
        return checked_critique(await result if isawaitable(result) else result, solution)


class CalculationCritic:
    """A tool-grounded critic: recomputes every equation in a step, such as `3 * (4 + 1) = 15`.

    A step without an equation is unscored. It sees wrong arithmetic only, not a wrong plan: so a solution in which
    nothing is wrong is unscored too, unless `accept` says that right arithmetic is enough.
    """

    oracle = False

    def __init__(self, *, accept: bool = False) -> None:
        self.accept = accept

    async def critique(self, problem: Problem, solution: Solution, *, meter: Meter) -> Critique:
        """See `Critic.critique`; makes no model call."""
        steps = tuple(_check_equations(step) for step in solution.steps)
        if any(step.verdict is Verdict.INCORRECT for step in steps):
            return Critique(steps=steps, verdict=Verdict.INCORRECT, score=0.0)
        checked = bool(steps) and all(step.verdict is Verdict.CORRECT for step in steps)
        if self.accept and checked:
            return Critique(steps=steps, verdict=Verdict.CORRECT, score=1.0)
        return Critique(steps=steps, verdict=Verdict.UNSCORED)


def _check_equations(step: Step) -> StepCritique:
    """Judge a step by the equations in it: all must hold, and there must be one."""
    equations = list(EQUATION.finditer(step.text))
    for equation in equations:
        left, right = equation["left"].strip(), equation["right"].strip()
        try:
            holds = calculate(f"({left}) = ({right})") == "true"
            value = "" if holds else calculate(left)
        except ToolError as error:
            return StepCritique(verdict=Verdict.UNSCORED, explanation=str(error))
        if not holds:
            return StepCritique(verdict=Verdict.INCORRECT, explanation=f"{left} is {value}, not {right}", score=0.0)
    if not equations:
        return StepCritique(verdict=Verdict.UNSCORED, explanation="no equation to check")
    return StepCritique(verdict=Verdict.CORRECT, score=1.0)


class ExecutionCritic:
    """A critic that runs the solution's code against tests, in a sandbox; needs no model.

    The step with the line that failed is incorrect, with the failing test and the interpreter's words as the
    explanation; where no line of the code is to blame, the step in which the code begins. All other steps are
    unscored, and so is a solution without code, without tests, or with code that the sandbox does not know.

    Args:
        sandbox: where the code runs, `monty` or `bubblewrap`.
        tests: given a problem, the tests that its text shows; by default the assert statements in it.
        limits: of each run.
        accept: whether code that passes every test is correct; without it that is unscored.
        oracle: say True where `tests` gives tests that the problem does not show.

    Raises:
        InputError: the sandbox does not work on this machine.
    """

    def __init__(
        self,
        *,
        sandbox: SandboxName = "monty",
        tests: Callable[[Problem], str] | None = None,
        limits: Limits | None = None,
        accept: bool = True,
        oracle: bool = False,
    ) -> None:
        self.sandbox: Sandbox = open_sandbox(sandbox, limits)
        self.accept = accept
        self._tests = tests or (lambda problem: shown_tests(problem.text))
        self._oracle = oracle

    @property
    def oracle(self) -> bool:
        """See `Critic.oracle`."""
        return self._oracle

    async def critique(self, problem: Problem, solution: Solution, *, meter: Meter) -> Critique:
        """See `Critic.critique`; makes no model call. The score is the share of the tests that passed."""
        tests = self._tests(problem)
        program = find_program([step.text for step in solution.steps]) if solution.complete else None
        if not tests or program is None:
            return self._unscored(solution, "no tests are shown" if not tests else "no whole program to run")
        try:
            report = await asyncio.to_thread(run_tests, program.code, tests, sandbox=self.sandbox)
        except ToolError as error:
            return self._unscored(solution, str(error))
        stopped = _stopped(report)
        if stopped is None:
            if self.accept:
                return self._judge(solution, dict.fromkeys(program.steps, _PASSED), Verdict.CORRECT, 1.0)
            return self._unscored(solution, report.describe())
        if stopped.kind in ("unsupported", "crashed"):
            return self._unscored(solution, report.describe())
        # A wrong value is nobody's line: then the program is to be written anew from its beginning.
        wrong = StepCritique(verdict=Verdict.INCORRECT, explanation=report.describe(), score=0.0)
        share = 0.0 if report.code.error else report.passed / len(report.cases)
        return self._judge(solution, {program.step_of(stopped.line): wrong}, Verdict.INCORRECT, share)

    def _judge(
        self, solution: Solution, steps: Mapping[int, StepCritique], verdict: Verdict, score: float | None
    ) -> Critique:
        unscored = StepCritique(verdict=Verdict.UNSCORED)
        judged = tuple(steps.get(index, unscored) for index in range(len(solution.steps)))
        return Critique(steps=judged, verdict=verdict, score=score, oracle=self._oracle)

    def _unscored(self, solution: Solution, why: str) -> Critique:
        silent = StepCritique(verdict=Verdict.UNSCORED)
        return Critique(
            steps=(silent,) * len(solution.steps), verdict=Verdict.UNSCORED, explanation=why, oracle=self._oracle
        )


_PASSED = StepCritique(verdict=Verdict.CORRECT, score=1.0)


def _stopped(report: SuiteReport) -> Execution | None:
    """Return what went wrong first, None where everything passed."""
    if report.code.error is not None:
        return report.code
    return None if report.failure is None else report.failure.execution
