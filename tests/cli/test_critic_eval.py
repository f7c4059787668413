"""`actorcritic critic-eval`, with an actor that plays at random and a critic that knows the rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from actorcritic.cli.critic_eval import read_critic_rows
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import InputError
from actorcritic.loading import Roles
from actorcritic.tasks.sources import draw_problems
from actorcritic.types import Verdict
from tests.cli.conftest import Command


def test_a_critic_that_knows_is_perfect_and_helps(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "eval"
    done = command("critic-eval", "--task", "countdown-3", "--limit", 60, "--out", out, "--json")
    assert done.code == 0, done.err
    (report,) = done.records
    assert (report["f1"]["value"], report["acc_err"]["count"], report["unscored"]) == (1.0, 60, 0)
    assert report["discriminability"]["value"] == 1.0 and report["harm"]["value"] == 0
    assert report["before"]["value"] < report["after"]["value"] and report["helpfulness"]["value"] > 0
    assert report["after"]["value"] - report["before"]["value"] == pytest.approx(report["gain"]["value"], abs=1e-5)
    assert report["actor_tokens"] > 0 and report["critic_tokens"] > 0

    rows = read_critic_rows(out)
    assert {row.problem for row in rows} == {problem.id for problem in draw_problems("countdown-3", "test", 60)}
    assert all((row.verdict is Verdict.CORRECT) == row.right and row.named == row.error for row in rows)


def test_it_goes_on_where_it_broke_off(command: Command, roles: list[Roles], tmp_path: Path) -> None:
    out = tmp_path / "eval"
    first = command("critic-eval", "--task", "countdown-3", "--limit", 12, "--split", "dev", "--out", out, "--json")
    again = command("critic-eval", "--resume", out, "--json")
    assert again.out == first.out and first.records[0]["split"] == "dev"
    # The last part lost: critique and revision are logged, and nothing is asked again.
    for name in ("report.json", "rows.jsonl"):
        (out / name).unlink()
    before = len(roles)
    assert command("critic-eval", "--resume", out, "--json").out == first.out
    engines = [engine for loaded in roles[before:] for engine in loaded.engines]
    assert engines and not any(cast("ScriptedEngine", engine).calls for engine in engines)


def test_own_problems_with_gold_answers(command: Command, problems: Path, tmp_path: Path) -> None:
    done = command("critic-eval", "--problems", problems, "--limit", 2, "--out", tmp_path / "eval")
    assert done.code == 0 and "ProcessBench F1" in done.out and "gain, paired" in done.out
    report = json.loads((tmp_path / "eval" / "report.json").read_text(encoding="utf-8"))
    assert report["problems"] == 2 and report["split"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--task", "countdown-3"), "give --out"),
        (("--out", "OUT"), "name a task with --task"),
        (("--out", "OUT", "--task", "countdown-3", "--split", "train"), "unknown split 'train'"),
        (("--out", "OUT", "--task", "countdown-3", "--critic", "oracle"), "oracle is no critic to measure"),
        (("--out", "OUT", "--task", "nonsense"), "unknown task 'nonsense'"),
        (("--out", "FULL", "--task", "countdown-3"), "is not an empty folder"),
        (("--resume", "FULL"), "holds no measurement"),
        (("--resume", "FULL", "--task", "countdown-3"), "--resume takes problems and options"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    arguments: tuple[str, ...], said: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    places = {"OUT": str(tmp_path / "out"), "FULL": str(tmp_path / "full")}
    done = command("critic-eval", *(places.get(word, word) for word in arguments))
    assert done.code == 2 and said in done.err and done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_rows_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no measurement of a critic that is done"):
        read_critic_rows(tmp_path)
