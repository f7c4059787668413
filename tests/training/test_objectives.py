"""The losses and choices of MFT, ASFT and UDS on tensors made by hand, against the papers' formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.training.objectives import (
    Projector,
    UtilityDiversity,
    anchored_losses,
    corrupt,
    live_logits,
    nuclear_norm,
)

IDS = torch.tensor([[11, 12, 13, 14, 15, 0], [21, 22, 23, 0, 0, 0]])
LABELS = torch.tensor([[-100, -100, 13, 14, 15, -100], [-100, 22, 23, -100, -100, -100]])
MASK = 99


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- Masked Thought --------------------------------------------------------------------------------------------------


def test_masking_everything_masks_what_is_learnt_and_nothing_else() -> None:
    masked = corrupt(IDS, LABELS, MASK, 1.0, generator())
    assert masked.tolist() == [[11, 12, MASK, MASK, MASK, 0], [21, MASK, MASK, 0, 0, 0]]


def test_masking_nothing_changes_nothing() -> None:
    assert torch.equal(corrupt(IDS, LABELS, MASK, 0.0, generator()), IDS)


def test_masks_differ_from_one_time_to_the_next_and_not_for_the_same_seed() -> None:
    ids = torch.arange(200).reshape(1, 200)
    one, again, other = (corrupt(ids, ids, MASK, 0.5, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


@given(st.floats(min_value=0, max_value=1), st.integers(min_value=0, max_value=99))
def test_the_question_is_never_masked(probability: float, seed: int) -> None:
    masked = corrupt(IDS, LABELS, MASK, probability, generator(seed))
    read = LABELS == -100
    assert torch.equal(masked[read], IDS[read])
    assert set(masked[~read].tolist()) <= {MASK, *IDS[~read].tolist()}


# --- anchored SFT ----------------------------------------------------------------------------------------------------


def test_a_token_is_learnt_at_the_position_before_it() -> None:
    logits = torch.arange(2 * 6 * 3, dtype=torch.float).reshape(2, 6, 3)
    kept, words = live_logits(logits, LABELS)
    assert words.tolist() == [13, 14, 15, 22, 23]
    assert torch.equal(kept, torch.cat([logits[0, 1:4], logits[1, 0:2]]))


def test_the_loss_of_a_token_is_the_papers() -> None:
    # p = (1/2, 1/4, 1/4), reference = (1/4, 1/4, 1/2), the word is the first one.
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    reference = torch.tensor([[0.25, 0.25, 0.5]]).log()
    divergence = 0.25 * math.log(0.25 / 0.5) + 0.25 * math.log(1) + 0.5 * math.log(0.5 / 0.25)
    expected = 0.5 * math.log(2) + 0.1 * divergence
    assert anchored_losses(logits, reference, torch.tensor([0]), 0.1).item() == pytest.approx(expected)


def test_at_the_base_the_anchor_weighs_nothing() -> None:
    logits = torch.randn(4, 7, generator=generator())
    words = torch.tensor([0, 1, 2, 3])
    assert torch.allclose(anchored_losses(logits, logits, words, 0.1), anchored_losses(logits, logits, words, 0.0))


def test_the_weight_of_the_likelihood_passes_no_gradient() -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0]], requires_grad=True)
    loss: Any = anchored_losses(logits, logits.detach(), torch.tensor([0]), 0.0).sum()
    loss.backward()
    p = logits.detach().softmax(-1)
    # d(-log p)/dlogits = p - onehot, weighted by the constant p of the word.
    expected = p[0, 0] * (p - torch.tensor([[1.0, 0.0, 0.0]]))
    assert logits.grad is not None and torch.allclose(logits.grad, expected)


# --- utility and diversity -------------------------------------------------------------------------------------------


@given(st.integers(min_value=1, max_value=8), st.integers(min_value=1, max_value=30), st.integers(0, 99))
def test_the_nuclear_norm_is_the_sum_of_the_singular_values(rows: int, words: int, seed: int) -> None:
    logits = torch.randn(rows, words, generator=generator(seed))
    expected = torch.linalg.svdvals(logits.double()).sum().item()
    assert nuclear_norm(logits).item() == pytest.approx(expected, rel=1e-3)


def rows_of_one_norm() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits of two different rows with the same nuclear norm."""
    one = torch.randn(6, 40, generator=generator(1))
    return one, one.flip(1)


def test_the_twin_of_a_chosen_row_ranks_below_a_different_row() -> None:
    one, different = rows_of_one_norm()
    chooser = UtilityDiversity(Projector(6, 40, seed=3), alpha=10.0, queue=8)
    assert chooser.choose([one], 1) == [0]
    values, _ = chooser.scores([one, different])
    assert values[1] > values[0]
    assert chooser.choose([one.clone(), different], 1) == [1]


def test_without_diversity_the_norm_alone_decides() -> None:
    one, _ = rows_of_one_norm()
    chooser = UtilityDiversity(Projector(6, 40, seed=3), alpha=0.0, queue=8)
    rows = [one, 3 * one, 2 * one]
    for _ in range(3):
        assert chooser.choose(rows, 2) == [1, 2]


def test_the_oldest_is_forgotten_first() -> None:
    one, different = rows_of_one_norm()
    chooser = UtilityDiversity(Projector(6, 40, seed=3), alpha=10.0, queue=1)
    chooser.choose([one], 1)
    chooser.choose([different], 1)
    values, _ = chooser.scores([one, different])
    assert values[0] > values[1]


def test_what_it_remembers_can_be_kept() -> None:
    one, different = rows_of_one_norm()
    chooser = UtilityDiversity(Projector(6, 40, seed=3), alpha=10.0, queue=8)
    other = UtilityDiversity(Projector(6, 40, seed=3), alpha=10.0, queue=8)
    other.restore(chooser.state())
    assert other.scores([one])[0] == chooser.scores([one])[0]
    chooser.choose([one, different], 2)
    other.restore(chooser.state())
    assert other.scores([2 * one])[0] == chooser.scores([2 * one])[0]


def test_the_projection_is_linear_and_knows_shorter_rows() -> None:
    projector = Projector(6, 40, seed=3)
    one, different = rows_of_one_norm()
    both = projector.project(one + 2 * different)
    assert both.shape == (8 * 128,)
    assert torch.allclose(both, projector.project(one) + 2 * projector.project(different), atol=1e-2)
    short = torch.cat([one[:4], torch.zeros(2, 40)])
    assert torch.allclose(projector.project(short), projector.project(one[:4]), atol=1e-3)
