"""Arithmetic: work out an expression of 6 to 10 operations, one per step; exact generator, checker, labeller, votes.

`(19 - ((3 + 9) - 4)) + 16`: operands 1 to 20, operations `+ - *`, every value on the way 0 to 99. A step such as
`3 + 9 = 12` works out one operation whose two operands are numbers by then. Knows text and numbers, no model and no
prompt.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from actorcritic.tasks.heldout import Split, may_train, split_of
from actorcritic.tasks.labels import OK, StepLabel

__all__ = [
    "CODES",
    "MAX_DEPTH",
    "MAX_VALUE",
    "OPERATIONS",
    "Arithmetic",
    "Equation",
    "Tree",
    "after",
    "apply",
    "generate",
    "label",
    "numbers",
    "parse",
    "parse_step",
    "plain_answer",
    "ready",
    "size",
    "solve",
    "solved",
    "state_keys",
    "trainable",
    "vote_key",
    "write",
]

OPERATIONS = range(6, 11)
"""How many operations the problems of the generator have, which the held-out rule is about."""
FEWEST = 2
"""Operations of the smallest expression that is read as a problem of this family."""
MAX_OPERAND = 20
MAX_VALUE = 99
MAX_DEPTH = max(OPERATIONS) - 1
"""Of brackets in brackets."""
CODES = ("ok", "malformed", "bad-result", "not-available")
"""Labels of a step. `not-available`: no operation is left whose operands are these two numbers."""
MAX_LENGTH = 400
"""Characters of a problem's text."""

Tree: TypeAlias = "int | tuple[Tree, str, Tree]"
"""An expression: a number, or an operation between two expressions. Also a state: what is still to be worked out."""

_PROBLEM = re.compile(r"\s*(?:(?:work\s+out|compute|calculate|evaluate)\s+)?([-+*()\d\s]+?)\s*\.?\s*", re.IGNORECASE)
_TOKEN = re.compile(r"\d{1,2}(?!\d)|[-+*()]|(\S)")
_STEP = re.compile(r"\s*(\d{1,9})\s*([-+*])\s*(\d{1,9})\s*=\s*(-?\d{1,9})\s*")
_ANSWER = re.compile(r"(?:.*=)?\s*(-?\d{1,9})\s*\.?\s*")
_BINDS = {"+": 1, "-": 1, "*": 2}


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """One problem."""

    tree: Tree
    """2 to 10 operations, operands 1 to 20, every value 0 to 99."""

    @property
    def expression(self) -> str:
        """Every operation but the last one in brackets, such as `(19 - ((3 + 9) - 4)) + 16`."""
        return write(self.tree)

    @property
    def key(self) -> str:
        """Published key of the held-out rule."""
        return _key(self.tree)

    @property
    def value(self) -> int:
        """What the expression comes to, in 0..99."""
        return _value(self.tree) or 0

    def render(self) -> str:
        """Return the text that a person types."""
        return f"Work out {self.expression}"


@dataclass(frozen=True, slots=True)
class Equation:
    """One step as claimed; the result may be wrong."""

    left: int
    op: str
    right: int
    result: int

    def render(self) -> str:
        """Return the step that a person reads, such as `3 + 9 = 12`."""
        return f"{self.left} {self.op} {self.right} = {self.result}"


def parse(text: str) -> Arithmetic | None:
    """Read a problem text, or the bare expression; None if it is no problem of this family or out of its ranges.

    `*` binds before `+` and `-`, and what binds alike goes from left to right; brackets that say the same are the same
    problem.
    """
    found = _PROBLEM.fullmatch(text) if len(text) <= MAX_LENGTH else None
    tree = _read(found[1]) if found else None
    return Arithmetic(tree) if tree is not None and _in_range(tree, FEWEST) else None


def parse_step(text: str) -> Equation | None:
    """Read one step; None if it is not one equation of whole numbers."""
    found = _STEP.fullmatch(text)
    return Equation(int(found[1]), found[2], int(found[3]), int(found[4])) if found else None


