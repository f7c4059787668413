"""Two answers are compared by value or by text, and what goes wrong is a message."""

from __future__ import annotations

import pytest
from langchain_core.tools import BaseTool

from actorcritic.answers import CHECKERS
from actorcritic.errors import InputError, ToolError
from actorcritic.tools import check_answer_tool
from actorcritic.tools.check_answer import CheckerName, check_answer

CASES: list[tuple[str, str, CheckerName, bool]] = [
    ("1/2", "0.5", "math", True),
    (r"\frac{1}{2}", "0.5", "math", True),
    ("1/2", "1/3", "math", False),
    ("", "1", "math", False),
    ("Paris", " paris ", "exact", True),
    ("1/2", "0.5", "exact", False),
]


@pytest.mark.parametrize(("answer", "expected", "checker", "equal"), CASES)
async def test_answers_are_compared(answer: str, expected: str, checker: CheckerName, equal: bool) -> None:
    assert check_answer(answer, expected, checker=checker) is equal
    arguments = {"answer": answer, "expected": expected, "checker": checker}
    said = "equal" if equal else "not equal"
    assert check_answer_tool().invoke(arguments) == said
    assert await check_answer_tool().ainvoke(arguments) == said


def test_the_tool_says_what_it_takes() -> None:
    tool = check_answer_tool()
    assert isinstance(tool, BaseTool)
    assert tool.name == "check_answer"
    assert set(tool.args) == {"answer", "expected", "checker"}
    assert r"\frac{1}{2}" in tool.description
    assert tool.args["checker"]["enum"] == list(CHECKERS)


def test_an_unknown_checker_is_a_message() -> None:
    said = check_answer_tool().invoke({"answer": "1", "expected": "1", "checker": "guess"})
    assert "validation" in said


async def test_a_missing_library_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(answer: str, gold: str) -> bool:
        raise InputError("math-verify is missing")

    monkeypatch.setattr(CHECKERS["math"], "equivalent", refuse)
    with pytest.raises(ToolError, match="is missing"):
        check_answer("1", "1")
    assert check_answer_tool().invoke({"answer": "1", "expected": "1"}) == "error: math-verify is missing"
    assert await check_answer_tool().ainvoke({"answer": "1", "expected": "1"}) == "error: math-verify is missing"
