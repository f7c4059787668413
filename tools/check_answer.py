"""Whether two answers are the same, as a LangChain tool: for an actor that compares results reached in two ways.

Knows no problem and no gold answer, and is not the place for one: who hands it a gold answer makes an oracle run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from actorcritic import answers
from actorcritic.errors import InputError, ToolError

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["CheckerName", "check_answer", "check_answer_tool"]

DESCRIPTION = """Compare two answers and return `equal` or `not equal`.

The checker `math` compares values (1/2, 0.5 and \\frac{1}{2} are equal), `exact` compares text without regard to case
and blank space. What cannot be shown to be equal is not equal."""

CheckerName = Literal["math", "exact"]


def check_answer(answer: str, expected: str, *, checker: CheckerName = "math") -> bool:
    """Return whether an answer has been shown to equal the expected one. Blocks for up to some seconds.

    Raises:
        ToolError: the checker is not installed.
    """
    try:
        return answers.CHECKERS[checker].equivalent(answer, expected)
    except InputError as error:
        raise ToolError(str(error)) from error


def check_answer_tool() -> BaseTool:
    """Return `check_answer` as a LangChain tool; what goes wrong comes back as a message that starts with `error:`."""
    from langchain_core.tools import StructuredTool  # noqa: PLC0415 - keeps the function usable without LangChain

    def run(
        answer: Annotated[str, "the answer to check"],
        expected: Annotated[str, "what it should equal"],
        checker: Annotated[CheckerName, "how they are compared"] = "math",
    ) -> str:
        try:
            return _said(check_answer(answer, expected, checker=checker))
        except ToolError as error:
            return f"error: {error}"

    async def arun(
        answer: Annotated[str, "the answer to check"],
        expected: Annotated[str, "what it should equal"],
        checker: Annotated[CheckerName, "how they are compared"] = "math",
    ) -> str:
        try:
            return _said(await answers.equivalent(answers.CHECKERS[checker], answer, expected))
        except InputError as error:
            return f"error: {error}"

    return StructuredTool.from_function(
        run, arun, name="check_answer", description=DESCRIPTION, handle_validation_error=True
    )


def _said(equal: bool) -> str:
    return "equal" if equal else "not equal"
