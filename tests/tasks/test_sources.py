"""Problem sets by name: held out by the published rule, different, the same every time."""

from __future__ import annotations

import hashlib

import pytest

from actorcritic.errors import InputError
from actorcritic.tasks import arithmetic, countdown, sources, sudoku
from actorcritic.tasks.checkers import checker_of
from actorcritic.tasks.sources import TASKS, draw_problems


def bucket(key: str) -> int:
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 10


@pytest.mark.parametrize("task", TASKS)
def test_test_problems_are_those_of_the_published_rule(task: str) -> None:
    problems = draw_problems(task, "test", 60)
    assert len({problem.id for problem in problems}) == len({problem.text for problem in problems}) == 60
    for problem in problems:
        puzzle = countdown.parse(problem.text) or sudoku.parse(problem.text) or arithmetic.parse(problem.text)
        assert puzzle is not None and bucket(puzzle.key) == 0
        assert problem.checker == checker_of(problem)
        solution = getattr(puzzle, "solution", None)
        assert solution is None or solution not in problem.id


@pytest.mark.parametrize("task", TASKS)
def test_sets_repeat_grow_and_do_not_meet(task: str) -> None:
    few, more = draw_problems(task, "test", 10), draw_problems(task, "test", 25)
    assert more[:10] == few
    assert draw_problems(task, "test", 25, seed=1) != more
    assert not {problem.id for problem in more} & {problem.id for problem in draw_problems(task, "dev", 25)}


def test_countdown_sizes() -> None:
    def sizes(task: str) -> list[int]:
        puzzles = [countdown.parse(problem.text) for problem in draw_problems(task, "test", 6)]
        return [len(puzzle.numbers) for puzzle in puzzles if puzzle is not None]

    assert sizes("countdown-3") == [3] * 6 and sizes("countdown-4") == [4] * 6 and sizes("countdown") == [3, 4] * 3


def test_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="unknown task 'chess'; choose from: countdown, countdown-3"):
        draw_problems("chess", "test", 1)
    with pytest.raises(InputError, match="at least 1, not 0"):
        draw_problems("sudoku", "test", 0)
    monkeypatch.setattr(sources, "GIVE_UP", 0)  # the first repeated problem ends it
    with pytest.raises(InputError, match="test problems, not 5000"):
        draw_problems("countdown-3", "test", 5000)
