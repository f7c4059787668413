"""Countdown: text, arithmetic, labels and votes agree with plain definitions."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.tasks import countdown
from actorcritic.tasks.countdown import Countdown, Equation
from actorcritic.tasks.heldout import split_of

CLASSIC = Countdown((7, 13, 14), 15)
numbers = st.lists(st.integers(1, 25), min_size=3, max_size=4).map(tuple)
targets = st.integers(1, 99)


def brute(state: tuple[int, ...]) -> set[int]:
    """Every value that the whole state can become, by trying each ordered pair."""
    if len(state) == 1:
        return {state[0]}
    found: set[int] = set()
    for i, j in itertools.permutations(range(len(state)), 2):
        rest = [state[k] for k in range(len(state)) if k not in (i, j)]
        left, right = state[i], state[j]
        values = [left + right, left - right, left * right] + ([left // right] if left % right == 0 else [])
        for value in values:
            if value > 0:
                found |= brute((*rest, value))
    return found


def test_text_as_published() -> None:
    assert countdown.parse("Use 7, 13 and 14 to make 15.") == CLASSIC
    assert CLASSIC.render() == "Use 7, 13 and 14 to make 15."
    assert Countdown((14, 7, 13), 15).key == "countdown:7,13,14->15"


@given(numbers, targets)
def test_problem_text_round_trip(values: tuple[int, ...], target: int) -> None:
    problem = Countdown(values, target)
    assert countdown.parse(problem.render()) == (None if target in values else problem)


@pytest.mark.parametrize(
    "text",
    [
        "Use 7 and 13 to make 15.",
        "Use 7, 13 and 26 to make 15.",
        "Use 0, 13 and 14 to make 15.",
        "Use 7, 13 and 14 to make 100.",
        "Use 7, 13 and 14 to make 13.",
        "Use 1, 2, 3, 4 and 5 to make 15.",
        "What is 7 + 8?",
        "",
    ],
)
def test_foreign_problems_are_refused(text: str) -> None:
    assert countdown.parse(text) is None


@pytest.mark.parametrize("text", ["14 / 7", "14 / 7 = ", "14 / 7 = 2 = 2", "14 : 7 = 2", "-1 + 3 = 2", "1.5 * 2 = 3"])
def test_foreign_steps_are_refused(text: str) -> None:
    assert countdown.parse_step(text) is None


@given(st.lists(st.integers(1, 25), min_size=1, max_size=4).map(tuple), targets)
def test_reachable_is_brute_force(state: tuple[int, ...], target: int) -> None:
    assert countdown.reachable(state, target) == (target in brute(state))


@given(numbers)
def test_moves_are_legal_and_leave_one_number_less(values: tuple[int, ...]) -> None:
    state = tuple(sorted(values))
    for move in countdown.moves(state):
        assert move.value == move.result > 0
        assert move.left >= move.right
        assert len(countdown.after(state, move)) == len(state) - 1


@given(numbers, targets, st.integers(0, 99))
def test_solve_solves_exactly_what_is_reachable(values: tuple[int, ...], target: int, seed: int) -> None:
    problem = Countdown(values, target)
    steps = countdown.solve(problem, random.Random(seed))
    assert (steps is not None) == countdown.reachable(values, target)
    if steps is not None:
        assert countdown.solved(problem, steps)
        assert countdown.vote_key(problem, steps) is not None


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        (("14 / 7 = 2", "13 + 2 = 15"), ("ok", "ok")),
        (("14 / 7 = 2", "2 + 13 = 15"), ("ok", "ok")),
        (("14 / 7 = 3", "13 + 3 = 16"), ("bad-result", "unreachable")),
        (("14 / 7 = 3", "13 + 2 = 15"), ("bad-result", "not-available")),
        (("14 + 7 = 21", "21 - 13 = 8"), ("unreachable", "unreachable")),
        (("14 + 14 = 28", "28 - 13 = 15"), ("not-available", "unreachable")),
        (("7 - 14 = 7", "13 + 7 = 20"), ("bad-result", "unreachable")),
        (("14 / 7 = 2", "so 15"), ("ok", "malformed")),
        (("14 / 7 = 2", "13 + 2 = 15", "15 * 1 = 15"), ("ok", "ok", "malformed")),
    ],
)
def test_every_line_has_its_own_label(steps: tuple[str, ...], codes: tuple[str, ...]) -> None:
    assert tuple(item.code for item in countdown.label(CLASSIC, steps)) == codes
    assert countdown.solved(CLASSIC, steps) == (codes == ("ok", "ok"))


def test_a_right_beginning_is_not_a_solution() -> None:
    assert not countdown.solved(CLASSIC, ("14 / 7 = 2",))
    assert not countdown.solved(CLASSIC, ())


def test_labels_depend_on_the_claimed_state_only() -> None:
    problem = Countdown((1, 2, 7, 9), 20)
    for first in countdown.moves((1, 2, 7, 9)):
        (label,) = countdown.label(problem, (first.render(),))
        left = countdown.after((1, 2, 7, 9), first)
        assert label.correct == (20 in brute(left))


def test_votes_meet_across_order_and_commuting() -> None:
    problem = Countdown((2, 3, 4, 5), 14)
    first = countdown.vote_key(problem, ("5 + 4 = 9", "3 + 2 = 5", "9 + 5 = 14"))
    second = countdown.vote_key(problem, ("2 + 5 = 7", "4 + 7 = 11", "11 + 3 = 14"))
    assert first == second is not None
    assert countdown.vote_key(problem, ("5 * 2 = 10", "4 + 3 = 7", "10 + 7 = 17")) != first


def test_a_false_claim_never_votes_with_the_truth() -> None:
    right = countdown.vote_key(CLASSIC, ("14 / 7 = 2", "13 + 2 = 15"))
    assert countdown.vote_key(CLASSIC, ("14 / 7 = 3", "13 + 3 = 16")) not in (None, right)
    assert countdown.vote_key(CLASSIC, ("14 / 7 = 2",)) is None
    assert countdown.vote_key(CLASSIC, ("14 / 7 = 2", "14 + 2 = 16")) is None


@pytest.mark.parametrize("size", [3, 4])
def test_generated_problems_are_solvable_in_range_and_of_their_split(size: int) -> None:
    for split in ("train", "dev", "test"):
        drawn = list(itertools.islice(countdown.generate(split, 5, size), 60))
        assert drawn == list(itertools.islice(countdown.generate(split, 5, size), 60))
        for problem in drawn:
            assert countdown.parse(problem.render()) == problem
            assert countdown.reachable(problem.numbers, problem.target)
            assert split_of(problem.key) == split
            assert len(problem.numbers) == size


def test_state_keys_name_the_problem_and_its_three_number_states() -> None:
    problem = Countdown((25, 5, 1, 15), 9)
    keys = countdown.state_keys(problem, ("25 + 15 = 40", "40 / 5 = 8", "8 + 1 = 9"))
    assert keys == ("countdown:1,5,15,25->9", "countdown:1,5,40->9")


@given(st.integers(0, 300), st.sampled_from("+-*/"), st.integers(0, 300))
def test_results_are_positive_whole_numbers_or_nothing(left: int, op: str, right: int) -> None:
    value = Equation(left, op, right, 1).value
    if value is None:
        assert op in "-/" or left * right == 0 or left + right == 0
    else:
        assert value > 0
        undo = {"+": value - right, "-": value + right, "/": value * right}.get(op)
        assert undo == left if op != "*" else value == left * right