def plain_answer(steps: Sequence[str], answer: str) -> str | None:
    """Return the number that the answer of a solution in somebody's own words gives, such as 27 for `... = 27.`.

    None if it gives none, or if any step is one of this family: then the steps are what counts.
    """
    found = _ANSWER.fullmatch(answer)
    return str(int(found[1])) if found and not any(map(parse_step, steps)) else None


def apply(left: int, op: str, right: int) -> int:
    """Return `left op right`; `op` is one of `+ - *`."""
    if op == "+":
        return left + right
    return left - right if op == "-" else left * right


def _read(text: str) -> Tree | None:
    """Return the tree of an expression, None if the text is none."""
    found = list(_TOKEN.finditer(text))
    if any(token[1] for token in found) or "".join(token[0] for token in found) != "".join(text.split()):
        return None
    tokens = [token[0] for token in found]
    try:
        tree = _read_sum(tokens, 1)
    except (IndexError, ValueError, RecursionError):
        return None
    return None if tokens else tree


def _read_sum(tokens: list[str], binds: int) -> Tree:
    """Read operations that bind at least so strongly; tokens that were read are taken away."""
    tree = _read_operand(tokens)
    while tokens and _BINDS.get(tokens[0], 0) >= binds:
        op = tokens.pop(0)
        tree = (tree, op, _read_sum(tokens, _BINDS[op] + 1))
    return tree


def _read_operand(tokens: list[str]) -> Tree:
    first = tokens.pop(0)
    if first != "(":
        return int(first)
    tree = _read_sum(tokens, 1)
    if tokens.pop(0) != ")":
        raise ValueError("a bracket is not closed")
    return tree


def size(tree: Tree) -> int:
    """Return the number of operations."""
    return 0 if isinstance(tree, int) else size(tree[0]) + 1 + size(tree[2])


def write(tree: Tree) -> str:
    """Return the text of an expression: every operation but the last one in brackets."""
    return str(tree) if isinstance(tree, int) else f"{_inner(tree[0])} {tree[1]} {_inner(tree[2])}"


def _inner(tree: Tree) -> str:
    return str(tree) if isinstance(tree, int) else f"({write(tree)})"


def _key(tree: Tree) -> str:
    return f"arithmetic:{write(tree).replace(' ', '')}"


def _value(tree: Tree) -> int | None:
    """Return what a tree comes to, None if that or a value on the way is not in 0..99."""
    if isinstance(tree, int):
        return tree
    left, right = _value(tree[0]), _value(tree[2])
    if left is None or right is None:
        return None
    value = apply(left, tree[1], right)
    return value if 0 <= value <= MAX_VALUE else None


def numbers(tree: Tree) -> Iterator[int]:
    """Yield the numbers of an expression from left to right."""
    if isinstance(tree, int):
        yield tree
    else:
        yield from numbers(tree[0])
        yield from numbers(tree[2])


def _in_range(tree: Tree, fewest: int) -> bool:
    """Return True for the tree of a problem with at least so many operations."""
    operands = all(1 <= operand <= MAX_OPERAND for operand in numbers(tree))
    return operands and fewest <= size(tree) <= max(OPERATIONS) and _value(tree) is not None


def ready(tree: Tree) -> list[tuple[int, str, int]]:
    """Return the operations between two numbers, from left to right: what may be worked out next."""
    if isinstance(tree, int):
        return []
    left, op, right = tree
    if isinstance(left, int) and isinstance(right, int):
        return [(left, op, right)]
    return ready(left) + ready(right)


def after(tree: Tree, equation: Equation) -> Tree | None:
    """Return the state that a step claims to leave: the leftmost operation that it names becomes the claimed result.

    None if there is no such operation. The operands of `+` and `*` may come in either order.
    """
    if isinstance(tree, int):
        return None
    left, op, right = tree
    if isinstance(left, int) and isinstance(right, int):
        return equation.result if _names(equation, left, op, right) else None
    changed = after(left, equation)
    if changed is not None:
        return (changed, op, right)
    changed = after(right, equation)
    return None if changed is None else (left, op, changed)


