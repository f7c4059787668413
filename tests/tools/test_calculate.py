"""The calculator is exact, and no input gets past its limits."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import BaseTool

from actorcritic.errors import ToolError
from actorcritic.tools import arithmetic, calculate_tool
from actorcritic.tools.calculate import calculate
from actorcritic.tools.expressions import read_expression

EXACT = {
    "14 / 7": "2",
    "1/3 + 1/6": "1/2",
    "0.1 + 0.2": "0.3",
    "-0.05 * 1": "-0.05",
    "1.0 / 3": "1/3",
    "0.5 + 1.5": "2",
    "2.5e3": "2500",
    "1_000 * 2": "2000",
    "7 // 2 + -7 % 3": "5",
    "2^10": "1024",
    "2**-2": "1/4",
    "(-1)^(10^30 + 1)": "-1",
    "0^0": "1",
    "3 × 4 − 10 ÷ 5": "10",
    "5!": "120",
    "binomial(5, 2)": "10",
    "sqrt(9/4)": "3/2",
    "gcd(12, 18) + lcm(4, 6)": "18",
    "min(3, 1/2) + max(1, 2, 3)": "7/2",
    "abs(-3) + floor(-1/2) + ceil(1/2)": "3",
    "round(2.5) + round(-2.5) + round(2/3, 2)": "0.67",
    "+7": "7",
    "14 / 7 = 2": "true",
    "14 / 7 == 3": "false",
    "1 ≠ 2": "true",
    "1/3 < 0.34": "true",
    "2 >= 3": "false",
    "2 ≤ 2": "true",
    "3 > 2": "true",
}

HOSTILE = {
    "9**9**9": "digits",
    "9**-9**9": "digits",
    "(10**2000)*(10**2000)": "digits",
    "1000! * 1000!": "digits",
    "10**9!": "digits",
    "factorial(10**9)": "from 0 to 1000",
    "factorial(factorial(1000))": "from 0 to 1000",
    "factorial(1/2)": "whole numbers",
    "binomial(10**9, 5*10**8)": "from 0 to 1000",
    "lcm(10^2000 + 1, 10^2001 + 1)": "digits",
    "round(1/3, 10**9)": "100 places",
    "1e999999999": "exponent",
    "(" * 10_000 + "1" + ")" * 10_000: "characters",
    "(" * 450 + "1" + ")" * 450: "cannot read",
    "-" * 900 + "1": "too large",
    "+".join("1" for _ in range(499)): "too large",
    "abs(" * 100 + "1" + ")" * 100: "too large",
    "9" * 5000: "characters",
    "1/0": "division by zero",
    "0^-1": "division by zero",
    "5 % 0": "division by zero",
    "": "empty",
    " \n": "empty",
    "2 +": "cannot read",
    "2; 3": "cannot read",
    "1 = 2 = 3": "not allowed",
    "a.b": "not allowed",
    "().__class__.__bases__": "not allowed",
    "[1, 2]": "not allowed",
    "{1: 2}": "not allowed",
    "lambda: 1": "not allowed",
    "1 if 1 else 2": "not allowed",
    "1,234": "not allowed",
    "f(x=1)(2)": "not allowed",
    "abs(*x)": "not allowed",
    "1 and 2": "not allowed",
    "1 | 2": "unknown operator",
    "~1": "unknown operator",
    "1 is 1": "unknown operator",
    "'a' * 10**9": "not a number",
    "b'a'": "not a number",
    "True": "not a number",
    "1j": "not a number",
    "...": "not a number",
    "gcd()": "1 to 500 arguments",
    "sqrt(1, 2)": "arguments",
    "\0": "cannot read",
    "١ + ": "cannot read",
}

ALGEBRA_HOSTILE = {
    "__import__('os').system('true')": "not allowed",
    "__import__('os')": "not a number",
    "open(1)": "unknown function",
    "eval(x)": "unknown function",
    "x + __class__": "unknown name",
    "x**10**9": "beyond 1000",
    "exp(exp(exp(exp(10))))": "beyond 1000",
    "sqrt(2)**(10**9)": "beyond 1000",
}


@pytest.mark.parametrize(("expression", "result"), EXACT.items())
def test_arithmetic_is_exact(expression: str, result: str) -> None:
    assert calculate(expression) == result


@pytest.mark.parametrize(("expression", "message"), HOSTILE.items(), ids=lambda text: text[:20])
def test_hostile_input_ends_at_once_with_a_message(expression: str, message: str) -> None:
    started = time.monotonic()
    with pytest.raises(ToolError, match=message) as caught:
        calculate(expression)
    assert time.monotonic() - started < 2
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("expression", "message"), ALGEBRA_HOSTILE.items())
def test_hostile_algebra_ends_with_a_message(expression: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        calculate(expression, seconds=60)


def test_algebra_that_takes_for_ever_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(ToolError, match="too long"):
        calculate("expand((x + y + z + a + b + c)^900)", seconds=0.5)
    assert time.monotonic() - started < 30


def test_algebra_goes_through_the_worker() -> None:
    assert calculate("solve(x^2 = 4, x)", seconds=60) == "[-2, 2]"


def test_a_result_too_long_to_read_is_refused() -> None:
    with pytest.raises(ToolError, match="characters"):
        calculate("expand((x + y)^200)", seconds=60)


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorcritic.tools.calculate.find_spec", lambda name: None)
    with pytest.raises(ToolError, match="needs SymPy"):
        calculate("x + x")


@given(left=st.fractions(), right=st.fractions())
def test_sums_and_quotients_agree_with_fractions(left: Fraction, right: Fraction) -> None:
    assert Fraction(calculate(f"({left}) + ({right})")) == left + right
    if right:
        assert Fraction(calculate(f"({left}) / ({right})")) == left / right


@given(number=st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9))
def test_a_decimal_stays_what_it_is(number: object) -> None:
    assert Fraction(calculate(f"{number}")) == Fraction(f"{number}")


@given(text=st.text(max_size=60) | st.text(alphabet="0123456789+-*/()^!=<. ,", max_size=60))
def test_any_text_gives_a_result_or_a_tool_error(text: str) -> None:
    try:
        result = arithmetic.evaluate(read_expression(text))
    except (ToolError, arithmetic.NotRational):
        return
    assert isinstance(result, Fraction | bool)


def test_the_tool_gives_messages_where_the_function_raises() -> None:
    tool = calculate_tool()
    assert isinstance(tool, BaseTool)
    assert tool.name == "calculate"
    assert set(tool.args) == {"expression"}
    assert tool.invoke({"expression": "6 * 7"}) == "42"
    assert tool.invoke({"expression": "1/0"}) == "error: division by zero"


async def test_the_tool_is_asynchronous_too() -> None:
    assert await calculate_tool().ainvoke({"expression": "6 * 7 = 42"}) == "true"
