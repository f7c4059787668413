"""Untrusted code in CPython with its packages, confined by the operating system through bubblewrap (Linux).

New namespaces (no network, no other process in sight), a read-only system, one small folder in memory, no environment,
limits per process, one wall-clock limit after which all of it is killed. The kernel is the wall: whoever has a hole in
it gets out. Where bubblewrap cannot work there is an error, never an unconfined run.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, cast

from actorcritic.errors import InputError, ToolError
from actorcritic.tools.execution import Execution, Limits, Transcript, check_snippets, conclude

__all__ = ["BubblewrapSandbox"]

START_LIMIT = 60.0
"""Seconds for the interpreter to start in its sandbox, before the code's own time begins."""
MAX_REPORTS = 4 * 2**20
"""Bytes that all reports may have together."""
NOBODY = 65534
ENVIRONMENT = {
    "HOME": "/work",
    "LANG": "C.UTF-8",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PATH": "/usr/bin:/bin",
    "TMPDIR": "/work",
}
"""All that the code finds in its environment; libraries that start a thread per core would fail by their number."""
NAMESPACES = ("user", "ipc", "pid", "net", "uts", "cgroup-try")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
INTERPRETERS = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")
"""The first that works inside is taken: this one's, with the packages that it has, or the system's."""


class BubblewrapSandbox:
    """A `Sandbox` over bubblewrap. Every run is a process of its own, with nothing left after it.

    Raises:
        InputError: bubblewrap is missing, or the system does not let it make namespaces.
    """

    name = "bubblewrap"

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        program = shutil.which("bwrap") if sys.platform == "linux" else None
        if program is None:
            raise InputError("the sandbox 'bubblewrap' needs bwrap: install the package bubblewrap, on Linux")
        self._source = Path(__file__).with_name("confined.py").read_text(encoding="utf-8")
        self._command = self._find_command(program)

    def run(self, snippets: Sequence[str]) -> Transcript:
        """See `Sandbox.run`."""
        check_snippets(snippets)
        return self._run(self._command, snippets)

    def close(self) -> None:
        """See `Sandbox.close`; nothing is held between runs."""

    def _find_command(self, program: str) -> tuple[str, ...]:
        """Return the command that starts an interpreter, tried out."""
        said = ""
        for python in INTERPRETERS:
            if not os.access(python, os.X_OK):
                continue
            command = (*_confine(program, python, self.limits), python, "-I", "-B", "-u", "-c", self._source)
            try:
                transcript = self._run(command, ["1 + 1"])
            except ToolError as error:
                said = said or str(error)
                continue
            if transcript.executions[0].value == "2":
                return command
        raise InputError(
            f"the sandbox 'bubblewrap' does not work here ({' '.join(said.split())[:200]}): "
            "allow unprivileged user namespaces, or use the sandbox 'monty'"
        )

    def _run(self, command: Sequence[str], snippets: Sequence[str]) -> Transcript:
        token = secrets.token_hex(16)
        seen = _Seen(token)
        with TemporaryFile() as task:
            task.write(json.dumps(self._task(snippets, token)).encode())
            task.seek(0)
            reading, writing = os.pipe()
            with open(reading, "rb", buffering=0) as reports:
                try:
                    process = _start([*command, str(writing)], task, writing)
                except OSError as error:
                    raise ToolError(f"the sandbox 'bubblewrap' did not start: {error}") from error
                finally:
                    os.close(writing)
                _watch(process, reports, seen, self.limits)
        if not seen.ready:
            raise ToolError(f"the sandbox 'bubblewrap' did not start: {seen.printed.decode(errors='replace')}")
        done = [_read(report, self.limits.output) for report in seen.reports[: len(snippets)]]
        if len(done) < len(snippets):
            done.append(self._stopped(seen, process.returncode))
        return conclude(done, len(snippets), seen.printed, self.limits.output)

    def _task(self, snippets: Sequence[str], token: str) -> dict[str, Any]:
        limits = self.limits
        most = {
            "cpu": math.ceil(limits.seconds) + 1,
            "files": limits.files,
            "memory": limits.memory,
            "output": limits.output,
            "processes": limits.processes,
        }
        return {"token": token, "limits": most, "snippets": list(snippets)}

    def _stopped(self, seen: _Seen, status: int) -> Execution:
        if seen.stopped_by == "seconds":
            return Execution(error=f"took longer than {self.limits.seconds:g} seconds", kind="limit")
        if seen.stopped_by == "output":
            return Execution(error="reported too much", kind="limit")
        return Execution(error=f"the interpreter died (exit status {status})", kind="crashed")


