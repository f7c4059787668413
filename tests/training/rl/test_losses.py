"""Losses on tensors made by hand, against the formulas of the papers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from actorcritic.training.rewards import group_baseline
from actorcritic.training.rl.losses import (
    critique_grpo_loss,
    kl_estimate,
    score_loss,
    shape,
    turn_advantages,
    turn_weights,
)

GAMMA = 0.1


def logps(*rows: list[float]) -> Tensor:
    """Return log-probabilities with a gradient, from probabilities."""
    return torch.tensor(rows).log().requires_grad_()


def gradient(loss: Tensor, of: Tensor) -> Tensor:
    """Return the gradient of a loss."""
    return torch.autograd.grad(loss, of)[0]


# --- Critique-GRPO -------------------------------------------------------------------------------------------------


def test_one_right_refinement_among_wrong_answers() -> None:
    assert group_baseline([0, 0, 0, 1], 4) == [-0.25, -0.25, -0.25, 0.75]


@pytest.mark.parametrize(("probability", "slope"), [(0.1, 0.25), (1.0, 0.0826446), (0.01, 0.0826446)])
def test_a_refinement_teaches_most_where_it_was_unlikely(probability: float, slope: float) -> None:
    written = logps([probability])
    ones = torch.ones(1, 1)
    loss = critique_grpo_loss(
        written, written.detach(), torch.tensor([0.75]), ones, torch.tensor([True]), gamma=GAMMA, length=1
    )
    assert loss.item() == pytest.approx(-0.75 * probability / (probability + GAMMA))
    assert gradient(loss, written).item() == pytest.approx(-0.75 * slope, rel=1e-5)


@given(st.floats(1e-4, 1.0))
def test_no_other_probability_teaches_more(probability: float) -> None:
    written = logps([probability])
    assert gradient(shape(written.exp(), GAMMA).sum(), written).item() <= 0.25 + 1e-6


def test_answers_have_a_ratio_that_is_not_clipped_and_refinements_no_old_policy() -> None:
    written, old = logps([0.6, 0.3], [0.6, 0.3]), torch.tensor([[0.2, 0.3], [0.2, 0.3]]).log()
    mask, advantages = torch.tensor([[1.0, 1.0], [1.0, 0.0]]), torch.tensor([-0.25, 0.75])
    loss = critique_grpo_loss(written, old, advantages, mask, torch.tensor([False, True]), gamma=GAMMA, length=8)
    answer, refinement = 0.25 * (0.6 / 0.2 + 1), -0.75 * 0.6 / 0.7
    assert loss.item() == pytest.approx((answer + refinement) / (2 * 8))
    # The masked token of the second row has no say.
    assert gradient(loss, written)[1, 1].item() == 0


# --- SCoRe ---------------------------------------------------------------------------------------------------------


def score(written: Tensor, reference: Tensor, first: float, second: float, stage: int) -> Tensor:
    """Return the loss of one completion of five tokens: two, the correction, two."""
    starts = torch.tensor([3])
    return score_loss(
        written,
        written.detach(),
        reference,
        turn_advantages(torch.tensor([first]), torch.tensor([second]), starts, 5),
        turn_weights(starts, 5, stage=stage, beta_1=0.01, beta_2=0.1),
        torch.tensor([[1.0, 1.0, 0.0, 1.0, 1.0]]),
        length=10,
    )


def test_in_stage_1_the_first_turn_is_held_and_not_taught() -> None:
    written = logps([0.5, 0.4, 0.3, 0.2, 0.1])
    slopes = gradient(score(written, written.detach(), 0.0, 0.5, stage=1), written)[0]
    assert slopes.tolist() == pytest.approx([0, 0, 0, -0.05, -0.05])
    # Away from the base model it is drawn back, ten times as strongly as the second turn.
    base = torch.tensor([[0.25, 0.2, 0.3, 0.1, 0.05]]).log()
    held = gradient(score(written, base, 0.0, 0.0, stage=1), written)[0]
    pull = (1 - 0.5) / 10  # the estimate's slope is 1 - reference / policy
    assert held.tolist() == pytest.approx([0.1 * pull, 0.1 * pull, 0, 0.01 * pull, 0.01 * pull])


def test_in_stage_2_each_turn_has_its_own_advantage() -> None:
    written = logps([0.5, 0.4, 0.3, 0.2, 0.1])
    slopes = gradient(score(written, written.detach(), -0.5, 5.5, stage=2), written)[0]
    assert slopes.tolist() == pytest.approx([0.05, 0.05, 0, -0.55, -0.55])
    base = written.detach() + math.log(0.5)
    weighed = gradient(score(written, base, 0.0, 0.0, stage=2), written)[0]
    assert weighed.tolist() == pytest.approx([0.0005, 0.0005, 0, 0.0005, 0.0005])


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=1, max_size=5))
def test_the_divergence_is_never_negative_and_nothing_between_equals(pairs: list[tuple[float, float]]) -> None:
    policy = torch.tensor([[one for one, _ in pairs]]).log()
    reference = torch.tensor([[other for _, other in pairs]]).log()
    assert (kl_estimate(policy, reference) >= -1e-6).all()
    assert (kl_estimate(policy, policy) == 0).all()
