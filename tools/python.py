"""Running Python code as a LangChain tool, in a sandbox and nowhere else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from actorcritic.errors import ToolError
from actorcritic.tools.execution import Limits, describe
from actorcritic.tools.sandboxes import SandboxName, open_sandbox

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["python_tool"]

DESCRIPTIONS: dict[SandboxName, str] = {
    "monty": """Run Python code; returns what it prints, the value of its last expression, and the error if any.

It is a part of Python 3: functions, classes without inheritance, comprehensions, and the modules math, re, json,
random, datetime, itertools, functools and collections. No generators, no files, no network. Nothing is kept between
calls.""",
    "bubblewrap": """Run Python code; returns what it prints, the value of its last expression, and the error if any.

It is the whole of Python 3 with installed packages. It has no network, and a small folder of its own, which like all
else is gone after the call.""",
}


def python_tool(*, sandbox: SandboxName = "monty", limits: Limits | None = None) -> BaseTool:
    """Return a tool with the argument `code`; what the code does wrong comes back as text.

    Args:
        sandbox: where the code runs, `monty` or `bubblewrap` (see `SANDBOXES`).
        limits: of each call.

    Raises:
        InputError: the sandbox does not work on this machine.
    """
    from langchain_core.tools import StructuredTool  # noqa: PLC0415 - the sandboxes are usable without LangChain

    place = open_sandbox(sandbox, limits)

    def run(code: Annotated[str, "the Python code"]) -> str:
        try:
            return describe(place.run([code]))
        except ToolError as error:
            return f"error: {error}"

    async def arun(code: Annotated[str, "the Python code"]) -> str:
        return await asyncio.to_thread(run, code)

    return StructuredTool.from_function(
        run, arun, name="python", description=DESCRIPTIONS[sandbox], handle_validation_error=True
    )
