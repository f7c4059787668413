"""What rewards a training run by reinforcement brought, step by step, beside its losses; and what is closed at its end.

Imports transformers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState

__all__ = ["REWARDS", "Ending", "RewardLog"]

REWARDS = "rewards.jsonl"
"""In the folder of a run: one line per step, with TRL's numbers and those of the reward functions."""

_LEFT_OUT = ("total_flos", "train_", "completions/clipped", "num_tokens")


class RewardLog(TrainerCallback):
    """Writes the numbers of every step down. Mutable: goes on where a run was broken off.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Forget the steps whose work was lost."""
        kept = [line for line in _lines(self._path) if json.loads(line)["step"] <= state.global_step]
        self._path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **more: Any
    ) -> None:
        """Write a line."""
        told = {
            name: float(f"{value:.6g}")
            for name, value in (logs or {}).items()
            if isinstance(value, int | float) and math.isfinite(value) and not name.startswith(_LEFT_OUT)
        }
        if "reward" in told:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps({'step': state.global_step, **told})}\n")


class Ending(TrainerCallback):
    """Calls what frees models and threads when training ends, in this order."""

    def __init__(self, calls: Sequence[Callable[[], object]]) -> None:
        self._calls = calls

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Free everything."""
        for call in self._calls:
            call()


def _lines(path: Path) -> list[str]:
    """Return the lines that are whole; the last one may not be."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [line for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
