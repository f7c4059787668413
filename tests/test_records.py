"""Problem files: the gold side stands apart from what models may see."""

from __future__ import annotations

import json

import pytest

from actorcritic.errors import InputError
from actorcritic.records import parse_problems, problem_of

LINE = {"id": "a", "problem": "What is six times seven?", "answer": "42", "solution": "Seven sixes are 42."}


def test_gold_answer_and_solution_are_kept_apart() -> None:
    (record,) = parse_problems([json.dumps(LINE), ""], "f")
    problem, gold = record.split()
    assert (gold.answer, gold.solution) == ("42", "Seven sixes are 42.")
    assert "Seven sixes" not in repr(problem)


@pytest.mark.parametrize("name", ["answer", "solution"])
def test_an_app_hands_over_no_gold(name: str) -> None:
    with pytest.raises(InputError, match="carries a gold answer"):
        problem_of({"problem": "What is six times seven?", name: LINE[name]})


def test_an_unknown_field_is_refused_by_its_line() -> None:
    with pytest.raises(InputError, match=r"f, line 2: rationale: .*put fields of your own under meta"):
        list(parse_problems([json.dumps(LINE), json.dumps({**LINE, "id": "b", "rationale": ""})], "f"))
