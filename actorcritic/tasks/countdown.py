"""Countdown: combine 3 or 4 numbers, each once, into a target; exact generator, checker, labeller and vote key.

Every result is a positive whole number, one operation per step. A state is the sorted tuple of the numbers still to
be used. Knows text and arithmetic, no model and no prompt.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from actorcritic.tasks.heldout import Split, split_of
from actorcritic.tasks.labels import OK, StepLabel

__all__ = [
    "CODES",
    "Countdown",
    "Equation",
    "State",
    "after",
    "apply",
    "generate",
    "label",
    "moves",
    "parse",
    "parse_step",
    "reachable",
    "solve",
    "solved",
    "state_keys",
    "state_split",
    "vote_key",
]

MAX_NUMBER = 25
MAX_TARGET = 99
CODES = ("ok", "malformed", "bad-result", "not-available", "unreachable")
"""Labels of a step. `unreachable`: the step is legal, but no way leads from what it leaves to the target."""

State = tuple[int, ...]

_PROBLEM = re.compile(r"\s*use\s+(\d+(?:\s*,\s*\d+)*)\s*,?\s+and\s+(\d+)\s+to\s+make\s+(\d+)\s*\.?\s*", re.IGNORECASE)
_STEP = re.compile(r"\s*(\d{1,9})\s*([-+*/])\s*(\d{1,9})\s*=\s*(\d{1,9})\s*")
_TARGETS = (1 << (MAX_TARGET + 1)) - 2


@dataclass(frozen=True, slots=True)
class Countdown:
    """One problem. The order of the numbers is the reader's business: two orders are the same problem."""

    numbers: State
    """3 or 4 numbers in 1..25, repeats allowed, as given."""
    target: int
    """In 1..99, not among the numbers."""

    @property
    def key(self) -> str:
        """Published key of the held-out rule, numbers sorted."""
        return _key(self.numbers, self.target)

    def render(self) -> str:
        """Return the text that a person types."""
        *head, last = map(str, self.numbers)
        return f"Use {', '.join(head)} and {last} to make {self.target}."


@dataclass(frozen=True, slots=True)
class Equation:
    """One step as claimed; the result may be wrong."""

    left: int
    op: str
    right: int
    result: int

    @property
    def value(self) -> int | None:
        """The true result, None where it is not a positive whole number."""
        return apply(self.left, self.op, self.right)

    def render(self) -> str:
        """Return the step that a person reads, such as `14 / 7 = 2`."""
        return f"{self.left} {self.op} {self.right} = {self.result}"


def parse(text: str) -> Countdown | None:
    """Read a problem text; None if it is not a problem of this family or out of its ranges."""
    found = _PROBLEM.fullmatch(text)
    if found is None:
        return None
    numbers = (*map(int, found[1].split(",")), int(found[2]))
    target = int(found[3])
    in_range = len(numbers) in (3, 4) and all(1 <= n <= MAX_NUMBER for n in numbers) and 1 <= target <= MAX_TARGET
    return Countdown(numbers, target) if in_range and target not in numbers else None


def parse_step(text: str) -> Equation | None:
    """Read one step; None if it is not one equation of whole numbers."""
    found = _STEP.fullmatch(text)
    return Equation(int(found[1]), found[2], int(found[3]), int(found[4])) if found else None


def apply(left: int, op: str, right: int) -> int | None:
    """Return `left op right`, None where it is not a positive whole number or `op` is unknown."""
    if op == "+":
        value = left + right
    elif op == "-":
        value = left - right
    elif op == "*":
        value = left * right
    else:
        value = left // right if op == "/" and right > 0 and left % right == 0 else 0
    return value if value > 0 else None


def after(state: State, equation: Equation) -> State:
    """Return the state that a step claims to leave: operands that are there leave, the claimed result enters."""
    rest = list(state)
    for operand in (equation.left, equation.right):
        if operand in rest:
            rest.remove(operand)
    return tuple(sorted((*rest, equation.result)))


@lru_cache(maxsize=1 << 16)
def moves(state: State) -> tuple[Equation, ...]:
    """Return every legal step from a sorted state, the larger operand first, without duplicates."""
    found: dict[Equation, None] = {}
    for i, right in enumerate(state):
        for left in state[i + 1 :]:
            for op in "+-*/":
                value = apply(left, op, right)
                if value is not None:
                    found[Equation(left, op, right, value)] = None
    return tuple(found)


@lru_cache(maxsize=1 << 19)
def _reach(state: State) -> int:
    """Return the targets (bit t for t in 1..99) that the whole sorted state can be combined into."""
    if len(state) == 1:
        return (1 << state[0]) & _TARGETS if state[0] <= MAX_TARGET else 0
    mask = 0
    for i, right in enumerate(state):
        for j in range(i + 1, len(state)):
            left = state[j]
            rest = (*state[:i], *state[i + 1 : j], *state[j + 1 :])
            for op in "+-*/":
                value = apply(left, op, right)
                if value is not None:
                    mask |= _reach(tuple(sorted((*rest, value))))
    return mask


def reachable(state: State, target: int) -> bool:
    """Return True if all the numbers, each once, can be combined into the target (1..99)."""
    return bool(_reach(tuple(sorted(state))) >> target & 1) and target > 0


