"""What a method of training is, and what it is given: checked settings, rows, the base, and the trainer's arguments.

A method turns rows into a trainer of transformers or TRL; `run` does the rest the same way for all. A new method is a
module with a `Method` and one line in `methods`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from actorcritic.search.options import Option, Options, choice, integer, number
from actorcritic.training.bases import Base
from actorcritic.training.encoding import Encoder
from actorcritic.training.exports import TrainingData
from actorcritic.training.presets import Preset, preset_of
from actorcritic.training.settings import MethodName, TrainSettings

__all__ = ["COMMON_OPTIONS", "Built", "Kept", "Method", "Work", "micro_batch", "on_gpu"]

MICRO_TOKENS = 16_384
"""Of the rows that go through the model at once, padding included, unless `micro_batch` says otherwise."""
GIANT = 10**9
"""Steps between two saves by count: never, since the clock decides."""

COMMON_OPTIONS: Sequence[Option] = (
    integer("micro_batch", None, "Rows that go through the model at once; none = as many as 16,384 tokens hold."),
    number("save_seconds", 60.0, "Between two checkpoints; 0 = one after every step.", low=0),
    choice("merge", ("yes", "no"), "Save the model with its adapter merged in, too (LoRA alone)."),
)
"""Options of every method."""


class Kept(Protocol):
    """State that the trainer does not save with a checkpoint."""

    def save(self, folder: Path) -> None:
        """Write it beside a checkpoint."""
        ...

    def load(self, folder: Path) -> None:
        """Take it from a checkpoint."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A trainer that is ready to run."""

    trainer: Any
    """One of transformers or a subclass, such as TRL's."""
    rows: int
    dropped: Mapping[str, int]
    """Rows left out, by reason."""
    tokenizer: Any
    """The one to be saved, with tokens that were added."""
    kept: Sequence[Kept] = ()
    """What a checkpoint must hold beside what the trainer saves."""
    scheme: str = "hf"
    """What names the result: `hf` for a model of the base's kind, `hf-orm` or `hf-prm` for a reward model."""
    query: str = ""
    """What the spec of the result ends with, such as `?format=qwen`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One training run, checked. Its model is loaded by the method, which knows what kind it needs."""

    settings: TrainSettings
    preset: Preset
    data: TrainingData
    base: Base
    options: Options
    tokenizer: Any
    encoder: Encoder
    limit: int
    """Tokens of a row at most: what is asked for, within the model's context."""

    @property
    def lora_rank(self) -> int:
        """0 = all weights are trained."""
        asked = self.settings.lora_rank
        return self.preset.lora_rank if asked is None else asked

    @property
    def batch_size(self) -> int:
        """Rows per optimizer step."""
        return self.settings.batch_size or self.preset.batch_size

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go."""
        return self.settings.out / "checkpoints"

    def steps(self, rows: int) -> int:
        """Return how many optimizer steps so many rows are trained for."""
        epochs = self.settings.epochs or self.preset.epochs
        return self.settings.max_steps or math.ceil(math.ceil(rows / min(self.batch_size, max(rows, 1))) * epochs)

    def micro(self, rows: int, longest: int, *, least: int = 1) -> int:
        """Return how many rows go through the model at once; see `micro_batch`."""
        asked = self.options.maybe_whole("micro_batch")
        return micro_batch(min(self.batch_size, max(rows, 1)), longest, asked, least=least)

    def arguments(self, rows: int, longest: int, *, least: int = 1) -> dict[str, Any]:
        """Return the arguments of a trainer's configuration that all methods share.

        The preset's come first, then those of the export's manifest, then what this run decides.

        Args:
            rows: To train on.
            longest: Tokens of the longest of them.
            least: Rows that have to go through the model at once.
        """
        settings, preset = self.settings, self.preset
        micro = self.micro(rows, longest, least=least)
        learning_rate = settings.learning_rate or preset.learning_rate
        own = preset_of(self.data.recipe, self.data.form) is preset
        return {
            **preset.arguments,
            # Meant for the recipe's own trainer.
            **(self.data.trainer_settings if own else {}),
            "output_dir": str(self.checkpoints),
            "per_device_train_batch_size": micro,
            "gradient_accumulation_steps": max(1, min(self.batch_size, rows) // micro),
            "learning_rate": learning_rate,
            "lr_scheduler_type": preset.scheduler,
            # Rounded down: a warm-up begins with a step at 0, which a short run cannot spare.
            "warmup_steps": int(preset.warmup * self.steps(rows)),
            "weight_decay": preset.weight_decay,
            "num_train_epochs": settings.epochs or preset.epochs,
            "max_steps": settings.max_steps or -1,
            "seed": settings.seed,
            "data_seed": settings.seed,
            "optim": "adamw_torch",
            "use_cpu": settings.device == "cpu",
            "bf16": on_gpu(settings.device),
            "gradient_checkpointing": False,
            "logging_strategy": "steps",
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "include_num_input_tokens_seen": "non_padding",
            "save_strategy": "steps",
            "save_steps": GIANT,
            "save_total_limit": 2,
            "report_to": [],
            "disable_tqdm": True,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to train."""

    name: MethodName
    datasets: frozenset[str]
    """Dataset types of `export.recipe` that it trains on."""
    columns: tuple[str, ...]
    """That every row must have; `a|b` = one of the two."""
    build: Callable[[Work], Built]
    options: tuple[Option, ...] = ()
    """Beside `COMMON_OPTIONS`."""


def micro_batch(batch: int, longest: int, asked: int | None, *, least: int = 1) -> int:
    """Return how many rows go through the model at once: a divisor of the batch, so that every step has the same rows.

    Args:
        batch: Rows per optimizer step, >= 1.
        longest: Tokens of the longest row.
        asked: What a person wants at most; None = as many as `MICRO_TOKENS` hold.
        least: What the method needs at least.
    """
    most = asked if asked is not None else max(1, MICRO_TOKENS // max(longest, 1))
    fitting = [size for size in range(1, batch + 1) if batch % size == 0 and size >= least]
    return max((size for size in fitting if size <= most), default=min(fitting, default=least))


def on_gpu(device: str) -> bool:
    """Whether a device is a GPU that computes in bfloat16."""
    if device == "cpu":
        return False
    import torch  # noqa: PLC0415 - heavy, and not needed to refuse bad settings

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
