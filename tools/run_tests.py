"""Code against unit tests, in a sandbox: a report for a program, and its text for a model to learn from.

The textual feedback is LeTI's (arXiv 2305.10314): the interpreter's own words on what failed. A test is an `assert` or
a function `test_...()`. Code that sets out to deceive its tests, by what equals everything, can: they share an
interpreter.
"""

from __future__ import annotations

import ast
import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from actorcritic.errors import ToolError
from actorcritic.tools.execution import Execution, Limits, Sandbox
from actorcritic.tools.sandboxes import SandboxName, open_sandbox

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["CaseResult", "SuiteReport", "run_tests", "run_tests_tool"]

MAX_TESTS = 100_000
"""Characters of the tests."""
MAX_SHOWN = 3
"""Failed tests that the text goes into."""

DESCRIPTION = """Run Python code against unit tests; returns which tests fail, and why.

`tests` holds assert statements, such as `assert add(1, 2) == 3`, or functions without arguments whose name begins with
`test_`. Imports and helpers may stand between them."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one test."""

    test: str
    """Its source."""
    execution: Execution

    @property
    def passed(self) -> bool:
        """Whether it ran to its end without an error."""
        return self.execution.error is None


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """What became of code and its tests."""

    code: Execution
    """Of the code alone, before any test."""
    cases: tuple[CaseResult, ...]
    printed: str = ""

    @property
    def passed(self) -> int:
        """How many tests passed."""
        return sum(case.passed for case in self.cases)

    @property
    def failure(self) -> CaseResult | None:
        """The first test that failed, None where none did; the code's own error is in `code`."""
        return next((case for case in self.cases if not case.passed), None)

    @property
    def ok(self) -> bool:
        """Whether the code ran and every test passed."""
        return self.code.error is None and self.failure is None

    def describe(self) -> str:
        """Return the report as text: what passed, and the interpreter's words on what did not."""
        if self.code.error is not None:
            return f"the code does not run:\n{self.code.error}"
        lines = [f"{self.passed} of {len(self.cases)} tests passed"]
        failed = [case for case in self.cases if not case.passed]
        for case in failed[:MAX_SHOWN]:
            lines.append(f"failed: {case.test}\n{case.execution.error}")
        if len(failed) > MAX_SHOWN:
            lines.append(f"and {len(failed) - MAX_SHOWN} more failed")
        return "\n\n".join(lines)


def run_tests(code: str, tests: str, *, sandbox: Sandbox) -> SuiteReport:
    """Run code, then each test in the same interpreter; blocks.

    Raises:
        ToolError: the tests are no Python, there is none among them, or code and tests are too long.
    """
    snippets, sources = _split(tests)
    transcript = sandbox.run([code, *snippets])
    own, *others = transcript.executions
    cases: list[CaseResult] = []
    broken: Execution | None = None
    for source, execution in zip(sources, others, strict=True):
        if source is not None:
            cases.append(CaseResult(source, execution if broken is None else broken))
        elif execution.error is not None:
            # Without its helper a test says nothing of the code, so the helper's error stands for it.
            broken = broken or execution
    return SuiteReport(own, tuple(cases), transcript.printed)


def _split(tests: str) -> tuple[list[str], list[str | None]]:
    """Return the snippets to run and, for each, the source of the test that it is; None for what prepares tests."""
    if len(tests) > MAX_TESTS:
        raise ToolError(f"the tests have {len(tests)} characters; at most {MAX_TESTS} are allowed")
    try:
        statements = ast.parse(tests).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ToolError(f"the tests are no Python: {type(error).__name__}: {error}") from error
    snippets: list[str] = []
    sources: list[str | None] = []
    for statement in statements:
        first = min([statement.lineno, *[node.lineno for node in getattr(statement, "decorator_list", ())]])
        source = "\n".join(tests.splitlines()[first - 1 : statement.end_lineno])
        if isinstance(statement, ast.Assert):
            segment = ast.get_source_segment(tests, statement) or source
            snippets.append(segment)
            sources.append(segment)
        elif isinstance(statement, ast.FunctionDef) and statement.name.startswith("test_"):
            snippets += [source, f"{statement.name}()"]
            sources += [None, source]
        else:
            snippets.append(ast.get_source_segment(tests, statement) or source)
            sources.append(None)
    if all(source is None for source in sources):
        raise ToolError("there is no test: write assert statements, or functions whose name begins with test_")
    return snippets, sources


def run_tests_tool(*, sandbox: SandboxName = "monty", limits: Limits | None = None) -> BaseTool:
    """Return `run_tests` as a LangChain tool with the arguments `code` and `tests`.

    Args:
        sandbox: where the code runs, `monty` or `bubblewrap` (see `SANDBOXES`).
        limits: of each call, all tests together.

    Raises:
        InputError: the sandbox does not work on this machine.
    """
    from langchain_core.tools import StructuredTool  # noqa: PLC0415 - keeps the function usable without LangChain

    place = open_sandbox(sandbox, limits)

    def run(
        code: Annotated[str, "the Python code to test"], tests: Annotated[str, "assert statements or test functions"]
    ) -> str:
        try:
            return run_tests(code, tests, sandbox=place).describe()
        except ToolError as error:
            return f"error: {error}"

    async def arun(
        code: Annotated[str, "the Python code to test"], tests: Annotated[str, "assert statements or test functions"]
    ) -> str:
        return await asyncio.to_thread(run, code, tests)

    return StructuredTool.from_function(
        run, arun, name="run_tests", description=DESCRIPTION, handle_validation_error=True
    )
