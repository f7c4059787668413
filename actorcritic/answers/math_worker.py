"""The child process behind the `math` checker: parses, compares and normalises answers with math-verify and SymPy.

Runs as a script; it imports nothing of this package. The alarm ends what Python can interrupt; the parent kills the
rest; a bound on memory and on processor time holds even when the parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import re
import resource
import signal
import sys
from collections.abc import Generator
from typing import Any, TextIO, TypeAlias

import sympy
from math_verify import parse, verify

__all__ = ["Alarm", "canonical", "limited", "main", "reply"]

# SymPy has no types of its own that a checker could follow.
_Value: TypeAlias = Any

MAX_MEMORY = 2 * 1024**3
"""Bytes of address space."""
EXACT_DIGITS = 9
"""An irrational-looking number with at most so many of its 12 significant digits is taken for that decimal."""

_PLAIN_TEXT = (
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])|π"), r"\\pi "),
    (re.compile("−"), "-"),
)
"""What people write outside LaTeX, and its LaTeX."""


class Alarm(BaseException):
    """The time is up; no `Exception`, since the libraries swallow those."""


def reply(question: dict[str, str]) -> bool | str | None:
    """Answer one question.

    `{"answer": a}` asks for the canonical form of `a`, None if it has none; `{"answer": a, "gold": g}` whether they
    are equal.
    """
    answer = _read(question["answer"])
    if "gold" in question:
        gold = _read(question["gold"])
        return bool(gold and answer and verify(gold, answer, timeout_seconds=None))
    if not answer or isinstance(answer[0], str):
        return None
    return canonical(answer[0])


def _read(text: str) -> list[_Value]:
    for pattern, latex in _PLAIN_TEXT:
        text = pattern.sub(latex, text)
    # Inside dollars everything is read as LaTeX, and all of it: "not 5" is not 5.
    found = parse(f"${text}$", parsing_timeout=0)
    return found if found and not isinstance(found[0], str) else []


def canonical(value: _Value) -> str:
    """Return a text that is the same for equal values: a fraction, 12 significant digits, or a normal form."""
    if getattr(value, "is_Matrix", False):
        return f"{value.rows}x{value.cols}: {', '.join(map(canonical, value))}"
    if value.is_Equality and value.lhs.is_Symbol:
        return canonical(value.rhs)
    if value.is_Relational:
        return f"{canonical(value.lhs)} {value.rel_op} {canonical(value.rhs)}"
    if isinstance(value, sympy.FiniteSet):
        return f"{{{', '.join(sorted(map(canonical, value)))}}}"
    if isinstance(value, sympy.Interval):
        begin, end = "(" if value.left_open else "[", ")" if value.right_open else "]"
        return f"{begin}{canonical(value.start)}, {canonical(value.end)}{end}"
    return _canonical_expression(value) if isinstance(value, sympy.Expr) else str(value)


def _canonical_expression(value: _Value) -> str:
    # A decimal is what it says: 2^0.5 is the root of 2, not of the nearest binary number.
    decimals = {number: sympy.Rational(str(number)) for number in value.atoms(sympy.Float)}
    exact = value.xreplace(decimals).doit()
    if exact.is_Rational or exact.is_infinite:
        return str(exact)
    if not exact.is_number:
        return str(sympy.cancel(sympy.expand(exact)))
    number = complex(sympy.N(exact, 15))
    return _digits(number.real) if not number.imag else f"{_digits(number.real)} + {_digits(number.imag)}*i"


def _digits(number: float) -> str:
    text = f"{number:.12g}"
    return str(sympy.Rational(text)) if sum(map(str.isdigit, text)) <= EXACT_DIGITS else text


@contextlib.contextmanager
def limited(seconds: float) -> Generator[None]:
    """Raise `Alarm` after so many seconds; end the process when it has used more processor time than that."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    processor = int(used.ru_utime + used.ru_stime + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (processor, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _on_alarm(_signal: int, _frame: object) -> None:
    raise Alarm


def main(requests: TextIO, replies: TextIO, limit: float) -> None:
    """Answer JSON lines until there are no more; a reply without "value" says that there was no answer in time."""
    signal.signal(signal.SIGALRM, _on_alarm)
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in requests:
        answer: dict[str, bool | str | None] = {}
        try:
            with limited(limit):
                answer = {"value": reply(json.loads(line))}
        except Alarm:
            answer = {"late": True}
        except Exception as error:  # noqa: BLE001 - whatever the libraries raise on hostile text is the reply
            answer = {"error": type(error).__name__}
        print(json.dumps(answer), file=replies, flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    stdout, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no reply
    main(sys.stdin, stdout, float(sys.argv[1]))
