"""The child process behind the `math` checker: parses, compares and normalises answers with math-verify and SymPy.

Runs as a script. A bound on memory holds beside those on time that every such child keeps.
"""

from __future__ import annotations

import re
import resource
import sys
from typing import Any, TypeAlias

import sympy
from math_verify import parse, verify

from actorcritic.answers.answering import answer_lines

__all__ = ["canonical", "reply"]

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


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    stdout, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no reply
    answer_lines(reply, sys.stdin, stdout, float(sys.argv[1]))
