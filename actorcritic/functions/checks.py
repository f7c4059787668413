"""What a caller's functions may do and return: whatever they raise becomes data, what no search can use is refused.

Knows no search and no log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from inspect import isawaitable, iscoroutine
from typing import NamedTuple, cast

from actorcritic.errors import InputError
from actorcritic.functions.results import CallFailure
from actorcritic.scores import read_score as checked_score

__all__ = [
    "Broken",
    "Judgement",
    "Refusal",
    "WrongScore",
    "caught",
    "plain",
    "read_judgement",
    "read_score",
    "refuse_scale",
    "same",
]


class Refusal(InputError):
    """A caller's function did what no search can work with; ends the search, unlike what the function raises."""


class WrongScore(InputError):
    """A judge gave a score that is no number in [0, 1]; the value stands, unscored, unless it is the first score."""


class Broken(Exception):
    """A call of a caller's function failed; carries what it raised."""

    def __init__(self, where: str, error: Exception) -> None:
        super().__init__(str(error))
        self.where = where
        self.error = error


class Judgement(NamedTuple):
    """What is thought of a value."""

    score: float | None = None
    feedback: object = None


@contextmanager
def caught(where: str) -> Generator[None]:
    """Turn whatever a caller's function raises into a `Broken`; being cancelled from outside is none of it."""
    try:
        yield
    except Refusal:
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Broken(where, RuntimeError("it was cancelled from within")) from error
    except Exception as error:
        raise Broken(where, error) from error


def plain(where: str, result: object) -> object:
    """Refuse what would have to be awaited."""
    if isawaitable(result):
        if iscoroutine(result):
            result.close()
        raise Refusal(f"{where} must be a plain function, not an asynchronous one")
    return result


def read_judgement(said: object, where: str, *, feedback: bool) -> Judgement:
    """Return what a judge said: a score, or with `feedback` a pair of a score and the feedback.

    Raises:
        Refusal: it is no pair.
        Broken: the score is no number in [0, 1].
    """
    if not feedback:
        return Judgement(read_score(said, where))
    if not isinstance(said, tuple) or len(cast("tuple[object, ...]", said)) != 2:
        raise Refusal(f"{where} returned {said!r:.60}: it must return a pair of a score and the feedback")
    score, words = cast("tuple[object, object]", said)
    return Judgement(read_score(score, where), words)


def read_score(raw: object, where: str) -> float | None:
    """Return a score as a number in [0, 1]; None = unscored.

    Raises:
        Broken: it is anything else.
    """
    try:
        return checked_score(raw, f"{where} returned")
    except InputError as error:
        raise Broken(where, WrongScore(str(error))) from error


def refuse_scale(index: int, failures: Sequence[CallFailure]) -> None:
    """End a search in which this candidate has the first score of all, and that is none: the scale is wrong.

    Raises:
        Refusal: says what a score is.
    """
    for failure in failures:
        if failure.index == index and failure.failure.type == WrongScore.__name__:  # in this run or in an earlier one
            raise Refusal(str(failure.error)) from failure.error


def same(key: object, known: object) -> bool:
    """Return whether two answers are one."""
    try:
        return key is known or bool(key == known)
    except Exception as error:
        raise Refusal(f"answers of type {type(key).__name__} cannot be compared: give a key") from error