def label(problem: Countdown, steps: Sequence[str]) -> tuple[StepLabel, ...]:
    """Label every step by itself, taking the state that the earlier steps claim to leave.

    Nothing can be said after a malformed step, so all steps from there on are `malformed`.
    """
    state = tuple(sorted(problem.numbers))
    labels: list[StepLabel] = []
    for text in steps:
        equation = parse_step(text)
        if equation is None or len(labels) == len(problem.numbers) - 1:
            break
        code = _judge(state, equation, problem.target)
        labels.append(StepLabel(code) if code != "ok" else OK)
        state = after(state, equation)
    return (*labels, *[StepLabel("malformed")] * (len(steps) - len(labels)))


def _judge(state: State, equation: Equation, target: int) -> str:
    rest = list(state)
    for operand in (equation.left, equation.right):
        if operand not in rest:
            return "not-available"
        rest.remove(operand)
    if equation.value != equation.result:
        return "bad-result"
    return "ok" if reachable((*rest, equation.result), target) else "unreachable"


def solved(problem: Countdown, steps: Sequence[str]) -> bool:
    """Return True if the steps are a whole solution with no wrong step."""
    return len(steps) == len(problem.numbers) - 1 and all(item.correct for item in label(problem, steps))


def solve(problem: Countdown, rng: random.Random | None = None) -> tuple[str, ...] | None:
    """Return one solution (each step drawn uniformly among the right ones if `rng` is given), None if there is none."""
    state = tuple(sorted(problem.numbers))
    steps: list[str] = []
    while len(state) > 1:
        right = [m for m in moves(state) if reachable(after(state, m), problem.target)]
        if not right:
            return None
        move = rng.choice(right) if rng else right[0]
        steps.append(move.render())
        state = after(state, move)
    return tuple(steps) if state == (problem.target,) else None


def _key(state: State, target: int) -> str:
    return f"countdown:{','.join(map(str, sorted(state)))}->{target}"


@lru_cache(maxsize=1 << 20)
def state_split(state: State, target: int) -> Split:
    """Return the split of a state of 3 or more numbers, read as a problem of its own, whatever its range."""
    return split_of(_key(state, target))


def state_keys(problem: Countdown, steps: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of the problem and of every later state that is a problem itself (3 or more numbers).

    Training leaves out a sample if any of these keys is held out: a 4-number sample whose 3-number state, with its
    target, is a test problem is never seen.
    """
    state = tuple(sorted(problem.numbers))
    keys = [problem.key]
    for text in steps:
        equation = parse_step(text)
        if equation is None:
            break
        state = after(state, equation)
        if len(state) >= 3:
            keys.append(_key(state, problem.target))
    return tuple(keys)


def generate(split: Split, seed: int, size: int = 3) -> Iterator[Countdown]:
    """Yield solvable problems of a split without end: a uniform multiset, then a uniform target within its reach.

    Args:
        split: which side of the held-out rule.
        seed: the same seed gives the same problems.
        size: 3 or 4 numbers.
    """
    rng = random.Random(f"countdown:{size}:{split}:{seed}")
    multisets = _multisets(size)
    while True:
        numbers = rng.choice(multisets)
        mask = _reach(numbers)
        targets = [t for t in range(1, MAX_TARGET + 1) if mask >> t & 1 and t not in numbers]
        if not targets:
            continue
        target = rng.choice(targets)
        if state_split(numbers, target) == split:
            yield Countdown(numbers, target)


@lru_cache(maxsize=2)
def _multisets(size: int) -> tuple[State, ...]:
    states: list[State] = [()]
    for _ in range(size):
        states = [(*s, n) for s in states for n in range(s[-1] if s else 1, MAX_NUMBER + 1)]
    return tuple(states)


def vote_key(problem: Countdown, steps: Sequence[str]) -> str | None:
    """Return the canonical expression of a whole attempt, None if it is unfinished or no expression.

    Sums and products are flattened and sorted, so that the order of independent steps and of commuting operands does
    not matter. A step with a wrong result stays an atom that shows its claim, so it never meets a right expression.
    """
    if len(steps) != len(problem.numbers) - 1:
        return None
    pool: list[tuple[int, _Node]] = [(n, _Node("atom", (str(n),), ())) for n in problem.numbers]
    for text in steps:
        equation = parse_step(text)
        if equation is None:
            return None
        taken: list[_Node] = []
        for operand in (equation.left, equation.right):
            at = next((i for i, (value, _) in enumerate(pool) if value == operand), None)
            if at is None:
                return None
            taken.append(pool.pop(at)[1])
        node = _combine(equation.op, *taken)
        if equation.value != equation.result:
            node = _Node("atom", (f"[{node.text()}={equation.result}]",), ())
        pool.append((equation.result, node))
    return pool[0][1].text()


@dataclass(frozen=True, slots=True)
class _Node:
    """A flattened sum (terms minus terms) or product (factors over factors), or one atom."""

    kind: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]

    def text(self) -> str:
        if self.kind == "atom":
            return self.plus[0]
        joins = (" + ", " - ") if self.kind == "sum" else (" * ", " / ")
        return "(" + joins[0].join(sorted(self.plus)) + "".join(joins[1] + term for term in sorted(self.minus)) + ")"


def _combine(op: str, left: _Node, right: _Node) -> _Node:
    kind = "sum" if op in "+-" else "product"
    plus, minus = (left.plus, left.minus) if left.kind == kind else ((left.text(),), ())
    more, less = (right.plus, right.minus) if right.kind == kind else ((right.text(),), ())
    if op in "-/":
        more, less = less, more
    return _Node(kind, (*plus, *more), (*minus, *less))
