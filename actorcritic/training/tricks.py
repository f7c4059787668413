"""MFT, ASFT, UDS and weights of rows as parts put before a trainer of transformers; each calls on what comes after.

Randomness depends on the seed, the step and the micro-batch alone, so that a run that goes on from a checkpoint draws
what an unbroken one would have drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from actorcritic.export.masking import IGNORED
from actorcritic.metering import derive_seed
from actorcritic.training.objectives import UtilityDiversity, anchored_losses, corrupt, live_logits

__all__ = [
    "Anchor",
    "Anchored",
    "Choice",
    "Choosing",
    "Masked",
    "Masking",
    "Weighted",
    "masking_probability",
    "with_weights",
]


def masking_probability(probability: float, step: int, warmup: int) -> float:
    """Return how likely a token is masked at a step: rising from 0 over the first `warmup` optimizer steps."""
    return probability * min(1.0, step / warmup) if warmup else probability


class _HasState(Protocol):
    global_step: int


class _Trainer(Protocol):
    """What the parts need of the trainer that they stand before."""

    state: _HasState


@dataclass(slots=True)
class Masking:
    """How inputs are masked (MFT). Mutable: counts the micro-batches of a step."""

    mask: int
    """Id of the mask token."""
    probability: float
    warmup: int
    """Optimizer steps."""
    seed: int
    step: int = -1
    micro: int = 0

    def apply(self, inputs: Mapping[str, Any], step: int) -> dict[str, Any]:
        """Return a micro-batch with masked inputs.

        Args:
            inputs: With `input_ids` and `labels`.
            step: Optimizer steps done.
        """
        self.step, self.micro = step, self.micro + 1 if step == self.step else 0
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "masked-thought", step, self.micro))
        probability = masking_probability(self.probability, step, self.warmup)
        ids = corrupt(inputs["input_ids"], inputs["labels"], self.mask, probability, generator)
        return {**inputs, "input_ids": ids}


class Masked:
    """Part of a trainer: masks what is read while it is learnt. Its `masking` is set after it is made."""

    masking: Masking

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Mask, then go on."""
        step = cast("_Trainer", self).state.global_step
        after = cast("Any", super())
        return cast("Tensor", after.training_step(model, self.masking.apply(inputs, step), num_items_in_batch))


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where ASFT is anchored: the model before training."""

    weight: float
    frozen: Any = None
    """A copy of it; None = the model itself without its adapter."""

    def logits(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        """Return the logits [B, T, V] of the model before training."""
        with torch.no_grad():
            if self.frozen is not None:
                return cast("Tensor", self.frozen.to(inputs["input_ids"].device)(**inputs).logits)
            with model.disable_adapter():
                return cast("Tensor", model(**inputs).logits)


class Anchored:
    """Part of a trainer: ASFT's loss in place of the likelihood. Its `anchor` is set after it is made."""

    anchor: Anchor

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the mean loss of the tokens that are learnt: of this micro-batch, or of its share of the step."""
        read = {name: value for name, value in inputs.items() if name != "labels"} | {"use_cache": False}
        outputs = model(**read)
        logits, words = live_logits(outputs.logits, inputs["labels"])
        plain = model.module if hasattr(model, "module") else model
        reference, _ = live_logits(self.anchor.logits(plain, read), inputs["labels"])
        losses = anchored_losses(logits, reference, words, self.anchor.weight)
        count = len(words) if num_items_in_batch is None else num_items_in_batch
        loss = losses.sum() / torch.as_tensor(count, device=losses.device).clamp(min=1)
        return (loss, outputs) if return_outputs else loss


def with_weights(collate: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> Callable[[list[Any]], dict[str, Any]]:
    """Return a collator that hands on the `weight` of each row, which the given one knows nothing of."""

    def collated(rows: list[Any]) -> dict[str, Any]:
        return {**collate(rows), "weight": torch.tensor([float(row["weight"]) for row in rows])}

    return collated


class Weighted:
    """Part of a trainer: the likelihood of each row times its weight."""

    _signature_columns: list[str] | None

    def _set_signature_columns_if_needed(self) -> None:
        cast("Any", super())._set_signature_columns_if_needed()
        columns = self._signature_columns or []
        self._signature_columns = [*columns, *(["weight"] if "weight" not in columns else [])]

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the mean loss of the tokens that are learnt, each times the weight of its row."""
        read = {name: value for name, value in inputs.items() if name not in ("labels", "weight")}
        outputs = model(**read, use_cache=False)
        logits, words = live_logits(outputs.logits, inputs["labels"])
        live = inputs["labels"][:, 1:] != IGNORED
        weights = inputs["weight"][:, None].expand(live.shape)[live]
        losses = weights * torch.nn.functional.cross_entropy(logits.float(), words, reduction="none")
        count = len(words) if num_items_in_batch is None else num_items_in_batch
        loss = losses.sum() / torch.as_tensor(count, device=losses.device).clamp(min=1)
        return (loss, outputs) if return_outputs else loss


@dataclass(slots=True)
class Choice:
    """Which rows of a micro-batch are learnt (UDS). Mutable: it remembers those that were."""

    selector: UtilityDiversity
    keep: int
    """Rows of a micro-batch, >= 1."""
    seen: int = 0
    kept: int = 0

    FILE = "utility_diversity.pt"

    def apply(self, model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the rows that are learnt.

        Args:
            model: What is trained.
            inputs: On its device.
        """
        labels: Tensor = inputs["labels"]
        with torch.no_grad():
            read = {name: value for name, value in inputs.items() if name != "labels"}
            logits: Tensor = model(**read, use_cache=False).logits
        rows = [live_logits(logits[at : at + 1], labels[at : at + 1])[0] for at in range(len(labels))]
        chosen = self.selector.choose(rows, self.keep)
        self.seen, self.kept = self.seen + len(rows), self.kept + len(chosen)
        places = torch.tensor(chosen, device=labels.device)
        longest = int((labels[places] != IGNORED).any(0).nonzero().max()) + 1
        chosen_of = {name: value[places] for name, value in inputs.items()}
        return {name: value[:, :longest] if value.dim() > 1 else value for name, value in chosen_of.items()}

    def save(self, folder: Path) -> None:
        """Keep what it remembers beside a checkpoint."""
        torch.save(self.selector.state(), folder / self.FILE)

    def load(self, folder: Path) -> None:
        """Remember what a checkpoint kept."""
        self.selector.restore(torch.load(folder / self.FILE, weights_only=True))


class Choosing:
    """Part of a trainer: learns only some rows of every micro-batch. Its `choice` is set after it is made."""

    choice: Choice

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Choose, then go on; the loss is the mean over the tokens of the rows that were chosen."""
        ready = cast("Any", self)._prepare_inputs(inputs)
        # The number of tokens of the step counts rows that are not learnt.
        return cast("Tensor", cast("Any", super()).training_step(model, self.choice.apply(model, ready), None))
