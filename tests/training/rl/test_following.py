"""The log of rewards, and what is freed at the end."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import TrainerControl, TrainerState

from actorcritic.training.rl.following import Ending, RewardLog


def told(path: Path) -> list[dict[str, float]]:
    """Return what the log holds."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def follow(path: Path, *steps: int, begun: int = 0) -> RewardLog:
    """Log these steps after having begun at one."""
    log, state = RewardLog(path), TrainerState(global_step=begun)
    log.on_train_begin(None, state, TrainerControl())
    for state.global_step in steps:
        logs = {"reward": 1 / 3, "kl": float("nan"), "loss": 1e-9, "train_loss": 2.0, "note": "x"}
        log.on_log(None, state, TrainerControl(), logs=logs)
    return log


def test_numbers_of_every_step_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rewards.jsonl"
    follow(path, 1, 2)
    assert told(path) == [{"step": step, "reward": 0.333333, "loss": 1e-9} for step in (1, 2)]


def test_a_log_without_a_reward_is_passed_over(tmp_path: Path) -> None:
    log = follow(tmp_path / "rewards.jsonl")
    log.on_log(None, TrainerState(global_step=1), TrainerControl(), logs={"train_runtime": 1.0})
    log.on_log(None, TrainerState(global_step=1), TrainerControl())
    assert told(tmp_path / "rewards.jsonl") == []


def test_steps_whose_work_was_lost_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "rewards.jsonl"
    follow(path, 1, 2, 3)
    with path.open("a") as file:
        file.write('{"step": 4, "rew')
    follow(path, 3, begun=2)
    assert [line["step"] for line in told(path)] == [1, 2, 3]


def test_everything_is_freed_in_order() -> None:
    freed: list[int] = []
    ending = Ending([lambda: freed.append(1), lambda: freed.append(2)])
    ending.on_train_end(None, TrainerState(), TrainerControl())
    assert freed == [1, 2]