@dataclass(slots=True)
class _Seen:
    """What has come out of a run so far. Mutable."""

    token: str
    printed: bytes = b""
    raw: bytes = b""
    ready: bool = False
    reports: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    stopped_by: str = ""

    def read(self) -> None:
        """Take whole lines from what was written; a line that does not bear the token is not the harness's."""
        *lines, self.raw = self.raw.split(b"\n")
        for line in lines:
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if not isinstance(entry, dict) or entry.get("token") != self.token:
                continue
            if entry.get("ready") is True:
                self.ready = True
            else:
                self.reports.append(cast("dict[str, object]", entry))


def _read(report: Mapping[str, object], limit: int) -> Execution:
    """Read a report; code that has found the harness may have written it, so nothing is taken for granted."""
    value, error, kind, line = (report.get(name) for name in ("value", "error", "kind", "line"))
    if not isinstance(error, str):
        return Execution(value=value[: limit + 3] if isinstance(value, str) else None)
    return Execution(
        error=error[: limit + 3],
        kind="limit" if kind == "limit" else "raised",
        line=line if isinstance(line, int) else None,
    )


def _start(command: Sequence[str], task: IO[bytes], writing: int) -> subprocess.Popen[bytes]:
    # For root the kernel counts no processes, so root runs the sandbox as nobody.
    nobody = os.geteuid() == 0
    return subprocess.Popen(
        command,
        stdin=task,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(writing,),
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
        user=NOBODY if nobody else None,
        group=NOBODY if nobody else None,
        extra_groups=[] if nobody else None,
    )


def _watch(process: subprocess.Popen[bytes], reports: IO[bytes], seen: _Seen, limits: Limits) -> None:
    """Read until all of the sandbox is gone, which is seen to here."""
    assert process.stdout is not None  # a pipe
    with process, selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(reports, selectors.EVENT_READ)
        try:
            for source, data in _read_all(selector, seen, limits):
                if source is reports:
                    seen.raw += data
                    seen.read()
                else:
                    seen.printed += data
                if len(seen.printed) > limits.output or len(seen.raw) > MAX_REPORTS:
                    seen.stopped_by = "output"
                    break
        finally:
            # The first process of the sandbox dies with this one, and all others with the first.
            process.kill()
            with suppress(OSError):
                _drain(selector)


def _read_all(selector: selectors.BaseSelector, seen: _Seen, limits: Limits) -> Iterator[tuple[object, bytes]]:
    """Yield what comes, until both ends are closed or the time is up."""
    ready, end = False, time.monotonic() + START_LIMIT
    while selector.get_map():
        if seen.ready and not ready:
            ready, end = True, time.monotonic() + limits.seconds
        left = end - time.monotonic()
        if left <= 0:
            seen.stopped_by = "seconds"
            return
        for key, _ in selector.select(left):
            data = os.read(key.fd, 65536)
            if data:
                yield key.fileobj, data
            else:
                selector.unregister(key.fileobj)


def _drain(selector: selectors.BaseSelector) -> None:
    """Wait until nobody holds the other ends any more, so that nothing is left when the run returns."""
    end = time.monotonic() + START_LIMIT
    while selector.get_map() and time.monotonic() < end:
        for key, _ in selector.select(1.0):
            if not os.read(key.fd, 65536):
                selector.unregister(key.fileobj)


def _confine(program: str, python: str, limits: Limits) -> tuple[str, ...]:
    """Return bubblewrap's part of the command."""
    own = [flag for flag in ("--disable-userns",) if flag in _help(program)]
    return (
        program,
        *[f"--unshare-{name}" for name in NAMESPACES],
        *own,
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox"),
        *("--uid", str(NOBODY), "--gid", str(NOBODY)),
        *_mounts(python),
        *("--dev", "/dev", "--remount-ro", "/dev"),
        *("--size", str(max(limits.files, 4096)), "--tmpfs", "/work"),
        *("--remount-ro", "/", "--chdir", "/work", "--"),
    )


def _help(program: str) -> str:
    asked = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=START_LIMIT, check=False)
    return asked.stdout + asked.stderr


def _mounts(python: str) -> Iterator[str]:
    """Yield what of the system is to be seen: programs and libraries, read-only, and where this interpreter lives."""
    for name in SYSTEM:
        if os.path.islink(name):
            yield from ("--symlink", os.readlink(name), name)
        elif os.path.isdir(name):
            yield from ("--ro-bind", name, name)
    yield from ("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache")
    yield from ("--ro-bind-try", "/etc/alternatives", "/etc/alternatives")
    if python == sys.executable:
        for folder in sorted({sys.base_prefix, sys.base_exec_prefix, sys.prefix, sys.exec_prefix}):
            if not folder.startswith("/usr/") and folder not in {"/", "/usr", os.path.expanduser("~")}:
                yield from ("--ro-bind", folder, folder)
