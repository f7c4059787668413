"""Runs inside the operating-system sandbox: takes snippets, runs them one after the other, reports on each.

Handed to the interpreter as text, since the sandbox sees no file of this package: standard library only. The limits
that a process can set for itself are set here; what is around the process is the sandbox's.
"""

from __future__ import annotations

import ast
import json
import linecache
import os
import resource
import sys
import traceback
import types
from typing import Any

__all__ = ["main"]

OPEN_FILES = 64


def _limit(limits: dict[str, int]) -> None:
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CPU, limits["cpu"]),
        (resource.RLIMIT_FSIZE, limits["files"]),
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
    ):
        resource.setrlimit(what, (most, most))


def _execute(source: str, index: int, namespace: dict[str, Any], limit: int) -> dict[str, Any]:
    """Run one snippet and say what became of it."""
    name = f"<snippet {index}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        tree = ast.parse(source, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), namespace)
        if not isinstance(last, ast.Expr):
            return {}
        value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
        return {} if value is None else {"value": _cut(repr(value), limit)}
    except BaseException as error:  # noqa: BLE001 - whatever the code raises is its result
        return _failure(error, limit)


def _failure(error: BaseException, limit: int) -> dict[str, Any]:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith("<snippet ")]
    lines = [frame.lineno for frame in frames if frame.filename == "<snippet 0>"]
    if isinstance(error, SyntaxError) and error.filename == "<snippet 0>":
        lines.append(error.lineno)
    shown = [*frames[:10], *frames[-10:]] if len(frames) > 20 else frames
    text = ["Traceback (most recent call last):\n", *traceback.format_list(shown)] if shown else []
    text += traceback.format_exception_only(error)
    return {
        "error": _cut("".join(text).rstrip(), limit),
        "kind": "limit" if isinstance(error, MemoryError) else "raised",
        "line": lines[-1] if lines else None,
    }


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "..."


def main(reports: int) -> None:
    """Read the task from the standard input and write JSON lines to the file descriptor `reports`."""
    task = json.load(sys.stdin)
    os.set_inheritable(reports, False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    token = task["token"]
    _limit(task["limits"])

    def report(entry: dict[str, Any]) -> None:
        text = memoryview((json.dumps({**entry, "token": token}) + "\n").encode())
        while text:
            text = text[os.write(reports, text) :]

    report({"ready": True})
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    for index, source in enumerate(task["snippets"]):
        entry = _execute(source, index, module.__dict__, task["limits"]["output"])
        sys.stdout.flush()
        sys.stderr.flush()
        report(entry)
    # Threads that the code has left behind are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
