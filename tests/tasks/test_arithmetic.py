"""Arithmetic: text, values, labels and votes agree with Python's own arithmetic."""

from __future__ import annotations

import itertools
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.metering import free_meter
from actorcritic.tasks import arithmetic
from actorcritic.tasks.arithmetic import Arithmetic, Equation
from actorcritic.tasks.checkers import checker_of, label, verify, vote_key
from actorcritic.tasks.heldout import split_of
from actorcritic.tasks.oracle import OracleCritic
from actorcritic.types import Problem, Reference, Solution, Step, Verdict

EXAMPLE = Arithmetic(((19, "-", ((3, "+", 9), "-", 4)), "+", 16))
RIGHT = ("3 + 9 = 12", "12 - 4 = 8", "19 - 8 = 11", "11 + 16 = 27")
puzzles = st.integers(0, 10_000).map(lambda seed: next(arithmetic.generate("train", seed)))


def python(text: str) -> int:
    """The value of an expression by Python's own rules; the text holds digits, brackets and operators only."""
    assert re.fullmatch(r"[-+*() \d]+", text)
    return int(eval(text))


def test_text_as_published() -> None:
    assert EXAMPLE.expression == "(19 - ((3 + 9) - 4)) + 16"
    assert EXAMPLE.key == "arithmetic:(19-((3+9)-4))+16"
    assert arithmetic.parse(EXAMPLE.render()) == arithmetic.parse("(19 - ((3 + 9) - 4)) + 16") == EXAMPLE
    assert arithmetic.solve(EXAMPLE) == RIGHT
    assert EXAMPLE.value == 27


@pytest.mark.parametrize("text", ["2 + 3 * 4 - 5 - 6", "2 * 3 + 4 * 5", "20 - (3 + 4) - 5", "((1 + 2)) * (3 + 4)"])
def test_brackets_may_be_left_out_where_they_say_nothing(text: str) -> None:
    puzzle = arithmetic.parse(text)
    assert puzzle is not None and puzzle.value == python(text) == python(puzzle.expression)
    assert arithmetic.parse(f"compute {text}.") == puzzle


@pytest.mark.parametrize(
    "text",
    [
        "1 + 2",  # one operation is a step
        "(1 + 2) + 21",
        "(0 + 2) + 3",
        "(1 - 2) + 3",
        "(20 * 5) - 4",
        "(10 * 9) + 10",
        "1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 1 + 1 + 1",
        "(1 + 2) + 3)",
        "((1 + 2) + 3",
        "(1 + 2) 3",
        "1 2 + 3 + 4",
        "1 + + 2 + 3",
        "-1 + 2 + 3",
        "1 / 1 + 2 + 3",
        "(" * 399,
        "1 + " * 90 + "1",
        "1234567 + 1 + 1",
        "Use 7, 13 and 14 to make 15.",
        "",
    ],
)
def test_foreign_problems_are_refused(text: str) -> None:
    assert arithmetic.parse(text) is None


@given(st.text(alphabet="0123456789+-*() .", max_size=40))
def test_whatever_is_read_has_the_value_that_python_gives(text: str) -> None:
    puzzle = arithmetic.parse(text)
    if puzzle is not None:
        assert puzzle.value == python(puzzle.expression)
        assert arithmetic.parse(puzzle.render()) == puzzle


@given(puzzles)
def test_the_solution_solves(puzzle: Arithmetic) -> None:
    steps = arithmetic.solve(puzzle)
    assert arithmetic.parse(puzzle.render()) == puzzle
    assert all(python(step.partition("=")[0]) == int(step.partition("=")[2]) for step in steps)
    assert all(0 <= int(step.partition("=")[2]) <= 99 for step in steps)
    assert arithmetic.solved(puzzle, steps) and not arithmetic.solved(puzzle, steps[:-1])
    assert arithmetic.vote_key(puzzle, steps) == str(puzzle.value) == str(python(puzzle.expression))
    assert arithmetic.vote_key(puzzle, steps[:-1]) is None
    assert arithmetic.vote_key(puzzle, (*steps, "1 + 1 = 2")) is None


