"""What one training run is asked to do, and what it reports. Values only; knows no library and no recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from actorcritic.errors import InputError
from actorcritic.search.options import OptionValue

__all__ = ["MethodName", "Progress", "TrainReport", "TrainSettings"]

MethodName: TypeAlias = Literal[
    "sft", "dpo", "kto", "reward", "simpo", "tpo", "sdpo", "prm", "grpo", "rloo", "critique-grpo", "score"
]

DEVICES = ("auto", "cpu", "cuda")
SEEDS = 2**32
"""Seeds are below this: the random numbers of numpy take no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """What to train on what, and how. None = the preset's value, see `presets`.

    Raises:
        InputError: a number is out of its range, or the device unknown.
    """

    recipe: str
    """Name of a recipe of `actorcritic export`."""
    data: Path
    """Folder that `actorcritic export` wrote by this recipe."""
    model: str
    """A folder in Hugging Face's form, a hub id, a model added with `actorcritic models add`, or one of a packaged
    pair: `embedded-actor`, `embedded-critic`, `embedded-arithmetic-actor`, `embedded-arithmetic-critic`; `hf:` before
    it changes nothing."""
    out: Path
    """New folder: `model/`, `adapter/` where there is one, `checkpoints/`, `train.json`, `log.jsonl`, `report.json`."""
    seed: int = 0
    """In [0, 2**32)."""
    lora_rank: int | None = None
    """>= 0; 0 = train all weights."""
    epochs: float | None = None
    """Passes over the rows, > 0."""
    learning_rate: float | None = None
    """Highest of its schedule, > 0."""
    batch_size: int | None = None
    """Rows per optimizer step, >= 1; fewer where there are not so many."""
    max_steps: int | None = None
    """Optimizer steps at most, >= 1; overrides `epochs`."""
    max_length: int | None = None
    """Tokens of a row, >= 1; a longer row is dropped and counted, never cut. None = also the model's own context."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu or cuda."""
    allow_oracle: bool = False
    """Train on an oracle run's rows: a gold answer or the task's checker took part in making them."""
    options: Mapping[str, OptionValue] = field(default_factory=dict[str, OptionValue])
    """Of the method, by name; a text is read as a person would write it. `method` chooses another than the preset's."""

    def __post_init__(self) -> None:
        numbers: Mapping[str, tuple[float | None, float, bool]] = {
            "lora rank": (self.lora_rank, 0, False),
            "number of epochs": (self.epochs, 0, True),
            "learning rate": (self.learning_rate, 0, True),
            "batch size": (self.batch_size, 1, False),
            "number of steps": (self.max_steps, 1, False),
            "length of a row": (self.max_length, 1, False),
        }
        for name, (value, low, above) in numbers.items():
            if value is not None and not (math.isfinite(value) and (value > low if above else value >= low)):
                raise InputError(f"the {name} must be {'above' if above else 'at least'} {low:g}, not {value:g}")
        if not 0 <= self.seed < SEEDS:
            raise InputError(f"the seed must be at least 0 and below {SEEDS}, not {self.seed}")
        if self.device not in DEVICES:
            raise InputError(f"unknown device {self.device!r}: use one of {', '.join(DEVICES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a training run has come."""

    step: int
    """Optimizer steps done, those of an earlier run included."""
    steps: int
    """Of how many."""
    loss: float | None
    """Mean per step since the last report; None = not known yet."""
    seconds_left: float | None
    """At the pace of this process; None = not known yet."""
    reward: float | None = None
    """Mean of this step's completions; None = not trained by rewards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What came of a training run."""

    recipe: str
    method: str
    model: Path
    """Folder with the weights; where an adapter was not merged, the adapter's; of an interrupted run, its own."""
    spec: str
    """How other commands name it: `embedded:FOLDER` where the base was of an embedded pair, else `hf:FOLDER`."""
    adapter: Path | None
    """Folder of the LoRA adapter in PEFT's form."""
    rows: int
    """Trained on."""
    dropped: Mapping[str, int]
    """Rows that were left out, by reason."""
    steps: int
    """Optimizer steps, those before a resume included."""
    first_loss: float | None
    last_loss: float | None
    """Mean of the last tenth of the steps."""
    seconds: float
    """Of training, in all processes that took part; saving the result not counted."""
    tokens: int
    """Read in training, prompts included and padding not."""
    first_reward: float | None = None
    """Mean over the completions of the first step; None = not trained by rewards."""
    last_reward: float | None = None
    """Mean of the last tenth of the steps."""
    alike: float | None = None
    """Share of the groups whose completions all earned the same, which teaches nothing; None = there were no groups."""
    interrupted: bool = False
    """True = stopped before the end; `--resume` goes on."""
