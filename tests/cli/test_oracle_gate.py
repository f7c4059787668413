"""`refine:gate=oracle` on the command line: an oracle run by name, marked everywhere, otherwise refused unspent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.loading import Roles
from tests.cli.conftest import Command

GATE = ("--strategy", "refine:gate=oracle,rounds=4")


def calls(roles: list[Roles]) -> int:
    return sum(len(engine.calls) for role in roles for engine in role.engines if isinstance(engine, ScriptedEngine))


def test_an_oracle_run_says_so_in_the_result_and_in_the_run_folder(
    command: Command, problems: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    done = command("solve", "--problems", problems, *GATE, "--verifier", "oracle", "--out", folder, "--json")
    assert done.code == 0
    assert all(record["oracle"] for record in done.records)
    assert any(record["correct"] and record["stopped_by"] == "accepted" for record in done.records)
    again = command("solve", "--resume", folder, "--json")
    assert [record["oracle"] for record in again.records] == [True] * len(done.records)
    assert '"oracle":true' in "".join(path.read_text() for path in folder.glob("events/*.jsonl")).replace(" ", "")


@pytest.mark.parametrize("arguments", [(), ("--verifier", "calculate")])
def test_without_an_oracle_it_is_refused_before_any_call(
    command: Command, problems: Path, roles: list[Roles], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = command("solve", "--problems", problems, *GATE, *arguments, "--out", tmp_path / "run")
    assert done.code == 2 and "needs an oracle run" in done.err
    assert calls(roles) == 0 and not (tmp_path / "run").exists()


def test_a_problem_that_nobody_knows_the_answer_of_is_refused(command: Command, tmp_path: Path) -> None:
    open_ended = tmp_path / "open.jsonl"
    open_ended.write_text(json.dumps({"id": "o", "problem": "Use 7, 13 and 14 to make 15.", "checker": "exact"}) + "\n")
    done = command("solve", "--problems", open_ended, *GATE, "--verifier", "oracle")
    assert done.code == 2 and "no oracle for it" in done.err
