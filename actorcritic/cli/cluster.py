"""One run over a Ray cluster (extra `ray`): each task takes a shard; a task whose node dies begins again elsewhere.

The run folder is on storage that every node sees, as for any other shards; nothing else is shared. So what a dead node
had finished stands in the log, and whoever takes its shard goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from actorcritic.cli.collecting import collect_shard
from actorcritic.cli.fleet import RESTARTS, pass_on_once
from actorcritic.cli.runs import Run
from actorcritic.cli.solve import Item
from actorcritic.cli.tally import Collected, Hear
from actorcritic.errors import ActorCriticError, InputError
from actorcritic.trajectory.shards import parse_shard

__all__ = ["LOCAL", "run_on_cluster"]

LOCAL = "local"
"""In place of an address: a cluster of this machine alone, for as long as the run takes."""

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


def run_on_cluster(folder: Path, address: str, shards: int | None, hear: Hear) -> None:
    """Collect a run with tasks on a Ray cluster; interrupted, stop them and wait.

    Args:
        folder: The run folder, under a path that is the same on every node.
        address: Of the cluster, as Ray takes it (`auto`, `ray://...`), or `LOCAL`.
        shards: How many tasks, each of which takes one CPU; None = one per CPU of the cluster.
        hear: Hears of each problem once, as it is done.

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
        _follow(ray, folder.resolve(), count, pass_on_once(hear))
    finally:
        if begun:
            ray.shutdown()


def _follow(ray: Any, folder: Path, count: int, hear: Hear) -> None:
    """Start one task per shard and pass on what they say until all have ended."""
    here = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    board = ray.remote(num_cpus=0, scheduling_strategy=here)(_Board).remote()
    task = ray.remote(num_cpus=1, max_retries=RESTARTS)(_work)
    waiting = [task.remote(str(folder), f"{index}/{count}", board) for index in range(count)]
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
    if complaints:
        raise InputError(f"{complaints[0]}; go on with --resume {folder}")


def _listen(lines: Sequence[str], hear: Hear) -> None:
    for line in lines:
        hear(Collected.model_validate_json(line))


def _complaint(ray: Any, ref: Any) -> str | None:
    """Return why a task failed for good; None where it did not."""
    try:
        said: str | None = ray.get(ref)
    except ray.exceptions.RayError as error:
        return " ".join(str(error).split())
    return said


def _work(folder: str, shard: str, board: Any) -> str | None:
    """Collect one shard, on whatever node this is; returns why it cannot be done, None where it could."""
    ray: Any = import_module("ray")

    def hear(item: Collected) -> None:
        ray.get(board.add.remote(item.model_dump_json()))

    try:
        config, pairs = Run.read(Path(folder))
        items = [Item(problem=problem, reference=gold) for problem, gold in pairs]
        collect_shard(config, items, hear=hear, resume=Path(folder), shard=parse_shard(shard))
    except ActorCriticError as error:
        return f"shard {shard}: {error}"
    return None
