"""Comparing answers: `exact` by their text, `math` by their value, through math-verify in a process of its own.

What cannot be parsed, is too long or takes too long is not equal to anything but the same text, and casts no vote.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from actorcritic.answers.extraction import normalise
from actorcritic.answers.worker import Worker
from actorcritic.errors import InputError, ToolError
from actorcritic.types import JsonValue

__all__ = ["CHECKERS", "Checker", "ExactChecker", "MathChecker", "equivalent", "vote_key"]

MAX_LENGTH = 1_000
"""Characters of an answer that is worth parsing."""

_INTEGER = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_NUMBER = re.compile(rf"(?P<sign>[-+]?)(?:\\?\$)?(?P<digits>(?:{_INTEGER}(?:\.\d+)?|\.\d+)(?:e[-+]?\d{{1,3}})?)")
_UNIT = re.compile(r"(?P<number>[^ ]*\d) (?P<unit>[a-z]{2,}(?: [a-z]{2,}){0,2})", re.IGNORECASE)
_NO_UNITS = frozenset("and or to not times plus minus over by percent dozen hundred thousand million billion".split())
_FRACTION = re.compile(
    r"(?P<sign>[-+]?)(?:(?P<over>\d+) ?/ ?(?P<under>\d+)|\\[dt]?frac ?\{(?P<top>\d+)\} ?\{(?P<bottom>\d+)\})"
)
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|textbf|mbox)\s?\{([^{}]*)\}")
_WORDS = re.compile(r"[^\W\d_]+(?:[ '’-]+[^\W\d_]+)*")
_CONSTANTS = frozenset({"e", "i", "infinity"})


class Checker(Protocol):
    """How the answers to a kind of problem are compared. An answer is text as `extract_answer` gives it."""

    @property
    def blocking(self) -> bool:
        """True where a call may take long enough to hold up an event loop."""
        ...

    def vote_key(self, answer: str) -> str | None:
        """Return the canonical form by which votes compare; None where the answer casts no vote."""
        ...

    def equivalent(self, answer: str, gold: str) -> bool:
        """Return whether an answer has been shown to equal the gold one. An oracle."""
        ...


class ExactChecker:
    """Compares texts without case, width, emphasis and runs of blank space."""

    blocking = False

    def vote_key(self, answer: str) -> str | None:
        """See `Checker.vote_key`."""
        return normalise(answer) or None

    def equivalent(self, answer: str, gold: str) -> bool:
        """See `Checker.equivalent`."""
        return normalise(answer) == normalise(gold) != ""


class MathChecker:
    r"""Compares values: `1/2`, `0.5` and `\frac{1}{2}` are equal.

    Plain numbers and words are compared here, all else in a process that starts with the first such answer. A decimal
    equals a gold value that agrees to 6 places, a percentage also its bare number: so far math-verify's rules go.

    Args:
        limit: seconds per comparison, > 0.
    """

    blocking = True

    def __init__(self, *, limit: float = 3.0) -> None:
        self._worker = Worker(Path(__file__).with_name("math_worker.py"), limit=limit)

    def vote_key(self, answer: str) -> str | None:
        """See `Checker.vote_key`.

        Raises:
            InputError: math-verify is not installed.
        """
        _require_math_verify()
        plain = _strip_text_commands(answer)
        if not _is_readable(plain):
            return None
        number = _plain_number(plain)
        if number is not None:
            return str(number)
        if _is_words(plain):
            return _words(plain)
        late, value = self._ask({"answer": answer})
        if late:
            return None
        return value if isinstance(value, str) else normalise(answer) or None

    def equivalent(self, answer: str, gold: str) -> bool:
        """See `Checker.equivalent`.

        Raises:
            InputError: math-verify is not installed.
        """
        _require_math_verify()
        if normalise(answer) == normalise(gold) != "":
            return True
        plain, right = _strip_text_commands(answer), _strip_text_commands(gold)
        if not _is_readable(plain) or not _is_readable(right):
            return False
        if _is_words(plain) or _is_words(right):
            return _words(plain) == _words(right)
        mine, theirs = _plain_number(plain), _plain_number(right)
        if mine is not None and theirs is not None and (mine == theirs or mine.denominator == theirs.denominator == 1):
            return mine == theirs
        return self._ask({"answer": answer, "gold": gold})[1] is True

    def close(self) -> None:
        """End the process; another comparison starts a new one."""
        self._worker.close()

    def _ask(self, question: Mapping[str, JsonValue]) -> tuple[bool, JsonValue]:
        """Return whether there was no answer in time, and the answer."""
        try:
            reply = self._worker.ask(question)
        except (TimeoutError, ToolError):
            return True, None
        # A library's error ("error" instead of "value") means that the text is no mathematics.
        return (True, None) if not isinstance(reply, dict) or "late" in reply else (False, reply.get("value"))


CHECKERS: Mapping[str, Checker] = {"math": MathChecker(), "exact": ExactChecker()}
"""The checkers that need no task, by the name that a problem gives."""

# Threads of our own: a slow comparison takes none from the pool that the application shares.
_THREADS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="answers")


async def vote_key(checker: Checker, answer: str | None) -> str | None:
    """Return the canonical form of an answer without holding up the event loop; None casts no vote."""
    if answer is None or not checker.blocking:
        return None if answer is None else checker.vote_key(answer)
    return await asyncio.get_running_loop().run_in_executor(_THREADS, checker.vote_key, answer)


async def equivalent(checker: Checker, answer: str | None, gold: str) -> bool:
    """Return whether an answer equals the gold one without holding up the event loop; none at all is not right."""
    if answer is None or not checker.blocking:
        return answer is not None and checker.equivalent(answer, gold)
    return await asyncio.get_running_loop().run_in_executor(_THREADS, checker.equivalent, answer, gold)


def _require_math_verify() -> None:
    if find_spec("math_verify") is None:
        raise InputError("the checker 'math' needs math-verify: install the extra, pip install 'actorcritic[math]'")


def _is_readable(text: str) -> bool:
    return 0 < len(text) <= MAX_LENGTH and all(unicodedata.category(char) not in {"Cc", "Cs", "Co"} for char in text)


def _strip_text_commands(text: str) -> str:
    return " ".join(_TEXT_COMMAND.sub(r"\1", text[: 2 * MAX_LENGTH]).split()) if len(text) <= MAX_LENGTH else text


def _plain_number(text: str) -> Fraction | None:
    """Read an integer, a decimal or a fraction of integers, with or without a unit in words; None for all else."""
    unit = _UNIT.fullmatch(text)
    if unit and not _NO_UNITS & set(unit["unit"].casefold().split()):
        text = unit["number"]
    number = _NUMBER.fullmatch(text)
    if number:
        return Fraction(number["sign"] + number["digits"].replace(",", ""))
    fraction = _FRACTION.fullmatch(text)
    under = int(fraction["under"] or fraction["bottom"]) if fraction else 0
    if fraction is None or under == 0:
        return None
    return Fraction(int(fraction["sign"] + (fraction["over"] or fraction["top"])), under)


def _words(text: str) -> str:
    return normalise(text).strip("(). ")


def _is_words(text: str) -> bool:
    """Say whether an answer is prose, such as a weekday or the letter of a choice, which LaTeX reads as a product.

    Two letters are taken for a product.
    """
    words = _words(text)
    return _WORDS.fullmatch(words) is not None and words not in _CONSTANTS and len(words) != 2
