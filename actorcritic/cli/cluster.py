"""One work on a run over a Ray cluster (extra `ray`): each task takes a shard; one whose node dies begins again.

The run folder is on storage that every node sees, as for any other shards; nothing else is shared. So what a dead node
had finished stands in the log, and whoever takes its shard goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

from actorcritic.cli.fleet import RESTARTS, HearLine
from actorcritic.errors import ActorCriticError, InputError
from actorcritic.trajectory.shards import Shard, parse_shard

__all__ = ["LOCAL", "Part", "run_on_cluster"]

LOCAL = "local"
"""In place of an address: a cluster of this machine alone, for as long as the run takes."""

Part: TypeAlias = Callable[[Shard, HearLine], None]
"""Does one shard's part of a work, on whatever node, and says what is done, a line per problem; can be pickled."""

POLL = 1.0
"""Seconds between two looks at what is done."""


class _Board:
    """An actor beside the driver on which tasks write what is done."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """Take one line."""
        self._lines.append(line)

    def take(self) -> list[str]:
        """Hand over what has come since the last time."""
        lines, self._lines = self._lines, []
        return lines


def run_on_cluster(part: Part, address: str, shards: int | None, hear: HearLine, *, go_on: str) -> None:
    """Divide a work among tasks on a Ray cluster; interrupted, stop them and wait.

    Args:
        part: What a task does; the run folder is under a path that is the same on every node.
        address: Of the cluster, as Ray takes it (`auto`, `ray://...`), or `LOCAL`.
        shards: How many tasks, each of which takes one CPU; None = one per CPU of the cluster.
        hear: Hears of each problem as it is done, again where a task was begun again.
        go_on: What to do where a task cannot go on, in words.

    Raises:
        InputError: Ray is missing, the cluster cannot be reached, or a task failed for good.
    """
    if find_spec("ray") is None:
        raise InputError("--ray needs Ray: pip install 'actorcritic[ray]'")
    ray: Any = import_module("ray")
    begun = not ray.is_initialized()
    try:
        if begun:
            ray.init(address=None if address == LOCAL else address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"cannot reach the Ray cluster {address}: {error}") from error
    try:
        count = shards or max(1, int(ray.cluster_resources().get("CPU", 1)))
        complaints = _follow(ray, part, count, hear)
    finally:
        if begun:
            ray.shutdown()
    if complaints:
        raise InputError(f"{complaints[0]}; {go_on}")


def _follow(ray: Any, part: Part, count: int, hear: HearLine) -> list[str]:
    """Start one task per shard and pass on what they say until all have ended; returns what went wrong for good."""
    here = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    board = ray.remote(num_cpus=0, scheduling_strategy=here)(_Board).remote()
    task = ray.remote(num_cpus=1, max_retries=RESTARTS)(_work)
    waiting = [task.remote(part, f"{index}/{count}", board) for index in range(count)]
    complaints: list[str] = []
    try:
        while waiting:
            done, waiting = ray.wait(waiting, timeout=POLL)
            _listen(ray.get(board.take.remote()), hear)
            complaints += [complaint for ref in done if (complaint := _complaint(ray, ref)) is not None]
    except KeyboardInterrupt:
        for ref in waiting:
            ray.cancel(ref)
        ray.wait(waiting, num_returns=len(waiting), timeout=60)
        raise
    _listen(ray.get(board.take.remote()), hear)
    return complaints


def _listen(lines: Sequence[str], hear: HearLine) -> None:
    for line in lines:
        hear(line)


def _complaint(ray: Any, ref: Any) -> str | None:
    """Return why a task failed for good; None where it did not."""
    try:
        said: str | None = ray.get(ref)
    except ray.exceptions.RayError as error:
        return " ".join(str(error).split())
    return said


def _work(part: Part, shard: str, board: Any) -> str | None:
    """Do one shard's part, on whatever node this is; returns why it cannot be done, None where it could."""
    ray: Any = import_module("ray")

    def tell(line: str) -> None:
        ray.get(board.add.remote(line))

    try:
        part(parse_shard(shard), tell)
    except ActorCriticError as error:
        return f"shard {shard}: {error}"
    return None
