"""Turns samples into packed training batches, chunk by chunk, so that a resumed run sees the same data.

A chunk is a pure function of (recipe, index). Several samples share a row; segment numbers keep them apart. Knows
numpy, no torch, so that it can run in a worker process.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actorcritic.formats.lines import Puzzle, parse_problem
from actorcritic.tasks.arithmetic import OPERATIONS
from actorcritic.training.embedded.attempts import FAMILIES, Attempt, corrupted, problems
from actorcritic.training.embedded.data import Sample, actor_sample, critic_sample, revision_sample

__all__ = ["LENGTH", "Chunk", "Mixture", "Phase", "hash_seed", "make_chunk", "pack"]

LENGTH = 96
"""Tokens per row; the longest sample has as many."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of chunks with one mixture: families that are learnt early step back later."""

    first: int
    """Chunk with which it begins."""
    shares: tuple[float, ...]
    """Weight of each family among the samples, in the order of `FAMILIES`."""
    hasty: tuple[float, ...] = (0.0,) * len(FAMILIES)
    """Share of the actor's samples, per family, that are tries of a hasty solver; only its failures are kept."""
    solver: float = 0.0
    """Share of the critic's samples that are plain solutions to write: a critic that can solve judges better."""
    on_policy: float = 0.0
    """Share of the attempts (the critic's, and those that the actor revises) that the actor wrote; the rest are
    corrupted solutions."""
    operations: range = OPERATIONS
    """How many operations an arithmetic problem has; small expressions teach the order of work soonest."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a stage trains on."""

    role: str
    """`actor` or `critic`."""
    seed: int
    phases: tuple[Phase, ...]
    """In order; the first begins at chunk 0."""
    rows: int = 64
    """Rows per optimiser step."""
    steps: int = 20
    """Optimiser steps per chunk."""
    revision: tuple[float, ...] = (0.0,) * len(FAMILIES)
    """Share of the actor's samples that are revisions, per family."""
    partial: float = 0.0
    """Share of the critic's attempts that are cut short."""
    pool: str = ""
    """File of the actor's attempts, JSON lines of `[problem, [step, ...]]`, one family after another."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Packed rows, `(steps, rows, LENGTH)` each."""

    ids: NDArray[np.int64]
    segments: NDArray[np.int16]
    """Number of the sample within its row, 0 = padding."""
    weights: NDArray[np.float32]
    """Of the prediction made *at* a position, of the token after it; 0 = none."""
    labels: NDArray[np.int64]
    """Label class of the line that ends at a position, -1 = none."""
    values: NDArray[np.int64]
    """Right value (0..3) of the sudoku cell whose line begins after a position, -1 = none."""


def make_chunk(mixture: Mixture, index: int) -> Chunk:
    """Return chunk `index` of a mixture."""
    rng = random.Random(f"{mixture.role}:{mixture.seed}:{index}")
    draw = _draws(mixture, rng, index)
    return pack(draw, mixture.steps, mixture.rows)


def pack(samples: Iterator[Sample], steps: int, rows: int) -> Chunk:
    """Fill `steps * rows` rows from a stream of samples; a sample that does not fit starts the next row."""
    shape = (steps * rows, LENGTH)
    ids, segments = np.zeros(shape, np.int64), np.zeros(shape, np.int16)
    weights, labels = np.zeros(shape, np.float32), np.full(shape, -1, np.int64)
    values = np.full(shape, -1, np.int64)
    row, at, segment = 0, 0, 1
    for sample in samples:
        size = len(sample.ids)
        if at + size > LENGTH:
            row, at, segment = row + 1, 0, 1
            if row == shape[0]:
                break
        ids[row, at : at + size] = sample.ids
        segments[row, at : at + size] = segment
        weights[row, at + sample.start - 1 : at + size - 1] = 2 / (size - sample.start) if sample.labels else 1
        for end, label in zip(sample.ends, sample.labels, strict=True):
            labels[row, at + end] = label
        for end, value in zip(sample.ends, sample.values, strict=False):
            values[row, at + end - 1] = value
        at, segment = at + size, segment + 1
    packed = (steps, rows, LENGTH)
    return Chunk(
        ids.reshape(packed),
        segments.reshape(packed),
        weights.reshape(packed),
        labels.reshape(packed),
        values.reshape(packed),
    )


def _draws(mixture: Mixture, rng: random.Random, index: int) -> Iterator[Sample]:
    phase = next(phase for phase in reversed(mixture.phases) if index >= phase.first)
    seed = hash_seed(mixture.seed, index)
    streams = [problems(family, "train", seed, phase.operations) for family in FAMILIES]
    while True:
        family = rng.choices(range(len(FAMILIES)), phase.shares)[0]
        sample = _draw(mixture, phase, rng, family, streams[family])
        if sample is not None:
            yield sample


def _draw(mixture: Mixture, phase: Phase, rng: random.Random, family: int, stream: Iterator[Puzzle]) -> Sample | None:
    if mixture.role == "critic" and rng.random() >= phase.solver:
        attempt = _attempt(mixture.pool, phase.on_policy, rng, family, stream)
        return critic_sample(attempt, rng, partial=mixture.partial) if attempt else None
    revision = mixture.revision[family]
    if mixture.pool and mixture.role == "actor" and rng.random() < revision * phase.on_policy:
        text, written = rng.choice(_pool(mixture.pool)[family])
        found = parse_problem(text)
        return revision_sample((found, tuple(written)), rng) if found else None
    return actor_sample(next(stream), rng, revision=revision, hasty_share=phase.hasty[family])


def hash_seed(seed: int, index: int) -> int:
    """Return a seed for the problems of a chunk, distinct over seeds and chunks."""
    return seed * 1_000_003 + index


def _attempt(pool: str, on_policy: float, rng: random.Random, family: int, stream: Iterator[Puzzle]) -> Attempt | None:
    if pool and rng.random() < on_policy:
        text, written = rng.choice(_pool(pool)[family])
        found = parse_problem(text)
        return (found, tuple(written)) if found else None
    puzzle = next(stream)
    steps = corrupted(puzzle, rng)
    return (puzzle, steps) if steps else None


@lru_cache(maxsize=2)
def _pool(path: str) -> tuple[list[tuple[str, list[str]]], ...]:
    """Read the actor's attempts, one list per family."""
    lists: tuple[list[tuple[str, list[str]]], ...] = tuple([] for _ in FAMILIES)
    with Path(path).open(encoding="utf-8") as file:
        for line in file:
            family, text, steps = json.loads(line)
            lists[FAMILIES.index(family)].append((text, steps))
    return lists
