"""Reads the list of attacks, carries one out against a sandbox, and says whether it succeeded."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from actorcritic.errors import ToolError
from actorcritic.tools.execution import Sandbox

__all__ = ["ATTACKS", "BREACH", "Attack", "Target", "carry_out", "open_target"]

BREACH = "BREACH"
SECRET = "the-callers-own-words"
MARKER = "marker-of-the-caller"
SLACK = 20.0
"""Seconds beyond its limit after which a call counts as held up: the machine may be busy."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack."""

    name: str
    code: str
    heavy: bool = False
    """It runs until a limit stops it."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the caller has that an attack may be after."""

    secret: Path
    port: int
    socket: str
    """Name of a Unix socket, after the zero byte that stands for no file."""
    reached: threading.Event
    """Set when somebody has reached the port or the socket."""

    def fill(self, code: str) -> str:
        """Put the target's own things into an attack."""
        fields = {"secret": self.secret, "folder": self.secret.parent, "port": self.port, "pid": os.getpid()}
        for name, value in {**fields, "marker": MARKER, "socket": self.socket}.items():
            code = code.replace(f"<{name}>", str(value))
        return code


def _read(text: str) -> Iterator[Attack]:
    for section in text.split("\n=== ")[1:]:
        head, _, code = section.partition("\n")
        name, *flags = head.split()
        if "tried" in flags:
            indented = "\n".join(f"    {line}" for line in code.rstrip().splitlines())
            code = f"try:\n{indented}\n    print({BREACH!r})\nexcept Exception as error:\n    print('no', error)\n"
        yield Attack(name, code, heavy="heavy" in flags)


GENERATED = {
    "deep-source-brackets": "(" * 10_000 + ")" * 10_000,
    "deep-source-signs": "-" * 50_000 + "1",
    "deep-source-lists": "x = " + "[" * 5_000 + "]" * 5_000,
    "deep-source-indented": "\n".join(" " * depth + "if 1:" for depth in range(300)) + "\n" + " " * 300 + "x = 1",
    "long-source": "x = 1\n" * 15_000,
    "too-long-source": "x = 1\n" * 150_000,
    "null-character": "x = 1\0",
    "lone-surrogate": "x = '\ud800'",
}

ATTACKS: Mapping[str, Attack] = {
    attack.name: attack
    for attack in (
        *_read(Path(__file__).with_name("attacks.txt").read_text(encoding="utf-8")),
        *[Attack(name, code) for name, code in GENERATED.items()],
    )
}
"""Every attack by name."""


@contextmanager
def open_target(folder: Path) -> Generator[Target, None, None]:
    """Lay out what attacks are after: a file, an open file, a variable, a port, a socket; all of it this process's."""
    secret = folder / "secret.txt"
    secret.write_text(SECRET)
    secret.chmod(0o666)
    (folder / "secret_module.py").write_text("")
    (folder / "open.txt").write_text(MARKER)
    reached = threading.Event()
    with (
        pytest.MonkeyPatch.context() as patch,
        (folder / "open.txt").open() as kept,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as local,
    ):
        os.set_inheritable(kept.fileno(), True)
        patch.setenv("ATTACKED", SECRET)
        name = f"{folder.name}-{os.getpid()}"
        local.bind(f"\0{name}")
        local.listen()
        for listening in (server, local):
            threading.Thread(target=_accept, args=(listening, reached), daemon=True).start()
        try:
            yield Target(secret, server.getsockname()[1], name, reached)
        finally:
            # A thread that still waits in it would keep the socket, and its name, open.
            for listening in (server, local):
                listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, reached: threading.Event) -> None:
    try:
        listening.accept()[0].close()
    except OSError:
        return
    reached.set()


def carry_out(attack: Attack, sandbox: Sandbox, target: Target) -> str | None:
    """Return in which way an attack succeeded, None where it did not."""
    start = time.monotonic()
    try:
        transcript = sandbox.run([target.fill(attack.code)])
    except ToolError as error:
        said = str(error)
    else:
        execution = transcript.executions[0]
        said = "\n".join([transcript.printed, execution.value or "", execution.error or ""])
    taken = time.monotonic() - start
    signs = {
        "it says so": BREACH in said.replace(f"print({BREACH!r})", ""),
        "the secret came out": SECRET in said,
        "the secret was changed": target.secret.read_text() != SECRET,
        "the caller was reached": target.reached.is_set(),
        "the caller was held up": taken > sandbox.limits.seconds + SLACK,
        "the caller was flooded": len(said) > 4 * sandbox.limits.output,
        "the caller cannot go on": sandbox.run(["1 + 1"]).executions[0].value != "2",
    }
    return next((f"{sign}: {said[:300]}" for sign, holds in signs.items() if holds), None)
