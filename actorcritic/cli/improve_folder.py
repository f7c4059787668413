"""The folder of a self-improvement run: its options, and a folder per stage with a mark once the stage is done.

`improve.json` is written before anything slow, `stages/METHOD/round-R/seed-S/KIND/done.json` last in every stage,
`seconds` after it, and `report.json` and `improve.png` at the end. One writer at a time. Knows nothing of what a stage
does.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from actorcritic.errors import InputError
from actorcritic.training.improve.plan import Stage
from actorcritic.training.improve.report import ImproveReport

__all__ = ["ImproveConfig", "ImproveFolder"]

OPTIONS, STAGES, DONE, REPORT, LOCK = "improve.json", "stages", "done.json", "report.json", "lock"
SECONDS = "seconds"

R = TypeVar("R", bound=BaseModel)


class ImproveConfig(BaseModel):
    """The options of a self-improvement run, as `improve.json` keeps them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    rounds: int
    methods: list[str]
    seeds: list[int]
    """Of the last round; the first is that of everything else."""
    train_limit: int
    eval_limit: int
    dev_limit: int
    samples: int
    """Per training problem and round."""
    difficulty_samples: int
    """Of the base, per held-out problem."""
    refinement_weight: float
    """The main paper's beta: how often the base's refinements stand among the rows."""
    actor: str
    critic: str
    temperature: float
    """Of samples; greedy answers are greedy."""
    concurrency: int
    epochs: float | None
    learning_rate: float | None
    batch_size: int | None
    device: str
    dtype: str


class ImproveFolder:
    """An open folder; it holds a lock until it is closed."""

    def __init__(self, path: Path) -> None:
        """Open a folder that `create` made.

        Raises:
            InputError: it is none, or somebody works on it.
        """
        self.path = path
        self._new = False
        try:
            text = (path / OPTIONS).read_text(encoding="utf-8")
            self.config = ImproveConfig.model_validate_json(text)
        except (OSError, ValidationError) as error:
            raise InputError(f"{path} holds no self-improvement run that this version can go on with") from error
        self._lock = _lock(path / LOCK)

    @classmethod
    def create(cls, path: Path, config: ImproveConfig) -> Self:
        """Begin a run in a new folder.

        Raises:
            InputError: the folder is in use, or cannot be written.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{path} is not an empty folder: choose a new one, or go on with --resume {path}")
        new = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to {path}: {error.strerror}") from error
        _write(path / OPTIONS, config.model_dump_json(indent=2))
        folder = cls(path)
        folder._new = new
        return folder

    def give_back(self) -> None:
        """Leave the folder as it was where no stage has begun, so that a run can be begun there anew."""
        with suppress(OSError):  # what cannot be taken away stays
            if not (self.path / STAGES).exists():
                for name in (OPTIONS, SECONDS, LOCK):
                    (self.path / name).unlink(missing_ok=True)
                if self._new:
                    self.path.rmdir()

    @property
    def seconds(self) -> float:
        """Of all stages so far, in all processes that took part; a stage that a kill cut short is not in it."""
        try:
            return float((self.path / SECONDS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return self._reported()

    def _reported(self) -> float:
        """Return what the report says, of a run that an earlier version began; 0 where there is none."""
        try:
            report = ImproveReport.model_validate_json((self.path / REPORT).read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return 0.0
        return report.seconds

    def add_seconds(self, seconds: float) -> None:
        """Count the seconds of a stage, also of one that broke off."""
        _write(self.path / SECONDS, f"{self.seconds + seconds:.3f}")

    def of(self, stage: Stage) -> Path:
        """Return the folder of a stage, which may not be there yet."""
        return self.path / STAGES / stage.name

    def done(self, stage: Stage, kind: type[R]) -> R | None:
        """Return what a stage brought, None while it is not done.

        Raises:
            InputError: its mark cannot be read.
        """
        path = self.of(stage) / DONE
        if not path.exists():
            return None
        try:
            return kind.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise InputError(
                f"{path} is not the mark of a stage that is done: delete it to do the stage again"
            ) from error

    def finish(self, stage: Stage, result: BaseModel) -> None:
        """Mark a stage as done."""
        self.of(stage).mkdir(parents=True, exist_ok=True)
        _write(self.of(stage) / DONE, result.model_dump_json())

    def save(self, report: ImproveReport) -> None:
        """Write the result."""
        _write(self.path / REPORT, report.model_dump_json(indent=2))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the lock."""
        self._lock.close()


def _lock(path: Path) -> BinaryIO:
    """Take the folder for this process.

    Raises:
        InputError: another has it, or it cannot be written to.
    """
    try:
        file = open(path, "ab", buffering=0)
    except OSError as error:
        raise InputError(f"cannot write to {path.parent}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise InputError(f"{path.parent} is being worked on by another process") from error
    return file


def _write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(f"{text}\n", encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"cannot write to {path}: {error.strerror}") from error
