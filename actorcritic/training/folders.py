"""The folder of a training run: its settings, written first, and its report, written last.

Paths in the report are relative to the folder, which may move. Knows no library.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.training.settings import TrainReport, TrainSettings

__all__ = [
    "LOG",
    "SETTINGS",
    "begin_run",
    "check_new",
    "disk_room",
    "given_back",
    "read_report",
    "read_run",
    "write_report",
]

SETTINGS, LOG, REPORT, CHECKPOINTS = "train.json", "log.jsonl", "report.json", "checkpoints"
VERSION = 1
_FULL = ("No space left on device", "Disk quota exceeded", "inline_container")
"""Words of those who could not write; the last is where torch writes files, which hides what the system said."""


def check_new(folder: Path) -> None:
    """Refuse a folder that is in use.

    Raises:
        InputError: it holds a run or anything else.
    """
    if (folder / SETTINGS).exists():
        raise InputError(f"{folder} holds a training run already: go on with --resume {folder}, or choose another")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an empty folder: choose a new one")


def begin_run(settings: TrainSettings, digest: str) -> None:
    """Create the folder of a run and write its settings down.

    Args:
        settings: With paths that hold from anywhere.
        digest: Of the data.

    Raises:
        InputError: the folder cannot be written.
    """
    facts = {**asdict(settings), "data": str(settings.data), "options": dict(settings.options)}
    del facts["out"]
    try:
        settings.out.mkdir(parents=True, exist_ok=True)
        _write(settings.out / SETTINGS, {"version": VERSION, "digest": digest, "settings": facts})
    except OSError as error:
        raise InputError(f"cannot write to {settings.out}: {error.strerror}") from error


@contextmanager
def given_back(folder: Path) -> Generator[None]:
    """Leave a folder as it was where its run is refused before the first step, so that it can be begun there anew.

    Args:
        folder: Found good by `check_new`.
    """
    new = not folder.exists()
    try:
        yield
    except (InputError, EngineUnavailable):
        with suppress(OSError):  # what cannot be taken away stays
            if not (folder / LOG).exists() or not (folder / LOG).stat().st_size:
                shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
                for path in (folder / SETTINGS, *folder.glob("*.jsonl")):
                    path.unlink(missing_ok=True)
                if new:
                    folder.rmdir()
        raise


def read_run(folder: Path) -> tuple[TrainSettings, str]:
    """Return the settings of a run and the digest of its data.

    Raises:
        InputError: the folder holds no run, or one of another version.
    """
    facts = _read(folder / SETTINGS)
    if facts is None:
        raise InputError(f"{folder} holds no training run: begin one with --out")
    try:
        given = dict(cast("Mapping[str, Any]", facts["settings"]))
        given |= {"data": Path(given["data"]), "out": folder}
        settings, digest, version = TrainSettings(**given), str(facts["digest"]), facts["version"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / SETTINGS} is no training run's: begin one with --out") from error
    if version != VERSION:
        raise InputError(f"{folder} holds a training run of another version: begin one with --out")
    return settings, digest


def write_report(report: TrainReport, folder: Path) -> None:
    """Write the report of a run that is done."""
    adapter = None if report.adapter is None else str(report.adapter.relative_to(folder))
    scheme, _, model = report.spec.partition(":")
    facts = {
        **asdict(report),
        "dropped": dict(report.dropped),
        "model": str(report.model.relative_to(folder)),
        "adapter": adapter,
        "spec": f"{scheme}:{Path(model).relative_to(folder)}",
    }
    _write(folder / REPORT, facts)


def read_report(folder: Path) -> TrainReport | None:
    """Return the report of a run, None where it is not done."""
    facts = _read(folder / REPORT)
    if facts is None:
        return None
    scheme, _, model = str(facts["spec"]).partition(":")
    adapter = facts["adapter"]
    made: dict[str, Any] = {
        **facts,
        "model": folder / str(facts["model"]),
        "adapter": None if adapter is None else folder / str(adapter),
        "spec": f"{scheme}:{folder / model}",
    }
    return TrainReport(**made)


@contextmanager
def disk_room(folder: Path) -> Generator[None]:
    """Say in one line that the disk is full, whichever library finds out.

    Raises:
        InputError: there is no room.
    """
    try:
        yield
    except Exception as error:  # libraries wrap what the system says, each in its own way
        if not _is_full(error):
            raise
        raise InputError(
            f"there is no room left on the disk of {folder}: make some, then go on with --resume {folder}"
        ) from error


def _is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised after, says that the disk is full."""
    if error is None:
        return False
    said = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return said or any(words in str(error) for words in _FULL) or _is_full(error.__cause__ or error.__context__)


def _write(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        value: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None
