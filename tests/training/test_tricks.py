"""The parts that are put before a trainer, over a stand-in for one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from actorcritic.training.objectives import Projector, UtilityDiversity
from actorcritic.training.tricks import Anchor, Anchored, Choice, Choosing, Masked, Masking, masking_probability

IDS = torch.arange(1, 13).reshape(2, 6)
LABELS = torch.where(IDS % 6 < 3, -100, IDS)
INPUTS = {"input_ids": IDS, "labels": LABELS, "attention_mask": torch.ones_like(IDS)}


class Trainer:
    """What transformers' trainer is to the parts."""

    def __init__(self, step: int = 0) -> None:
        self.state = SimpleNamespace(global_step=step)
        self.trained: list[tuple[dict[str, Any], Any]] = []

    def _prepare_inputs(self, inputs: Any) -> Any:
        return inputs

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        self.trained.append((inputs, num_items_in_batch))
        return torch.zeros(())

    def ids(self) -> torch.Tensor:
        """Return what was read last."""
        return cast("torch.Tensor", self.trained[-1][0]["input_ids"])


class MaskedTrainer(Masked, Trainer):
    pass


class ChoosingTrainer(Choosing, Trainer):
    pass


def masked(step: int = 0) -> MaskedTrainer:
    trainer = MaskedTrainer(step)
    trainer.masking = Masking(99, 0.5, 0, seed=1)
    return trainer


def test_a_run_that_goes_on_masks_as_an_unbroken_one() -> None:
    unbroken = masked()
    drawn: dict[tuple[int, int], torch.Tensor] = {}
    for step in range(3):
        unbroken.state.global_step = step
        for micro in range(2):
            unbroken.training_step(None, INPUTS, 7)
            drawn[step, micro] = unbroken.ids()
    resumed = masked(2)
    for micro in range(2):
        resumed.training_step(None, INPUTS, 7)
        assert torch.equal(resumed.ids(), drawn[2, micro])
    # Every time a row is seen its mask is another one, and the labels are the same.
    assert len({tuple(ids.flatten().tolist()) for ids in drawn.values()}) > 3
    assert all(inputs["labels"] is LABELS and items == 7 for inputs, items in unbroken.trained)


def test_the_probability_rises_to_its_value() -> None:
    assert [masking_probability(0.4, step, 4) for step in (0, 1, 4, 9)] == [0.0, 0.1, 0.4, 0.4]
    assert masking_probability(0.4, 0, 0) == 0.4


class Table:
    """A model whose logits are a table's rows; `shift` is added to them."""

    def __init__(self, shift: float = 0.0) -> None:
        self.weight = torch.randn(20, 20, generator=torch.Generator().manual_seed(0)).requires_grad_()
        self.shift = shift
        self.asked: list[dict[str, Any]] = []

    def __call__(self, **inputs: Any) -> Any:
        self.asked.append(inputs)
        return SimpleNamespace(logits=self.weight[inputs["input_ids"]] + self.shift)

    def to(self, device: Any) -> Table:
        return self


class AnchoredTrainer(Anchored, Trainer):
    pass


def test_the_anchored_loss_is_a_mean_over_the_tokens_that_are_learnt() -> None:
    trainer = AnchoredTrainer()
    trainer.anchor = Anchor(0.1, Table())
    model = Table()
    mean = trainer.compute_loss(model, INPUTS)
    live = int((LABELS[:, 1:] != -100).sum())
    assert trainer.compute_loss(model, INPUTS, num_items_in_batch=2 * live).item() == pytest.approx(mean.item() / 2)
    loss, outputs = trainer.compute_loss(model, INPUTS, return_outputs=True)
    assert loss.item() == mean.item() and outputs.logits.shape == (2, 6, 20)
    assert all("labels" not in asked for asked in model.asked)
    mean.backward()
    assert model.weight.grad is not None and bool(model.weight.grad.any())


def test_the_reference_passes_no_gradient_and_is_the_model_without_its_adapter() -> None:
    class Adapted(Table):
        @contextmanager
        def disable_adapter(self) -> Generator[None]:
            shift, self.shift = self.shift, 0.0
            yield
            self.shift = shift

    adapted = Adapted(shift=1.0)
    for anchor in (Anchor(0.1, None), Anchor(0.1, Table())):
        logits = anchor.logits(adapted, {"input_ids": IDS})
        assert not logits.requires_grad
        assert torch.equal(logits, Table()(input_ids=IDS).logits)
    assert adapted.shift == 1.0


def choice(keep: int = 1) -> Choice:
    return Choice(UtilityDiversity(Projector(6, 20, seed=0), 0.0, 8), keep)


def test_only_the_chosen_rows_are_learnt_and_cut_of_their_padding() -> None:
    trainer, model = ChoosingTrainer(), Table()
    trainer.choice = choice()
    short = torch.where(torch.arange(6) < 5, LABELS[1], -100)
    batch = {**INPUTS, "labels": torch.stack([torch.full((6,), -100), short])}
    batch["labels"][0, 1] = 5
    trainer.training_step(model, batch, 100)
    learnt, items = trainer.trained[0]
    # The second row has more live tokens, hence more singular values; the number of all tokens counts for nothing.
    assert learnt["input_ids"].tolist() == [IDS[1, :5].tolist()]
    assert learnt["labels"].shape == learnt["attention_mask"].shape == (1, 5)
    assert items is None
    assert (trainer.choice.seen, trainer.choice.kept) == (2, 1)


def test_what_was_chosen_is_kept_beside_a_checkpoint(tmp_path: Path) -> None:
    one, other = choice(), choice()
    one.apply(Table(), INPUTS)
    one.save(tmp_path)
    other.load(tmp_path)
    assert torch.equal(other.selector.state(), one.selector.state())
    assert len(one.selector.state()) == 1
