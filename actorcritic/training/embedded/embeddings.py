"""Number embeddings that begin with arithmetic structure: cosines of a number at many periods, and of its logarithm.

Equal numbers as target and as operand begin close to each other. It saves the many steps that a model from nothing
spends on learning that 14 lies between 13 and 15; training is free to change it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["plant_numbers"]

PERIODS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 16, 20, 25, 32, 50, 64, 100, 128, 200, 256, 400)
OCTAVES = (0.5, 1.0, 2.0, 4.0, 8.0)
SCALE = 0.03


def plant_numbers(weight: Tensor, words: Sequence[str]) -> None:
    """Overwrite in place the rows of the words that are numbers (`14 `) or targets (`=15` and a newline)."""
    rng = torch.Generator().manual_seed(11)
    size = 2 * (len(PERIODS) + len(OCTAVES))
    mix = torch.randn(size, weight.shape[1], generator=rng) * (SCALE / math.sqrt(size / 2))
    target = torch.randn(weight.shape[1], generator=rng) * SCALE
    with torch.no_grad():
        for row, word in enumerate(words):
            digits = word.strip().removeprefix("=")
            if digits.isdigit():
                shift = target if word.startswith("=") else torch.zeros_like(target)
                weight[row] = weight[row] * 0.5 + torch.tensor(_features(int(digits))) @ mix + shift


def _features(number: int) -> list[float]:
    angles = [2 * math.pi * number / period for period in PERIODS]
    angles += [2 * math.pi * math.log2(max(number, 0.5)) / octaves for octaves in OCTAVES]
    return [f(angle) for angle in angles for f in (math.cos, math.sin)]
