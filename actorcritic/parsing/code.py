"""Finds the program in a solution, and the tests that a problem shows. Pure; runs nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Program", "find_program", "shown_tests"]

FENCE = re.compile(r"\s*(?P<fence>`{3,}|~{3,})\s*(?P<language>[\w+.-]*)")
LANGUAGES = frozenset({"", "py", "py3", "python", "python3"})
MAX_CODE = 100_000
"""Characters that are worth parsing."""
MAX_TEST_LINES = 30
"""That one assert statement may take."""


@dataclass(frozen=True, slots=True)
class Program:
    """The code of a solution."""

    code: str
    steps: tuple[int, ...]
    """Per line of the code, the index from 0 of the step that holds it."""

    def step_of(self, line: int | None) -> int:
        """Return the step that a line, counted from 1, is in; the program's first one where there is no such line."""
        return self.steps[line - 1] if line is not None and 1 <= line <= len(self.steps) else self.steps[0]


def find_program(steps: Sequence[str]) -> Program | None:
    """Return the last closed block of Python between fences; without any fence the whole text, if that is Python.

    A block may run over several steps. One that is not closed was cut off, and is no program.
    """
    lines = [(line, index) for index, text in enumerate(steps) for line in text.splitlines()]
    found: list[tuple[str, int]] | None = None
    block: list[tuple[str, int]] = []
    opened: re.Match[str] | None = None
    fenced = False
    for line, index in lines:
        fence = FENCE.match(line)
        if opened is None and fence:
            opened, block, fenced = fence, [], True
        elif opened is not None and line.strip() == opened["fence"]:
            if opened["language"].lower() in LANGUAGES and block:
                found = block
            opened = None
        elif opened is not None:
            block.append((line, index))
    if not fenced and _parses("\n".join(line for line, _ in lines)):
        found = lines
    if not found or opened is not None:
        return None
    return Program("\n".join(line for line, _ in found), tuple(index for _, index in found))


def shown_tests(text: str) -> str:
    """Return the assert statements that stand in a problem's text, each at the beginning of a line; "" without any."""
    lines = text[:MAX_CODE].splitlines()
    tests: list[str] = []
    index = 0
    while index < len(lines):
        taken = 1
        if lines[index].lstrip().startswith("assert "):
            for length in range(1, MAX_TEST_LINES + 1):
                candidate = "\n".join(lines[index : index + length]).strip()
                if _parses(candidate):
                    tests.append(candidate)
                    taken = length
                    break
        index += taken
    return "\n".join(tests)


def _parses(text: str) -> bool:
    if not text.strip() or len(text) > MAX_CODE:
        return False
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
