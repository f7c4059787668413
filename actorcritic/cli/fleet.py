"""One run by many processes: each takes a shard, writes a file of its own, and says which problems are done.

A process that dies is begun again where its log ends; nothing that had finished is lost or paid for twice.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from pydantic import ValidationError

from actorcritic.cli.tally import Collected, Hear
from actorcritic.errors import InputError

__all__ = ["REPORT", "RESTARTS", "pass_on_once", "run_processes"]

REPORT = "--report"
"""What a process that works for another is called with: one JSON object per problem on stdout."""

RESTARTS = 3
"""How often a process that died is begun again."""

PROGRAM = "from actorcritic.cli import main; main()"


def run_processes(folder: Path, processes: int, hear: Hear) -> None:
    """Collect a run with several processes on this machine; interrupted, interrupt them and wait.

    Args:
        folder: The run folder.
        processes: How many, >= 1; each takes one shard.
        hear: Hears of each problem once, as it is done.

    Raises:
        InputError: a process refused its options, or died again and again.
    """
    asyncio.run(_run(folder, processes, pass_on_once(hear)))


def pass_on_once(hear: Hear) -> Hear:
    """Return what passes every problem on once: a process that was begun again names what it had done before."""
    heard: set[str] = set()

    def pass_on(item: Collected) -> None:
        if item.problem not in heard:
            heard.add(item.problem)
            hear(item)

    return pass_on


async def _run(folder: Path, processes: int, hear: Hear) -> None:
    shards = [_Shard(folder, f"{index}/{processes}", hear) for index in range(processes)]
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

    def __init__(self, folder: Path, name: str, hear: Hear) -> None:
        self._folder = folder
        self._name = name
        self._hear = hear

    async def work(self) -> None:
        """Collect the shard to its end."""
        code = await self._live()
        for _ in range(RESTARTS):
            if code >= 0:
                break
            sys.stderr.write(f"the process of shard {self._name} died of signal {-code} and is begun again\n")
            code = await self._live()
        if code not in (0, 1):
            raise InputError(f"shard {self._name} ended with code {code}: go on with --resume {self._folder}")

    async def _live(self) -> int:
        """Run one process to its end; returns its exit code, or minus the signal that killed it."""
        arguments = ("collect", "--resume", str(self._folder), "--shard", self._name, REPORT)
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
                self._hear(Collected.model_validate_json(line))
            except ValidationError:
                continue  # the end of a line that a kill has cut off
