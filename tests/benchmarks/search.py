"""What a search costs beside the models: microseconds per ask and tell, bytes per node, and TreeQuest beside it.

    python -m tests.benchmarks.search [--sizes 1000,10000,100000] [--repeats 5] [--windows 5] [--peer-size 10000]

Policy `mcts` over whole solutions with random scores. A window is some asks and tells that end near a size; its figure
is their median by the wall clock, beside it the mean processor time, collection of garbage included; of several windows
and trees the best is given. TreeQuest's StandardMCTS grows in place to --peer-size (each step costs more than the last:
100,000 nodes would take hours), where both take turns by windows; the ratio is the median over the pairs, by processor
time, since a step of milliseconds is interrupted where one of microseconds is not. The last line is JSON.
"""

# TreeQuest is of the extra `peers`, which need not be installed.
# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from actorcritic.search.mcts import Mcts
from actorcritic.search.options import OptionValue
from actorcritic.types import Outcome, Verdict

SETTINGS: dict[str, tuple[dict[str, OptionValue], float]] = {
    "uct": ({"selection": "uct"}, 0.0),
    "uct, widening": ({"selection": "uct", "expand": 50, "pw_alpha": 0.5}, 0.0),
    "uct, mixed results": ({"selection": "uct"}, 0.2),
    "puct": ({}, 0.0),
}
"""By name: the policy's options, and the share of solutions that are right, which nothing hangs below."""
BRANCHING = 5
"""Children per node: the default of `mcts`, and given to TreeQuest."""
PEER_WINDOW = 50
"""Steps of TreeQuest in one window; they take milliseconds each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one ask and tell costs, in microseconds."""

    clock: float
    processor: float


class Tree:
    """One growing search with results from a pool made beforehand, so that only the search is measured."""

    def __init__(self, setting: str, seed: int) -> None:
        options, right = SETTINGS[setting]
        self.policy = Mcts(seed=seed, **options)
        draw = random.Random(seed)
        self._pool = [_result(draw, right) for _ in range(4096)]

    def step(self) -> None:
        """Ask and tell once."""
        (trial,) = self.policy.ask()
        self.policy.tell(trial.id, self._pool[trial.id % 4096])

    def grow(self, size: int) -> None:
        """Go on until there are so many nodes."""
        for _ in range(size - len(self.policy.tree)):
            self.step()


def _result(draw: random.Random, right: float) -> Outcome:
    """Return a scored solution, wrong in its second step unless it is right."""
    score = draw.random()
    if draw.random() < right:
        return Outcome(verdict=Verdict.CORRECT, score=score, steps=4)
    return Outcome(verdict=Verdict.INCORRECT, score=score, first_error=1, steps=4)


def measure(step: Callable[[], None], steps: int) -> Cost:
    """Return the cost of a step over a window."""
    times: list[int] = []
    spent = time.process_time_ns()
    for _ in range(steps):
        start = time.perf_counter_ns()
        step()
        times.append(time.perf_counter_ns() - start)
    spent = time.process_time_ns() - spent
    return Cost(clock=statistics.median(times) / 1e3, processor=spent / steps / 1e3)


def best(costs: Sequence[Cost]) -> Cost:
    """Return the lowest of each kind."""
    return Cost(clock=min(cost.clock for cost in costs), processor=min(cost.processor for cost in costs))


