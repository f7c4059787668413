"""`actorcritic collect --from RUN --step NAME` on the embedded pair, through to the export that reads it."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from actorcritic.cli.app import run
from actorcritic.cli.cluster import Part
from actorcritic.cli.fleet import REPORT
from actorcritic.codec import decode
from actorcritic.collection.running import Progressed, collect_step
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.trajectory.shards import Shard
from actorcritic.types import Critique, Verdict


class Output(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Output]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process, with the real pair."""

    def call(*arguments: object) -> Output:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Output(code, captured.out, captured.err)

    return call


@pytest.fixture
def collected(command: Command, tmp_path: Path) -> Path:
    """Return a run of two small problems."""
    folder = tmp_path / "run"
    arguments = (
        "--task",
        "countdown-3",
        "--limit",
        2,
        "--strategy",
        "majority:n=3",
        "--critic",
        "none",
        "--out",
        folder,
    )
    assert command("collect", *arguments).code == 0
    return folder


def report(done: Output) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_step_labels_of_the_embedded_pair_reach_the_export(command: Command, collected: Path) -> None:
    missing = command("export", collected, "--recipe", "prm", "--dry-run")
    assert missing.code == 2 and "actorcritic collect --from RUN --step step-rollouts" in missing.err
    first = report(command("collect", "--from", collected, "--step", "step-rollouts:n=2", "--json"))
    assert first["made"] == 6 and first["tokens"] > 0 and first["failed"] == 0
    again = report(command("collect", "--from", collected, "--step", "step-rollouts:n=2", "--json"))
    assert (again["made"], again["before"], again["tokens"]) == (0, 6, 0)
    out = collected.parent / "prm"
    assert command("export", collected, "--recipe", "prm", "--out", out).code == 0
    rows = [json.loads(line) for path in sorted(out.glob("*.jsonl")) for line in path.read_text().splitlines()]
    assert rows and all(len(row["labels"]) == len(row["completions"]) for row in rows)


def test_the_embedded_critic_and_what_is_made_of_its_critiques(command: Command, collected: Path) -> None:
    for step in ("critique", "refine:k=1", "flawed-critique:hint=no,n=1", "feedback", "score", "resimulate:m=1"):
        done = command("collect", "--from", collected, "--step", step, "--critic", "embedded")
        assert done.code == 0 and "events appended" in done.out and "2 of 2 problems" in done.err
    steps = {made.step for episode in read_episodes(collected) for made in episode.derived}
    assert {"critique", "refine", "feedback"} <= steps
    critiques = [m for e in read_episodes(collected) for m in e.derived if m.step == "critique"]
    assert len(critiques) == 6
    assert {decode(Critique, made.payload["critique"]).verdict for made in critiques} <= set(Verdict)


def test_the_critic_is_the_runs_own_unless_one_is_named(command: Command, collected: Path) -> None:
    done = command("collect", "--from", collected, "--step", "critique")
    assert done.code == 2 and "the step critique needs a critic" in done.err
    assert command("collect", "--from", collected, "--step", "critique", "--actor", "embedded").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--step", "critique"), "--from RUN and --step NAME belong together"),
        (("--from", "RUN"), "belong together"),
        (("--from", "RUN", "--step", "critique", "--out", "x"), "takes problems from the run folder and appends to it"),
        (("--from", "RUN", "--step", "moon"), "unknown collection step 'moon'; choose from: aggregate-critiques"),
        (("--from", "RUN", "--step", "refine:k=no"), "option k=no is refused"),
        (("--from", "RUN", "--step", "critique", "--critic", "oracle"), "takes no oracle"),
        (("--from", "RUN", "--step", "analyse-error", "--critic", "embedded"), "asks in free text"),
        (("--from", "RUN", "--step", "feedback", "--limit", "0"), "--limit must be at least 1"),
        (("--from", "nowhere", "--step", "feedback"), "is no run folder"),
    ],
)
def test_one_clear_line_for_a_mistake(command: Command, collected: Path, arguments: tuple[str, ...], said: str) -> None:
    done = command("collect", *(collected if argument == "RUN" else argument for argument in arguments))
    assert done.code == 2 and done.out == ""
    assert said in done.err and done.err.count("\n") == 1
    assert not (collected / "outcomes").exists(), "nothing is written"


