"""Exact arithmetic and algebra as a function and as a LangChain tool, safe to hand to a model.

Plain arithmetic is worked out in this process, bounded by construction. Algebra goes to a worker process of its own,
which is ended when its time is up, so no input can hold up or crash the caller.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from actorcritic.answers.worker import Worker
from actorcritic.errors import ToolError
from actorcritic.tools import arithmetic
from actorcritic.tools.expressions import Apply, Expression, Number, read_expression

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["calculate", "calculate_tool"]

SECONDS = 10.0
"""For one formula that needs algebra."""
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
        expression: as the tool's description says; at most 1,000 characters.
        seconds: how long algebra may take, > 0; its process takes about half a second more to start.

    Raises:
        ToolError: no formula, no value, a result too large, or the time is up.
    """
    with closing(_worker(seconds)) as worker:
        return _calculate(expression, worker)


def calculate_tool(*, seconds: float = SECONDS) -> BaseTool:
    """Return `calculate` as a LangChain tool; what goes wrong comes back as a message that starts with `error:`.

    Algebra goes to one process per tool, which ends with it.
    """
    from langchain_core.tools import StructuredTool  # noqa: PLC0415 - keeps the function usable without LangChain

    worker = _worker(seconds)

    def run(expression: Annotated[str, "the formula, such as (3 + 4) * 2"]) -> str:
        try:
            return _calculate(expression, worker)
        except ToolError as error:
            return f"error: {error}"

    async def arun(expression: Annotated[str, "the formula, such as (3 + 4) * 2"]) -> str:
        return await asyncio.to_thread(run, expression)

    return StructuredTool.from_function(
        run, arun, name="calculate", description=DESCRIPTION, handle_validation_error=True
    )


def _worker(seconds: float) -> Worker:
    """Return a process that does algebra; it starts with the first formula that needs it."""
    return Worker(Path(__file__).with_name("algebra.py"), limit=seconds)


def _calculate(expression: str, worker: Worker) -> str:
    tree = read_expression(expression)
    try:
        value = arithmetic.evaluate(tree)
    except arithmetic.NotRational:
        return _ask(worker, expression)
    if isinstance(value, bool):
        return str(value).lower()
    return arithmetic.format_number(value, decimal=_has_decimal(tree))


def _ask(worker: Worker, expression: str) -> str:
    if find_spec("sympy") is None:
        raise ToolError("algebra needs SymPy: pip install 'actorcritic[tools]'")
    try:
        reply = worker.ask({"expression": expression})
    except TimeoutError as error:
        raise ToolError("the calculation takes too long; ask for something simpler") from error
    assert isinstance(reply, dict)  # the other end is ours
    if "error" in reply:
        raise ToolError(str(reply["error"]))
    result = str(reply["result"])
    if len(result) > MAX_OUTPUT:
        raise ToolError(f"the result has {len(result)} characters; at most {MAX_OUTPUT} are allowed")
    return result


def _has_decimal(expression: Expression) -> bool:
    match expression:
        case Number(decimal=decimal):
            return decimal
        case Apply(arguments=arguments):
            return any(map(_has_decimal, arguments))
        case _:
            return False
