"""The recipe of the shipped pair: four stages, each resumable, each a pure function of the numbers in here.

1. the actor, on solutions and revisions, mostly of 4 numbers towards the end;
2. the actor again, beside failures of a hasty solver, so that its greedy answer stays fallible on 3 numbers;
3. the actor's own attempts at training problems;
4. the critic, grown from the actor, on those and on corrupted attempts, a verdict for every line.
"""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from actorcritic.training.embedded.batches import Mixture, Phase, hash_seed
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
    actor_stages: tuple[tuple[Mixture, Schedule], ...]
    """In order; each goes on from the weights of the one before, with a fresh optimiser."""
    critic_mixture: Mixture
    critic_schedule: Schedule
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
    actor_stages=(
        (
            Mixture(
                "actor",
                1,
                (
                    Phase(0, (0.15, 0.7, 0.15)),
                    Phase(67, (0.05, 0.92, 0.03)),
                    Phase(135, (0.25, 0.74, 0.01), hasty=0.35),
                ),
                revision=0.3,
            ),
            Schedule(160, 2e-3),
        ),
        (Mixture("actor", 3, (Phase(0, (0.22, 0.77, 0.01), hasty=0.5),), revision=0.3), Schedule(70, 6e-4)),
    ),
    critic_mixture=Mixture("critic", 2, (Phase(0, (0.12, 0.33, 0.55), solver=0.15, on_policy=0.6),), partial=0.15),
    critic_schedule=Schedule(400, 1.5e-3, label_weight=0.5),
    pool_size=24_000,
)


def scaled(recipe: Recipe, scale: float) -> Recipe:
    """Return the recipe with every length multiplied by `scale` (for trials; 1 = the shipped one)."""

    def chunks(count: int) -> int:
        return max(1, round(count * scale))

    def shorter(mixture: Mixture, schedule: Schedule) -> tuple[Mixture, Schedule]:
        phases = tuple(replace(phase, first=round(phase.first * scale)) for phase in mixture.phases)
        return replace(mixture, phases=phases), replace(schedule, chunks=chunks(schedule.chunks))

    critic_mixture, critic_schedule = shorter(recipe.critic_mixture, recipe.critic_schedule)
    return replace(
        recipe,
        actor_stages=tuple(shorter(*stage) for stage in recipe.actor_stages),
        critic_mixture=critic_mixture,
        critic_schedule=critic_schedule,
        pool_size=max(50, round(recipe.pool_size * scale)),
    )


def build(shape: Shape, seed: int, device: str) -> Llama:
    """Return a fresh model whose number embeddings begin with the numbers' periods."""
    torch.manual_seed(seed)
    model = Llama(shape)
    plant_numbers(model.embedding.weight, VOCABULARY)
    return model.to(torch.device(device))


def grow(source: Llama, target: Llama) -> None:
    """Copy a model into a deeper one of the same width in place; the layers on top begin as the identity."""
    copied = target.load_state_dict(source.state_dict(), strict=False)
    if copied.unexpected_keys:
        raise ValueError(f"the models differ in more than depth: {copied.unexpected_keys}")
    with torch.no_grad():
        for layer in range(source.shape.layers, target.shape.layers):
            target.get_parameter(f"blocks.{layer}.out.weight").zero_()
            target.get_parameter(f"blocks.{layer}.down.weight").zero_()


def train_pair(recipe: Recipe, runtime: Runtime, out: Path) -> None:
    """Train what is not trained yet, and write `out/actor` and `out/critic`; call again to go on."""
    work = out / "work"
    torch.set_num_threads(runtime.threads)
    actor = build(recipe.actor_shape, recipe.seed, runtime.device)
    for at, (mixture, schedule) in enumerate(recipe.actor_stages):
        train(actor, mixture, _here(schedule, runtime), work / f"actor{at}.pt")
    export(actor, out / "actor")
    pool = work / "attempts.jsonl"
    if not pool.exists():
        write_pool(actor.eval(), pool, recipe.pool_size)
    critic = build(recipe.critic_shape, recipe.seed + 1, runtime.device)
    grow(actor, critic)
    critic_mixture = replace(recipe.critic_mixture, pool=str(pool))
    train(critic, critic_mixture, _here(recipe.critic_schedule, runtime), work / "critic.pt")
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
