"""The pair's own words: every puzzle and step is made of them, and comes back as a person reads it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.formats import lines
from actorcritic.formats.embedded import EmbeddedActorFormat
from actorcritic.tasks import arithmetic, countdown, sudoku
from actorcritic.types import FinishReason, Generation, Problem, Usage

FIRST_PAIR = 437
"""Words of the pair that was made before arithmetic; their ids are in its weights."""


def tokens_of(text: str) -> list[str]:
    """Cut at every blank, which stays with its word."""
    return [word for word in text.replace(" ", " \0").replace("\n", "\n\0").split("\0") if word]


def test_a_pair_has_the_words_of_its_families_under_the_ids_of_all() -> None:
    words = lines.vocabulary()
    every = {word: at for at, word in enumerate(words)}
    assert lines.words_of(("countdown", "sudoku", "arithmetic")) == every
    older, alone = lines.words_of(("countdown", "sudoku")), lines.words_of(("arithmetic",))
    assert list(older) == list(words[: len(older)]) and lines.known_families(older) == ("countdown", "sudoku")
    assert alone.items() < every.items() and lines.known_families(alone) == ("arithmetic",)


def test_vocabulary_is_a_set_with_one_blank_each() -> None:
    words = lines.vocabulary()
    assert len(set(words)) == len(words)
    assert words.index("<pad>") == 0
    assert words.index(lines.END) == 1
    assert all(w.startswith("<") or (w[-1] in " \n" and not any(c.isspace() for c in w[:-1])) for w in words)


def test_words_of_new_families_come_after_those_of_the_first_pair() -> None:
    words = lines.vocabulary()
    assert words[FIRST_PAIR - 1] == "255 " and words[FIRST_PAIR] == "compute "
    assert lines.known_families(words[:FIRST_PAIR]) == ("countdown", "sudoku")
    assert lines.known_families(words) == ("countdown", "sudoku", "arithmetic")
    assert lines.known_families(()) == ()


def draw(family: str, seed: int) -> tuple[lines.Puzzle, tuple[str, ...]]:
    """Return a puzzle and its solution."""
    if family == "sudoku":
        grid = next(sudoku.generate("train", seed))
        return grid, sudoku.solve(grid) or ()
    if family == "arithmetic":
        expression = next(arithmetic.generate("train", seed))
        return expression, arithmetic.solve(expression)
    numbers = next(countdown.generate("train", seed, int(family[-1])))
    return numbers, countdown.solve(numbers, random.Random(seed)) or ()


@given(st.integers(0, 500), st.sampled_from(["countdown-3", "countdown-4", "sudoku", "arithmetic"]))
def test_prompts_and_lines_are_made_of_known_tokens_only(seed: int, family: str) -> None:
    puzzle, steps = draw(family, seed)
    assert family.startswith(lines.family_name(puzzle)) and lines.parse_problem(puzzle.render()) is not None
    written = lines.render_lines(puzzle, steps)
    assert len(steps) == lines.step_count(puzzle)
    if len(written) < len(steps):
        assert any(n > lines.MAX_VALUE for s in steps if (e := countdown.parse_step(s)) for n in (e.left, e.result))
    text = lines.critic_prompt(puzzle, written)
    assert set(tokens_of(text)) <= set(lines.vocabulary())
    whole = Generation(text="".join(written), finish_reason=FinishReason.STOP, usage=Usage())
    read = EmbeddedActorFormat().read(Problem(id="x", prompt=puzzle.render()), None, whole)
    assert [countdown.parse_step(s.text) or s.text for s in read.steps] == [
        countdown.parse_step(s) or s for s in steps[: len(written)]
    ]
    assert read.raw == "".join(written)
    assert read.complete == (len(written) == len(steps))


@given(st.integers(0, 500))
def test_brackets_that_belong_together_carry_one_number(seed: int) -> None:
    puzzle, _ = draw("arithmetic", seed)
    open_: list[str] = []
    for word in tokens_of(lines.problem_prompt(puzzle)):
        if word.startswith("("):
            open_.append(word[1:])
            assert word[1:] == f"{len(open_)} "
        elif word.startswith(")"):
            assert open_.pop() == word[1:]
    assert not open_


@pytest.mark.parametrize("step", ["3 + 9 = 100", "12 - 14 = -2", "100 - 4 = 96", "3 / 3 = 1", "twelve"])
def test_an_arithmetic_step_without_words_ends_the_lines(step: str) -> None:
    puzzle = arithmetic.parse("Work out (19 - ((3 + 9) - 4)) + 16")
    assert puzzle is not None
    assert lines.render_lines(puzzle, ("3 + 9 = 12", step, "19 - 8 = 11")) == ("3 + 9 =12\n",)
