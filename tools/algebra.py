"""Exact algebra through SymPy, as the script of a `Worker`: a JSON line per formula in, a JSON line out.

SymPy gets objects built node by node from our own tree, never text to evaluate. Some questions take it for ever or
fill the memory; the parent ends the process, and the process bounds its own memory. Knows nothing of LangChain.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import sympy

from actorcritic.errors import ToolError
from actorcritic.tools import arithmetic
from actorcritic.tools.expressions import Apply, Expression, Name, Number, read_expression

__all__ = ["answer", "evaluate", "main"]

# SymPy has no types of its own that a checker could follow.
_Value: TypeAlias = Any

MAX_POWER = 1000
"""Of anything that is not a plain number."""
MAX_DIGITS = 100
"""That `approx` may be asked for."""
MAX_MEMORY = 2 * 1024**3
"""Bytes of address space of the worker process."""


def evaluate(expression: Expression) -> str:
    """Return the exact result as text; a comparison gives `true` or `false`.

    Raises:
        ToolError: a name is unknown, an argument does not fit, or no result was found.
    """
    value = _build(expression)
    if isinstance(value, list):
        return f"[{', '.join(_text(entry) for entry in value)}]"
    if isinstance(value, sympy.core.relational.Relational):
        value = _decide(value)
    if value in (sympy.true, sympy.false):
        return str(bool(value)).lower()
    return _text(value)


def _text(value: _Value) -> str:
    if value.has(sympy.nan, sympy.zoo):
        raise ToolError("the expression has no value (division by zero?)")
    return str(value)


def _decide(relation: _Value) -> _Value:
    """Say whether a comparison holds whatever its variables are."""
    holds = relation.lhs.equals(relation.rhs)
    if isinstance(relation, (sympy.Eq, sympy.Ne)) and holds is not None:
        return sympy.true if holds == isinstance(relation, sympy.Eq) else sympy.false
    simplified = sympy.simplify(relation)
    if simplified in (sympy.true, sympy.false):
        return simplified
    raise ToolError(f"cannot decide whether {relation} holds; solve(..., x) finds when it does")


def _build(expression: Expression) -> _Value:
    try:
        exact = arithmetic.evaluate(expression)
    except arithmetic.NotRational:
        return _build_symbolic(expression)
    if isinstance(exact, bool):
        return sympy.true if exact else sympy.false
    return sympy.Rational(exact.numerator, exact.denominator)


def _build_symbolic(expression: Expression) -> _Value:
    match expression:
        case Number(value=value):
            return sympy.Rational(value.numerator, value.denominator)
        case Name(name=name):
            return _name(name)
        case Apply(function=name, arguments=arguments):
            if name not in FUNCTIONS:
                raise ToolError(f"unknown function {name!r}; there are: {', '.join(sorted(NAMED))}")
            try:
                return FUNCTIONS[name](*map(_build, arguments))
            except TypeError as error:
                raise ToolError(f"{name} cannot take these arguments") from error


def _name(name: str) -> _Value:
    if name in CONSTANTS:
        return CONSTANTS[name]
    if len(name) == 1 and name.isascii() and name.isalpha():
        return sympy.Symbol(name)
    raise ToolError(f"unknown name {name!r}: variables are single letters, constants are {', '.join(CONSTANTS)}")


def _power(base: _Value, exponent: _Value) -> _Value:
    if exponent.is_number and abs(exponent).is_comparable and abs(exponent) > MAX_POWER:
        raise ToolError(f"the power {exponent} is beyond {MAX_POWER}")
    return sympy.Pow(base, exponent)


def _approximate(value: _Value, digits: _Value = None) -> _Value:
    if digits is None:
        return sympy.N(value)
    if not (digits.is_Integer and 1 <= digits <= MAX_DIGITS):
        raise ToolError(f"approx takes 1 to {MAX_DIGITS} digits")
    return sympy.N(value, int(digits))


def _solve(equation: _Value, variable: _Value = None) -> _Value:
    """Return the solutions as a sorted list; an expression stands for `expression = 0`."""
    if variable is None:
        free = sorted(equation.free_symbols, key=str)
        if len(free) != 1:
            raise ToolError("solve needs to be told the variable: solve(equation, x)")
        variable = free[0]
    if not getattr(variable, "is_Symbol", False):
        raise ToolError("the second argument of solve must be a variable")
    found = sympy.solve(equation, variable)
    return sorted(found, key=sympy.default_sort_key) if isinstance(found, list) else found


def _root(value: _Value, index: _Value) -> _Value:
    return _power(value, 1 / index)


def _log(value: _Value, base: _Value = None) -> _Value:
    return sympy.log(value) if base is None else sympy.log(value, base)


def _integrate(value: _Value, variable: _Value, *limits: _Value) -> _Value:
    return sympy.integrate(value, (variable, *limits) if limits else variable)


CONSTANTS: dict[str, _Value] = {"pi": sympy.pi, "e": sympy.E, "I": sympy.I}

NAMED: dict[str, Callable[..., _Value]] = {
    "abs": sympy.Abs,
    "acos": sympy.acos,
    "approx": _approximate,
    "asin": sympy.asin,
    "atan": sympy.atan,
    "binomial": sympy.binomial,
    "cbrt": sympy.cbrt,
    "ceil": sympy.ceiling,
    "cos": sympy.cos,
    "diff": lambda value, variable: sympy.diff(value, variable),
    "exp": lambda value: _power(sympy.E, value),
    "expand": lambda value: sympy.expand(value),
    "factor": lambda value: sympy.factor(value),
    "factorial": sympy.factorial,
    "floor": sympy.floor,
    "gcd": sympy.gcd,
    "integrate": _integrate,
    "lcm": sympy.lcm,
    "ln": lambda value: sympy.log(value),
    "log": _log,
    "max": sympy.Max,
    "min": sympy.Min,
    "root": _root,
    "simplify": lambda value: sympy.simplify(value),
    "sin": sympy.sin,
    "solve": _solve,
    "sqrt": sympy.sqrt,
    "tan": sympy.tan,
}
"""What a formula may call."""

FUNCTIONS: dict[str, Callable[..., _Value]] = {
    **NAMED,
    "add": lambda left, right: left + right,
    "subtract": lambda left, right: left - right,
    "multiply": lambda left, right: left * right,
    "divide": lambda left, right: left / right,
    "floor_divide": lambda left, right: sympy.floor(left / right),
    "modulo": lambda left, right: sympy.Mod(left, right),
    "power": _power,
    "negate": lambda value: -value,
    "plus": lambda value: value,
    "equal": lambda left, right: sympy.Eq(left, right),
    "unequal": lambda left, right: sympy.Ne(left, right),
    "less": lambda left, right: left < right,
    "less_or_equal": lambda left, right: left <= right,
    "greater": lambda left, right: left > right,
    "greater_or_equal": lambda left, right: left >= right,
}


def _limit_memory() -> None:
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:  # pragma: no cover
        return
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


def answer(text: str) -> dict[str, str]:
    """Return `{"result": text}`, or `{"error": text}` for whatever went wrong."""
    try:
        return {"result": evaluate(read_expression(text))}
    except ToolError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - SymPy raises anything on odd input, and the caller wants a message
        return {"error": f"no result: {type(error).__name__}"}


def main() -> None:
    """Answer formulas until the input ends."""
    _limit_memory()
    _say("ready")
    for line in sys.stdin:
        _say(answer(json.loads(line)["expression"]))


def _say(reply: object) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