def _names(equation: Equation, left: int, op: str, right: int) -> bool:
    if equation.op != op:
        return False
    same = (equation.left, equation.right) == (left, right)
    return same or (op != "-" and (equation.right, equation.left) == (left, right))


def label(problem: Arithmetic, steps: Sequence[str]) -> tuple[StepLabel, ...]:
    """Label every step by itself, taking the state that the earlier steps claim to leave.

    A step that cannot be read, or names no operation that is there, leaves the state as it is.
    """
    state = problem.tree
    labels: list[StepLabel] = []
    for text in steps:
        equation = parse_step(text)
        changed = after(state, equation) if equation else None
        if equation is None:
            labels.append(StepLabel("malformed"))
        elif changed is None:
            labels.append(StepLabel("not-available"))
        else:
            right = apply(equation.left, equation.op, equation.right) == equation.result
            labels.append(OK if right else StepLabel("bad-result"))
        state = state if changed is None else changed
    return tuple(labels)


def solved(problem: Arithmetic, steps: Sequence[str]) -> bool:
    """Return True if the steps work out the whole expression with no wrong step."""
    return len(steps) == size(problem.tree) and all(item.correct for item in label(problem, steps))


def solve(problem: Arithmetic) -> tuple[str, ...]:
    """Return the solution that always works out the leftmost operation whose operands are numbers."""
    state: Tree | None = problem.tree
    steps: list[str] = []
    while state is not None and not isinstance(state, int):
        left, op, right = ready(state)[0]
        equation = Equation(left, op, right, apply(left, op, right))
        steps.append(equation.render())
        state = after(state, equation)
    return tuple(steps)


def vote_key(problem: Arithmetic, steps: Sequence[str]) -> str | None:
    """Return the number that a whole attempt comes to by its own account; None if it is not whole.

    Whole: every operation of the expression was worked out, rightly or wrongly.
    """
    state: Tree | None = problem.tree
    for text in steps:
        equation = parse_step(text)
        state = after(state, equation) if equation and state is not None else None
    return str(state) if isinstance(state, int) else None


def state_keys(problem: Arithmetic, steps: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of the problem and of every later state that is a problem of 6 to 10 operations itself."""
    keys = [problem.key]
    state = problem.tree
    for text in steps:
        equation = parse_step(text)
        changed = after(state, equation) if equation else None
        if changed is None:
            continue
        state = changed
        if _in_range(state, min(OPERATIONS)):
            keys.append(_key(state))
    return tuple(keys)


def trainable(problem: Arithmetic, steps: Sequence[str]) -> bool:
    """Return True if neither the problem nor a state on the way is held out (test or development)."""
    return may_train(state_keys(problem, steps))


def generate(split: Split, seed: int, operations: range = OPERATIONS) -> Iterator[Arithmetic]:
    """Yield problems of a split without end: a uniform number of operations in 6..10, then a tree of that size.

    Other numbers of operations, from 1 on, are for training that begins with small expressions. The number of
    operations left of an operation is uniform; the operation is drawn among those that keep its value in 0..99, and
    operands that leave none are drawn again. The same seed gives the same problems.
    """
    rng = random.Random(f"arithmetic:{split}:{seed}")
    while True:
        tree, _ = _draw(rng.choice(operations), rng)
        if split_of(_key(tree)) == split:
            yield Arithmetic(tree)


def _draw(count: int, rng: random.Random) -> tuple[Tree, int]:
    """Return a tree of so many operations and its value."""
    if count == 0:
        number = rng.randint(1, MAX_OPERAND)
        return number, number
    before = rng.randrange(count)
    while True:
        left, a = _draw(before, rng)
        right, b = _draw(count - 1 - before, rng)
        fitting = [op for op in "+-*" if 0 <= apply(a, op, b) <= MAX_VALUE]
        if fitting:
            op = rng.choice(fitting)
            return (left, op, right), apply(a, op, b)