def measure_setting(setting: str, args: argparse.Namespace) -> dict[int, Cost]:
    """Return what a step costs at each size."""
    found: dict[int, list[Cost]] = {size: [] for size in args.sizes}
    for seed in range(args.repeats if setting == "uct" else 1):
        tree = Tree(setting, seed)
        for size in args.sizes:
            window = max(1, min(500, size // 10) // args.windows)
            tree.grow(size - window * args.windows)
            found[size] += [measure(tree.step, window) for _ in range(args.windows)]
        del tree
        gc.collect()
    return {size: best(costs) for size, costs in found.items()}


def measure_memory(sizes: Sequence[int]) -> dict[int, float]:
    """Return the bytes per node at each size; the results told, which are the caller's, are not counted."""
    tree = Tree("uct", 0)
    found: dict[int, float] = {}
    tracemalloc.start()
    try:
        for size in sizes:
            tree.grow(size)
            gc.collect()
            found[size] = tracemalloc.get_traced_memory()[0] / size
    finally:
        tracemalloc.stop()
    return found


# --- TreeQuest -----------------------------------------------------------------------------------------------------


class Peer:
    """TreeQuest's own search over the same kind of scores, changed in place."""

    def __init__(self) -> None:
        import treequest  # noqa: PLC0415 - of the extra `peers`; only this side needs it

        self._algorithm: Any = treequest.StandardMCTS(samples_per_action=BRANCHING)
        self._state: Any = self._algorithm.init_tree()
        self._draw = random.Random(0)

    def _generate(self, parent: object) -> tuple[int, float]:
        return 0, self._draw.random()

    def step(self) -> None:
        """Select, generate and take in, with one call."""
        self._state = self._algorithm.step(self._state, {"revise": self._generate}, inplace=True)

    def ask_and_tell(self) -> None:
        """Do the same with two calls, which look a node up once less."""
        self._state, trial = self._algorithm.ask(self._state, ["revise"])
        self._state = self._algorithm.tell(self._state, trial.trial_id, self._generate(None))

    def grow(self, size: int) -> None:
        """Go on until there are so many nodes."""
        while len(self._state.tree) <= size:
            self.ask_and_tell()


def compare(size: int, pairs: int) -> dict[str, float]:
    """Return TreeQuest's cost near a size and how many times ours it is, both measured in turns."""
    peer, tree = Peer(), Tree("uct", 0)
    peer.grow(size - 2 * pairs * PEER_WINDOW)
    window = max(1, min(500, size // 10) // pairs)
    tree.grow(size - window * pairs)
    ours, steps, asks = list[Cost](), list[Cost](), list[Cost]()
    for _ in range(pairs):
        steps.append(measure(peer.step, PEER_WINDOW))
        ours.append(measure(tree.step, window))
        asks.append(measure(peer.ask_and_tell, PEER_WINDOW))

    def ratio(theirs: Sequence[Cost]) -> float:
        return round(statistics.median(a.processor / b.processor for a, b in zip(theirs, ours, strict=True)), 1)

    return {
        "size": size,
        "us_cpu": round(best(ours).processor, 2),
        "us_cpu_step": round(best(steps).processor, 1),
        "us_cpu_ask_tell": round(best(asks).processor, 1),
        "ratio_step": ratio(steps),
        "ratio_ask_tell": ratio(asks),
    }


# --- the command ---------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per setting and size, then everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000", help="nodes (default 1000,10000,100000)")
    parser.add_argument("--repeats", type=int, default=5, help="trees of plain UCT; one of the others (default 5)")
    parser.add_argument("--windows", type=int, default=5, help="windows per tree and size (default 5)")
    parser.add_argument("--peer-size", type=int, default=10_000, help="nodes of TreeQuest; 0 = leave it out")
    args = parser.parse_args(arguments)
    args.sizes = sorted(map(int, args.sizes.split(",")))
    try:
        versions = {"treequest": version("treequest")} if args.peer_size else {}
    except ModuleNotFoundError:
        sys.stderr.write("TreeQuest is not installed: make bench-search installs it; --peer-size 0 leaves it out\n")
        return 2
    rows: list[dict[str, Any]] = []
    row: dict[str, Any]
    for setting in SETTINGS:
        for size, cost in measure_setting(setting, args).items():
            row = {"setting": setting, "nodes": size, "us": round(cost.clock, 2), "us_cpu": round(cost.processor, 2)}
            rows.append(row)
            print(f"{setting:20} {size:7} nodes: {cost.clock:6.2f} us, processor {cost.processor:6.2f} us", flush=True)
    memory = measure_memory(args.sizes)
    print("bytes per node:", "  ".join(f"{size}: {found:.0f}" for size, found in memory.items()), flush=True)
    summary: dict[str, Any] = {"bench": "search"}
    for row in rows[: len(args.sizes)]:
        summary[f"us_{row['nodes'] // 1000}k"] = row["us"]
        summary[f"us_{row['nodes'] // 1000}k_cpu"] = row["us_cpu"]
    summary["bytes_per_node"] = round(max(memory.values()))
    if args.peer_size:
        peer = compare(args.peer_size, args.windows)
        print("TreeQuest StandardMCTS in place:", "  ".join(f"{name} {value}" for name, value in peer.items()))
        summary[f"ratio_treequest_{args.peer_size // 1000}k"] = peer["ratio_step"]
        summary["treequest"] = peer
    print(json.dumps({**summary, "rows": rows, "versions": versions}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
