"""What supervised fine-tuning may do beside plain likelihood, as functions of tensors: MFT, ASFT and UDS.

Masked Thought (Chen et al. 2024, arXiv 2403.02178), anchored SFT (Zhu et al. 2025, arXiv 2509.23753), utility-diversity
sampling (2025, arXiv 2510.16882). Deviation of UDS: logits of padding and prompt do not count.
Letters: B rows, T tokens, V words, N tokens that are learnt. Knows no trainer.
"""

from __future__ import annotations

import math
from collections import deque

import torch
import torch.nn.functional as F
from torch import Tensor

from actorcritic.export.masking import IGNORED

__all__ = ["Projector", "UtilityDiversity", "anchored_losses", "corrupt", "live_logits", "nuclear_norm"]


def corrupt(ids: Tensor, labels: Tensor, mask: int, probability: float, generator: torch.Generator) -> Tensor:
    """Return ids of which some that are learnt are replaced (MFT); labels stay what they were, so all are learnt still.

    Args:
        ids: [B, T].
        labels: [B, T], -100 where nothing is learnt, such as the question and padding.
        mask: Id that takes their place.
        probability: Of each to be replaced, in [0, 1].
        generator: On the CPU.
    """
    drawn = torch.rand(ids.shape, generator=generator).to(ids.device) < probability
    return torch.where(drawn & (labels != IGNORED), torch.full_like(ids, mask), ids)


def live_logits(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits [N, V] and the words [N] of the tokens that are learnt, each by the position before it.

    Args:
        logits: [B, T, V].
        labels: [B, T].
    """
    after = labels[:, 1:]
    live = after != IGNORED
    return logits[:, :-1][live], after[live]


def anchored_losses(logits: Tensor, reference: Tensor, words: Tensor, anchor: float) -> Tensor:
    """Return ASFT's loss of each token [N]: sg(p) * -log p + anchor * KL(reference || model).

    Args:
        logits: [N, V].
        reference: [N, V], of the model before training.
        words: [N].
        anchor: Weight of the divergence, >= 0; the paper's is 0.1.
    """
    logs = F.log_softmax(logits.float(), -1)
    chosen = logs.gather(-1, words[:, None]).squeeze(-1)
    divergence = F.kl_div(logs, F.log_softmax(reference.float(), -1), reduction="none", log_target=True).sum(-1)
    losses: Tensor = -chosen.exp().detach() * chosen + anchor * divergence
    return losses


def nuclear_norm(logits: Tensor) -> Tensor:
    """Return the sum of the singular values of [N, V], through the N x N matrix of its rows' products."""
    rows = logits.double()
    squares: Tensor = torch.linalg.eigvalsh(rows @ rows.T)
    return squares.clamp(min=0).sqrt().sum()


class Projector:
    """A fixed random projection of logits to 8 x 128 numbers: signs flipped, cosine transform, a sample; both ways.

    Args:
        length: Positions at most; shorter ones count as filled up with zeros.
        words: V.
        seed: Of signs and sample.
        rows: Numbers kept along positions.
        columns: Numbers kept along words.
    """

    def __init__(self, length: int, words: int, seed: int, *, rows: int = 8, columns: int = 128) -> None:
        generator = torch.Generator().manual_seed(seed)

        def signs(count: int) -> Tensor:
            return torch.randint(0, 2, (count,), generator=generator).float() * 2 - 1

        self._word_signs = signs(words)
        self._kept_words = torch.randint(0, words, (columns,), generator=generator)
        places = torch.randint(0, length, (rows, 1), generator=generator)
        angles = 2 * math.pi * places * torch.arange(length) / length
        self._left = angles.cos() * signs(length) * math.sqrt(length / rows)
        self._scale = math.sqrt(words / columns)

    def project(self, logits: Tensor) -> Tensor:
        """Return [rows * columns] numbers of the logits [N, V] of one row."""
        left, signs = self._left.to(logits.device), self._word_signs.to(logits.device)
        mixed = (left[:, : logits.shape[0]] @ logits.float()) * signs
        kept: Tensor = torch.fft.fft(mixed, dim=-1).real[:, self._kept_words.to(logits.device)]
        return (kept * self._scale).flatten()


class UtilityDiversity:
    """Chooses which rows of a batch are learnt. Mutable: it remembers the projections of those that it chose.

    Args:
        projector: Of the model's logits.
        alpha: Weight of the diversity beside the utility, >= 0.
        queue: How many rows are remembered, the oldest forgotten first.
    """

    def __init__(self, projector: Projector, alpha: float, queue: int) -> None:
        self._projector, self._alpha = projector, alpha
        self._chosen: deque[Tensor] = deque(maxlen=queue)

    def scores(self, rows: list[Tensor]) -> tuple[list[float], list[Tensor]]:
        """Return utility + alpha * diversity of each row's logits [N, V], and their projections."""
        projections = [self._projector.project(row).cpu() for row in rows]
        remembered = torch.stack(tuple(self._chosen)) if self._chosen else None
        values: list[float] = []
        for row, projection in zip(rows, projections, strict=True):
            diversity = 0.0 if remembered is None else float((remembered - projection).norm(dim=-1).mean())
            values.append(float(nuclear_norm(row)) + self._alpha * diversity)
        return values, projections

    def choose(self, rows: list[Tensor], keep: int) -> list[int]:
        """Return the places of the best `keep` rows in their order, and remember them."""
        values, projections = self.scores(rows)
        best = sorted(sorted(range(len(rows)), key=lambda place: -values[place])[:keep])
        self._chosen.extend(projections[place] for place in best)
        return best

    def state(self) -> Tensor:
        """Return what it remembers, oldest first, one row each."""
        return torch.stack(tuple(self._chosen)) if self._chosen else torch.zeros(0)

    def restore(self, state: Tensor) -> None:
        """Remember what another one did."""
        self._chosen.clear()
        self._chosen.extend(state.unbind() if state.numel() else ())
