"""Reading what `actorcritic export` wrote, and refusing what must not be trained on.

A folder counts only with its manifest, and its rows only as the manifest's digests have them: nothing that the export
did not search for leaks is trained on. Knows no tokenizer and no trainer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from actorcritic.errors import InputError
from actorcritic.export.recipe import Columns
from actorcritic.export.recipes import RECIPES
from actorcritic.export.splitting import SPLITS
from actorcritic.export.writing import MANIFEST
from actorcritic.types import JsonValue

__all__ = ["TrainingData", "read_training_data"]

CHECKED = "no leak"
"""The filter that every row of an export has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """An export as a trainer needs it."""

    recipe: str
    form: str
    dataset_type: str
    """One of `export.recipe.DatasetType`."""
    rows: Sequence[Columns]
    """To train on."""
    validation: Sequence[Columns]
    trainer_settings: Mapping[str, JsonValue]
    """Arguments of the trainer's configuration that follow from the rows."""
    conditions: Mapping[str, JsonValue]
    """What no argument of a trainer says, such as `special_tokens`."""
    oracle: bool
    digest: str
    """SHA-256 of the manifest: changes with every row."""

    @property
    def marks(self) -> tuple[str, ...]:
        """Tokens that rows hold on purpose and that the model may have to be given first, such as LeTI's."""
        marks = self.conditions.get("special_tokens")
        return tuple(map(str, marks)) if isinstance(marks, list) else ()


def read_training_data(folder: Path, recipe: str, *, allow_oracle: bool = False) -> TrainingData:
    """Read an export folder.

    Args:
        folder: What `actorcritic export --out` named.
        recipe: The recipe that it has to be made by.
        allow_oracle: Take rows of an oracle run.

    Raises:
        InputError: one line that says what is wrong with it.
    """
    if recipe not in RECIPES:
        raise InputError(f"unknown recipe {recipe!r}; choose from: {', '.join(sorted(RECIPES))}")
    text, manifest = _manifest(folder)
    made = manifest.get("recipe")
    if made != recipe:
        raise InputError(f"{folder} holds rows of the recipe {made}, not {recipe}: name that recipe, or other data")
    form = str(manifest.get("form"))
    if form not in RECIPES[recipe].forms:
        raise InputError(f"{folder} holds rows of {recipe} in an unknown form {form!r}: export again")
    oracle = manifest.get("oracle") is not False
    if oracle and not allow_oracle:
        raise InputError(
            f"{folder} was exported from an oracle run: a gold answer or the task's checker took part in making its "
            "rows; --allow-oracle trains on them all the same"
        )
    files = manifest.get("files")
    splits = {name: _rows(folder, name, files if isinstance(files, dict) else {}) for name in SPLITS}
    if not splits["train"]:
        raise InputError(f"{folder} has no row to train on: all of its problems are for validation")
    return TrainingData(
        recipe=recipe,
        form=form,
        dataset_type=RECIPES[recipe].forms[form].dataset,
        rows=splits["train"],
        validation=splits["validation"],
        trainer_settings=_mapping(manifest.get("trainer_settings")),
        conditions=_mapping(manifest.get("conditions")),
        oracle=oracle,
        digest=hashlib.sha256(text).hexdigest(),
    )


def _manifest(folder: Path) -> tuple[bytes, Mapping[str, JsonValue]]:
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
        manifest: object = json.loads(text)
    except (OSError, ValueError) as error:
        hint = "give a folder that `actorcritic export --out` wrote"
        raise InputError(f"{folder} holds no export, there is no readable {MANIFEST}: {hint}") from error
    return text, _mapping(cast("JsonValue", manifest))


def _mapping(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _rows(folder: Path, split: str, files: Mapping[str, JsonValue]) -> list[Columns]:
    """Return the rows of a split, none where it has no file.

    Raises:
        InputError: the file is not what the manifest says, or a row has not been searched for leaks.
    """
    name = f"{split}.jsonl"
    if name not in files:
        return []
    try:
        text = (folder / name).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {folder / name}: {error.strerror}; export again") from error
    said = files[name]
    if not isinstance(said, dict) or hashlib.sha256(text).hexdigest() != said.get("sha256"):
        raise InputError(f"{folder / name} is not the file that the export wrote: export again, or take other data")
    rows = [cast("Columns", json.loads(line)) for line in text.splitlines()]
    for number, row in enumerate(rows, start=1):
        passed = _mapping(row.get("provenance")).get("filters")
        if not isinstance(passed, list) or CHECKED not in passed:
            raise InputError(f"{folder / name}, row {number}: has not been searched for leaks; export again")
    return rows
