"""Batched sampling from a model: many prompts, greedy or at a temperature, with log-probabilities.

Prompts of one length run together. Knows token ids, no text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from actorcritic.training.embedded.model import Cache, Llama

__all__ = ["Drawn", "generate"]

END_ID = 1


@dataclass(frozen=True, slots=True)
class Drawn:
    """One completion."""

    ids: list[int]
    """Without the end token."""
    logprobs: list[float]
    """Of the chosen tokens under the model's own distribution, the end token included."""
    watched: list[float]
    """Probability of the watched token at each position, the end token's included."""
    ended: bool
    """True if the end token came within the limit."""


@torch.inference_mode()
def generate(
    model: Llama,
    prompts: Sequence[Sequence[int]],
    *,
    limit: int,
    temperature: float,
    seed: int,
    watch: int = 0,
    batch: int = 1024,
) -> list[Drawn]:
    """Return one completion per prompt, in order.

    Args:
        model: in evaluation mode.
        prompts: token ids.
        limit: most new tokens.
        temperature: 0 = greedy.
        seed: of the draws.
        watch: a token id whose probability is kept at every position.
        batch: prompts that run together.
    """
    device = model.embedding.weight.device
    rng = torch.Generator(device=device).manual_seed(seed)
    by_length: dict[int, list[int]] = defaultdict(list)
    for at, prompt in enumerate(prompts):
        by_length[len(prompt)].append(at)
    drawn: dict[int, Drawn] = {}
    for members in by_length.values():
        for start in range(0, len(members), batch):
            part = members[start : start + batch]
            ids = torch.tensor([prompts[at] for at in part], device=device)
            drawn.update(zip(part, _run(model, ids, limit, temperature, rng, watch), strict=True))
    return [drawn[at] for at in range(len(prompts))]


def _run(model: Llama, ids: Tensor, limit: int, temperature: float, rng: torch.Generator, watch: int) -> list[Drawn]:
    count, length = ids.shape
    cache = Cache([], [])
    bias = torch.full((length, length), -1e9, device=ids.device).triu(1)[None, None]
    done = torch.zeros(count, dtype=torch.bool, device=ids.device)
    new, logprobs, watched = [], [], []
    step = ids
    for at in range(limit):
        hidden = model.hidden(step, bias, cache, length + at - 1 if at else 0)[:, -1]
        log_p = (hidden @ model.embedding.weight.T).float().log_softmax(-1)
        if temperature == 0:
            token = log_p.argmax(-1)
        else:
            token = torch.multinomial((log_p / temperature).softmax(-1), 1, generator=rng)[:, 0]
        token = token.masked_fill(done, END_ID)
        new.append(token)
        logprobs.append(log_p.gather(1, token[:, None])[:, 0])
        watched.append(log_p[:, watch].exp())
        done = done | (token == END_ID)
        if bool(done.all()):
            break
        step, bias = token[:, None], torch.zeros((1, 1, 1, 1), device=ids.device)
    return _collect(*(torch.stack(part, 1).tolist() for part in (new, logprobs, watched)))


def _collect(new: list[list[int]], logprobs: list[list[float]], watched: list[list[float]]) -> list[Drawn]:
    found = []
    for ids, own, seen in zip(new, logprobs, watched, strict=True):
        ended = END_ID in ids
        size = ids.index(END_ID) if ended else len(ids)
        found.append(Drawn(ids[:size], own[: size + 1], seen[: size + 1], ended))
    return found
