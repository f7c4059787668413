"""The folder of a training run: its settings, written first, and its report, written last.

Paths in the report are relative to the folder, which may move. Knows no library.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from actorcritic.errors import InputError
from actorcritic.training.settings import TrainReport, TrainSettings

__all__ = ["LOG", "SETTINGS", "begin_run", "check_new", "disk_room", "read_report", "read_run", "write_report"]

SETTINGS, LOG, REPORT = "train.json", "log.jsonl", "report.json"
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
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    facts = {**asdict(settings), "data": str(settings.data), "options": dict(settings.options)}
    del facts["out"]
    _write(settings.out / SETTINGS, {"version": VERSION, "digest": digest, "settings": facts})


def read_run(folder: Path) -> tuple[TrainSettings, str]:
    """Return the settings of a run and the digest of its data.

    Raises:
        InputError: the folder holds no run.
    """
    facts = _read(folder / SETTINGS)
    if facts is None or facts.get("version") != VERSION:
        raise InputError(f"{folder} holds no training run: begin one with --out")
    given = cast("dict[str, Any]", facts["settings"])
    given |= {"data": Path(given["data"]), "out": folder}
    return TrainSettings(**given), str(facts["digest"])


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
    draft.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(draft, path)


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        value: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None