def made(run: Path) -> list[object]:
    """Return what collection steps have made of a run; what a cache happened to hold left out."""
    return [
        (episode.problem.id, made.step, made.trial, {**made.payload, "spend": None})
        for episode in read_episodes(run)
        for made in episode.derived
    ]


# One job at a time, so that the engine's floating point does not depend on what else is in a batch.
STEP = ("--step", "step-rollouts:n=1", "--temperature", 0.7, "--limit", 2, "--concurrency", 1, "--json")


@pytest.fixture
def whole(command: Command, collected: Path, tmp_path: Path) -> Path:
    """Return a copy of the run to which one process has appended a step."""
    copy = tmp_path / "whole"
    shutil.copytree(collected, copy)
    assert report(command("collect", "--from", copy, *STEP))["made"] == 6
    return copy


def test_shards_append_what_one_process_would(command: Command, collected: Path, whole: Path) -> None:
    parts = [report(command("collect", "--from", collected, *STEP, "--shard", f"{index}/3")) for index in range(3)]
    assert sum(part["problems"] for part in parts) == 2 and sum(part["made"] for part in parts) == 6
    assert made(collected) == made(whole)
    names = [path.name for path in (collected / "outcomes").iterdir()]
    assert len(names) == 3 and "collect-step-rollouts.shard-0-of-3.jsonl" in names
    again = report(command("collect", "--from", collected, *STEP))
    assert (again["made"], again["before"], again["tokens"]) == (0, 6, 0), "and a whole one finds it there"


def test_processes_are_told_all_that_matters(
    command: Command, collected: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(arguments: Sequence[str], processes: int, hear: Callable[[str], None], *, go_on: str) -> None:
        for index in (*range(processes), 0):  # the first dies and is begun again
            with contextlib.redirect_stdout(io.StringIO()) as said:
                assert run([*arguments, "--shard", f"{index}/{processes}", REPORT]) == 0
            for line in said.getvalue().splitlines():
                hear(line)

    monkeypatch.setattr("actorcritic.cli.collect_steps.run_processes", here)
    found = report(command("collect", "--from", collected, *STEP, "--processes", 2))
    assert (found["problems"], found["made"], found["failed"]) == (2, 6, 0) and found["tokens"] > 0
    assert made(collected) == made(whole)


def test_a_cluster_does_the_same_parts(
    command: Command, collected: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(part: Part, address: str, shards: int, hear: Callable[[str], None], *, go_on: str) -> None:
        assert address == "auto"
        for index in range(shards):
            pickle.loads(pickle.dumps(part))(Shard(index, shards), hear)

    monkeypatch.setattr("actorcritic.cli.collect_steps.run_on_cluster", here)
    found = report(command("collect", "--from", collected, *STEP, "--ray", "auto", "--processes", 2))
    assert (found["problems"], found["made"]) == (2, 6) and made(collected) == made(whole)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_processes(command: Command, collected: Path, whole: Path) -> None:
    done = command("collect", "--from", collected, *STEP, "--processes", 2)
    assert done.code == 0 and report(done)["made"] == 6 and made(collected) == made(whole)
    broken = command("collect", "--from", collected, "--step", "critique", "--processes", 2)
    assert broken.code == 2 and "ended with code 2: the same command goes on" in broken.err


def test_an_interruption_keeps_what_was_made(
    command: Command, collected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*arguments: Any, hear: Callable[[Progressed], None], **more: Any) -> None:
        def hear_one(done: Progressed) -> None:
            hear(done)
            signal.raise_signal(signal.SIGINT)

        await collect_step(*arguments, hear=hear_one, **more)

    monkeypatch.setattr("actorcritic.cli.collect_steps.collect_step", broken)
    stopped = command("collect", "--from", collected, "--step", "step-rollouts:n=1", "--concurrency", 1)
    assert stopped.code == 130 and "go on with the same command" in stopped.err
    monkeypatch.undo()
    again = report(command("collect", "--from", collected, "--step", "step-rollouts:n=1", "--json"))
    assert again["before"] == 3 and again["made"] == 3, "that of the first problem was kept"
