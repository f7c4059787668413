from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from transformers.trainer_callback import TrainerControl, TrainerState

from actorcritic.training.following import Follower, LossLog, last_checkpoint, mean_of_last
from actorcritic.training.settings import Progress


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Flag:
    """A state beside the trainer's own."""

    def save(self, folder: Path) -> None:
        (folder / "flag").touch()

    def load(self, folder: Path) -> None:
        assert (folder / "flag").exists()


class Run:
    """Plays a trainer of ten steps to a follower, a second each."""

    def __init__(self, folder: Path, *, save_seconds: float = 3.0, stop_after: int = 99, begun: int = 0) -> None:
        self.folder, self.clock, self.heard = folder, Clock(), list[Progress]()
        self.state = TrainerState(global_step=begun, max_steps=10)
        self.args: Any = SimpleNamespace(output_dir=str(folder / "checkpoints"))
        self.saved: list[int] = []
        self.follower = Follower(
            LossLog(folder / "log.jsonl", begun),
            save_seconds,
            self.heard.append,
            lambda: self.state.global_step >= stop_after,
            [Flag()],
            self.clock,
        )

    def steps(self, count: int) -> None:
        self.follower.on_train_begin(self.args, self.state, TrainerControl())
        for _ in range(count):
            self.state.global_step += 1
            self.state.num_input_tokens_seen += 100
            self.clock.now += 1
            control = TrainerControl()
            self.follower.on_step_end(self.args, self.state, control)
            logs = {"loss": 1 / self.state.global_step}
            self.follower.on_log(self.args, self.state, control, logs=logs)
            if control.should_save:
                folder = self.folder / "checkpoints" / f"checkpoint-{self.state.global_step}"
                (folder / "adapter").mkdir(parents=True)
                (folder / "model").touch()
                self.follower.on_save(self.args, self.state, control)
                self.saved.append(self.state.global_step)
            if control.should_training_stop:
                break


def test_a_checkpoint_is_due_when_its_time_has_come(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.steps(10)
    assert run.saved == [3, 6, 9]
    assert (tmp_path / "checkpoints" / "checkpoint-9" / "flag").exists()
    assert not run.follower.interrupted


def test_with_no_time_between_them_every_step_is_saved(tmp_path: Path) -> None:
    run = Run(tmp_path, save_seconds=0)
    run.steps(3)
    assert run.saved == [1, 2, 3]


def test_a_wish_to_stop_saves_and_stops(tmp_path: Path) -> None:
    run = Run(tmp_path, stop_after=2)
    run.steps(10)
    assert run.saved == [2] and run.follower.interrupted


def test_a_wish_at_the_last_step_stops_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path, save_seconds=99, stop_after=10)
    run.steps(10)
    assert run.saved == [] and not run.follower.interrupted


def test_progress_is_told_with_the_time_left(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.steps(4)
    assert run.heard[-1] == Progress(step=4, steps=10, loss=0.25, seconds_left=6.0)
    assert [told.step for told in run.heard] == [1, 2, 3, 4]


def test_what_is_no_loss_is_passed_over(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.follower.on_log(run.args, run.state, TrainerControl(), logs={"train_runtime": 3.0})
    assert run.heard == []


def test_a_reward_is_told_and_kept(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.state.global_step = 1
    logs = {"loss": 0.0, "reward": 0.75, "frac_reward_zero_std": 0.5}
    run.follower.on_log(run.args, run.state, TrainerControl(), logs=logs)
    assert run.heard[0].reward == 0.75
    assert [(record.reward, record.alike) for record in LossLog(tmp_path / "log.jsonl", 1).records] == [(0.75, 0.5)]


def test_losses_seconds_and_tokens_add_up_over_processes(tmp_path: Path) -> None:
    first = Run(tmp_path)
    first.steps(5)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 6, "los')
    # The checkpoint was of step 3: what came after it is done again.
    second = Run(tmp_path, begun=3)
    second.state.num_input_tokens_seen = 300
    second.steps(7)
    records = LossLog(tmp_path / "log.jsonl", 10).records
    assert [record.step for record in records] == list(range(1, 11))
    assert [record.seconds for record in records] == [float(step) for step in range(1, 11)]
    assert records[-1].tokens == 1000
    assert second.heard[0].seconds_left == 6.0


def test_only_a_whole_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "none") is None
    for step, whole in ((2, True), (10, True), (11, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "model").touch()
        if whole:
            (tmp_path / f"checkpoint-{step}" / "complete").touch()
    assert last_checkpoint(tmp_path) == (tmp_path / "checkpoint-10", 10)
    assert not (tmp_path / "checkpoint-11").exists()


def test_the_last_loss_is_a_mean_over_a_tenth() -> None:
    assert mean_of_last([float(step) for step in range(20)]) == 18.5
    assert mean_of_last([0.0, 1.0, 2.0]) == 2.0
    assert mean_of_last([]) is None
