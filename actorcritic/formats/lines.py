"""The embedded pair's own words, and puzzles and steps written in them.

Every token is a word with its own trailing blank or newline, so pieces of text join without loss. A countdown line is
`14 / 7 2 13 =15`: operands, result, the other numbers left, the target again. A sudoku line is one token, `r1c2=3`. An
arithmetic line is `3 + 9 =12`; in the expression every bracket carries its depth, `(2 3 + 9 )2`. Pure: knows no
engine, no checker and no critique.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from actorcritic.tasks import arithmetic, countdown, sudoku
from actorcritic.tasks.arithmetic import Arithmetic
from actorcritic.tasks.countdown import Countdown
from actorcritic.tasks.sudoku import Sudoku

__all__ = [
    "ACCEPT",
    "END",
    "MAX_VALUE",
    "REASONS",
    "Puzzle",
    "critic_prompt",
    "family_name",
    "is_written",
    "known_families",
    "parse_problem",
    "problem_prompt",
    "read_line",
    "reject_block",
    "render_lines",
    "step_count",
    "vocabulary",
    "words_of",
]

Puzzle: TypeAlias = Countdown | Sudoku | Arithmetic

MAX_VALUE = 255
"""The largest number with a token; a line with a larger one cannot be put to the models."""
END = "<eos>"
ACCEPT = "ok"
REASONS: Mapping[str, str] = {
    "bad-result": "the result of {step} is wrong",
    "not-available": "{step} uses a number that is not there to use",
    "unreachable": "after {step} the target is out of reach",
    "clash": "{step} clashes with the same value in its row, column or box",
    "wrong-value": "{step} leaves no way to fill the rest",
    "wrong": "{step} is not right",
}
"""Reason codes a critic may give, and how they are told to a person. `wrong` stands for any other critic's reason."""

_HEADS: Mapping[str, str] = {"countdown": "numbers ", "sudoku": "sudoku ", "arithmetic": "compute "}
"""The word that begins every text about a problem, per family: a pair without it does not know the family."""
_FILL, _GO, _JUDGE, _REJECT = "fill\n", "=?\n", "judge\n", "reject "
_LINE = re.compile(r"(\d+) ([-+*/]) (\d+) (\d+) (?:\d+ )*(?:=\d+\n)?")
_CELL = re.compile(r"r([1-4])c([1-4])=([1-4])\n")
_OPERATION = re.compile(r"(\d+) ([-+*]) (\d+) =(\d+)\n")


def vocabulary() -> tuple[str, ...]:
    """Return every token in id order; ids 0 and 1 are padding and the end token.

    New words come last, so that the ids of an older pair stay what they were.
    """
    words = ["<pad>", END, "<unk>", _HEADS["countdown"], _HEADS["sudoku"], _FILL, _JUDGE, _REJECT, f"{ACCEPT}\n"]
    words += [f"{code}\n" for code in REASONS]
    words += [f"{op} " for op in "+-*/"]
    words += [f"r{r}c{c}={v}\n" for r in range(1, 5) for c in range(1, 5) for v in range(1, 5)]
    words += [f"={target}\n" for target in range(1, countdown.MAX_TARGET + 1)]
    words += [f"{number} " for number in range(1, MAX_VALUE + 1)]
    words += [_HEADS["arithmetic"], _GO, "0 ", "=0\n"]
    words += [f"{bracket}{depth} " for depth in range(1, arithmetic.MAX_DEPTH + 1) for bracket in "()"]
    return tuple(words)


def is_written(text: str) -> bool:
    """Return whether a text is made of the pair's own words alone, each with its blank or newline."""
    pieces = _PIECE.findall(text)
    return "".join(pieces) == text and _WORDS.issuperset(pieces)


def words_of(families: Collection[str]) -> Mapping[str, int]:
    """Return the tokens of a pair that is made for these families, with their ids, which are those of `vocabulary()`.

    Left out are the words that begin a problem of any other family, and what only later families than these use.
    """
    words = vocabulary()
    others = {head for name, head in _HEADS.items() if name not in families}
    count = len(words) if "arithmetic" in families else words.index(_HEADS["arithmetic"])
    return {word: at for at, word in enumerate(words[:count]) if word not in others}


def known_families(words: Collection[str]) -> tuple[str, ...]:
    """Return the families that a pair with these words was made for."""
    return tuple(name for name, head in _HEADS.items() if head in words)


_PIECE = re.compile(r"\S+[ \n]")
_WORDS = frozenset(vocabulary())


def family_name(puzzle: Puzzle) -> str:
    """Return the family of a puzzle: countdown, sudoku or arithmetic."""
    return type(puzzle).__name__.lower()


def parse_problem(text: str) -> Puzzle | None:
    """Read a problem text of any family; None if it is of none."""
    return countdown.parse(text) or sudoku.parse(text) or arithmetic.parse(text)


