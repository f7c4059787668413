"""Which held-out problem a row leads through: what a step leaves of a problem may be a problem of its own.

Reads every equation that a row shows or teaches, whoever wrote it (an attempt, a refinement, a student, a teacher's
monologue, a critique) and in whatever words, chats or the embedded pair's lines. So no recipe has to see to it. Knows
the families whose states are problems, no episode and no recipe.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, cast

from actorcritic.export.recipe import Row
from actorcritic.formats.lines import is_written
from actorcritic.tasks import arithmetic, countdown
from actorcritic.tasks.arithmetic import Arithmetic
from actorcritic.tasks.countdown import Countdown
from actorcritic.tasks.heldout import split_of
from actorcritic.templates import load_template
from actorcritic.types import JsonValue, Problem

__all__ = ["TOO_MANY", "equations_in", "heldout_passage"]

TOO_MANY = "too many ways to tell"
MOST_EQUATIONS, MOST_STATES = 200, 2000
"""What is followed of a text that no model would write but to be a nuisance."""

_Puzzle: TypeAlias = Countdown | Arithmetic

_OWN_LINE = re.compile(r"(\d{1,9}) ([-+*/]) (\d{1,9}) =?(\d{1,9})(?!\d)")
_EQUATION = re.compile(r"(?<!\d)(?<!\d\.)(\d{1,9})\s*([-+*/])\s*(\d{1,9})\s*=\s*(\d{1,9})(?!\d|\.\d)")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}")
_MARKUP = re.compile(r"\*\*|\\(?:boxed|left|right|mathbf|text)\b|[$`{}\\]")
_SIGNS = {r"\times": "*", r"\cdot": "*", r"\div": "/", "×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-"}


def heldout_passage(problem: Problem, row: Row) -> str | None:
    """Return the split of a held-out problem that a row leads through on the way of its own, None if there is none.

    A piece of text (a message, a completion) whose equations work the problem out to its end, each from what the one
    before it leaves, goes that way alone; it may go on from where an earlier piece came to, or repeat its beginning. In
    any other (unfinished, several solutions, a solution and what is said of it) every order of its equations counts,
    since nothing says which of them belong together; one with more of them than can be followed counts as well.
    """
    puzzle = countdown.parse(problem.text) or arithmetic.parse(problem.text)
    if puzzle is None:
        return None
    form = load_template(f"form_{type(puzzle).__name__.lower()}").text.strip()
    for pieces in _pieces(row, form):
        split = _split_on_the_way(puzzle, pieces)
        if split is not None:
            return split
    return None


def _pieces(row: Row, form: str) -> Iterator[list[list[str]]]:
    """Yield the equations of the prompt with those of each answer, chosen and rejected apart, a list per piece."""
    asked = _strings(row.columns.get("prompt")) if row.asked is None else [row.asked]
    answers = [_strings(value) for name, value in row.columns.items() if name != "prompt"]
    answers += [] if row.taught is None else [iter([row.taught])]

    def read(texts: Iterable[str]) -> list[list[str]]:
        # How answers are to be written is shown by an example, which is no step of anybody's.
        return [equations for text in texts if (equations := equations_in(text.replace(form, " ")))]

    before, after = read(asked), map(read, answers)
    yield from [[*before, *pieces] for pieces in after if pieces] or [before]


def _strings(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, JsonValue]", value).values():
            yield from _strings(item)
    elif isinstance(value, list) and not (value and isinstance(value[0], int)):
        for item in value:
            yield from _strings(item)


def equations_in(text: str) -> list[str]:
    """Return the equations of two whole numbers that stand in a text, such as `14 / 7 = 2`, in their order."""
    if is_written(text):
        found = _OWN_LINE.findall(text)
    else:
        text = _FRACTION.sub(r"\1 / \2", text)
        for sign, plain in _SIGNS.items():
            text = text.replace(sign, plain)
        found = _EQUATION.findall(_MARKUP.sub("", text))
    return [f"{left} {sign} {right} = {result}" for left, sign, right, result in found]


def _split_on_the_way(puzzle: _Puzzle, pieces: Iterable[Sequence[str]]) -> str | None:
    states: dict[_Puzzle, None] = {puzzle: None}
    for equations in pieces:
        ways = [way for way in (_in_order(state, equations) for state in states) if _is_one_way(way, states)]
        found = [state for way in ways for state in way] if ways else _in_any_order(states, equations)
        if found is None:
            return TOO_MANY
        states.update(dict.fromkeys(found))
    # The problem itself has passed already, by its own key.
    splits = (split_of(key) for state in states if state != puzzle and (key := _key(state)) is not None)
    return next((split for split in splits if split != "train"), None)


def _is_one_way(way: Sequence[_Puzzle], known: Collection[_Puzzle]) -> bool:
    """Whether equations in their order leave no room for another reading: they end the problem, or repeat a way."""
    return bool(way) and (_is_worked_out(way[-1]) or all(state in known for state in way))


def _in_order(state: _Puzzle, equations: Iterable[str]) -> list[_Puzzle]:
    """Return the states that equations lead to one after the other, this one first; empty where they do not.

    One that cannot be taken twice and is said again at once is only spoken of.
    """
    way, last = [state], ""
    for equation in equations:
        left = _after(way[-1], equation)
        if left is not None:
            way.append(left)
        elif equation != last:
            return []
        last = equation
    return way


def _in_any_order(states: Iterable[_Puzzle], equations: Iterable[str]) -> list[_Puzzle] | None:
    """Return every state that some of the equations lead to from any of these; None where they are too many."""
    distinct = tuple(dict.fromkeys(equations))
    found = dict.fromkeys(states)
    fresh = list(found)
    while fresh:
        if max(len(distinct) - MOST_EQUATIONS, len(found) - MOST_STATES) > 0:
            return None
        state = fresh.pop()
        for equation in distinct:
            left = _after(state, equation)
            if left is not None and left not in found:
                found[left] = None
                fresh.append(left)
    return list(found)


def _after(state: _Puzzle, equation: str) -> _Puzzle | None:
    """Return what an equation leaves by its own account, None where its numbers are not there."""
    if isinstance(state, Arithmetic):
        read = arithmetic.parse_step(equation)
        tree = None if read is None else arithmetic.after(state.tree, read)
        return None if tree is None else Arithmetic(tree)
    step = countdown.parse_step(equation)
    if step is None or Counter((step.left, step.right)) - Counter(state.numbers):
        return None
    return Countdown(countdown.after(state.numbers, step), state.target)


def _is_worked_out(state: _Puzzle) -> bool:
    return isinstance(state.tree, int) if isinstance(state, Arithmetic) else len(state.numbers) == 1


def _key(state: _Puzzle) -> str | None:
    """Return the key of a state that is a problem of its own, None where it is too small for one."""
    if isinstance(state, Countdown):
        return state.key if len(state.numbers) >= 3 else None
    if arithmetic.size(state.tree) not in arithmetic.OPERATIONS:
        return None
    return None if arithmetic.parse(state.expression) is None else state.key
