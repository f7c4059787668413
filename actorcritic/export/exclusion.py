"""Which problems training may not see: those of the published held-out rule, and those of named benchmarks.

A problem counts as a benchmark's if their normalised words are equal, or if they share a run of 13 words (Brown et al.
2020, arXiv 2005.14165, appendix C). As there, runs that stand in more than 10 of the run's own problems are boilerplate
and prove nothing; a problem of fewer than 13 words is compared as a whole. Knows no row and no recipe.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from actorcritic.records import read_problems
from actorcritic.tasks import arithmetic, countdown, gym, sudoku
from actorcritic.tasks.heldout import KEY, split_of
from actorcritic.types import Problem, Solution

__all__ = ["PASSES", "Exclusion", "heldout_keys", "heldout_state", "read_benchmarks", "words_of"]

RUN_OF_WORDS = 13
BOILERPLATE = 10
"""A run of words in more problems than this is a form of words, not a problem."""

PASSES = "passes through a problem held out by the published rule ({})"
"""Why a row is dropped, with the split of the problem that stands on its way."""

_WORD = re.compile(r"\w+|[^\w\s]")
_PUNCTUATION = frozenset(".,;:!?\"'`“”‘’()[]{}$\\")


def words_of(text: str) -> tuple[str, ...]:
    """Return a text's words and numbers without case; punctuation is left out, signs of mathematics are words."""
    return tuple(word for word in _WORD.findall(text.casefold()) if word not in _PUNCTUATION)


def heldout_keys(problem: Problem) -> tuple[str, ...]:
    """Return a problem's keys of the published held-out rule: the one that it names, and those that its text has.

    Every one counts, so that a name given to a problem takes no test problem out of the rule.
    """
    named = problem.meta.get(KEY)
    keys = (
        named if isinstance(named, str) else None,
        gym.key_of(problem),
        *(read(problem.text) for read in (_countdown_key, _arithmetic_key, _sudoku_key)),
    )
    return tuple(dict.fromkeys(key for key in keys if key is not None))


def heldout_state(problem: Problem, solution: Solution) -> str | None:
    """Return the split of a held-out problem that a solution makes of its own on the way, None where there is none.

    What four numbers leave after a step is a problem of three, which may be a test problem: training never sees that
    one either.
    """
    steps = [step.text for step in solution.steps]
    for task in (countdown, arithmetic):
        keys = _state_keys(task, problem.text, steps)
        if keys:
            return next((split for key in keys if (split := split_of(key)) != "train"), None)
    return None


def _state_keys(task: ModuleType, text: str, steps: Sequence[str]) -> tuple[str, ...]:
    puzzle = task.parse(text)
    keys: tuple[str, ...] = () if puzzle is None else task.state_keys(puzzle, steps)
    return keys


def _arithmetic_key(text: str) -> str | None:
    expression = arithmetic.parse(text)
    return None if expression is None else expression.key


def _countdown_key(text: str) -> str | None:
    puzzle = countdown.parse(text)
    return None if puzzle is None else puzzle.key


def _sudoku_key(text: str) -> str | None:
    puzzle = sudoku.parse(text)
    return None if puzzle is None or puzzle.solution is None else puzzle.key


class Exclusion:
    """Says of a problem whether training may see it.

    Args:
        benchmarks: By name, the texts of the problems that must not be trained on.
        problems: The texts of the run's own problems, for telling boilerplate.
    """

    def __init__(self, benchmarks: Mapping[str, Iterable[str]], problems: Iterable[str]) -> None:
        self._whole: dict[tuple[str, ...], str] = {}
        self._runs: dict[tuple[str, ...], str] = {}
        for name, texts in benchmarks.items():
            for text in texts:
                words = words_of(text)
                self._whole.setdefault(words, name)
                for run in _runs(words):
                    self._runs.setdefault(run, name)
        # Without benchmarks there is nothing to compare with, and nothing to count.
        counts = Counter(run for text in problems for run in set(_runs(words_of(text)))) if self._runs else Counter()
        for run, count in counts.items():
            if count > BOILERPLATE:
                self._runs.pop(run, None)

    def reason(self, problem: Problem) -> str | None:
        """Return why training may not see a problem, None where it may."""
        for split in map(split_of, heldout_keys(problem)):
            if split != "train":
                return f"held out by the published rule ({split})"
        words = words_of(problem.text)
        name = self._whole.get(words) or next((self._runs[run] for run in _runs(words) if run in self._runs), None)
        return None if name is None else f"near-duplicate of a problem in {name}"


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(len(words) - RUN_OF_WORDS + 1):
        yield tuple(words[start : start + RUN_OF_WORDS])


def read_benchmarks(files: Iterable[Path]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Read problem files to exclude.

    Returns:
        The problems' texts by the file's name, and the files' SHA-256 by the same name.

    Raises:
        InputError: a file cannot be read.
    """
    texts: dict[str, list[str]] = {}
    digests: dict[str, str] = {}
    for file in files:
        records = [record.split()[0] for record in read_problems(file)]
        texts.setdefault(file.name, []).extend(problem.text for problem in records)
        digests[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return texts, digests
