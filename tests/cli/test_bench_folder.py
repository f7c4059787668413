"""A comparison's folder: what is in it, what an interruption leaves, what a resume does not do again."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorcritic.bench import ProblemRow
from actorcritic.cli import bench_running as module
from actorcritic.loading import Roles
from actorcritic.trajectory.episodes import read_episodes
from tests.cli.comparisons import SMALL, calls, figures, report
from tests.cli.conftest import Command

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_the_folder_holds_everything_and_is_not_overwritten(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = command(*SMALL, "--strategies", "greedy,revise", "--out", folder, "--json")
    assert done.code == 0
    assert json.loads((folder / "bench.json").read_text()) == report(done)
    rows = [ProblemRow.model_validate_json(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == 8 and {row.limit for row in rows} == {200}
    assert json.loads((folder / "run.json").read_text())["config"]["strategies"] == ["greedy", "revise"]
    again = command(*SMALL, "--strategies", "greedy", "--out", folder)
    assert again.code == 2 and "holds a run already" in again.err
    other = command("solve", "--resume", folder)
    assert other.code == 2 and other.err.count("\n") == 1


def test_lost_rows_are_read_off_the_logs(command: Command, tmp_path: Path, roles: list[Roles]) -> None:
    folder = tmp_path / "run"
    whole = report(command(*SMALL, "--strategies", "majority,revise", "--out", folder, "--json"))
    log = folder / "rows.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    for cut in (0, 3, 8):
        log.write_bytes(b"".join(lines[:cut]) + b'{"torn')
        done = command("bench", "--resume", folder, "--json")
        assert done.code == 0 and figures(report(done)) == figures(whole)
        assert len(log.read_bytes().splitlines()) == 8 and calls(roles[-1]) == 0


@pytest.mark.parametrize("shared", [(), ("--share-samples",)])
@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
def test_no_finished_call_is_made_again(
    command: Command, tmp_path: Path, roles: list[Roles], shared: tuple[str, ...], cut: float
) -> None:
    folder = tmp_path / "run"
    strategies = ("--strategies", "majority:n=4;best-of-n:score=logprob,n=6;revise")
    whole = report(command(*SMALL, *strategies, *shared, "--out", folder, "--json"))
    made = calls(roles[-1])
    first, second, third = sorted((folder / "searches").iterdir())
    # As a kill leaves it: one search had ended, one was at work, one had not begun; a row was lost, a line is torn.
    rows = (folder / "rows.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "rows.jsonl").write_bytes(b"".join(rows[:3]))
    log = second / "events" / "main.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[: int(cut * len(lines))]) + b'{"torn')
    shutil.rmtree(third)
    kept = [json.loads(line) for place in (first, second) for line in whole_lines(place)]
    done = command("bench", "--resume", folder, "--json")
    assert done.code == 0 and figures(report(done)) == figures(whole)
    paid = [json.dumps(event["payload"]["request"]) for event in kept if event["kind"] == "called"]
    # Shared samples are logged by each search that has them, and are paid for once.
    assert calls(roles[-1]) == made - len(set(paid) if shared else paid)


def whole_lines(run: Path) -> list[bytes]:
    return [line for line in (run / "events" / "main.jsonl").read_bytes().splitlines() if line.endswith(b"}")]


def test_every_search_is_a_run_folder(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command(*SMALL, "--strategies", "best-of-n:score=logprob,n=3;revise@oracle", "--seeds", "0,1", "--out", folder)
    places = sorted((folder / "searches").iterdir())
    assert [place.name for place in places] == [
        "01-best-of-n-score=logprob-n=3-seed-0-tokens-200",
        "02-best-of-n-score=logprob-n=3-seed-1-tokens-200",
        "03-revise-oracle-seed-0-tokens-200",
        "04-revise-oracle-seed-1-tokens-200",
    ]
    runs = [list(read_episodes(place)) for place in places]
    assert [len(run) for run in runs] == [4] * 4 and all(episode.finished for run in runs for episode in run)
    assert [run[0].oracle for run in runs] == [False, False, True, True]


def test_logs_can_be_dropped_once_a_search_has_ended(
    command: Command, tmp_path: Path, interrupt_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, judge = tmp_path / "run", module._judge
    whole = report(command(*SMALL, "--strategies", "greedy,majority", "--json"))
    interrupt_after(6)
    options = ("--strategies", "greedy,majority", "--drop-logs", "--out", folder)
    assert command(*SMALL, *options).code == 130
    assert [place.name[:11] for place in (folder / "searches").iterdir()] == ["02-majority"]
    monkeypatch.setattr(module, "_judge", judge)
    resumed = command("bench", "--resume", folder, "--json")
    assert figures(report(resumed)) == figures(whole) and "with 0.0 MB of logs" in resumed.err
    assert not list((folder / "searches").iterdir())


def test_a_broken_or_a_busy_folder_is_refused(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert command(*SMALL, "--strategies", "greedy", "--out", folder).code == 0
    with open(folder / "rows.jsonl", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        busy = command("bench", "--resume", folder)
    assert busy.code == 2 and "in use by another writer" in busy.err
    (folder / "rows.jsonl").write_text("{}\n", encoding="utf-8")
    broken = command("bench", "--resume", folder)
    assert broken.code == 2 and "line 1: this is no row" in broken.err
    options = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**options, "config": {"strategy": "greedy"}}), encoding="utf-8")
    foreign = command("bench", "--resume", folder)
    assert foreign.code == 2 and "no comparison that this version can go on with" in foreign.err


def test_rows_of_other_models_are_not_mixed(command: Command, tmp_path: Path, roles: list[Roles]) -> None:
    folder = tmp_path / "run"
    done = command(*SMALL, "--strategies", "greedy", "--out", folder, "--json")
    assert report(done)["models"] == [engine.info.model for engine in roles[-1].engines]
    options = json.loads((folder / "run.json").read_text())
    options["config"]["models"] = ["an older one"]
    (folder / "run.json").write_text(json.dumps(options), encoding="utf-8")
    other = command("bench", "--resume", folder)
    assert other.code == 2 and "the models are no longer those" in other.err


@pytest.fixture
def interrupt_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return how to interrupt the run at the judging of problem number n."""

    def install(number: int) -> None:
        seen = 0
        judge = module._judge

        async def interrupt(*args: Any, **options: Any) -> ProblemRow:
            nonlocal seen
            seen += 1
            if seen > number:
                raise KeyboardInterrupt
            return await judge(*args, **options)

        monkeypatch.setattr(module, "_judge", interrupt)

    return install


def test_an_interruption_prints_what_is_finished(
    command: Command, tmp_path: Path, interrupt_after: Callable[[int], None]
) -> None:
    folder = tmp_path / "run"
    interrupt_after(6)
    done = command(*SMALL, "--strategies", "greedy,majority,revise", "--out", folder, "--json")
    assert done.code == 130 and f"go on with: actorcritic bench --resume {folder}" in done.err
    found = report(done)
    assert {row["strategy"] for row in found["rows"]} == {"greedy"} and found["complete"] is False
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 6
    interrupt_after(100)


def test_an_interruption_without_a_folder(command: Command, interrupt_after: Callable[[int], None]) -> None:
    interrupt_after(2)
    done = command(*SMALL, "--strategies", "greedy")
    assert done.code == 130 and "--resume runs/bench-countdown-3-" in done.err and "At " not in done.out
