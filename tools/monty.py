"""Untrusted code in pydantic-monty: an interpreter of a part of Python, written for that, in processes of its own.

It has no files, no network, no environment and no processes to reach, and counts memory, steps and depth itself. What
it does not know of Python (generators, inheritance, most of the standard library) is reported as unsupported.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from datetime import time as time_of_day
from importlib.util import find_spec
from typing import TYPE_CHECKING

from actorcritic.errors import InputError, ToolError
from actorcritic.tools.execution import Execution, Limits, Transcript, check_snippets, conclude

if TYPE_CHECKING:
    from pydantic_monty import Monty, MontyError, MontySession

__all__ = ["MontySandbox", "show"]

MAX_RECURSION = 500
GRACE = 2.0
"""Seconds after the limit until a worker that does not stop by itself is killed."""
PIECE = 65_536
"""Bytes; output arrives in pieces that are smaller, and of one that exceeds the limit nothing would be kept."""
MAX_DEPTH = 40
"""Of a value that is shown."""
MAX_BITS = 10_000
"""Of a whole number that is shown; Python itself refuses to write much larger ones."""
FIRST_SNIPPET = "<python-input-0>"
PLAIN = (bool, int, float, complex, type(None), type, range, date, time_of_day, timedelta)


class MontySandbox:
    """A `Sandbox` over pydantic-monty. Its worker processes start with the first run and end with it.

    Raises:
        InputError: pydantic-monty is not installed.
    """

    name = "monty"

    def __init__(self, limits: Limits | None = None) -> None:
        if find_spec("pydantic_monty") is None:
            raise InputError("the sandbox 'monty' needs pydantic-monty: pip install 'actorcritic[tools]'")
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._pool: Monty | None = None
        self._stop: weakref.finalize[..., MontySandbox] | None = None

    def run(self, snippets: Sequence[str]) -> Transcript:
        """See `Sandbox.run`."""
        check_snippets(snippets)
        from pydantic_monty import CollectString, MontyError  # noqa: PLC0415 - belongs to an extra

        printed = CollectString(max_bytes=self.limits.output + PIECE)
        done: list[Execution] = []
        try:
            with self._checkout() as session:
                for execution in self._feed(session, snippets, printed):
                    done.append(execution)
        except MontyError as error:
            raise ToolError(f"the sandbox 'monty' does not work: {error}") from error
        return conclude(done, len(snippets), printed.output.encode(), self.limits.output)

    def close(self) -> None:
        """See `Sandbox.close`."""
        with self._lock:
            if self._stop is not None:
                self._stop()
            self._pool = self._stop = None

    def _feed(self, session: MontySession, snippets: Sequence[str], printed: object) -> Iterator[Execution]:
        """Run the snippets; ends early after a limit or a crash."""
        from pydantic_monty import MontyError  # noqa: PLC0415 - belongs to an extra

        end = time.monotonic() + self.limits.seconds
        for snippet in snippets:
            try:
                value = session.feed_run(snippet, print_callback=printed)  # type: ignore[arg-type]
            except MontyError as error:
                execution = self._failure(error)
            else:
                execution = Execution(value=None if value is None else show(value, self.limits.output))
            yield execution
            if execution.kind in ("limit", "crashed"):
                return
            if time.monotonic() > end and snippet is not snippets[-1]:
                yield Execution(error=f"not run: the {self.limits.seconds:g} seconds are over", kind="limit")
                return

    def _checkout(self) -> MontySession:
        limits = self.limits
        return self._open().checkout(
            limits={
                "max_feed_duration_secs": limits.seconds,
                "max_memory": limits.memory,
                "max_recursion_depth": MAX_RECURSION,
                "max_total_sleep_secs": limits.seconds,
            },
            os_policy={"sleep": "system", "sleep_system_max": limits.seconds},
        )

    def _open(self) -> Monty:
        from pydantic_monty import Monty  # noqa: PLC0415 - belongs to an extra

        with self._lock:
            if self._pool is None:
                pool = Monty(request_timeout=self.limits.seconds + GRACE)
                pool.__enter__()
                self._pool, self._stop = pool, weakref.finalize(self, pool.__exit__, None, None, None)
            return self._pool

    def _failure(self, error: MontyError) -> Execution:
        from pydantic_monty import MontyCrashedError, MontyRuntimeError, MontySyntaxError  # noqa: PLC0415 - extra

        if isinstance(error, MontyCrashedError):
            if error.timed_out:
                return Execution(error=f"took longer than {self.limits.seconds:g} seconds", kind="limit")
            return Execution(error="the interpreter died", kind="crashed")
        text, line = str(error), None
        if isinstance(error, (MontyRuntimeError, MontySyntaxError)):
            text = error.display()
            lines = [frame.line for frame in error.traceback() if frame.filename == FIRST_SNIPPET]
            line = lines[-1] if lines else None
        inner = error.exception()
        text = text[: self.limits.output]
        if isinstance(inner, (TimeoutError, MemoryError)) and "limit exceeded" in str(inner):
            return Execution(error=text, kind="limit", line=line)
        return Execution(error=text, kind="unsupported" if _is_unsupported(inner) else "raised", line=line)


def _is_unsupported(error: BaseException) -> bool:
    """Say whether an error is the interpreter's own lack."""
    message = str(error)
    if isinstance(error, ModuleNotFoundError):
        return message.split("'")[1:2] != [] and message.split("'")[1].split(".")[0] in sys.stdlib_module_names
    if isinstance(error, NotImplementedError):
        return "monty" in message.lower()
    return isinstance(error, RuntimeError) and (
        "not supported in this environment" in message or "Internal error in monty" in message
    )


