"""Several exports as one, each with a weight: what a round learns from is more than what one run holds.

Pure; the result is written like any export.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor

from actorcritic.errors import InputError
from actorcritic.export.pipeline import Export, RunSummary
from actorcritic.export.recipe import Columns
from actorcritic.export.splitting import SPLITS

__all__ = ["Part", "mix_exports"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An export and how often its rows stand in the mixture."""

    export: Export
    weight: float = 1.0
    """>= 0: whole copies of all rows, and for the rest a random share of them; 0.5 = every other row."""


def mix_exports(parts: Sequence[Part], *, seed: int = 0) -> Export:
    """Return the rows of all parts as one export; it is described as the last part's.

    Args:
        parts: Of one recipe, at least one; the form may differ where the columns are the same.
        seed: Of the rows that a fraction of a weight leaves over.

    Raises:
        InputError: they are of different recipes, or a weight is below 0.
    """
    last = parts[-1].export
    if len({part.export.order.recipe.name for part in parts}) > 1:
        raise InputError("exports of different recipes do not mix")
    rows: dict[str, list[Columns]] = {split: [] for split in SPLITS}
    drops: Counter[str] = Counter()
    for number, part in enumerate(parts):
        drops.update(part.export.drops)
        for split in SPLITS:
            rows[split] += _weighted(part.export.rows[split], part.weight, random.Random(f"{seed}:{number}:{split}"))
    return replace(
        last,
        rows=rows,
        drops=dict(sorted(drops.items())),
        run=_together([part.export.run for part in parts]),
        trainer_settings=last.order.recipe.trainer_settings(rows[SPLITS[0]]),
    )


def _weighted(rows: Sequence[Columns], weight: float, draw: random.Random) -> list[Columns]:
    if weight < 0:
        raise InputError(f"the weight of rows must be at least 0, not {weight:g}")
    whole = floor(weight)
    chosen = sorted(draw.sample(range(len(rows)), round((weight - whole) * len(rows))))
    return [*rows] * whole + [rows[place] for place in chosen]


def _together(runs: Sequence[RunSummary]) -> RunSummary:
    """Return what is said of several runs; problems that stand in several count once each time."""
    return RunSummary(
        runs=tuple(sorted({name for run in runs for name in run.runs})),
        problems=sum(run.problems for run in runs),
        unfinished=sum(run.unfinished for run in runs),
        attempts=sum(run.attempts for run in runs),
        oracle=any(run.oracle for run in runs),
        strategies=tuple(sorted({name for run in runs for name in run.strategies})),
        libraries=tuple(sorted({name for run in runs for name in run.libraries})),
        models=tuple(dict.fromkeys(model for run in runs for model in run.models)),
    )
