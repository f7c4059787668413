"""A program is right where it passes its tests; votes compare programs without their layout."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from actorcritic.errors import InputError
from actorcritic.tasks import python_tests
from actorcritic.tasks.checkers import CHECKERS, checker_of, has_gold, label, verify, vote_key
from actorcritic.types import Problem, Reference, Solution, Step

PROBLEM = Problem(id="add", prompt="Write `add`.", checker="python-tests")
TESTS = Reference(answer="assert add(1, 2) == 3\nassert add(0, 0) == 0")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    python_tests._sandbox.cache_clear()
    yield
    python_tests._sandbox.cache_clear()


def solution_of(code: str, *, complete: bool = True) -> Solution:
    return Solution(steps=(Step(text="I add."), Step(text=f"```python\n{code}\n```")), complete=complete)


RIGHT = "def add(a, b):\n    return a + b  # the sum"


async def test_a_program_is_checked_by_its_tests() -> None:
    assert checker_of(PROBLEM) in CHECKERS and has_gold(PROBLEM, TESTS) and not has_gold(PROBLEM, Reference())
    assert label(PROBLEM, solution_of(RIGHT)) is None
    assert await verify(PROBLEM, solution_of(RIGHT), TESTS) is True
    assert await verify(PROBLEM, solution_of(RIGHT), Reference()) is None
    for wrong in ("def add(a, b):\n    return 3", "raise SystemExit(0)", "def add(a, b)", "print('all passed')"):
        assert await verify(PROBLEM, solution_of(wrong), TESTS) is False
    assert await verify(PROBLEM, solution_of(RIGHT, complete=False), TESTS) is False
    assert await verify(PROBLEM, None, TESTS) is False


async def test_without_bubblewrap_monty_checks_what_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert await verify(PROBLEM, solution_of(RIGHT), TESTS) is True
    assert await verify(PROBLEM, solution_of("def add(a, b):\n    yield a"), TESTS) is None


async def test_tests_that_are_none_are_an_input_error() -> None:
    with pytest.raises(InputError, match="there is no test"):
        await verify(PROBLEM, solution_of(RIGHT), Reference(answer="3"))


async def test_votes_compare_programs_without_their_layout() -> None:
    same = solution_of("def add(a,b): return (a+b)")
    assert await vote_key(PROBLEM, same) == await vote_key(PROBLEM, solution_of(RIGHT)) is not None
    assert await vote_key(PROBLEM, solution_of("def add(a")) is None
    assert await vote_key(PROBLEM, solution_of(RIGHT, complete=False)) is None
