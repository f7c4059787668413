"""An export as files: `train.jsonl`, `validation.jsonl` and `manifest.json`, which is written last.

The same export gives the same bytes: no time and no path of the machine is in them.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

from actorcritic.errors import InputError
from actorcritic.export.pipeline import Export
from actorcritic.export.recipe import Columns
from actorcritic.types import JsonValue

__all__ = ["MANIFEST", "check_folder", "manifest_of", "write_export"]

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds an export already, or is none.

    Raises:
        InputError: nothing has been written.
    """
    if (folder / MANIFEST).exists():
        raise InputError(f"{folder} holds an export already: choose another folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: choose a folder")


def write_export(export: Export, folder: Path) -> dict[str, JsonValue]:
    """Write an export and return its manifest. A split without rows has no file: no reader could tell its columns.

    Raises:
        InputError: the folder holds an export already, or cannot be written.
    """
    check_folder(folder)
    texts = {f"{split}.jsonl": _lines(rows) for split, rows in export.rows.items() if rows}
    manifest = manifest_of(export, texts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            _write(folder / name, text)
        # Last: a folder with a manifest is a whole export.
        _write(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise InputError(f"cannot write the export to {folder}: {error.strerror}") from error
    return manifest


def manifest_of(export: Export, texts: Mapping[str, bytes] | None = None) -> dict[str, JsonValue]:
    """Return what is said of an export: what it was made of, how, and what was left out.

    Args:
        export: What came out.
        texts: The files by name; left out where nothing is written.
    """
    order, setting, recipe = export.order, export.order.setting, export.order.recipe
    files: dict[str, JsonValue] = {
        name: {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)} for name, text in (texts or {}).items()
    }
    return {
        "version": MANIFEST_VERSION,
        "recipe": recipe.name,
        "paper": recipe.paper,
        "form": setting.form,
        "dataset_type": recipe.forms[setting.form].dataset,
        "trainer": recipe.forms[setting.form].trainer,
        "trainer_settings": dict(export.trainer_settings),
        "conditions": dict(recipe.conditions),
        "options": dict(setting.options),
        "seed": setting.seed,
        "split": {"train": order.share, "validation": round(1 - order.share, 9)},
        "prompts": "plain" if setting.plain else "asked",
        "wording": setting.words.name,
        "max_length": order.max_length,
        "tokenizer": None if setting.tokenizer is None else setting.tokenizer.name,
        "limit": order.limit,
        "oracle": export.run.oracle,
        "run": _run_facts(export),
        "counts": {
            "problems": export.run.problems,
            "attempts": export.run.attempts,
            "rows": {split: len(rows) for split, rows in export.rows.items()},
            "problems_with_rows": {split: _problems_in(rows) for split, rows in export.rows.items()},
            "dropped": dict(export.drops),
        },
        "filters": _filters_in(export),
        "excluded": dict(export.excluded),
        "files": files,
        "versions": {"actorcritic": _version("actorcritic"), "python": platform.python_version()},
    }


def _run_facts(export: Export) -> dict[str, JsonValue]:
    run = export.run
    models: list[JsonValue] = [
        {"role": model.role, "name": model.name, "model": model.model, "licence": model.licence or "unknown"}
        for model in run.models
    ]
    return {
        "ids": list(run.runs),
        "unfinished_problems": run.unfinished,
        "strategies": list(run.strategies),
        "library_versions": list(run.libraries),
        "models": models,
    }


def _problems_in(rows: Sequence[Columns]) -> int:
    return len({cast("dict[str, str]", row["provenance"])["problem"] for row in rows})


def _filters_in(export: Export) -> list[JsonValue]:
    """Return every filter that some row has passed, in order of appearance."""
    rows = [row for split in export.rows.values() for row in split]
    passed = (cast("dict[str, list[str]]", row["provenance"])["filters"] for row in rows)
    return list(dict.fromkeys(name for names in passed for name in names))


def _lines(rows: Sequence[Columns]) -> bytes:
    """Return rows as JSON lines; half of a surrogate pair, which is no UTF-8, becomes a question mark."""
    text = "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows)
    return text.encode(errors="replace")


def _write(path: Path, text: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(text)
    os.replace(draft, path)


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"
