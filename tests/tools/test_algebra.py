"""Algebra is exact, and whatever SymPy makes of odd input comes back as a message."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from actorcritic.errors import ToolError
from actorcritic.tools import algebra
from actorcritic.tools.expressions import read_expression

EXACT = {
    "sqrt(8)": "2*sqrt(2)",
    "cbrt(27) + root(16, 4)": "5",
    "2^(1/2) * 2^(1/2)": "2",
    "sin(pi/6)": "1/2",
    "exp(0) + ln(e) + log(8, 2)": "5",
    "e^2": "exp(2)",
    "x + x": "2*x",
    "-x - x": "-2*x",
    "+x": "x",
    "x // 1": "floor(x)",
    "x % 2": "Mod(x, 2)",
    "expand((x + 1)^2)": "x**2 + 2*x + 1",
    "factor(x^2 - 1)": "(x - 1)*(x + 1)",
    "simplify(sin(x)^2 + cos(x)^2)": "1",
    "solve(x^2 = 4, x)": "[-2, 2]",
    "solve(2*x - 3)": "[3/2]",
    "solve(x^2 + 1)": "[-I, I]",
    "solve(x + y, x)": "[-y]",
    "diff(x^3, x)": "3*x**2",
    "integrate(2*x, x)": "x**2",
    "integrate(x^2, x, 0, 1)": "1/3",
    "approx(1/3)": "0.333333333333333",
    "approx(pi, 20)": "3.1415926535897932385",
    "(x + 1)^2 = x^2 + 2*x + 1": "true",
    "x = x + 1": "false",
    "x != x + 1": "true",
    "sqrt(2) < 3/2": "true",
    "sqrt(2) <= 1": "false",
    "pi > 3": "true",
    "pi >= 4": "false",
    "2 = 2": "true",
}

REFUSED = {
    "foo(x)": "unknown function 'foo'",
    "xy + 1": "unknown name 'xy'",
    "ß": "unknown name",
    "x^(10^6)": "beyond 1000",
    "1 / (x - x)": "no value",
    "log(0)": "no value",
    "x < 2": "cannot decide",
    "approx(pi, 1000)": "1 to 100 digits",
    "approx(pi, x)": "1 to 100 digits",
    "solve(x + y)": "the variable",
    "solve(x, 2)": "must be a variable",
    "sin(x, y)": "cannot take these arguments",
    "diff(x)": "cannot take these arguments",
}


@pytest.mark.parametrize(("expression", "result"), EXACT.items())
def test_algebra_is_exact(expression: str, result: str) -> None:
    assert algebra.evaluate(read_expression(expression)) == result


@pytest.mark.parametrize(("expression", "message"), REFUSED.items())
def test_what_cannot_be_done_is_said(expression: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        algebra.evaluate(read_expression(expression))


def test_what_sympy_raises_is_a_message() -> None:
    assert algebra.answer("integrate(x, 2)") == {"error": "no result: ValueError"}


def test_the_worker_answers_line_by_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # Its memory limit would hold for this process.
    monkeypatch.setattr(algebra, "_limit_memory", lambda: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"expression": "x - x"}\n{"expression": ""}\n'))
    algebra.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == ["ready", {"result": "0"}, {"error": "the expression is empty"}]


def test_the_worker_bounds_its_memory() -> None:
    program = "from actorcritic.tools import algebra; algebra._limit_memory(); bytearray(3 * 1024**3)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr
