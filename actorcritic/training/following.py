"""Follows a trainer: tells how far it is, writes its losses down, decides when to save, and stops it when asked.

A checkpoint counts once it holds the mark that is written after everything else, so that one cut short by a kill or by
a full disk is never gone on from. Knows no method.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState

from actorcritic.training.settings import Progress
from actorcritic.training.work import Kept

__all__ = ["Follower", "LossLog", "StepRecord", "last_checkpoint", "mean_of_last"]

MARK = "complete"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One optimizer step."""

    step: int
    loss: float
    seconds: float
    """Of training up to here, in all processes that took part."""
    tokens: int
    """Read up to here."""
    reward: float | None = None
    """Mean of its completions; None = not trained by rewards."""
    alike: float | None = None
    """Share of its groups whose completions all earned the same; None = not trained by groups."""


class LossLog:
    """The losses of a run, one JSON line per step, kept across processes. Mutable: it grows.

    Args:
        path: A file; read where it is there.
        upto: The step that this process goes on from; later lines are of work that was lost.
    """

    def __init__(self, path: Path, upto: int) -> None:
        self._path = path
        self.records = [record for record in _read(path) if record.step <= upto]
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text("".join(f"{json.dumps(_fields(record))}\n" for record in self.records), encoding="utf-8")
        draft.replace(path)

    def add(self, record: StepRecord) -> None:
        """Write a step down."""
        self.records.append(record)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(_fields(record))}\n")

    @property
    def seconds(self) -> float:
        """Of training so far."""
        return self.records[-1].seconds if self.records else 0.0


def _fields(record: StepRecord) -> dict[str, float]:
    return {name: value for name, value in asdict(record).items() if value is not None}


def _read(path: Path) -> list[StepRecord]:
    """Return the lines that are whole; the last one may not be."""
    records: list[StepRecord] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            records.append(StepRecord(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return records


def last_checkpoint(folder: Path) -> tuple[Path, int] | None:
    """Return the newest whole checkpoint and its step, None where there is none; those cut short are removed."""
    found: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*"):
        if (path / MARK).is_file():
            found.append((int(path.name.rpartition("-")[2]), path))
        else:
            shutil.rmtree(path)
    if not found:
        return None
    step, path = max(found)
    return path, step


class Follower(TrainerCallback):
    """A callback of transformers' trainer. Mutable; one per run.

    Args:
        log: Where losses go.
        save_seconds: Between two checkpoints.
        hear: Told after every step.
        stopped: Asked after every step; True = save and stop.
        kept: What goes into a checkpoint beside what the trainer puts there.
        clock: Seconds, from any beginning.
    """

    def __init__(
        self,
        log: LossLog,
        save_seconds: float,
        hear: Callable[[Progress], None],
        stopped: Callable[[], bool],
        kept: Sequence[Kept] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._before = log, log.seconds
        self._save_seconds = save_seconds
        self._hear, self._stopped, self._kept, self._clock = hear, stopped, kept, clock
        self._started = self._saved = clock()
        self._first = 0
        self.interrupted = False

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Begin to measure."""
        self._started = self._saved = self._clock()
        self._first = state.global_step

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Save where it is time to, and stop where it was asked for."""
        if self._stopped() and state.global_step < state.max_steps:
            self.interrupted = control.should_training_stop = True
        if self.interrupted or self._clock() - self._saved >= self._save_seconds:
            control.should_save = True

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **more: Any
    ) -> None:
        """Write a loss down and tell of it."""
        told = logs or {}
        if told.get("loss") is None:
            return
        loss, passed = float(told["loss"]), self._clock() - self._started
        reward, alike = (
            None if told.get(name) is None else float(told[name]) for name in ("reward", "frac_reward_zero_std")
        )
        tokens = int(state.num_input_tokens_seen)
        self._log.add(StepRecord(state.global_step, loss, self._before + passed, tokens, reward, alike))
        done, left = state.global_step - self._first, state.max_steps - state.global_step
        pace = passed / done if done else None
        self._hear(
            Progress(
                step=state.global_step,
                steps=state.max_steps,
                loss=loss,
                reward=reward,
                seconds_left=None if pace is None else pace * left,
            )
        )

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Mark the checkpoint as whole, once it is on the disk."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        for one in self._kept:
            one.save(folder)
        for path in filter(Path.is_file, folder.iterdir()):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        (folder / MARK).touch()
        self._saved = self._clock()


def mean_of_last(values: Sequence[float]) -> float | None:
    """Return the mean over the last tenth of the steps, of one step at least; None without any."""
    last = values[-max(1, len(values) // 10) :]
    return sum(last) / len(last) if last else None
