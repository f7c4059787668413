"""The training loop: packed batches in, weights out; resumable at chunk boundaries.

A resumed run gives the weights of an unbroken one, since data, learning rate and optimiser state depend on the step
alone. Knows batches and models, no task.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from actorcritic.training.embedded.batches import LENGTH, Chunk, Mixture, make_chunk
from actorcritic.training.embedded.model import Llama

__all__ = ["Schedule", "train"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast a stage trains."""

    chunks: int
    rate: float
    """Peak learning rate; warmed up over the first 2 %, then a cosine down to 3 % of it."""
    label_weight: float = 0.0
    """Weight of the losses of the auxiliary heads."""
    decay: float = 0.05
    """Weight decay."""
    save_seconds: float = 60.0
    """Between checkpoints."""
    workers: int = 1
    """Processes that prepare data; 0 = in this one."""
    precision: str = "float32"
    """`float32`, or `bfloat16` for the products only."""
    compiled: bool = False
    """Use torch.compile (needs a C++ compiler on CPUs)."""


def train(
    model: Llama,
    mixture: Mixture,
    schedule: Schedule,
    checkpoint: Path,
    *,
    stop_after: int | None = None,
    watch: Callable[[int, Llama], None] | None = None,
) -> list[float]:
    """Train in place, from the checkpoint if there is one, and return the mean loss of every chunk.

    Args:
        model: on its device.
        mixture: what to train on.
        schedule: how.
        checkpoint: file that holds everything needed to go on.
        stop_after: end early after this many chunks in all, with a checkpoint (for tests and staged runs).
        watch: called after every chunk with the number of chunks done.
    """
    device = model.embedding.weight.device
    optimizer = torch.optim.AdamW(_groups(model, schedule.decay), lr=schedule.rate, betas=(0.9, 0.98), fused=True)
    done, losses = _restore(checkpoint, model, optimizer)
    last = min(schedule.chunks, stop_after or schedule.chunks)
    if done >= last:
        return losses
    step = _stepper(model, schedule, device)
    saved = started = time.monotonic()
    first = done
    with _chunks(mixture, range(done, last), schedule.workers) as chunks:
        for chunk in chunks:
            total = 0.0
            for at in range(mixture.steps):
                progress = (done * mixture.steps + at) / (schedule.chunks * mixture.steps)
                for group in optimizer.param_groups:
                    group["lr"] = schedule.rate * _rate(progress)
                total += step(optimizer, [part[at].to(device) for part in _tensors(chunk)])
            done += 1
            losses.append(total / mixture.steps)
            now = time.monotonic()
            if now - saved > schedule.save_seconds or done == last:
                _save(checkpoint, model, optimizer, done, losses)
                saved = now
            if done % 10 == 0 or done == last:
                _report(mixture, schedule, losses, (now - started) / (done - first))
            if watch is not None:
                watch(done, model)
    return losses


def _report(mixture: Mixture, schedule: Schedule, losses: list[float], seconds: float) -> None:
    recent = losses[-10:]
    sys.stderr.write(
        f"{mixture.role}: chunk {len(losses)}/{schedule.chunks}, loss {sum(recent) / len(recent):.4f}, "
        f"{mixture.steps * mixture.rows * LENGTH / seconds:,.0f} tokens/s, "
        f"{seconds * (schedule.chunks - len(losses)) / 60:.1f} min left\n"
    )
    sys.stderr.flush()


def _tensors(chunk: Chunk) -> list[Tensor]:
    return [torch.from_numpy(part) for part in (chunk.ids, chunk.segments, chunk.weights, chunk.labels, chunk.values)]


def _rate(progress: float) -> float:
    if progress < 0.02:
        return max(progress, 0.0005) / 0.02
    return 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * (progress - 0.02) / 0.98))


def _groups(model: Llama, decay: float) -> list[dict[str, object]]:
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]


def _loss(
    model: Llama, label_weight: float, ids: Tensor, segments: Tensor, weights: Tensor, labels: Tensor, values: Tensor
) -> Tensor:
    same = (segments[:, :, None] == segments[:, None, :]).tril()
    bias = torch.zeros(same.shape, device=ids.device).masked_fill(~same, -1e9)[:, None]
    logits, label_logits, value_logits = model(ids, bias)
    loss = _mean_loss(logits[:, :-1], ids[:, 1:], weights[:, :-1])
    if label_logits is None:
        return loss
    loss = loss + label_weight * _mean_loss(label_logits, labels.clamp_min(0), (labels >= 0).float())
    return loss + label_weight * _mean_loss(value_logits, values.clamp_min(0), (values >= 0).float())


def _mean_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    each = F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), targets.reshape(-1), reduction="none")
    weight = weights.reshape(-1)
    return (each * weight).sum() / weight.sum().clamp_min(1)


def _stepper(
    model: Llama, schedule: Schedule, device: torch.device
) -> Callable[[torch.optim.Optimizer, list[Tensor]], float]:
    loss_of = partial(_loss, model, schedule.label_weight)
    function = torch.compile(loss_of, dynamic=False) if schedule.compiled else loss_of
    mixed = schedule.precision == "bfloat16"

    def step(optimizer: torch.optim.Optimizer, parts: list[Tensor]) -> float:
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            loss = function(*parts)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


@contextmanager
def _chunks(mixture: Mixture, indices: range, workers: int) -> Generator[Iterator[Chunk]]:
    make = partial(make_chunk, mixture)
    if workers < 1:
        yield map(make, indices)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield _ahead(pool, make, indices, 2 * workers + 2)


def _ahead(pool: Pool, make: Callable[[int], Chunk], indices: range, depth: int) -> Iterator[Chunk]:
    """Yield chunks in order with at most `depth` of them prepared ahead, so that memory stays bounded."""
    waiting = [pool.apply_async(make, (i,)) for i in indices[:depth]]
    for i in indices:
        chunk = waiting.pop(0).get()
        if i + depth < indices.stop:
            waiting.append(pool.apply_async(make, (i + depth,)))
        yield chunk


def _save(path: Path, model: Llama, optimizer: torch.optim.Optimizer, done: int, losses: list[float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "done": done, "losses": losses}
    torch.save(state, temporary)
    temporary.replace(path)


def _restore(path: Path, model: Llama, optimizer: torch.optim.Optimizer) -> tuple[int, list[float]]:
    if not path.exists():
        return 0, []
    state = torch.load(path, map_location=model.embedding.weight.device, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["done"]), list(state["losses"])
