"""What the log costs: events per second, bytes, its share of a run's time, and whether memory grows with the run.

    python -m tests.benchmarks.trajectory [--events 20000] [--calls 4000] [--trajectories 100000] [--problems 40]

Speed: bare events, and calls with 200 token ids and log-probabilities, written to a real file by one writer, best of
three. Size: bytes on disk of such an event, and of a problem of the run below: its log, and its three tables as Parquet
(extra `table`; null without it). Share: `FileRecorder.record` and the making of its payloads, as part of the processor
time of `best-of-n` with the embedded pair; held: how long they kept the event loop, waiting for the interpreter after
each write included, as part of the run's seconds. Memory: what the process holds after so many trajectories over what
it held after a tenth of them, while writing, and while reading the same folder as episodes. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from actorcritic.budget import Budget, Charge, Spend
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, solve_all
from actorcritic.loading import load_roles
from actorcritic.metering import Call
from actorcritic.search.strategies import parse_strategy
from actorcritic.search.tree import NodeCount
from actorcritic.tasks.sources import draw_problems
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.trajectory.events import Kind
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.recorder import EVENTS, FileRecorder, create_run
from actorcritic.trajectory.table import write_tables
from actorcritic.types import (
    Action,
    FinishReason,
    GenerateRequest,
    Generation,
    Outcome,
    Problem,
    Prompt,
    Solution,
    Step,
    StopReason,
    TokenLogprob,
    Trial,
    Usage,
)

TOKENS = 200
TRIAL = Trial(id=0, action=Action.PROPOSE)


def make_call(tokens: int, seed: int = 0) -> Call:
    """Return a call with so many prompt and completion tokens."""
    rng = random.Random(seed)
    drawn = tuple(
        TokenLogprob(token_id=rng.randrange(100_000), text=f" w{rng.randrange(1000)}", logprob=-rng.expovariate(2))
        for _ in range(tokens)
    )
    ids = tuple(token.token_id or 0 for token in drawn)
    prompt_ids = tuple(rng.randrange(100_000) for _ in range(tokens))
    usage = Usage(calls=1, prompt_tokens=tokens, completion_tokens=tokens, logical_tokens=2 * tokens)
    generation = Generation(
        text="".join(token.text for token in drawn),
        finish_reason=FinishReason.STOP,
        usage=usage,
        tokens=drawn,
        prompt_ids=prompt_ids,
        token_ids=ids,
    )
    return Call(
        role="actor",
        engine="hf:model",
        model="0123456789abcdef",
        request=GenerateRequest(prompt=Prompt(content="w" * 4 * tokens), max_tokens=tokens, seed=7),
        generation=generation,
        charge=Charge(role="actor", model="m", prompt_ids=prompt_ids, completion_ids=ids, usage=usage),
        usage=usage,
        seconds=0.1,
    )


def speed(folder: Path, count: int, write: Callable[[TrajectoryJournal], None]) -> tuple[float, float]:
    """Return the best of three, events per second that one writer brings into a file, and the bytes of an event."""
    best, size = 0.0, 0
    for turn in range(3):
        with FileRecorder(folder, f"turn-{turn}") as recorder:
            journal = TrajectoryJournal(recorder, run="r", problem="p")
            start = time.perf_counter()
            for _ in range(count):
                write(journal)
            best = max(best, count / (time.perf_counter() - start))
            size = recorder.path.stat().st_size
    return best, size / count


def sizes(folder: Path, problems: int) -> tuple[float, float | None]:
    """Return the bytes of a run per problem: of its events, and of its tables as Parquet where the extra is there."""
    log = sum(path.stat().st_size for path in (folder / EVENTS).iterdir())
    if find_spec("pyarrow") is None:
        return log / problems, None
    return log / problems, sum(path.stat().st_size for path in write_tables(folder).values()) / problems


class Timed(TrajectoryJournal):
    """A journal that adds up the processor time spent in it, and the seconds that passed meanwhile."""

    spent = held = 0.0

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        if name not in ("started", "asked", "called", "brought", "committed", "finished"):
            return found

        def timed(*arguments: object) -> None:
            clock, start = time.perf_counter(), time.thread_time()
            found(*arguments)
            Timed.spent += time.thread_time() - start
            Timed.held += time.perf_counter() - clock

        return timed


async def share(folder: Path, count: int) -> tuple[float, float]:
    """Return the journal's part of the processor time, and of the seconds, of a run with the embedded pair."""
    problems = draw_problems("countdown", "dev", count)
    create_run(folder, run="r", config={}, problems=[(problem, None) for problem in problems], created="t")
    roles = load_roles("embedded")
    settings = SearchSettings(
        strategy=parse_strategy("best-of-n"),
        budget=Budget(tokens=400),
        exact=True,
        trial_tokens=roles.trial_tokens(problems),
    )
    with FileRecorder(folder) as recorder:
        sessions = (
            new_session(problem, settings, Timed(recorder, run="r", problem=problem.id)) for problem in problems
        )
        clock, start = time.perf_counter(), time.process_time()
        async for _ in solve_all(sessions, roles.actor, roles.critic, settings):
            pass
        whole, seconds = time.process_time() - start, time.perf_counter() - clock
    await roles.aclose()
    return Timed.spent / whole, Timed.held / seconds


