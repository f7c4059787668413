"""Programs, right where they pass the tests that the problem file keeps as its answer: the checker `python-tests`.

They run in bubblewrap where that works, which knows all of Python, and in pydantic-monty elsewhere; never unconfined.
What a sandbox does not know of Python says nothing of a program, and is no verdict.
"""

from __future__ import annotations

import ast
from functools import cache

from actorcritic.errors import InputError, ToolError
from actorcritic.parsing.code import find_program
from actorcritic.tools.execution import Limits, Sandbox
from actorcritic.tools.run_tests import run_tests
from actorcritic.tools.sandboxes import open_sandbox
from actorcritic.types import Solution

__all__ = ["CHECKER", "program_of", "solved", "vote_key"]

CHECKER = "python-tests"
LIMITS = Limits(seconds=10.0)
"""Of one program with all its tests."""


@cache
def _sandbox() -> Sandbox:
    try:
        return open_sandbox("bubblewrap", LIMITS)
    except InputError:
        return open_sandbox("monty", LIMITS)


def program_of(solution: Solution) -> str | None:
    """Return the program in a solution; None where there is no whole one."""
    program = find_program([step.text for step in solution.steps]) if solution.complete else None
    return None if program is None else program.code


def vote_key(solution: Solution) -> str | None:
    """Return a solution's program without comments and layout; None where there is none that can be read."""
    code = program_of(solution)
    if code is None:
        return None
    try:
        return ast.unparse(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def solved(solution: Solution, tests: str) -> bool | None:
    """Return whether a solution's program passes all tests; None where the sandbox cannot tell. Blocks; an oracle.

    Raises:
        InputError: the tests are no tests, or no sandbox works.
    """
    code = program_of(solution)
    if code is None:
        return False
    try:
        report = run_tests(code, tests, sandbox=_sandbox())
    except ToolError as error:
        raise InputError(f"cannot check a program by its tests: {error}") from error
    results = [report.code, *[case.execution for case in report.cases]]
    if any(result.kind == "unsupported" for result in results):
        return None
    return report.ok