@given(puzzles, st.integers(0, 99))
def test_any_order_of_operations_that_are_ready_solves(puzzle: Arithmetic, seed: int) -> None:
    rng, state, steps = random.Random(seed), puzzle.tree, list[str]()
    while not isinstance(state, int):
        left, op, right = rng.choice(arithmetic.ready(state))
        if op != "-" and rng.random() < 0.5:
            left, right = right, left
        equation = Equation(left, op, right, arithmetic.apply(left, op, right))
        changed = arithmetic.after(state, equation)
        assert changed is not None
        state = changed
        steps.append(equation.render())
    assert arithmetic.solved(puzzle, steps)


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        (RIGHT, ("ok", "ok", "ok", "ok")),
        (("9 + 3 = 12", *RIGHT[1:]), ("ok", "ok", "ok", "ok")),
        (("3 + 9 = 13", "13 - 4 = 9", "19 - 9 = 10", "10 + 16 = 26"), ("bad-result", "ok", "ok", "ok")),
        (("3 + 9 = 13", *RIGHT[1:]), ("bad-result", "not-available", "not-available", "not-available")),
        (("9 - 4 = 5", *RIGHT), ("not-available", "ok", "ok", "ok", "ok")),
        (("3 + 9 = 12", "4 - 12 = 8"), ("ok", "not-available")),
        (("3 + 9 = 12", "so 27"), ("ok", "malformed")),
        ((*RIGHT, "27 + 0 = 27"), ("ok", "ok", "ok", "ok", "not-available")),
    ],
)
def test_every_step_has_its_own_label(steps: tuple[str, ...], codes: tuple[str, ...]) -> None:
    assert tuple(item.code for item in arithmetic.label(EXAMPLE, steps)) == codes
    assert arithmetic.solved(EXAMPLE, steps) == (codes == ("ok",) * 4)


def test_a_mistake_votes_for_the_number_it_comes_to() -> None:
    assert arithmetic.vote_key(EXAMPLE, ("3 + 9 = 13", "13 - 4 = 9", "19 - 9 = 10", "10 + 16 = 26")) == "26"
    assert arithmetic.vote_key(EXAMPLE, ("3 + 9 = 13", *RIGHT[1:])) is None


def test_generated_problems_are_in_range_and_of_their_split() -> None:
    sizes: set[int] = set()
    for split in ("train", "dev", "test"):
        drawn = list(itertools.islice(arithmetic.generate(split, 5), 60))
        assert drawn == list(itertools.islice(arithmetic.generate(split, 5), 60))
        for puzzle in drawn:
            assert split_of(puzzle.key) == split
            assert all(1 <= int(operand) <= 20 for operand in re.findall(r"\d+", puzzle.expression))
            sizes.add(arithmetic.size(puzzle.tree))
    assert sizes == {6, 7, 8, 9, 10}


@given(puzzles)
def test_states_that_are_problems_themselves_are_named(puzzle: Arithmetic) -> None:
    steps = arithmetic.solve(puzzle)
    keys = arithmetic.state_keys(puzzle, steps)
    assert keys[0] == puzzle.key
    for key in keys:
        state = arithmetic.parse(key.removeprefix("arithmetic:"))
        assert state is not None and state.key == key and arithmetic.size(state.tree) >= 6
    assert arithmetic.trainable(puzzle, steps) == all(split_of(key) == "train" for key in keys)


def test_a_problem_over_a_held_out_state_is_left_out() -> None:
    allowed = {
        arithmetic.trainable(puzzle, arithmetic.solve(puzzle))
        for puzzle in itertools.islice(arithmetic.generate("train", 1), 60)
    }
    assert allowed == {True, False}


def solution(*steps: str, answer: str | None = None, complete: bool = True) -> Solution:
    return Solution(steps=tuple(Step(text=text) for text in steps), answer=answer, complete=complete)


async def test_the_checker_reads_steps_or_the_answer_of_a_solution_in_other_words() -> None:
    problem = Problem(id="a", prompt=EXAMPLE.render())
    assert checker_of(problem) == "arithmetic"
    gold = Reference()
    assert await verify(problem, solution(*RIGHT), gold) is True
    assert await verify(problem, solution(*RIGHT, complete=False), gold) is False
    assert await verify(problem, solution("Step 1: add", "It comes to 27.", answer="27"), gold) is True
    assert await verify(problem, solution("It comes to 28.", answer="28"), gold) is False
    # Whoever writes steps is judged by them.
    assert await verify(problem, solution("3 + 9 = 13", *RIGHT[1:], answer="27"), gold) is False
    assert await vote_key(problem, solution(*RIGHT)) == "27"
    assert await vote_key(problem, solution("It comes to 27.", answer="16 + 11 = 027")) == "27"
    assert await vote_key(problem, solution("It comes to that.", answer="a lot")) is None
    labels = label(problem, solution(*RIGHT))
    assert labels is not None and all(item.correct for item in labels)


async def test_the_oracle_names_the_wrong_step_and_why() -> None:
    problem = Problem(id="a", prompt=EXAMPLE.render())
    wrong = solution("3 + 9 = 12", "12 - 4 = 9", "19 - 9 = 10", "10 + 16 = 26")
    critique = await OracleCritic().critique(problem, wrong, meter=free_meter())
    assert (critique.first_error, critique.verdict, critique.oracle) == (1, Verdict.INCORRECT, True)
    assert critique.steps[1].explanation == "bad-result: 12 - 4 = 9"
    right = await OracleCritic().critique(problem, solution(*RIGHT), meter=free_meter())
    assert (right.verdict, right.score) == (Verdict.CORRECT, 1.0)