def show(value: object, limit: int) -> str:
    """Return a value as `repr` would, at most so many characters of it; hostile values cost no more than that."""
    text = ""
    for piece in _pieces(value, 0, limit):
        text += piece
        if len(text) > limit:
            return text[:limit] + "..."
    return text


def _pieces(value: object, depth: int, limit: int) -> Iterator[str]:
    """Write a value lazily: parts that are shared many times over would fill the memory otherwise."""
    if depth > MAX_DEPTH:
        yield "..."
    elif isinstance(value, (str, bytes, *PLAIN)):
        yield _plain(value, limit)
    elif isinstance(value, dict):
        yield from _braced("{", "}", _entries(value, ": ", depth, limit))
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        opening, closing = _brackets(value)
        yield from _braced(opening, closing, (_pieces(item, depth + 1, limit) for item in value))
    elif isinstance(attributes := getattr(value, "attributes", None), dict):
        names: dict[object, object] = {_Bare(name): item for name, item in attributes.items()}
        yield from _braced(f"{getattr(value, 'name', 'object')}(", ")", _entries(names, "=", depth, limit))
    elif isinstance(value, _Bare):
        yield value.text[:limit]
    else:
        yield f"<{type(value).__name__}>"


def _brackets(value: Collection[object]) -> tuple[str, str]:
    """Return what stands before and after the items of a collection."""
    if isinstance(value, tuple):
        return "(", ",)" if len(value) == 1 else ")"
    if isinstance(value, (set, frozenset)):
        return ("{", "}") if value else ("set(", ")")
    return "[", "]"


def _plain(value: object, limit: int) -> str:
    """Write a value that has no parts."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return f"<a whole number of {value.bit_length()} bits>"
    return repr(value[:limit] if isinstance(value, (str, bytes)) else value)


class _Bare:
    """The name of an attribute, which is written without quotes."""

    def __init__(self, name: object) -> None:
        self.text = str(name)


def _braced(opening: str, closing: str, items: Iterable[Iterable[str]]) -> Iterator[str]:
    yield opening
    for index, item in enumerate(items):
        if index:
            yield ", "
        yield from item
    yield closing


def _entries(mapping: Mapping[object, object], sign: str, depth: int, limit: int) -> Iterator[Iterator[str]]:
    for key, item in mapping.items():
        yield _entry(key, item, sign, depth, limit)


def _entry(key: object, item: object, sign: str, depth: int, limit: int) -> Iterator[str]:
    yield from _pieces(key, depth + 1, limit)
    yield sign
    yield from _pieces(item, depth + 1, limit)
