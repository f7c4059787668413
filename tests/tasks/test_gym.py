"""Problems of reasoning_gym: held out, the same every time, scored by their own verifiers, whatever is answered."""

from __future__ import annotations

import itertools
import math
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from actorcritic.answers.worker import Worker
from actorcritic.errors import InputError, ToolError
from actorcritic.tasks import gym
from actorcritic.tasks.checkers import checker_of, label, verify, vote_key
from actorcritic.tasks.heldout import split_of
from actorcritic.tasks.sources import draw_problems
from actorcritic.types import Problem, Reference, Solution, Step

installed = pytest.mark.skipif(find_spec("reasoning_gym") is None, reason="reasoning_gym is in the extra `tasks`")


def whole(answer: str | None, *, complete: bool = True) -> Solution:
    return Solution(steps=(Step(text="so"),), answer=answer, complete=complete)


def numbers(problem: Problem) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", problem.text)]


@installed
def test_problems_are_held_out_and_repeat() -> None:
    few, more = draw_problems("reasoning-gym:gcd", "test", 5), draw_problems("reasoning-gym:gcd", "test", 12)
    assert more[:5] == few and draw_problems("reasoning-gym:gcd", "test", 5, seed=1) != few
    for split in ("train", "dev", "test"):
        for problem in draw_problems("reasoning-gym:gcd", split, 5):
            assert split_of(gym.problem_key("gcd", problem.text)) == split
            assert checker_of(problem) == gym.CHECKER and label(problem, whole("1")) is None
            assert gym.origin_of(problem).name == "gcd"


@installed
async def test_only_the_full_score_is_right() -> None:
    problem = draw_problems("reasoning-gym:gcd", "test", 1)[0]
    right = str(math.gcd(*numbers(problem)))
    assert gym.score(problem, right) == 1.0
    assert 0 < gym.score(problem, f"It is {right}") < 1.0  # the library gives a part for an answer among other words
    assert await verify(problem, whole(right), Reference()) is True
    assert await verify(problem, whole(f"It is {right}"), Reference()) is False
    assert await verify(problem, whole(right, complete=False), Reference()) is False
    assert await verify(problem, whole(None), Reference()) is False
    assert await verify(problem, None, Reference()) is False
    assert await vote_key(problem, whole(" Forty  TWO. ")) == "forty two"
    assert await vote_key(problem, whole(None)) is None


@installed
def test_an_unknown_task_names_the_closest_ones() -> None:
    with pytest.raises(InputError, match="has no task 'sudok'; choose from: sudoku, mini_sudoku"):
        draw_problems("reasoning-gym:sudok", "test", 1)
    with pytest.raises(InputError, match=r"choose from: ab, acre, .*zebra_puzzles"):
        draw_problems("reasoning-gym:???", "test", 1)
    with pytest.raises(InputError, match="has no task 'composite'"):
        draw_problems("reasoning-gym:composite", "test", 1)


EVALUATING = ("spiral_matrix", "n_queens", "puzzle24", "polynomial_multiplication")
MORE = ("string_insertion", "binary_matrix", "countdown", "simple_integration", "intermediate_integration")


@installed
@pytest.mark.parametrize("task", [*EVALUATING, *(pytest.param(task, marks=pytest.mark.slow) for task in MORE)])
def test_an_answer_is_never_run(task: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    write = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    problem = next(gym.generate(task, "test", 0))
    for answer in (write, f"[{write}]"):
        assert gym.score(problem, answer) < 1.0
        assert not mark.exists()


@installed
@pytest.mark.slow
def test_every_task_makes_a_problem_that_two_processes_agree_on() -> None:
    for name in gym.names():
        problem = next(gym.generate(name, "test", 0))
        assert gym.score(problem, "?!") < 1.0, name


@installed
def test_a_task_whose_verifier_takes_any_answer_is_refused() -> None:
    assert "game_of_life_halting" not in gym.names()
    with pytest.raises(InputError, match="calls any answer right"):
        gym.generate("game_of_life_halting", "test", 0)


@installed
def test_answers_that_take_for_ever_or_kill_the_verifier_are_not_right(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = next(gym.generate("puzzle24", "test", 0))
    monkeypatch.setattr(gym, "_SCORER", Worker(gym._SCRIPT, limit=1.0, environment=gym._SAME))
    assert gym.score(problem, "9**9**9**9") == 0.0
    assert gym.score(problem, "1" * 100_000) == 0.0

    class Dead:
        def ask(self, question: object) -> None:
            raise ToolError("the worker process died")

    monkeypatch.setattr(gym, "_SCORER", Dead())
    assert gym.score(problem, "1") == 0.0


@installed
def test_a_problem_of_another_version_is_refused() -> None:
    problem = next(gym.generate("gcd", "test", 0))
    changed = Problem(id="p", prompt="Another question?", checker=gym.CHECKER, meta=problem.meta)
    with pytest.raises(InputError, match="made by another version of reasoning_gym"):
        gym.score(changed, "1")


@pytest.mark.parametrize("meta", [{}, {"name": "gcd", "seed": 0}, {"name": "gcd", "seed": -1, "index": 500}])
def test_a_problem_must_say_where_it_came_from(meta: dict[str, str | int]) -> None:
    with pytest.raises(InputError, match="needs the problem's meta: name, seed and index"):
        checker_of(Problem(id="p", prompt="q", checker=gym.CHECKER, meta=meta))


def test_without_the_library_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'actorcritic\[tasks\]'"):
        draw_problems("reasoning-gym:gcd", "test", 1)


def test_the_stream_goes_on_under_the_next_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Maker:
        def ask(self, question: dict[str, int]) -> dict[str, list[str]]:
            start = question["seed"] * gym.CHUNK + question["first"]
            return {"value": [f"Question {start + at}?" for at in range(question["count"])]}

    monkeypatch.setattr(gym, "_MAKER", Maker())
    drawn = list(itertools.islice(gym._generate("any", "test", 0), 120))
    assert {gym.origin_of(problem).seed for problem in drawn} == {0, 1, 2}
    assert len({problem.id for problem in drawn}) == 120


@pytest.mark.parametrize("reply", [{"error": "ValueError: no"}, {"late": True}, [], None])
def test_what_cannot_be_made_is_one_line(monkeypatch: pytest.MonkeyPatch, reply: object) -> None:
    class Maker:
        def ask(self, question: object) -> object:
            return reply

    monkeypatch.setattr(gym, "_MAKER", Maker())
    with pytest.raises(InputError) as caught:
        next(gym._generate("any", "test", 0))
    assert "\n" not in str(caught.value) and "cannot make problems of 'any'" in str(caught.value)
