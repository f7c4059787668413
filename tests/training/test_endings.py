from __future__ import annotations

import pytest

from actorcritic.formats.lines import (
    critic_prompt,
    parse_problem,
    problem_prompt,
    reject_block,
    render_lines,
    step_count,
)
from actorcritic.training.endings import ends

SOLUTIONS = {
    "Use 2, 3 and 7 to make 23.": ["7 * 3 = 21", "21 + 2 = 23"],
    "Use 2, 3, 7 and 9 to make 32.": ["7 * 3 = 21", "21 + 2 = 23", "23 + 9 = 32"],
    "Fill the sudoku 1.../..2./.3../4...": [
        f"r{cell // 4 + 1}c{cell % 4 + 1} = 1" for cell, clue in enumerate("1.....2..3..4...") if clue == "."
    ],
    "Work out (19 - ((3 + 9) - 4)) + 16": ["3 + 9 = 12", "12 - 4 = 8", "19 - 8 = 11", "11 + 16 = 27"],
}


@pytest.mark.parametrize("text", SOLUTIONS)
def test_only_the_last_step_ends(text: str) -> None:
    puzzle = parse_problem(text)
    assert puzzle is not None
    lines = render_lines(puzzle, SOLUTIONS[text])
    assert len(lines) == step_count(puzzle)
    asked = problem_prompt(puzzle)
    assert ends(asked, "".join(lines))
    for done in range(len(lines)):
        before = asked + "".join(lines[:done])
        assert ends(before, lines[done]) == (done == len(lines) - 1)
        assert ends(before, "".join(lines[done:]))
        told = before + reject_block(lines[done], "wrong")
        assert ends(told, "".join(lines[done:]))
        assert ends(told, lines[done]) == (done == len(lines) - 1)
    assert ends(critic_prompt(puzzle, lines[:1]), "ok\n")


def test_a_text_of_any_other_kind_is_whole() -> None:
    assert ends("What is 2 + 2?", "4")
