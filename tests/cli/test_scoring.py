"""Reward models and verifiers on the command line: on the bill, marked where they know, refused before any spend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actorcritic.loading import Roles
from tests.cli.conftest import Command
from tests.scoring import ScoringDouble

TEXT = "Use 7, 13 and 14 to make 15."
MODEL = "hf-prm:model?format=qwen"
BEST = "best-of-n:n=3,score=reward-model,aggregate=min"
CHECKED = "best-of-n:n=3,score=verifier"


def scorer_calls(roles: list[Roles]) -> int:
    engines = [engine for loaded in roles for engine in loaded.engines if isinstance(engine, ScoringDouble)]
    return sum(engine.calls for engine in engines)


def events_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "events" / "main.jsonl").read_text(encoding="utf-8").splitlines()
    return [event["payload"] for event in map(json.loads, lines) if event["kind"] == kind]


def test_a_reward_model_is_on_the_bill(command: Command, problems: Path, roles: list[Roles]) -> None:
    arguments = ("--strategy", BEST, "--reward-model", MODEL, "--critic", "none", "--json")
    done = command("solve", "--problems", problems, *arguments, "--budget-tokens", 900)
    assert done.code == 0 and len(done.records) == 3
    for record in done.records:
        usage = record["usage"]
        assert usage["reward_model"]["calls"] == record["attempts"] == 3 and usage["critic"]["calls"] == 0
        assert usage["reward_model"]["prompt_tokens"] > 0 and usage["reward_model"]["completion_tokens"] == 0
        assert usage["actor"]["completion_tokens"] < usage["total_tokens"] <= 900
        assert record["oracle"] is False and record["critique"] is None
    assert scorer_calls(roles) == 9


def test_a_person_sees_the_reward(command: Command) -> None:
    done = command("solve", TEXT, "--strategy", BEST, "--reward-model", MODEL)
    assert done.code == 0 and done.out.count("prm: 0.") == 3


def test_resuming_scores_nothing_again(command: Command, problems: Path, tmp_path: Path, roles: list[Roles]) -> None:
    folder = tmp_path / "run"
    arguments = ("--strategy", BEST, "--reward-model", MODEL, "--json")
    whole = command("solve", "--problems", problems, *arguments, "--out", folder)
    scored = events_of(folder, "scored")
    assert len(scored) == 9 and {event["by"] for event in scored} == {"prm"} and all(event["steps"] for event in scored)
    log = folder / "events" / "main.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    for cut in (len(lines) // 3, len(lines) // 2, len(lines)):
        log.write_bytes(b"".join(lines[:cut]))
        before = scorer_calls(roles)
        again = command("solve", "--resume", folder, "--json")
        assert again.code == 0 and again.records == whole.records
        paid = sum(call["role"] == "reward_model" for call in map(_payload, lines[:cut]) if "role" in call)
        assert paid + scorer_calls(roles) - before == 9


def _payload(line: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(line)["payload"]
    return payload


@pytest.mark.parametrize(("verifier", "oracle"), [("oracle", True), ("calculate", False)])
def test_an_oracle_is_marked_everywhere(
    command: Command, problems: Path, tmp_path: Path, verifier: str, oracle: bool
) -> None:
    folder = tmp_path / "run"
    done = command(
        "solve", "--problems", problems, "--strategy", CHECKED, "--verifier", verifier, "--out", folder, "--json"
    )
    assert done.code == 0 and [record["oracle"] for record in done.records] == [oracle] * 3
    if oracle:
        found = {record["id"]: record["correct"] for record in done.records}
        assert found == _verified(folder) and len(set(found.values())) == 2, "the best by the oracle is the answer"
    assert {event["gold"] for event in events_of(folder, "scored")} == {oracle}
    started = [event["config"] for event in events_of(folder, "problem_started")]
    assert len(started) == 3 and all(_says_oracle(config) is oracle for config in started)


def _verified(folder: Path) -> dict[str, bool]:
    """Return which problems had a right attempt."""
    events = [json.loads(line) for line in (folder / "events" / "main.jsonl").read_text().splitlines()]
    right: dict[str, bool] = {}
    for event in events:
        if event["kind"] == "scored":
            right[event["problem"]] = right.get(event["problem"], False) or event["payload"]["score"] == 1.0
    return right


def _says_oracle(config: object) -> bool:
    return '"oracle": true' in json.dumps(config)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--strategy", BEST), "give one (--reward-model)"),
        (("--strategy", CHECKED), "give one (--verifier)"),
        (("--strategy", BEST, "--reward-model", "hf-prm:model"), "one of shepherd, qwen, skywork"),
        (("--strategy", BEST, "--reward-model", "hf-prm:model?format=gpt"), "choose from: shepherd, qwen, skywork"),
        (("--strategy", BEST, "--reward-model", "prm"), "hf-orm:PATH_OR_ID"),
        (("--strategy", CHECKED, "--verifier", "gold"), "choose from: oracle, calculate"),
        (("--strategy", "best-of-n", "--reward-model", MODEL), "goes by score=critic: leave out --reward-model"),
        (("--strategy", BEST, "--reward-model", MODEL, "--verifier", "oracle"), "leave out --verifier"),
        (("--strategy", "best-of-n:score=verifier,aggregate=min", "--verifier", "oracle"), "scores no steps"),
        (("--strategy", "best-of-n:score=guess"), "critic | logprob | reward-model | verifier"),
    ],
)
def test_a_mistake_is_one_line_before_any_spend(
    command: Command, arguments: tuple[str, ...], said: str, tmp_path: Path, roles: list[Roles]
) -> None:
    done = command("solve", TEXT, *arguments, "--out", tmp_path / "run")
    assert done.code == 2 and done.out == "" and not (tmp_path / "run").exists() and not roles
    assert said in done.err and done.err.count("\n") == 1 and "Traceback" not in done.err


def test_there_is_no_oracle_without_gold(command: Command, tmp_path: Path) -> None:
    problems = tmp_path / "problems.jsonl"
    problems.write_text(json.dumps({"id": "x", "problem": TEXT, "checker": "exact"}), encoding="utf-8")
    arguments = ("--strategy", CHECKED, "--verifier", "oracle", "--out", tmp_path / "run")
    done = command("solve", "--problems", problems, *arguments)
    assert done.code == 2 and "there is no oracle for it" in done.err and not (tmp_path / "run").exists()


def test_bench_bills_reward_models_and_marks_oracles(command: Command, tmp_path: Path) -> None:
    done = command(
        *("bench", "--task", "countdown-3", "--limit", 4, "--budgets", "200,400", "--json"),
        *("--out", tmp_path / "run"),
        *("--strategies", f"majority;{BEST};{CHECKED}", "--reward-model", MODEL, "--verifier", "oracle"),
    )
    assert done.code == 0
    rows = {(row["strategy"], row["budget_tokens"]): row for row in json.loads(done.out)["rows"]}
    for (strategy, budget), row in rows.items():
        roles = row["mean_actor_tokens"] + row["mean_critic_tokens"] + row["mean_reward_model_tokens"]
        assert row["mean_total_tokens"] == pytest.approx(roles) and row["mean_total_tokens"] <= budget
        assert row["oracle"] is (strategy == CHECKED)
        assert (row["mean_reward_model_tokens"] > 0) is (strategy == BEST)


def test_collect_takes_a_reward_model(command: Command, problems: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = command(
        "collect", "--problems", problems, "--strategy", BEST, "--reward-model", MODEL, "--out", folder, "--json"
    )
    assert done.code == 0
    said = [json.loads(line) for path in (folder / "events").glob("*.jsonl") for line in path.read_text().splitlines()]
    rewards = [event for event in said if event["kind"] == "scored" and event["payload"]["by"] == "prm"]
    assert len(rewards) == 9 and not any(event["payload"]["gold"] for event in rewards)
