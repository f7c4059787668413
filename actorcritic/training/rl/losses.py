"""Losses of Critique-GRPO and SCoRe, as functions of tensors. Know no model, no trainer and no rollout.

Shapes: B completions of T tokens; log-probabilities are natural; masks hold 1 for a token that the model wrote.
A loss is a sum over tokens, divided by B times a constant length, so that long completions are not favoured.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["critique_grpo_loss", "kl_estimate", "score_loss", "shape", "turn_advantages", "turn_weights"]


def shape(probability: Tensor, gamma: float) -> Tensor:
    """Return f(p) = p / (p + gamma), whose gradient in log p is largest, 0.25, where p = gamma."""
    return probability / (probability + gamma)


def critique_grpo_loss(
    logps: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, refined: Tensor, *, gamma: float, length: int
) -> Tensor:
    """Return the loss of Critique-GRPO (Zhang et al. 2025, arXiv 2506.03106).

    On answers: -advantage * ratio, not clipped. On refinements: -advantage * f(p), with no regard to the old policy,
    which never wrote them after this question.

    Args:
        logps: [B, T], of the policy in training.
        old: [B, T], of the policy that wrote the completions; without gradient.
        advantages: [B], reward less the mean of the group.
        mask: [B, T].
        refined: [B], true for a refinement.
        gamma: Where, as a probability, learning from a refinement is strongest, > 0.
        length: Tokens of a completion at most.
    """
    weights = torch.where(refined.bool()[:, None], shape(logps.exp(), gamma), (logps - old).exp())
    return -(weights * advantages[:, None] * mask).sum() / (logps.shape[0] * length)


def kl_estimate(logps: Tensor, reference: Tensor) -> Tensor:
    """Return the estimate of the divergence from a reference, token by token: never negative, 0 where they agree."""
    ahead = reference - logps
    return ahead.exp() - ahead - 1


def score_loss(
    logps: Tensor, old: Tensor, reference: Tensor, advantages: Tensor, kl_weights: Tensor, mask: Tensor, *, length: int
) -> Tensor:
    """Return the loss of SCoRe (Kumar et al. 2024, arXiv 2409.12917): -advantage * ratio + weight * divergence.

    Args:
        logps: [B, T], of the policy in training.
        old: [B, T], of the policy that wrote the completions; without gradient.
        reference: [B, T], of the base model.
        advantages: [B, T], by turn.
        kl_weights: [B, T], by turn.
        mask: [B, T]; the correction between the turns is not the model's.
        length: Tokens of a completion at most, both turns together.
    """
    per_token = -(logps - old).exp() * advantages + kl_weights * kl_estimate(logps, reference)
    return (per_token * mask).sum() / (logps.shape[0] * length)


def turn_advantages(first: Tensor, second: Tensor, starts: Tensor, length: int) -> Tensor:
    """Spread the advantages of two turns over the tokens.

    Args:
        first: [B], of the first turn.
        second: [B], of the second.
        starts: [B], index of the second turn's first token.
        length: T.

    Returns:
        [B, T]
    """
    return torch.where(_in_second(starts, length), second[:, None], first[:, None])


def turn_weights(starts: Tensor, length: int, *, stage: int, beta_1: float, beta_2: float) -> Tensor:
    """Return the weight [B, T] of the divergence: in stage 1 beta_2 on the first turn, beta_1 everywhere else."""
    weights = torch.full((starts.shape[0], length), beta_1, device=starts.device)
    return torch.where(_in_second(starts, length), weights, torch.full_like(weights, beta_2)) if stage == 1 else weights


def _in_second(starts: Tensor, length: int) -> Tensor:
    return torch.arange(length, device=starts.device)[None] >= starts[:, None]