class End:
    """How a trajectory of the memory test ends."""

    best, answer, attempts, failures = 0, "1", 1, ()
    spend = Spend()
    stopped_by: StopReason = "completed"
    counts: Mapping[int, NodeCount] = {}


def write_trajectory(recorder: FileRecorder, problem: str, call: Call) -> None:
    """Write one problem with one trial of one call."""
    journal = TrajectoryJournal(recorder, run="r", problem=problem)
    solution = Solution(steps=(Step(text="1", raw="1", token_ids=(1,), logprobs=(-0.5,)),), answer="1")
    journal.started()
    journal.asked(TRIAL)
    journal.called(TRIAL, call)
    journal.brought(TRIAL, solution)
    journal.committed(TRIAL, Outcome(vote_key="1"), Spend())
    journal.finished(End())
    journal.scored(0, by="checker:exact", score=1.0, gold=True)


def held_mb() -> float:
    """Return what this process holds in memory now, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth(steps: Iterator[int], count: int) -> float:
    """Return by how many MB a process has grown between the first tenth of its steps and the last."""
    early, most = 0.0, 0.0
    for step in steps:
        if step == count // 10:
            early = held_mb()
        if step > count // 10 and step % max(1, count // 100) == 0:
            most = max(most, held_mb())
    return round(most - early, 1)


def memory(folder: Path, count: int) -> tuple[float, float]:
    """Return the growth in MB while so many trajectories are written, and while they are read."""
    problems = ((Problem(id=f"problem-{number}", prompt="?"), None) for number in range(count))
    create_run(folder, run="r", config={}, problems=problems, created="t")
    call = make_call(20)

    def writing() -> Iterator[int]:
        with FileRecorder(folder) as recorder:
            for number in range(count):
                write_trajectory(recorder, f"problem-{number}", call)
                yield number

    def reading() -> Iterator[int]:
        for number, episode in enumerate(read_episodes(folder)):
            assert episode.attempts[0].correct
            yield number

    return growth(writing(), count), growth(reading(), count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--calls", type=int, default=4_000)
    parser.add_argument("--trajectories", type=int, default=100_000)
    parser.add_argument("--problems", type=int, default=40)
    options = parser.parse_args()
    call = make_call(TOKENS)
    with TemporaryDirectory() as place:
        folder = Path(place)
        # First, while the process is small: what a model once held would hide a growth.
        writing, reading = memory(folder / "memory", options.trajectories)
        sys.stderr.write(f"grown by {writing} MB while writing and {reading} MB while reading\n")
        create_run(folder, run="r", config={}, problems=[], created="t")
        bare, bare_bytes = speed(
            folder, options.events, lambda journal: journal.note(Kind.BUDGET, TRIAL, {"limit": "tokens"})
        )
        calls, call_bytes = speed(folder, options.calls, lambda log: log.called(TRIAL, call))
        sys.stderr.write(
            f"{bare:.0f} bare events and {calls:.0f} calls per second, of {bare_bytes:.0f} and {call_bytes:.0f} bytes\n"
        )
        part, held = asyncio.run(share(folder / "share", options.problems))
        sys.stderr.write(f"{part:.2%} of a run's processor time, {held:.2%} of its seconds\n")
        log, tables = sizes(folder / "share", options.problems)
        sys.stderr.write(f"{log:.0f} bytes per trajectory, {tables or 0:.0f} as Parquet\n")
    print(
        json.dumps(
            {
                "events_per_second": round(bare),
                "call_events_per_second": round(calls),
                "bytes_per_event": round(bare_bytes),
                "bytes_per_call_event": round(call_bytes),
                "bytes_per_trajectory": round(log),
                "bytes_per_trajectory_parquet": None if tables is None else round(tables),
                "share_of_run": round(part, 5),
                "held_of_run": round(held, 5),
                "memory_growth_mb": max(writing, reading),
                "memory_growth_writing_mb": writing,
                "memory_growth_reading_mb": reading,
                "trajectories": options.trajectories,
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
