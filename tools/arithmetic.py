"""Exact arithmetic on rationals, bounded by construction: no number grows beyond `MAX_BITS` on the way.

Standard library only. What is not rational (a variable, the root of 2, a sine) is not refused but handed back as
`NotRational`, so that algebra can take over.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction

from actorcritic.errors import ToolError
from actorcritic.tools.expressions import Apply, Expression, Name, Number

__all__ = ["NotRational", "evaluate", "format_number"]

MAX_BITS = 13_000
"""Of a numerator or denominator: about 3,900 digits, below the length from which Python refuses to print."""
MAX_FACTORIAL = 1_000


class NotRational(Exception):
    """The value is not a rational number, or not by these means."""


def evaluate(expression: Expression) -> Fraction | bool:
    """Return the exact value of a formula; a comparison at the top gives a truth value.

    Raises:
        NotRational: it holds a variable, or something that has no exact rational value.
        ToolError: it has no value, or one that is too large.
    """
    if isinstance(expression, Apply) and expression.function in COMPARISONS:
        left, right = (_number(argument) for argument in expression.arguments)
        return COMPARISONS[expression.function](left, right)
    return _number(expression)


def format_number(value: Fraction, *, decimal: bool = False) -> str:
    """Return a number as text: `3`, `-1/3`; with `decimal`, as `0.25` where that is exact."""
    denominator = value.denominator
    twos = (denominator & -denominator).bit_length() - 1
    rest = denominator >> twos
    fives = 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if not decimal or rest != 1 or not 0 < places <= 50:
        return str(value)
    digits = str(abs(value.numerator) * 10**places // denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _number(expression: Expression) -> Fraction:
    match expression:
        case Number(value=value):
            return _bounded(value)
        case Name():
            raise NotRational
        case Apply(function=name, arguments=arguments):
            if name in COMPARISONS or name not in FUNCTIONS:
                raise NotRational
            function, fewest, most = FUNCTIONS[name]
            if not fewest <= len(arguments) <= most:
                raise ToolError(f"{name} takes {fewest} to {most} arguments, not {len(arguments)}")
            return _bounded(Fraction(function(*map(_number, arguments))))


def _bounded(value: Fraction) -> Fraction:
    _check_bits(max(value.numerator.bit_length(), value.denominator.bit_length()))
    return value


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise ToolError(f"the result has more than about {MAX_BITS * 3 // 10} digits")


def _whole(value: Fraction, what: str) -> int:
    if value.denominator != 1:
        raise ToolError(f"{what} needs whole numbers, not {_brief(value)}")
    return value.numerator


def _brief(value: Fraction) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _divide(left: Fraction, right: Fraction) -> Fraction:
    if not right:
        raise ToolError("division by zero")
    return left / right


def _floor_divide(left: Fraction, right: Fraction) -> Fraction:
    return Fraction(math.floor(_divide(left, right)))


def _modulo(left: Fraction, right: Fraction) -> Fraction:
    return left - right * _floor_divide(left, right)


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if not base and exponent < 0:
        raise ToolError("division by zero")
    if exponent.denominator != 1:
        raise NotRational
    if abs(base) in (0, 1):
        # Without a look at the exponent's size: 1 to any power is small.
        return base if exponent % 2 else abs(base) if exponent else Fraction(1)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length()) - 1
    _check_bits(bits * abs(exponent.numerator))
    return base**exponent.numerator


def _square_root(value: Fraction) -> Fraction:
    if value < 0:
        raise NotRational
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    if root * root != value:
        raise NotRational
    return root


def _factorial(value: Fraction) -> int:
    number = _whole(value, "factorial")
    if not 0 <= number <= MAX_FACTORIAL:
        raise ToolError(f"factorial takes whole numbers from 0 to {MAX_FACTORIAL}, not {_brief(value)}")
    return math.factorial(number)


def _binomial(n: Fraction, k: Fraction) -> int:
    top, bottom = _whole(n, "binomial"), _whole(k, "binomial")
    if not 0 <= top <= MAX_FACTORIAL or bottom < 0:
        raise ToolError(f"binomial takes whole numbers from 0 to {MAX_FACTORIAL}")
    return math.comb(top, bottom)


def _round(value: Fraction, places: Fraction = Fraction(0)) -> Fraction:
    """Round to decimal places, halves away from zero."""
    digits = _whole(places, "round")
    if abs(digits) > 100:
        raise ToolError("round takes at most 100 places")
    scale = Fraction(10) ** digits
    rounded = math.floor(abs(value) * scale + Fraction(1, 2)) / scale
    return rounded if value >= 0 else -rounded


def _gcd(*values: Fraction) -> int:
    return math.gcd(*(_whole(value, "gcd") for value in values))


def _lcm(*values: Fraction) -> int:
    result = 1
    for value in values:
        result = math.lcm(result, _whole(value, "lcm"))
        _check_bits(result.bit_length())
    return result


COMPARISONS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "equal": operator.eq,
    "unequal": operator.ne,
    "less": operator.lt,
    "less_or_equal": operator.le,
    "greater": operator.gt,
    "greater_or_equal": operator.ge,
}

MANY = 500
FUNCTIONS: dict[str, tuple[Callable[..., Fraction | int], int, int]] = {
    "add": (operator.add, 2, 2),
    "subtract": (operator.sub, 2, 2),
    "multiply": (operator.mul, 2, 2),
    "divide": (_divide, 2, 2),
    "floor_divide": (_floor_divide, 2, 2),
    "modulo": (_modulo, 2, 2),
    "power": (_power, 2, 2),
    "negate": (lambda value: -value, 1, 1),
    "plus": (lambda value: value, 1, 1),
    "abs": (lambda value: abs(value), 1, 1),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "round": (_round, 1, 2),
    "sqrt": (_square_root, 1, 1),
    "factorial": (_factorial, 1, 1),
    "binomial": (_binomial, 2, 2),
    "gcd": (_gcd, 1, MANY),
    "lcm": (_lcm, 1, MANY),
    "min": (lambda *values: min(values), 1, MANY),
    "max": (lambda *values: max(values), 1, MANY),
}
"""Each function with the fewest and the most arguments that it takes."""
