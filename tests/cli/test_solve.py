"""`actorcritic solve`: the JSON contract, the log, resuming, and one clear line for every mistake."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from actorcritic.cli.app import run
from actorcritic.cli.display import Transcript
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.loading import EMBEDDED, Roles
from actorcritic.records import ResultRecord
from actorcritic.search.strategies import STRATEGIES
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.recorder import FileRecorder
from actorcritic.types import Trial
from tests.cli.conftest import Command

TEXT = "Use 7, 13 and 14 to make 15."


def test_json_prints_one_object_per_problem_and_nothing_else(command: Command, problems: Path) -> None:
    done = command("solve", "--problems", problems, "--budget-tokens", 400, "--json")
    assert done.code == 0 and [record["id"] for record in done.records] == ["a", "b", "c"]
    for record in done.records:
        ResultRecord.model_validate(record)
        assert set(record) == set(ResultRecord.model_fields)
        assert record["usage"]["total_tokens"] <= 400 and record["budget"] == "hard"
        assert record["correct"] in (True, False) and record["oracle"] is False
        assert [step["index"] for step in record["solution"]["steps"]] == list(range(len(record["solution"]["steps"])))
    assert "3 of 3 problems" in done.err


def test_a_task_brings_its_own_problems(command: Command) -> None:
    done = command("solve", "--task", "sudoku", "--limit", 2, "--strategy", "greedy", "--json")
    assert done.code == 0 and [record["id"].partition(":")[0] for record in done.records] == ["sudoku"] * 2
    assert all(record["correct"] in (True, False) for record in done.records)


def test_a_pair_says_what_it_was_not_made_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pair = shutil.copytree(EMBEDDED, tmp_path / "pair")
    vocabulary = pair / "actor" / "tokenizer.json"
    vocabulary.write_text(vocabulary.read_text(encoding="utf-8").replace('"compute "', '"another "'), encoding="utf-8")
    assert run(["solve", "--task", "arithmetic", "--limit", "1", "--actor", f"embedded:{pair}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "this embedded pair does not know arithmetic, only countdown and sudoku" in error
    assert "take embedded:arithmetic for it" in error


def test_arithmetic_is_solved_by_the_pair_that_knows_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--task", "arithmetic", "--limit", "2", "--critic", "embedded", "--budget-tokens", "400"]
    assert run(["solve", *arguments, "--json", "--out", str(tmp_path / "run")]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(record["answer"] is not None and record["critique"]["steps"] for record in records)
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert (config["actor"], config["critic"]) == ("embedded:arithmetic", "embedded:arithmetic")


@pytest.mark.parametrize("words", [("collect",), ("bench", "--strategies", "greedy", "--budgets", "400")])
def test_other_commands_choose_the_pair_too(command: Command, tmp_path: Path, words: tuple[str, ...]) -> None:
    command(*words, "--task", "arithmetic", "--limit", "1", "--out", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert (config["actor"], config["critic"]) == ("embedded:arithmetic", None)


def test_no_packaged_pair_knows_two_worlds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.jsonl"
    problems = ({"id": "a", "problem": TEXT}, {"id": "b", "problem": "Work out (1 + 2) * 3"})
    mixed.write_text("".join(f"{json.dumps(problem)}\n" for problem in problems))
    assert run(["solve", "--problems", str(mixed)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "take embedded:arithmetic for it" in error


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_strategy_answers(command: Command, strategy: str) -> None:
    done = command("solve", TEXT, "--strategy", strategy, "--json")
    (record,) = done.records
    assert done.code == 0 and record["strategy"] == strategy and record["answer"] is not None
    assert record["stopped_by"] in ("completed", "accepted")


def test_the_same_seed_gives_the_same_answers(command: Command, problems: Path) -> None:
    arguments = ("solve", "--problems", problems, "--budget-tokens", 300, "--json", "--width", 2)
    first, again = command(*arguments, "--seed", 5), command(*arguments, "--seed", 5)
    assert first.out == again.out
    assert command(*arguments, "--seed", 6).out != first.out


def test_a_person_sees_steps_verdicts_and_the_table(command: Command) -> None:
    done = command("solve", TEXT, "--strategy", "revise:rounds=6")
    assert done.code == 0
    for part in (
        TEXT,
        "attempt 1: from the start",
        "✗",
        "first wrong step",
        "accuracy of the answers",
        "critic tokens",
    ):
        assert part in done.out


def test_limit_takes_the_first_problems(command: Command, problems: Path) -> None:
    done = command("solve", "--problems", problems, "--limit", 2, "--strategy", "greedy", "--json")
    assert [record["id"] for record in done.records] == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("solve",), "give one problem as text, or a file with --problems, or --task"),
        (("solve", TEXT, "--strategy", "wish"), "unknown strategy 'wish'; choose from: "),
        (("solve", TEXT, "--strategy", "revise:locate=moon"), "critic | least-confident"),
        (("solve", TEXT, "--budget-tokens", "3"), "too small for one step"),
        (("solve", TEXT, "--budget-tokens", "0"), "the budget of tokens must be above 0"),
        (("solve", TEXT, "--budget-tokens", "many"), "budget-tokens"),
        (("solve", TEXT, "--width", "0"), "width must be at least 1"),
        (("solve", TEXT, "--concurrency", "0"), "--concurrency must be at least 1"),
        (("solve", TEXT, "--limit", "0"), "--limit must be at least 1"),
        (("solve", TEXT, "--critic", "none"), "needs a critic"),
        (("solve", TEXT, "--temperature", "-1"), "--temperature must be at least 0"),
        (("solve", "--problems", "nowhere.jsonl"), "cannot read the problem file nowhere.jsonl"),
        (("solve", "--resume", "nowhere"), "nowhere is no run folder"),
        (("solve", TEXT, "--resume", "nowhere"), "takes problems and options from the run folder: leave out PROBLEM"),
        (("solve", TEXT, "--no-prompts"), "--no-prompts says what a run folder keeps: give --out too"),
        (("solve", "--bogus"), "--bogus"),
        (("wish",), "wish"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    command: Command, arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command(*arguments)
    assert done.code == 2 and done.out == ""
    assert said in done.err and done.err.count("\n") == 1 and "Traceback" not in done.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "line 2: not JSON"),
        ('{"id": "x"}', "line 2: problem"),
        ('{"id": "x", "problem": "p", "gold": "1"}', "put fields of your own under meta"),
        ('{"id": "ok", "problem": "p"}', "the id 'ok' already stands in line 1"),
        ('{"id": "x", "problem": "p", "checker": "wish"}', "unknown checker 'wish'"),
        ('{"id": "x", "problem": []}', "line 2: problem"),
    ],
)
def test_a_bad_problem_file_names_the_line(command: Command, tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(f'{{"id": "ok", "problem": "{TEXT}"}}\n{line}\n', encoding="utf-8")
    done = command("solve", "--problems", path)
    assert done.code == 2 and said in done.err and done.err.count("\n") == 1


def test_the_run_folder_is_written_and_not_overwritten(command: Command, problems: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = command("solve", "--problems", problems, "--strategy", "majority:n=2", "--out", folder, "--json")
    assert done.code == 0 and {record["run"] for record in done.records} == {str(folder)}
    assert json.loads((folder / "run.json").read_text())["config"]["strategy"] == "majority:n=2"
    events = [json.loads(line) for line in (folder / "events" / "main.jsonl").read_text().splitlines()]
    assert sum(event["kind"] == "finished" for event in events) == 3
    again = command("solve", "--problems", problems, "--out", folder)
    assert again.code == 2 and "holds a run already" in again.err


def test_two_writers_on_one_run_are_refused(command: Command, problems: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert command("solve", "--problems", problems, "--strategy", "greedy", "--out", folder).code == 0
    with FileRecorder(folder):
        done = command("solve", "--resume", folder)
    assert done.code == 2 and "in use by another writer" in done.err


def test_resuming_makes_no_finished_call_again(
    command: Command, problems: Path, tmp_path: Path, roles: list[Roles]
) -> None:
    folder = tmp_path / "run"
    whole = command("solve", "--problems", problems, "--budget-tokens", 300, "--out", folder, "--json", "--seed", 2)
    log = folder / "events" / "main.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    for cut in (1, len(lines) // 3, len(lines) // 2, len(lines) - 1, len(lines)):
        log.write_bytes(b"".join(lines[:cut]) + b'{"torn')
        again = command("solve", "--resume", folder, "--json")
        assert again.code == 0 and again.records == whole.records
        made = sum(len(e.calls) for e in roles[-1].engines if isinstance(e, ScriptedEngine))
        paid = sum(json.loads(line)["kind"] == "called" for line in lines[:cut])
        assert made + paid == sum(json.loads(line)["kind"] == "called" for line in lines)


def test_an_interruption_prints_the_best_so_far_and_the_run_goes_on_to_the_same_end(
    command: Command, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--problems", problems, "--strategy", "best-of-n:n=6", "--json", "--concurrency", 2)
    whole = command("solve", *options, "--out", tmp_path / "whole")
    committed, left = TrajectoryJournal.committed, 5

    def interrupt(journal: TrajectoryJournal, *arguments: Any) -> None:
        nonlocal left
        left -= 1
        committed(journal, *arguments)
        if not left:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TrajectoryJournal, "committed", interrupt)
    folder = tmp_path / "run"
    stopped = command("solve", *options, "--out", folder)
    assert stopped.code == 130 and f"go on with: actorcritic solve --resume {folder}" in stopped.err
    assert [record["stopped_by"] for record in stopped.records] == ["interrupted", "interrupted"]
    assert [record["id"] for record in stopped.records] == ["a", "b"], "the third was not begun"
    assert 5 <= sum(record["attempts"] for record in stopped.records) < 12
    assert all(record["solution"] is not None and record["critique"] is not None for record in stopped.records)
    kinds = [json.loads(line)["kind"] for line in (folder / "events" / "main.jsonl").read_text().splitlines()]
    assert "finished" not in kinds and kinds.count("interrupted") == 2
    resumed = command("solve", "--resume", folder, "--json")
    assert resumed.code == 0
    assert [{**record, "run": ""} for record in resumed.records] == [{**record, "run": ""} for record in whole.records]


def test_an_interruption_before_any_attempt_prints_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Transcript.asked

    def interrupt(transcript: Transcript, trial: Trial) -> None:
        asked(transcript, trial)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Transcript, "asked", interrupt)
    stopped = command("solve", TEXT, "--json")
    assert (stopped.code, stopped.out, stopped.err) == (130, "", "")


def test_prompts_can_stay_out_of_the_folder(command: Command, problems: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = command("solve", "--problems", problems, "--strategy", "greedy", "--out", folder, "--no-prompts", "--json")
    assert done.code == 0 and done.records[0]["answer"] is not None
    written = "".join(path.read_text() for path in folder.rglob("*.json*"))
    assert "Use 7, 13" not in written and '"finished"' in written
    again = command("solve", "--resume", folder)
    assert again.code == 2 and "was written without prompts" in again.err


def test_a_problem_that_fails_gives_exit_code_1(
    command: Command, monkeypatch: pytest.MonkeyPatch, roles: list[Roles]
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr("actorcritic.actor.ModelActor.propose", refuse)
    done = command("solve", TEXT, "--strategy", "greedy", "--json")
    (record,) = done.records
    assert done.code == 1 and record["stopped_by"] == "failed" and record["answer"] is None
    assert record["failures"] == [{"where": "actor", "type": "RuntimeError", "message": "no such luck"}]


def test_hostile_text_does_nothing_to_the_terminal(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.graphs.world.play", lambda request: "\x1b[2J[red]boo\n")
    done = command("solve", TEXT, "--strategy", "revise:rounds=1")
    assert "\x1b[2J" not in done.out
