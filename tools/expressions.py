"""Reads a formula as a person or a model writes it into a small tree, within fixed limits.

Python's own parser splits the text; nothing is ever evaluated here, and whatever is not a number, a name, an
operator or a call of a plain name is refused. Knows no function by name: what a name means is up to who walks the tree.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from actorcritic.errors import ToolError

__all__ = ["Apply", "Expression", "Name", "Number", "read_expression"]

MAX_LENGTH = 1000
"""Characters of a formula."""
MAX_NODES = 500
MAX_DEPTH = 60
MAX_EXPONENT = 1000
"""Of a number in scientific notation."""

SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "≤": "<=", "≥": ">=", "≠": "!="})
OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "modulo",
    ast.Pow: "power",
    ast.USub: "negate",
    ast.UAdd: "plus",
    ast.Eq: "equal",
    ast.NotEq: "unequal",
    ast.Lt: "less",
    ast.LtE: "less_or_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_or_equal",
}


@dataclass(frozen=True, slots=True)
class Number:
    """An exact number; `decimal` where it was written with a point or an exponent."""

    value: Fraction
    decimal: bool = False


@dataclass(frozen=True, slots=True)
class Name:
    """A variable or a constant."""

    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator (by its name in `OPERATORS`) or a function, with its arguments."""

    function: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = Number | Name | Apply


def read_expression(text: str) -> Expression:
    """Parse a formula: `+ - * / // % **`, `^` for powers, comparisons with `=`, brackets, names and calls.

    Raises:
        ToolError: the text is too long, too deep, or no formula.
    """
    if len(text) > MAX_LENGTH:
        raise ToolError(f"the expression has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    source = _pythonic(text)
    if not source:
        raise ToolError("the expression is empty")
    try:
        with warnings.catch_warnings():
            # The parser warns of such things as `1(2)`; they are refused below.
            warnings.simplefilter("ignore")
            tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ToolError(f"cannot read {_short(text)!r} as a formula") from error
    return _Reader(source).read(tree.body, 0)


def _pythonic(text: str) -> str:
    """Turn mathematical signs into Python's."""
    text = " ".join(text.translate(SIGNS).split())
    text = text.replace("^", "**")
    text = re.sub(r"\b(\d+)!(?!=)", r"factorial(\1)", text)
    return re.sub(r"(?<![=<>!])=(?!=)", "==", text)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


class _Reader:
    """Turns the parser's tree into ours, counting nodes. Mutable; one per formula."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._nodes = 0

    def read(self, node: ast.expr, depth: int) -> Expression:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise ToolError(f"the expression is too large: at most {MAX_NODES} parts, nested {MAX_DEPTH} deep")
        match node:
            case ast.Constant():
                return self._number(node)
            case ast.Name(id=name):
                return Name(name)
            case ast.UnaryOp(op=op, operand=operand):
                return self._apply(self._operator(op), (operand,), depth)
            case ast.BinOp(left=left, op=op, right=right):
                return self._apply(self._operator(op), (left, right), depth)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._apply(self._operator(op), (left, right), depth)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._apply(name, tuple(arguments), depth)
            case _:
                raise ToolError(f"not allowed in a formula: {_short(ast.unparse(node))!r}")

    def _apply(self, function: str, arguments: tuple[ast.expr, ...], depth: int) -> Apply:
        return Apply(function, tuple(self.read(argument, depth + 1) for argument in arguments))

    def _operator(self, node: ast.AST) -> str:
        name = OPERATORS.get(type(node))
        if name is None:
            raise ToolError(f"unknown operator: {type(node).__name__}")
        return name

    def _number(self, node: ast.Constant) -> Number:
        # The parser has rounded decimals to floats; the source still holds them exactly.
        written = (ast.get_source_segment(self._source, node) or "").replace("_", "")
        if type(node.value) is int:
            return Number(Fraction(node.value))
        if type(node.value) is not float:
            raise ToolError(f"not a number: {_short(written)!r}")
        exponent = re.search(r"[eE]([+-]?\d+)$", written)
        if exponent and abs(int(exponent[1])) > MAX_EXPONENT:
            raise ToolError(f"the exponent of {_short(written)} is beyond {MAX_EXPONENT}")
        return Number(Fraction(written), decimal=True)
