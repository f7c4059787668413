"""A child process that answers one question at a time, each within a limit.

For work that may take for ever or fill the memory. The process starts with the first question, is killed and replaced
when a question takes too long, and ends with its owner, however that ends. Knows nothing of what is asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from actorcritic.errors import ToolError
from actorcritic.types import JsonValue

__all__ = ["Worker"]

START_LIMIT = 120.0
"""Seconds for a process to start and say that it is ready; a loaded machine may need many."""


class Worker:
    """A process behind a script that reads JSON lines and writes one JSON line for each, after a first one: ready.

    Args:
        script: the Python file to run; it gets the limit in seconds as its argument and should keep it by itself.
        limit: seconds per question, > 0; the process is killed half a second later.
        environment: variables that the process gets beside those of this one.
    """

    def __init__(self, script: Path, *, limit: float, environment: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-P", str(script), str(limit)]
        self._limit = limit + 0.5
        self._environment = environment or {}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stop: weakref.finalize[..., Worker] | None = None

    def ask(self, question: Mapping[str, JsonValue]) -> JsonValue:
        """Return the answer to a question. Blocks; questions of several threads wait for one another.

        Raises:
            TimeoutError: it took too long.
            ToolError: the process died or could not start.
        """
        with self._lock:
            process = self._running()
            return self._exchange(process, json.dumps(question) + "\n", self._limit)

    def close(self) -> None:
        """End the process; another question starts a new one."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        process = subprocess.Popen(  # its own session: Ctrl-C in the terminal is not meant for it
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env={**os.environ, **self._environment},
            start_new_session=True,
        )
        self._process, self._stop = process, weakref.finalize(self, _end_process, process)
        self._exchange(process, "", START_LIMIT)
        return process

    def _exchange(self, process: subprocess.Popen[str], line: str, limit: float) -> JsonValue:
        assert process.stdin is not None and process.stdout is not None  # both are pipes
        late = threading.Event()
        timer = threading.Timer(limit, _kill, (process, late))
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            reply = process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        finally:
            timer.cancel()
            # Otherwise the timer may still be about to kill the process while the next question is asked.
            timer.join()
        if reply.endswith("\n") and not late.is_set():
            return cast("JsonValue", json.loads(reply))
        self._end()
        if late.is_set():
            raise TimeoutError(f"no answer within {limit:g} seconds")
        raise ToolError("the worker process died")

    def _end(self) -> None:
        if self._stop is not None:
            self._stop()
        self._process = self._stop = None


def _kill(process: subprocess.Popen[str], late: threading.Event) -> None:
    late.set()
    process.kill()


def _end_process(process: subprocess.Popen[str]) -> None:
    process.kill()
    # Leaving the process object also closes the pipes and waits; what could not be written is of no use any more.
    try:
        with process:
            pass
    except BrokenPipeError:
        return
