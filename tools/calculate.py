"""Exact arithmetic and algebra as a function and as a LangChain tool, safe to hand to a model.

Plain arithmetic is worked out in this process, bounded by construction. Algebra goes to a worker process of its own,
which is ended when its time is up, so no input can hold up or crash the caller.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

from actorcritic.errors import ToolError
from actorcritic.tools import arithmetic
from actorcritic.tools.expressions import Apply, Expression, Number, read_expression

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["calculate", "calculate_tool"]

SECONDS = 10.0
"""For one formula that needs algebra, the start of its process included."""
MAX_OUTPUT = 4_000
"""Characters of a result."""

DESCRIPTION = """Work out a formula exactly and return the result as text.

Numbers are exact (0.1 + 0.2 gives 0.3, 1/3 stays 1/3). Operators: + - * / // % ** (or ^) and brackets; a comparison
such as 3 * 4 = 12 gives true or false. Functions: abs, floor, ceil, round, sqrt, cbrt, root, factorial, binomial, gcd,
lcm, min, max, exp, ln, log, sin, cos, tan, asin, acos, atan. Variables are single letters; constants are pi, e and I.
Algebra: simplify(...), expand(...), factor(...), solve(x^2 = 4, x), diff(..., x), integrate(..., x).
approx(formula, digits) gives a decimal approximation."""


def calculate(expression: str, *, seconds: float = SECONDS) -> str:
    """Return the exact result of a formula as text.

    Args:
        expression: as `DESCRIPTION` says; at most 1,000 characters.
        seconds: how long algebra may take.

    Raises:
        ToolError: no formula, no value, a result too large, or the time is up.
    """
    tree = read_expression(expression)
    try:
        value = arithmetic.evaluate(tree)
    except arithmetic.NotRational:
        return _ask_worker(expression, seconds)
    if isinstance(value, bool):
        return str(value).lower()
    return arithmetic.format_number(value, decimal=_has_decimal(tree))


def calculate_tool(*, seconds: float = SECONDS) -> BaseTool:
    """Return `calculate` as a LangChain tool; what goes wrong comes back as a message that starts with `error:`."""
    from langchain_core.tools import StructuredTool  # noqa: PLC0415 - keeps the function usable without LangChain

    def run(expression: Annotated[str, "the formula, such as (3 + 4) * 2"]) -> str:
        try:
            return calculate(expression, seconds=seconds)
        except ToolError as error:
            return f"error: {error}"

    async def arun(expression: Annotated[str, "the formula, such as (3 + 4) * 2"]) -> str:
        return await asyncio.to_thread(run, expression)

    return StructuredTool.from_function(run, arun, name="calculate", description=DESCRIPTION)


def _has_decimal(expression: Expression) -> bool:
    match expression:
        case Number(decimal=decimal):
            return decimal
        case Apply(arguments=arguments):
            return any(map(_has_decimal, arguments))
        case _:
            return False


def _ask_worker(expression: str, seconds: float) -> str:
    if find_spec("sympy") is None:
        raise ToolError("algebra needs SymPy: pip install 'actorcritic[tools]'")
    path = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "actorcritic.tools.algebra"],
            input=expression,
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
            env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"no result within {seconds:g} seconds; ask for something simpler") from error
    if done.returncode:
        raise ToolError("no result: the calculation ran out of memory or was ended")
    reply: dict[str, str] = json.loads(done.stdout)
    if "error" in reply:
        raise ToolError(reply["error"])
    if len(reply["result"]) > MAX_OUTPUT:
        raise ToolError(f"the result has {len(reply['result'])} characters; at most {MAX_OUTPUT} are allowed")
    return reply["result"]
