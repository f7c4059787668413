"""4x4 sudoku: text, grids, labels and votes agree with plain definitions."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.tasks import sudoku
from actorcritic.tasks.heldout import split_of
from actorcritic.tasks.sudoku import Fill, Sudoku

PUZZLE = next(sudoku.generate("train", 1))
puzzles = st.integers(0, 10_000).map(lambda seed: next(sudoku.generate("train", seed)))


def fits(grid: str) -> bool:
    rows = [grid[i : i + 4] for i in range(0, 16, 4)]
    columns = ["".join(row[c] for row in rows) for c in range(4)]
    boxes = [rows[r][c : c + 2] + rows[r + 1][c : c + 2] for r in (0, 2) for c in (0, 2)]
    return all(sorted(unit) == list("1234") for unit in rows + columns + boxes)


def test_all_grids() -> None:
    assert len(set(sudoku.grids())) == 288
    assert all(fits(grid) for grid in sudoku.grids())


@given(puzzles)
def test_problem_text_round_trip(puzzle: Sudoku) -> None:
    assert sudoku.parse(puzzle.render()) == puzzle
    assert 4 <= 16 - len(puzzle.empty) <= 6


@pytest.mark.parametrize(
    "text",
    [
        "Fill the sudoku 1.../..2./.3../....",  # three clues
        "Fill the sudoku 1.../.1../..../.234",  # two in one box
        "Fill the sudoku 12../34../..../....",  # many solutions
        "Fill the sudoku 1.../..2./.3../4..5",
        "Fill the sudoku",
        "Use 7, 13 and 14 to make 15.",
    ],
)
def test_foreign_problems_are_refused(text: str) -> None:
    assert sudoku.parse(text) is None


def test_text_as_published() -> None:
    puzzle = sudoku.parse("Fill the sudoku 1.../..2./.3../4...")
    assert puzzle is None or puzzle.render() == "Fill the sudoku 1.../..2./.3../4..."
    assert sudoku.parse_step("r1c2 = 3") == Fill(1, 3)
    assert Fill(15, 4).render() == "r4c4 = 4"
    assert sudoku.parse_step("r5c1 = 3") is None


@given(puzzles)
def test_the_solution_is_the_only_grid_that_fits(puzzle: Sudoku) -> None:
    matching = [g for g in sudoku.grids() if all(c in (".", v) for c, v in zip(puzzle.clues, g, strict=True))]
    assert matching == [puzzle.solution]
    steps = sudoku.solve(puzzle)
    assert steps is not None
    assert sudoku.solved(puzzle, steps)
    assert sudoku.vote_key(puzzle, steps) == puzzle.solution
    assert not sudoku.solved(puzzle, steps[:-1])
    assert sudoku.vote_key(puzzle, steps[:-1]) is None


@given(puzzles, st.data())
def test_each_wrong_value_is_labelled_where_it_stands(puzzle: Sudoku, data: st.DataObject) -> None:
    steps = list(sudoku.solve(puzzle) or ())
    at = data.draw(st.integers(0, len(steps) - 1))
    right = sudoku.parse_step(steps[at])
    assert right is not None
    value = data.draw(st.sampled_from([v for v in range(1, 5) if v != right.value]))
    steps[at] = Fill(right.cell, value).render()
    labels = sudoku.label(puzzle, steps)
    assert [i for i, label in enumerate(labels) if not label.correct] == [at]
    before = [puzzle.clues[i] for i in sudoku.peers(right.cell)]
    before += [s[-1] for s in steps[:at] if (f := sudoku.parse_step(s)) and f.cell in sudoku.peers(right.cell)]
    assert labels[at].code == ("clash" if str(value) in before else "wrong-value")
    assert not sudoku.solved(puzzle, steps)


def test_cells_come_in_row_order() -> None:
    steps = list(sudoku.solve(PUZZLE) or ())
    steps[0], steps[1] = steps[1], steps[0]
    assert [label.code for label in sudoku.label(PUZZLE, steps)][:3] == ["wrong-cell", "wrong-cell", "ok"]
    assert sudoku.vote_key(PUZZLE, steps) is None
    assert [label.code for label in sudoku.label(PUZZLE, ["r1c2 is 4"])] == ["malformed"]


def test_a_puzzle_with_many_solutions_has_no_key_and_no_labels() -> None:
    loose = Sudoku("12..............")
    with pytest.raises(ValueError, match="single solution"):
        _ = loose.key
    with pytest.raises(ValueError, match="single solution"):
        sudoku.label(loose, ["r1c3 = 3"])


def test_splits_share_no_grid() -> None:
    for split in ("train", "dev", "test"):
        drawn = list(itertools.islice(sudoku.generate(split, 3), 60))
        assert drawn == list(itertools.islice(sudoku.generate(split, 3), 60))
        assert all(split_of(puzzle.key) == split for puzzle in drawn)
        assert all(puzzle.key == f"sudoku:{puzzle.solution}" for puzzle in drawn)


@given(puzzles, st.integers(1, 11))
def test_a_wrong_state_has_no_completion_so_it_is_no_other_problem(puzzle: Sudoku, at: int) -> None:
    steps = list(sudoku.solve(puzzle) or ())[:at]
    fill = sudoku.parse_step(steps[-1])
    assert fill is not None
    for value in range(1, 5):
        if value != fill.value:
            state = list(puzzle.clues)
            for step in steps:
                done = sudoku.parse_step(step)
                assert done is not None
                state[done.cell] = str(done.value)
            state[fill.cell] = str(value)
            assert Sudoku("".join(state)).solution is None
