"""Export folders by hand: the rows that a test wants, as `actorcritic export` would have written them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actorcritic.export.recipes import RECIPES

PROVENANCE = {"run": "r", "problem": "p", "attempts": [0], "filters": ["correct", "no leak"], "oracle": False}
ACTOR = Path(__file__).parents[2] / "actorcritic" / "models" / "embedded" / "actor"
SOLVED = [
    ("numbers 2 3 7 =23\n", "7 * 3 21 2 =23\n21 + 2 23 "),
    ("numbers 7 9 9 =11\n", "9 - 7 2 9 =11\n9 + 2 11 "),
    ("numbers 7 9 9 =11\n", "9 + 9 18 7 =11\n18 - 7 11 "),
    ("numbers 2 5 8 =18\n", "8 * 2 16 5 =18\n16 + 5 21 "),
    ("numbers 1 4 6 =25\n", "6 * 4 24 1 =25\n24 + 1 25 "),
    ("numbers 3 4 5 =17\n", "4 * 3 12 5 =17\n12 + 5 17 "),
]
"""Prompts and answers in the embedded pair's own words."""


def write_rows(
    folder: Path,
    recipe: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    form: str | None = None,
    validation: Sequence[Mapping[str, Any]] = (),
    **facts: Any,
) -> Path:
    """Write an export; `facts` go over what the manifest says."""
    folder.mkdir(parents=True)
    files: dict[str, Any] = {}
    for split, part in (("train", rows), ("validation", validation)):
        if part:
            text = "".join(f"{json.dumps({'provenance': PROVENANCE, **row})}\n" for row in part).encode()
            (folder / f"{split}.jsonl").write_bytes(text)
            files[f"{split}.jsonl"] = {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}
    made = {
        "version": 1,
        "recipe": recipe,
        "form": form or next(iter(RECIPES[recipe].forms)),
        "trainer_settings": {},
        "conditions": {},
        "oracle": False,
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps({**made, **facts}))
    return folder


def solved_rows(copies: int = 1) -> list[dict[str, Any]]:
    """Return rows of right answers in the embedded pair's words."""
    return [{"prompt": prompt, "completion": answer} for prompt, answer in SOLVED] * copies


def paired_rows(**more: Any) -> list[dict[str, Any]]:
    """Return pairs of which the answer to another problem is the worse one."""
    others = [*SOLVED[1:], SOLVED[0]]
    return [
        {"prompt": prompt, "chosen": answer, "rejected": worse, **more}
        for (prompt, answer), (_, worse) in zip(SOLVED, others, strict=True)
    ]
