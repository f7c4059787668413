"""The packaged demo problems are held out, solvable and of both families."""

from __future__ import annotations

from actorcritic.records import read_problems
from actorcritic.tasks import countdown, sudoku
from actorcritic.tasks.heldout import split_of
from tests.house.source import ROOT

DEMO = ROOT / "actorcritic" / "problems" / "demo.jsonl"


def test_demo_problems_are_held_out_and_solvable() -> None:
    families = set[str]()
    for record in read_problems(DEMO):
        assert isinstance(record.problem, str)
        if numbers := countdown.parse(record.problem):
            assert split_of(numbers.key) == "test"
            assert countdown.solve(numbers)
            families.add("countdown")
        else:
            grid = sudoku.parse(record.problem)
            assert grid is not None
            assert split_of(grid.key) == "test"
            assert sudoku.solve(grid)
            families.add("sudoku")
        assert record.checker in families
    assert families == {"countdown", "sudoku"}


def test_make_demo_runs_them() -> None:
    assert str(DEMO.relative_to(ROOT)) in (ROOT / "Makefile").read_text(encoding="utf-8")
