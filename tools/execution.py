"""What running untrusted code takes and gives, whichever sandbox runs it: limits, a result per snippet, a transcript.

Values only; knows no sandbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from actorcritic.errors import InputError, ToolError

__all__ = ["ErrorKind", "Execution", "Limits", "Sandbox", "Transcript", "check_snippets", "conclude", "describe"]

MAX_CODE = 100_000
"""Characters of all snippets of one run."""
MAX_SNIPPETS = 200

ErrorKind: TypeAlias = Literal["raised", "limit", "unsupported", "crashed", "skipped"]
"""`raised`: the code's own error. `limit`: it took more than it may. `unsupported`: the sandbox does not know what the
code uses, which says nothing about the code. `crashed`: the interpreter died. `skipped`: not run, for what came
before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may take.

    Raises:
        InputError: a number is out of range.
    """

    seconds: float = 5.0
    """Wall-clock time of all snippets together, > 0."""
    memory: int = 256 * 2**20
    """Bytes per process, at least 16 MiB."""
    output: int = 10_000
    """Bytes that may be printed, and characters of a value or an error, >= 100."""
    processes: int = 16
    """Processes and threads together, >= 1; `monty` has no processes at all."""
    files: int = 16 * 2**20
    """Bytes of all files together, in a folder that is gone after the run, >= 0; `monty` has no files at all."""

    def __post_init__(self) -> None:
        bounds = {"seconds": 0.01, "memory": 16 * 2**20, "output": 100, "processes": 1, "files": 0}
        for name, least in bounds.items():
            if not getattr(self, name) >= least:
                raise InputError(f"the limit {name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What became of one snippet."""

    value: str | None = None
    """Its last expression as `repr` writes it; None where it ends in a statement, or in None."""
    error: str | None = None
    """The traceback, or what stopped it; None where it ran to its end."""
    kind: ErrorKind | None = None
    """What sort of error; None where there is none."""
    line: int | None = None
    """Innermost line of the first snippet, from 1, at which the error arose; None where it passed none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What became of a run."""

    executions: tuple[Execution, ...]
    """One per snippet."""
    printed: str = ""
    """What all of them printed together."""


class Sandbox(Protocol):
    """Where untrusted code runs. Usable from several threads."""

    @property
    def name(self) -> str:
        """By which it is chosen."""
        ...

    @property
    def limits(self) -> Limits:
        """What one run may take."""
        ...

    def run(self, snippets: Sequence[str]) -> Transcript:
        """Run snippets one after the other in one fresh interpreter; blocks.

        A snippet that raises leaves what it defined to the next; after a limit or a crash the rest is skipped.

        Raises:
            ToolError: the snippets are too long, or the sandbox itself does not work.
        """
        ...

    def close(self) -> None:
        """End what it holds; another run starts it again."""
        ...


def check_snippets(snippets: Sequence[str]) -> None:
    """Refuse what no interpreter need see.

    Raises:
        ToolError: too many, too long, or no text.
    """
    length = sum(map(len, snippets))
    if length > MAX_CODE or len(snippets) > MAX_SNIPPETS:
        raise ToolError(f"the code has {length} characters; at most {MAX_CODE} are allowed")
    for snippet in snippets:
        if "\0" in snippet or any("\ud800" <= char <= "\udfff" for char in snippet):
            raise ToolError("the code holds characters that are no text")


def conclude(done: Sequence[Execution], count: int, printed: bytes, limit: int) -> Transcript:
    """Return the transcript of so many snippets, of which these were run; who printed too much came to its limit."""
    executions = list(done)
    if len(printed) > limit and executions:
        executions[-1] = Execution(error=f"printed more than {limit} bytes", kind="limit")
    skipped = Execution(error="not run: an earlier part did not end", kind="skipped")
    executions += [skipped] * (count - len(executions))
    return Transcript(executions=tuple(executions), printed=printed[:limit].decode(errors="ignore"))


def describe(transcript: Transcript) -> str:
    """Return the run of a single snippet as text for a model: what it printed, its value, its error."""
    execution = transcript.executions[0]
    parts = (("printed:\n", transcript.printed.rstrip()), ("value: ", execution.value), ("error:\n", execution.error))
    return "\n".join(f"{label}{text}" for label, text in parts if text) or "no output"
