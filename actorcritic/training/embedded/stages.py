"""The recipe of the shipped pair: three stages, each resumable, each a pure function of the numbers in here.

1. the actor, on solutions and revisions, stopped early so that search and critique have something to add;
2. the actor's own attempts at training problems;
3. the critic, on those and on corrupted attempts, a verdict for every line.
"""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from actorcritic.training.embedded.batches import Mixture, hash_seed
from actorcritic.training.embedded.data import FAMILIES, LABELS, VOCABULARY, problems, trainable
from actorcritic.training.embedded.embeddings import plant_numbers
from actorcritic.training.embedded.export import export
from actorcritic.training.embedded.loop import Schedule, train
from actorcritic.training.embedded.model import Llama, Shape
from actorcritic.training.embedded.pair import attempt, texts

__all__ = ["RECIPE", "Recipe", "Runtime", "build", "scaled", "train_pair"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights, up to floating-point sums."""

    actor_shape: Shape
    critic_shape: Shape
    actor_mixture: Mixture
    critic_mixture: Mixture
    actor_schedule: Schedule
    critic_schedule: Schedule
    actor_stop: int
    """Chunks after which the actor stops, of those that its schedule plans."""
    pool_size: int
    """Attempts that the actor writes per family."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Runtime:
    """How to run it here; changes the weights only through rounding."""

    device: str = "cpu"
    precision: str = "float32"
    compiled: bool = False
    workers: int = 1
    threads: int = 1


RECIPE = Recipe(
    actor_shape=Shape(len(VOCABULARY), width=128, layers=4, inner=384),
    critic_shape=Shape(len(VOCABULARY), width=128, layers=6, inner=384, labels=len(LABELS)),
    actor_mixture=Mixture("actor", 1, (0.15, 0.7, 0.15), revision=0.3),
    critic_mixture=Mixture("critic", 2, (0.2, 0.5, 0.3), partial=0.15, solver=0.2, on_policy=0.5),
    actor_schedule=Schedule(160, 2e-3),
    critic_schedule=Schedule(500, 2e-3, label_weight=0.5),
    actor_stop=160,
    pool_size=60_000,
)


def scaled(recipe: Recipe, scale: float) -> Recipe:
    """Return the recipe with every length multiplied by `scale` (for trials; 1 = the shipped one)."""

    def chunks(count: int) -> int:
        return max(1, round(count * scale))

    return replace(
        recipe,
        actor_schedule=replace(recipe.actor_schedule, chunks=chunks(recipe.actor_schedule.chunks)),
        critic_schedule=replace(recipe.critic_schedule, chunks=chunks(recipe.critic_schedule.chunks)),
        actor_stop=chunks(recipe.actor_stop),
        pool_size=max(50, round(recipe.pool_size * scale)),
    )


def build(shape: Shape, seed: int, device: str) -> Llama:
    """Return a fresh model whose number embeddings begin with the numbers' periods."""
    torch.manual_seed(seed)
    model = Llama(shape)
    plant_numbers(model.embedding.weight, VOCABULARY)
    return model.to(torch.device(device))


def train_pair(recipe: Recipe, runtime: Runtime, out: Path) -> None:
    """Train what is not trained yet, and write `out/actor` and `out/critic`; call again to go on."""
    work = out / "work"
    torch.set_num_threads(runtime.threads)
    actor = build(recipe.actor_shape, recipe.seed, runtime.device)
    schedule = _here(recipe.actor_schedule, runtime)
    train(actor, recipe.actor_mixture, schedule, work / "actor.pt", stop_after=recipe.actor_stop)
    export(actor, out / "actor")
    pool = work / "attempts.jsonl"
    if not pool.exists():
        write_pool(actor.eval(), pool, recipe.pool_size)
    critic = build(recipe.critic_shape, recipe.seed + 1, runtime.device)
    mixture = replace(recipe.critic_mixture, pool=str(pool))
    train(critic, mixture, _here(recipe.critic_schedule, runtime), work / "critic.pt")
    export(critic, out / "critic")


def _here(schedule: Schedule, runtime: Runtime) -> Schedule:
    return replace(schedule, precision=runtime.precision, compiled=runtime.compiled, workers=runtime.workers)


def write_pool(actor: Llama, path: Path, size: int) -> None:
    """Write the actor's attempts at training problems, four at a problem; a held-out state drops the attempt."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        for at, family in enumerate(FAMILIES):
            puzzles = list(itertools.islice(problems(family, "train", hash_seed(77, at)), size // 4))
            for round_ in range(4):
                drawn = attempt(actor, puzzles, temperature=(1.0, 1.0, 0.7, 1.2)[round_], seed=round_)
                for puzzle, solution in zip(puzzles, drawn, strict=True):
                    steps = texts(solution)
                    if steps and trainable(puzzle, steps):
                        file.write(json.dumps([family, puzzle.render(), steps]) + "\n")
            sys.stderr.write(f"attempts: {family} done\n")
    temporary.replace(path)