def step_count(puzzle: Puzzle) -> int:
    """Return how many steps a whole solution has."""
    match puzzle:
        case Countdown():
            return len(puzzle.numbers) - 1
        case Sudoku():
            return len(puzzle.empty)
        case Arithmetic():
            return arithmetic.size(puzzle.tree)


def problem_prompt(puzzle: Puzzle) -> str:
    """Return the beginning of every text about a problem."""
    head = _HEADS[family_name(puzzle)]
    match puzzle:
        case Countdown():
            return f"{head}{_state_text(tuple(sorted(puzzle.numbers)))}={puzzle.target}\n"
        case Sudoku():
            clues = [f"r{i // 4 + 1}c{i % 4 + 1}={v}\n" for i, v in enumerate(puzzle.clues) if v != "."]
            return f"{head}{''.join(clues)}{_FILL}"
        case Arithmetic():
            return f"{head}{_expression_text(puzzle.tree, 0)}{_GO}"


def _state_text(state: Sequence[int]) -> str:
    return "".join(f"{n} " for n in state)


def _expression_text(tree: arithmetic.Tree, depth: int) -> str:
    """Return an expression with its brackets numbered by depth, which tells at once which two belong together."""
    if isinstance(tree, int):
        return f"{tree} "
    inside = f"{_expression_text(tree[0], depth + 1)}{tree[1]} {_expression_text(tree[2], depth + 1)}"
    return f"({depth} {inside}){depth} " if depth else inside


def render_lines(puzzle: Puzzle, steps: Sequence[str]) -> tuple[str, ...]:
    """Return the model-side line of each step, up to the first step that the models have no words for."""
    begun = steps[: step_count(puzzle)]
    match puzzle:
        case Countdown():
            return _countdown_lines(puzzle, begun)
        case Sudoku():
            return _while_readable(begun, _sudoku_line)
        case Arithmetic():
            return _while_readable(begun, _arithmetic_line)


def _while_readable(steps: Sequence[str], line_of: Callable[[str], str | None]) -> tuple[str, ...]:
    lines: list[str] = []
    for text in steps:
        line = line_of(text)
        if line is None:
            break
        lines.append(line)
    return tuple(lines)


def _sudoku_line(text: str) -> str | None:
    fill = sudoku.parse_step(text)
    return f"r{fill.cell // 4 + 1}c{fill.cell % 4 + 1}={fill.value}\n" if fill else None


def _arithmetic_line(text: str) -> str | None:
    equation = arithmetic.parse_step(text)
    if equation is None or not 0 <= equation.result <= arithmetic.MAX_VALUE:
        return None
    if max(equation.left, equation.right) > arithmetic.MAX_VALUE:
        return None
    return f"{equation.left} {equation.op} {equation.right} ={equation.result}\n"


def _countdown_lines(puzzle: Countdown, steps: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of a countdown attempt.

    Restating the numbers left is bookkeeping: an operand that is not there is simply not removed, which says nothing
    about the step beyond what it shows itself.
    """
    lines: list[str] = []
    state = tuple(sorted(puzzle.numbers))
    for text in steps:
        equation = countdown.parse_step(text)
        if equation is None or not _has_words(equation):
            break
        left, right = equation.left, equation.right
        if equation.op in "+*" and left < right:
            left, right = right, left
        state = countdown.after(state, equation)
        rest = list(state)
        rest.remove(equation.result)
        tail = f"{_state_text(rest)}={puzzle.target}\n" if len(lines) + 1 < step_count(puzzle) else ""
        lines.append(f"{left} {equation.op} {right} {equation.result} {tail}")
    return tuple(lines)


def _has_words(equation: countdown.Equation) -> bool:
    return all(1 <= n <= MAX_VALUE for n in (equation.left, equation.right, equation.result))


def critic_prompt(puzzle: Puzzle, lines: Sequence[str]) -> str:
    """Return what the critic reads before it answers one verdict token per line."""
    return f"{problem_prompt(puzzle)}{''.join(lines)}{_JUDGE}"


def reject_block(line: str, code: str) -> str:
    """Return the critique of one rejected line as the actor reads it, between the kept lines and the new ones."""
    found = _LINE.fullmatch(line)
    return f"{_REJECT}{f'{found[1]} {found[2]} {found[3]} {found[4]} ' if found else line}{code}\n"


def read_line(raw: str) -> str:
    """Return the step that a person reads; unreadable text stays as it is."""
    found = _LINE.fullmatch(raw) or _OPERATION.fullmatch(raw)
    if found:
        return countdown.Equation(int(found[1]), found[2], int(found[3]), int(found[4])).render()
    found = _CELL.fullmatch(raw)
    if found:
        return f"r{found[1]}c{found[2]} = {found[3]}"
    return raw.strip()
