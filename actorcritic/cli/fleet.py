"""One work on a run by many processes: each takes a shard, writes a file of its own, and says which problems are done.

A process that dies is begun again where its log ends; nothing that had finished is lost or paid for twice.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar

from pydantic import ValidationError

from actorcritic.errors import InputError

__all__ = ["REPORT", "RESTARTS", "HearLine", "pass_on_once", "run_processes"]

REPORT = "--report"
"""What a process that works for another is called with: one JSON object per problem on stdout."""

RESTARTS = 3
"""How often a process that died is begun again."""

PROGRAM = "from actorcritic.cli import main; main()"


HearLine: TypeAlias = Callable[[str], None]
"""Takes what a process says of a problem that is done; raises pydantic's `ValidationError` where that is cut off."""


class _Done(Protocol):
    """What is said of a problem that is done."""

    @property
    def problem(self) -> str:
        """Its id."""
        ...


_D = TypeVar("_D", bound=_Done)


def run_processes(arguments: Sequence[str], processes: int, hear: HearLine, *, go_on: str) -> None:
    """Divide a work among several processes on this machine; interrupted, interrupt them and wait.

    Args:
        arguments: Of the command that does the work; a shard and `REPORT` are added.
        processes: How many, >= 1; each takes one shard.
        hear: Hears of each problem as it is done, again where a process was begun again.
        go_on: What to do where a process cannot go on, in words.

    Raises:
        InputError: a process refused its options, or died again and again.
    """
    asyncio.run(_run([_Shard(arguments, f"{index}/{processes}", hear, go_on) for index in range(processes)]))


def pass_on_once(hear: Callable[[_D], None]) -> Callable[[_D], None]:
    """Return what passes every problem on once: a process that was begun again names what it had done before."""
    heard: set[str] = set()

    def pass_on(item: _D) -> None:
        if item.problem not in heard:
            heard.add(item.problem)
            hear(item)

    return pass_on


async def _run(shards: Sequence[_Shard]) -> None:
    works = [asyncio.create_task(shard.work()) for shard in shards]
    try:
        # Those that can go on do so; what a broken one leaves open is said in the end.
        problems = await asyncio.gather(*works, return_exceptions=True)
    except asyncio.CancelledError:
        await asyncio.wait(works)
        raise
    for problem in problems:
        if problem is not None:
            raise problem


class _Shard:
    """One process, and those that follow it when it dies. Mutable."""

    def __init__(self, arguments: Sequence[str], name: str, hear: HearLine, go_on: str) -> None:
        self._arguments = arguments
        self._name = name
        self._hear = hear
        self._go_on = go_on

    async def work(self) -> None:
        """Do the shard's part to its end."""
        code = await self._live()
        for _ in range(RESTARTS):
            if code >= 0:
                break
            sys.stderr.write(f"the process of shard {self._name} died of signal {-code} and is begun again\n")
            code = await self._live()
        if code not in (0, 1):
            raise InputError(f"shard {self._name} ended with code {code}: {self._go_on}")

    async def _live(self) -> int:
        """Run one process to its end; returns its exit code, or minus the signal that killed it."""
        arguments = (*self._arguments, "--shard", self._name, REPORT)
        # In a session of its own: a Ctrl-C at the terminal reaches it through this process, and once.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, *arguments, stdout=PIPE, start_new_session=True
        )
        try:
            await self._listen(process)
            return await process.wait()
        except asyncio.CancelledError:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
                await process.wait()
            raise

    async def _listen(self, process: Process) -> None:
        """Pass on what a process says is done."""
        assert process.stdout is not None  # asked for above
        async for line in process.stdout:
            try:
                self._hear(line.decode("utf-8", "replace"))
            except ValidationError:
                continue  # the end of a line that a kill has cut off
