"""`actorcritic collect`: everything is logged and scored afterwards, in shards or whole, and goes on where it broke."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actorcritic.cli.progress import Progress
from actorcritic.cli.runs import RunConfig
from actorcritic.cli.tally import CollectReport
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.loading import Roles
from actorcritic.tasks.checkers import verify
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.trajectory.recorder import FileRecorder
from actorcritic.trajectory.shards import Shard
from actorcritic.types import Reference
from tests.cli.conftest import Command
from tests.cli.test_interruption import many_problems
from tests.graphs.world import world

HARD = ("--strategy", "best-of-n", "--samples", 3)


def episodes(run: Path) -> list[Episode]:
    return list(read_episodes(run))


def gist(run: Path) -> list[Any]:
    """Return what came of every problem, and what was said of every attempt."""
    return [
        (e.problem.id, e.best, e.answer, e.spend.total, [(a.solution, a.correct, len(a.scores)) for a in e.attempts])
        for e in episodes(run)
    ]


def test_attempts_that_end_after_the_search_had_stopped_are_scored_too(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(config: RunConfig) -> Roles:
        actor, critic = world(latencies=(0.004, 0.0, 0.002))
        return Roles(actor=actor, critic=critic, engines=(actor.engine, critic.engine), reward_model=None)

    monkeypatch.setattr(RunConfig, "load", slow)
    run = tmp_path / "run"
    options = ("--strategy", "revise", "--samples", 8, "--width", 4, "--json")
    done = command("collect", "--task", "countdown", "--limit", 12, "--out", run, *options)
    (record,) = done.records
    attempts = [attempt for episode in episodes(run) for attempt in episode.attempts]
    late = [attempt for attempt in attempts if attempt.outcome is None and attempt.complete]
    assert late, "some came too late for the search"
    assert all(attempt.correct is not None for attempt in attempts if attempt.complete)
    assert record["attempts"] == sum(attempt.outcome is not None for attempt in attempts)
    # What a crash kept from being written is added when the run goes on.
    log = run / "events" / "main.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(line for line in lines if b'"kind":"scored"' not in line))
    assert not any(attempt.scores for episode in episodes(run) for attempt in episode.attempts)
    (again,) = command("collect", "--resume", run, "--json").records
    assert [a.correct for e in episodes(run) for a in e.attempts] == [a.correct for a in attempts]
    assert (again["attempts"], again["right"]) == (record["attempts"], record["right"])


def test_every_complete_attempt_is_scored_by_the_checker(command: Command, problems: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = command("collect", "--problems", problems, "--out", run, *HARD, "--json")
    assert done.code == 0 and "3 of 3 problems" in done.err
    (record,) = done.records
    report = CollectReport.model_validate(record)
    found = episodes(run)
    attempts = [attempt for episode in found for attempt in episode.attempts]
    assert (report.problems, report.done, report.attempts) == (3, 3, 9) and len(attempts) == 9
    for episode in found:
        assert episode.finished and not episode.oracle, "scored afterwards: no oracle run"
        assert episode.provenance.strategy == "best-of-n:n=3" and len(episode.provenance.models) == 2
        for attempt in episode.attempts:
            (score,) = attempt.scores
            assert (score.by, score.gold) == ("checker:countdown", True) and score.score in (0.0, 1.0)
            assert attempt.correct is asyncio.run(verify(episode.problem, attempt.solution, Reference()))
    assert report.right == sum(attempt.correct is True for attempt in attempts)
    assert report.accuracy == sum(e.best_attempt is not None and e.best_attempt.correct is True for e in found) / 3
    assert report.tokens == sum(episode.spend.total.logical_tokens for episode in found)


def test_nobody_can_tell_where_there_is_no_gold_answer(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"id": "a", "problem": "Use 2, 3 and 4 to make 24.", "checker": "exact"}) + "\n")
    done = command("collect", "--problems", path, "--out", tmp_path / "run", "--samples", 2)
    assert done.code == 0 and "1 of 1 problems, 2 attempts, " in done.out
    (episode,) = episodes(tmp_path / "run")
    assert [attempt.scores for attempt in episode.attempts] == [(), ()]


def test_prompts_can_stay_out_of_the_folder(command: Command, problems: Path, tmp_path: Path) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert command("collect", "--problems", problems, "--out", run, "--no-prompts", *HARD).code == 0
    command("collect", "--problems", problems, "--out", whole, *HARD)
    assert gist(run) == gist(whole) and all(episode.withheld for episode in episodes(run))
    for path in (run / "problems.jsonl", run / "events" / "main.jsonl"):
        text = path.read_text(encoding="utf-8")
        assert "7, 13 and 14" not in text and "numbers 7 13 14" not in text
    assert "numbers 7 13 14" in (whole / "events" / "main.jsonl").read_text(encoding="utf-8")
    done = command("collect", "--resume", run)
    assert done.code == 2 and "without prompts" in done.err


def test_a_task_gives_training_problems(command: Command, tmp_path: Path) -> None:
    done = command(
        "collect", "--task", "countdown-3", "--limit", 4, "--out", tmp_path / "run", "--samples", 1, "--json"
    )
    assert done.code == 0 and done.records[0]["done"] == 4
    assert (
        command("collect", "--task", "countdown-3", "--split", "dev", "--limit", 1, "--out", tmp_path / "d").code == 0
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--task", "countdown"), "give --out"),
        (("--out", "r"), "give --problems, a file, or --task"),
        (("--out", "r", "--task", "moon"), "unknown task 'moon'"),
        (("--out", "r", "--task", "countdown", "--split", "test"), "--split must be one of train, dev"),
        (("--out", "r", "--problems", "nowhere.jsonl"), "cannot read the problem file"),
        (("--out", "r", "--problems", "P", "--split", "dev"), "--split is for tasks"),
        (("--out", "r", "--problems", "P", "--shard", "2/2"), "--shard takes I/N"),
        (("--out", "r", "--problems", "P", "--shard", "half"), "--shard takes I/N"),
        (("--out", "r", "--problems", "P", "--processes", "0"), "--processes must be at least 1"),
        (("--out", "r", "--problems", "P", "--shard", "0/2", "--processes", "2"), "leave out --processes"),
        (("--out", "r", "--problems", "P", "--strategy", "greedy", "--samples", "2"), "no count of its own"),
        (("--out", "r", "--problems", "P", "--strategy", "mcts:n=2", "--samples", "2"), "say the same"),
        (("--out", "r", "--problems", "P", "--critic", "none"), "needs a critic"),
        (("--out", "r", "--problems", "P", "--no-prompts", "--processes", "2"), "--no-prompts is for one process"),
        (("--resume", "nowhere"), "no run folder"),
        (("--resume", "r", "--out", "s"), "--resume takes problems and options from the run folder"),
    ],
)
def test_one_clear_line_for_a_mistake(
    command: Command, problems: Path, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(problems.parent)
    done = command("collect", *(problems if argument == "P" else argument for argument in arguments))
    assert done.code == 2 and done.out == ""
    assert said in done.err and done.err.count("\n") == 1
    assert not (problems.parent / "r").exists(), "nothing is written"


def test_scores_that_a_crash_lost_are_added(
    command: Command, problems: Path, tmp_path: Path, roles: list[Roles]
) -> None:
    run = tmp_path / "run"
    command("collect", "--problems", problems, "--out", run, *HARD)
    whole = gist(run)
    path = run / "events" / "main.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    scored = [number for number, line in enumerate(lines) if b'"kind":"scored"' in line]
    path.write_bytes(b"".join(lines[: scored[-2]]))
    again = command("collect", "--resume", run, "--json")
    assert again.code == 0 and gist(run) == whole
    engines = [engine for engine in roles[-1].engines if isinstance(engine, ScriptedEngine)]
    assert not any(engine.calls for engine in engines), "no call is made again"
    assert command("collect", "--resume", run, "--json").records[0]["right"] == again.records[0]["right"]
    assert gist(run) == whole, "and none is scored twice"


@pytest.mark.parametrize("cut", [0.1, 0.4, 0.7, 0.9])
def test_a_cut_log_goes_on_to_the_same_run(command: Command, problems: Path, tmp_path: Path, cut: float) -> None:
    run = tmp_path / "run"
    command("collect", "--problems", problems, "--out", run, *HARD)
    whole = gist(run)
    path = run / "events" / "main.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    assert command("collect", "--resume", run).code == 0
    assert gist(run) == whole


def test_a_solve_run_can_be_scored(command: Command, problems: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command("solve", "--problems", problems, "--out", run)
    assert all(attempt.correct is None for episode in episodes(run) for attempt in episode.attempts)
    assert command("collect", "--resume", run).code == 0
    assert all(attempt.correct is not None for episode in episodes(run) for attempt in episode.attempts)


def test_shards_fill_one_folder_with_what_one_process_would(command: Command, tmp_path: Path) -> None:
    problems = many_problems(tmp_path)
    options = ("--problems", problems, *HARD, "--json")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command("collect", *options, "--out", whole)
    first, second = (command("collect", *options, "--out", parts, "--shard", f"{i}/2").records[0] for i in range(2))
    count = len(problems.read_text(encoding="utf-8").splitlines())
    assert first["done"] + second["done"] == count and first["done"] == first["problems"] > 0 < second["done"]
    assert sorted(path.name for path in (parts / "events").iterdir()) == [f"shard-{i}-of-2.jsonl" for i in range(2)]
    assert gist(parts) == gist(whole)
    other = command("collect", *options, "--out", parts, "--shard", "0/2", "--seed", 7)
    assert other.code == 2 and "other options or problems" in other.err
    assert command("collect", "--resume", parts, "--json").records[0]["done"] == count, (
        "another division goes on with it"
    )


def test_shards_at_work_divide_the_run_in_one_way(command: Command, problems: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command("collect", "--problems", problems, "--out", run, "--samples", 1, "--shard", "0/2")
    with FileRecorder(run, Shard(1, 2).writer):
        assert command("collect", "--resume", run, "--shard", "0/2").code == 0
        for arguments, said in (
            (("--shard", "1/2"), "in use by another writer"),
            (("--shard", "1/3"), "worked on as shard-1-of-2"),
            ((), "worked on as shard-1-of-2"),
        ):
            done = command("collect", "--resume", run, *arguments)
            assert done.code == 2 and said in done.err
    with FileRecorder(run, "main"):
        assert "worked on as main" in command("collect", "--resume", run, "--shard", "0/2").err


def test_progress_says_tokens_accuracy_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    times: Iterator[float] = iter([0.0, 1.0, *(12.0,) * 9])
    progress = Progress(5, clock=lambda: next(times))
    progress.advance(10, True, before=True)
    progress.advance(10, False)
    assert "2 of 5 problems, 20 tokens, 50% right, 0:00:36 left" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("limit", "reason"), [(("--budget-calls", 3), "calls"), (("--budget-seconds", 1e-9), "seconds")]
)
def test_other_budgets_than_tokens_end_a_search_too(
    command: Command, problems: Path, tmp_path: Path, limit: tuple[object, ...], reason: str
) -> None:
    run = tmp_path / "run"
    command("collect", "--problems", problems, "--out", run, "--samples", 9, "--width", 1, *limit)
    assert {episode.stopped_by for episode in episodes(run)} == {reason}


def test_money_is_a_budget_where_there_are_prices(command: Command, problems: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({name: {"prompt": 0, "completion": 1e6} for name in ("actor", "critic")}))
    options = ("--problems", problems, "--samples", 9, "--width", 1, "--budget-money", 60)
    refused = command("collect", *options, "--out", tmp_path / "none")
    assert refused.code == 2 and "needs the price of every model" in refused.err
    run = tmp_path / "run"
    assert command("collect", *options, "--out", run, "--prices", prices).code == 0
    assert {episode.stopped_by for episode in episodes(run)} == {"money"}
    assert all(0 < episode.spend.money <= 60 for episode in episodes(run))
