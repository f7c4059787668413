"""`actorcritic bench`: the JSON contract, equal tokens, resuming, interruption, one clear line for every mistake."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from actorcritic.bench import BenchReport
from actorcritic.cli import bench_running as module
from actorcritic.cli.bench_folder import new_folder
from actorcritic.loading import Roles
from actorcritic.search.best_of_n import BestOfN
from actorcritic.types import Problem, Reference, Solution
from tests.cli.comparisons import SMALL, TEXT, calls, report
from tests.cli.conftest import Command

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_json_prints_the_contract_and_nothing_else(command: Command) -> None:
    done = command(*SMALL, "--strategies", "greedy,best-of-n:score=logprob,n=3,revise@oracle", "--json")
    found = report(done)
    assert done.code == 0
    BenchReport.model_validate(found)
    assert (found["task"], found["split"], found["problems"], found["seeds"]) == ("countdown-3", "test", 4, [0])
    assert found["budget"] == "hard" and found["complete"] is True and found["versions"]["actorcritic"]
    assert [(row["strategy"], row["budget_tokens"]) for row in found["rows"]] == [
        (strategy, budget)
        for strategy in ("greedy", "best-of-n:score=logprob,n=3", "revise@oracle")
        for budget in (90, 200)
    ]
    for row in found["rows"]:
        assert row["ci_low"] <= row["accuracy"] <= row["ci_high"]
        assert row["mean_total_tokens"] == pytest.approx(row["mean_actor_tokens"] + row["mean_critic_tokens"])
        assert 0 < row["mean_total_tokens"] <= row["budget_tokens"] and row["seconds"] >= 0
        assert row["oracle"] is (row["strategy"] == "revise@oracle")
        assert row["mean_critic_tokens"] == 0  # an oracle spends nothing, the others ask no critic
    assert [(duel["budget_tokens"], duel["best"] != "revise@oracle") for duel in found["paired"]] == [
        (90, True),
        (200, True),
    ]
    assert len(found["paired_all"]) == 6


def test_a_row_is_an_oracle_row_only_where_the_oracle_was_asked(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.graphs.world.ModelCritic.oracle", True)
    rows = report(command(*SMALL, "--strategies", "majority,revise", "--json"))["rows"]
    assert {(row["strategy"], row["oracle"]) for row in rows} == {("majority", False), ("revise", True)}


def test_critic_tokens_are_on_the_bill_and_budgets_bring_more(command: Command) -> None:
    done = command(*SMALL, "--strategies", "revise", "--json", "--seeds", "0,1")
    small, large = report(done)["rows"]
    assert small["mean_critic_tokens"] > 0 and small["mean_total_tokens"] < large["mean_total_tokens"]
    assert "1 of 2: revise, seed 0, 200 tokens" in done.err and "2 of 2: revise, seed 1" in done.err


def test_the_same_seed_gives_the_same_report(command: Command) -> None:
    def run(*more: object) -> list[dict[str, Any]]:
        rows = report(command(*SMALL, "--strategies", "majority,revise", "--json", *more))["rows"]
        return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]

    assert run() == run()
    assert run("--seeds", 7) != run()
    assert run("--concurrency", 1) == run()
    assert run("--split", "dev") != run()


def test_a_person_sees_the_table_and_who_won(command: Command) -> None:
    done = command(*SMALL, "--strategies", "greedy;majority;revise@oracle")
    assert done.code == 0
    for part in ("countdown-3 (test): 4 problems", "accuracy", "critic tokens", "revise@oracle †", "A ceiling"):
        assert part in done.out
    assert done.out.count("At 90 tokens ") == 1 and done.out.count("At 200 tokens ") == 1


def test_a_problem_file_is_a_task_too(command: Command, problems: Path) -> None:
    found = report(command("bench", "--problems", problems, "--strategies", "greedy", "--budgets", 200, "--json"))
    assert (found["task"], found["split"], found["problems"]) == ("problems", None, 3)
    assert (
        report(
            command(
                "bench", "--problems", problems, "--task", "mine", "--strategies", "greedy", "--budgets", 200, "--json"
            )
        )["task"]
        == "mine"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--strategies", "greedy"), "give --task (countdown, "),
        (("--task", "chess", "--strategies", "greedy"), "unknown task 'chess'"),
        (("--task", "sudoku"), "at least one strategy"),
        (("--task", "sudoku", "--strategies", "wish"), "unknown strategy 'wish'"),
        (("--task", "sudoku", "--strategies", "greedy", "--budgets", "128,x"), "--budgets takes different whole"),
        (("--task", "sudoku", "--strategies", "greedy", "--budgets", "0"), "numbers >= 1"),
        (("--task", "sudoku", "--strategies", "greedy", "--seeds", "1,1"), "--seeds takes different whole"),
        (("--task", "sudoku", "--strategies", "greedy", "--split", "train"), "--split must be one of test, dev"),
        (("--task", "sudoku", "--strategies", "greedy", "--limit", "0"), "at least 1, not 0"),
        (("--task", "sudoku", "--strategies", "revise", "--critic", "none"), "needs a critic"),
        (("--task", "countdown-3", "--strategies", "greedy", "--budgets", "3"), "too small for one step"),
        (("--task", "sudoku", "--strategies", "greedy", "--width", "0"), "width must be at least 1"),
        (("--task", "sudoku", "--strategies", "greedy", "--concurrency", "0"), "--concurrency must be"),
        (("--problems", "nowhere.jsonl", "--strategies", "greedy"), "cannot read the problem file"),
        (("--resume", "nowhere"), "nowhere is no run folder"),
        (("--resume", "nowhere", "--task", "sudoku"), "leave out --task"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    command: Command, arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("bench", *arguments)
    assert done.code == 2 and done.out == ""
    assert said in done.err and done.err.count("\n") == 1 and "Traceback" not in done.err


def test_problems_without_gold_are_refused(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "open", "problem": "Why?"}\n', encoding="utf-8")
    done = command("bench", "--problems", path, "--strategies", "greedy")
    assert done.code == 2 and "problem 'open' has no answer to compare with" in done.err
    done = command("bench", "--problems", path, "--strategies", "greedy", "--split", "dev")
    assert done.code == 2 and "--split is for tasks" in done.err


def test_no_critic_is_loaded_that_nobody_asks(command: Command, roles: list[Roles]) -> None:
    assert command(*SMALL, "--strategies", "greedy,revise@oracle", "--json").code == 0
    assert roles[-1].critic is None
    assert command(*SMALL, "--strategies", "greedy,revise", "--json").code == 0
    assert roles[-1].critic is not None


def test_without_a_folder_one_is_made_and_named(command: Command, elsewhere: Path) -> None:
    done = command("bench", "--task", "countdown-3", "--limit", 2, "--strategies", "greedy", "--json")
    (folder,) = (elsewhere / "runs").iterdir()
    assert done.code == 0 and f"without --out everything goes to runs/{folder.name}\n" in done.err
    assert re.fullmatch(r"bench-countdown-3-\d{8}T\d{6}", folder.name)
    assert json.loads((folder / "bench.json").read_text()) == report(done)
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 2


def test_two_comparisons_at_one_time_have_two_folders(elsewhere: Path) -> None:
    now = "2026-01-02T03:04:05.678901+00:00"
    first = new_folder("my task", now)
    assert first == Path("runs/bench-my-task-20260102T030405")
    first.mkdir(parents=True)
    assert new_folder("my task", now) == Path(f"{first}-2")


def test_money_limits_a_search_beside_its_tokens(command: Command, tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({name: {"prompt": 0, "completion": 1e6} for name in ("actor", "critic")}))
    arguments = (*SMALL, "--strategies", "majority", "--json")
    free = report(command(*arguments))
    assert {row["mean_money"] for row in free["rows"]} == {0}
    refused = command(*arguments, "--budget-money", 50)
    assert refused.code == 2 and "needs the price of every model" in refused.err
    found = report(command(*arguments, "--budget-money", 50, "--prices", prices))
    assert found["budget_money"] == 50 and all(0 < row["mean_money"] <= 50 for row in found["rows"])
    assert found["rows"][1]["mean_total_tokens"] < free["rows"][1]["mean_total_tokens"]
    table = command(*arguments[:-1], "--budget-money", 50, "--prices", prices)
    assert "money" in table.out


def test_a_policy_that_plans_with_its_budget_runs_once_per_budget(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = report(command(*SMALL, "--strategies", "best-of-n:score=logprob", "--json"))
    monkeypatch.setattr(BestOfN, "ANYTIME", False)
    done = command(*SMALL, "--strategies", "best-of-n:score=logprob", "--json")
    assert "1 of 2: best-of-n:score=logprob, seed 0, 90 tokens" in done.err
    assert [row["accuracy"] for row in report(done)["rows"]] == [row["accuracy"] for row in at_once["rows"]]


def test_a_problem_that_fails_gives_exit_code_1(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr("actorcritic.actor.ModelActor.propose", refuse)
    done = command(*SMALL, "--strategies", "greedy", "--json")
    assert done.code == 1
    assert [(row["accuracy"], row["failures"]) for row in report(done)["rows"]] == [(0.0, 4), (0.0, 4)]


def test_the_gold_side_reaches_the_judge_only(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.jsonl"
    line = {"id": "a", "problem": TEXT, "answer": "14 + 1 = 15", "checker": "exact"}
    path.write_text(json.dumps(line), encoding="utf-8")
    seen: list[str | None] = []

    async def verify(problem: Problem, solution: Solution | None, reference: Reference) -> bool:
        seen.append(reference.answer)
        return True

    monkeypatch.setattr(module, "verify", verify)
    done = command("bench", "--problems", path, "--strategies", "greedy", "--budgets", "200", "--json")
    assert report(done)["rows"][0]["accuracy"] == 1 and seen == ["14 + 1 = 15"]


def test_without_matplotlib_a_line_says_so(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = command(*SMALL, "--strategies", "greedy", "--out", tmp_path / "run")
    assert done.code == 0 and "actorcritic[plot]" in done.err and not (tmp_path / "run" / "scaling.png").exists()


def test_every_strategy_is_a_curve(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = MagicMock()
    monkeypatch.setitem(sys.modules, "matplotlib", MagicMock())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", library)
    done = command(*SMALL, "--strategies", "greedy,revise@oracle", "--out", tmp_path / "run", "--json")
    assert done.code == 0 and "plot" not in done.err
    figure = library.Figure.return_value
    curves = figure.add_subplot.return_value.errorbar.call_args_list
    assert [curve.kwargs["label"] for curve in curves] == ["greedy", "revise@oracle"]
    assert [curve.kwargs["linestyle"] for curve in curves] == ["-", "--"]
    accuracies = [row["accuracy"] for row in report(done)["rows"]]
    assert [value for curve in curves for value in curve.args[1]] == accuracies
    assert all(reach >= 0 for curve in curves for side in curve.kwargs["yerr"] for reach in side)
    figure.savefig.assert_called_once_with(tmp_path / "run" / "scaling.png", dpi=150)


def test_with_matplotlib_there_is_a_picture(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = command(*SMALL, "--strategies", "greedy,revise@oracle", "--out", tmp_path / "run")
    assert done.code == 0 and (tmp_path / "run" / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_sharing_samples_changes_the_calls_and_nothing_else(command: Command, roles: list[Roles]) -> None:
    arguments = (*SMALL, "--strategies", "majority;best-of-n:score=logprob;best-of-n", "--json")
    alone = report(command(*arguments))
    made = calls(roles[-1])
    shared = report(command(*arguments, "--share-samples"))
    assert shared["share_samples"] is True and calls(roles[-1]) < 0.7 * made
    for row in (*alone["rows"], *shared["rows"]):
        row.pop("seconds")
    assert alone["rows"] == shared["rows"]
