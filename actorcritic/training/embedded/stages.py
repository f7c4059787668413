"""The recipe of the pair: stages in order, each resumable, each a pure function of the numbers in here.

1. the actor learns to write solutions and revisions;
2. it goes on beside failures of a hasty solver, so that its greedy answer stays fallible on 3 numbers;
3. it writes attempts at training problems, and learns to revise its own wrong ones;
4. the critic, grown from the actor of stage 2, learns to judge those attempts and corrupted ones, line by line;
5. it goes on with attempts and revisions of the final actor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from actorcritic.training.embedded.batches import Mixture, Phase
from actorcritic.training.embedded.data import LABELS, VOCABULARY
from actorcritic.training.embedded.embeddings import plant_numbers
from actorcritic.training.embedded.export import export
from actorcritic.training.embedded.loop import Schedule, train
from actorcritic.training.embedded.model import Llama, Shape
from actorcritic.training.embedded.pools import write_pool

__all__ = ["RECIPE", "Recipe", "Runtime", "Stage", "build", "grow", "scaled", "train_pair"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of training."""

    mixture: Mixture
    schedule: Schedule
    stop_after: int | None = None
    """Chunks after which it ends, if that is before the schedule's own end."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights, up to floating-point sums."""

    actor_shape: Shape
    critic_shape: Shape
    actor_stages: tuple[Stage, ...]
    """In order; each goes on from the weights of the one before, with a fresh optimiser. The last one revises."""
    critic_stages: tuple[Stage, ...]
    """Likewise; the first reads the attempts of the actor before its last stage, the others those of the last."""
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
        Stage(
            Mixture(
                "actor",
                1,
                (
                    Phase(0, (0.15, 0.7, 0.15, 0.02)),
                    Phase(70, (0.05, 0.92, 0.03, 0.02)),
                    Phase(142, (0.25, 0.74, 0.01, 0.02), hasty=(0.35, 0.0, 0.0, 0.0)),
                ),
                revision=(0.3, 0.3, 0.3, 0.3),
            ),
            Schedule(168, 2e-3),
        ),
        Stage(
            Mixture(
                "actor",
                3,
                (Phase(0, (0.22, 0.77, 0.01, 0.02), hasty=(0.5, 0.0, 0.0, 0.0)),),
                revision=(0.3, 0.3, 0.3, 0.3),
            ),
            Schedule(74, 6e-4),
        ),
        Stage(
            Mixture(
                "actor",
                4,
                (Phase(0, (0.3, 0.4, 0.3, 0.02), hasty=(0.35, 0.0, 0.0, 0.0), on_policy=0.8),),
                revision=(0.5, 0.5, 0.9, 0.5),
            ),
            Schedule(48, 6e-4),
        ),
    ),
    critic_stages=(
        Stage(
            Mixture("critic", 2, (Phase(0, (0.12, 0.33, 0.55, 0.07), solver=0.15, on_policy=0.6),), partial=0.15),
            Schedule(400, 1.5e-3, label_weight=0.5),
            stop_after=152,
        ),
        Stage(
            Mixture("critic", 5, (Phase(0, (0.08, 0.42, 0.5, 0.07), solver=0.1, on_policy=0.7),), partial=0.15),
            Schedule(80, 1e-3, label_weight=0.5),
        ),
    ),
    pool_size=24_000,
)
"""64 M tokens, 69 minutes. A little arithmetic (too little yet: greedy .16); of the other families as much as a
recipe without it would give them."""


def scaled(recipe: Recipe, scale: float) -> Recipe:
    """Return the recipe with every length multiplied by `scale` (for trials; 1 = the shipped one)."""

    def chunks(count: int) -> int:
        return max(1, round(count * scale))

    def shorter(stage: Stage) -> Stage:
        phases = tuple(replace(phase, first=round(phase.first * scale)) for phase in stage.mixture.phases)
        return Stage(
            replace(stage.mixture, phases=phases),
            replace(stage.schedule, chunks=chunks(stage.schedule.chunks)),
            chunks(stage.stop_after) if stage.stop_after else None,
        )

    return replace(
        recipe,
        actor_stages=tuple(map(shorter, recipe.actor_stages)),
        critic_stages=tuple(map(shorter, recipe.critic_stages)),
        pool_size=max(40, round(recipe.pool_size * scale)),
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
    torch.set_num_threads(runtime.threads)
    work = out / "work"
    actor = build(recipe.actor_shape, recipe.seed, runtime.device)
    critic = build(recipe.critic_shape, recipe.seed + 1, runtime.device)
    for at, stage in enumerate(recipe.actor_stages[:-1]):
        _train(actor, stage, runtime, work / f"actor{at}.pt")
    grow(actor, critic)
    _pool(actor, work / "attempts.jsonl", recipe.pool_size, 77)
    last = len(recipe.actor_stages) - 1
    _train(actor, recipe.actor_stages[-1], runtime, work / f"actor{last}.pt", work / "attempts.jsonl")
    export(actor, out / "actor")
    _train(critic, recipe.critic_stages[0], runtime, work / "critic0.pt", work / "attempts.jsonl")
    _pool(actor, work / "revisions.jsonl", recipe.pool_size, 78, revisions=True)
    for at, stage in enumerate(recipe.critic_stages[1:], start=1):
        _train(critic, stage, runtime, work / f"critic{at}.pt", work / "revisions.jsonl")
    export(critic, out / "critic")


def _train(model: Llama, stage: Stage, runtime: Runtime, checkpoint: Path, pool: Path | None = None) -> None:
    mixture = replace(stage.mixture, pool=str(pool)) if pool else stage.mixture
    schedule = replace(stage.schedule, precision=runtime.precision, compiled=runtime.compiled, workers=runtime.workers)
    train(model, mixture, schedule, checkpoint, stop_after=stage.stop_after)


def _pool(actor: Llama, path: Path, size: int, seed: int, *, revisions: bool = False) -> None:
    if not path.exists():
        write_pool(actor.eval(), path, size, seed, revisions=revisions)
        actor.train()
