"""Trains a pair by its recipe: stages in order, each resumable.

1. the actor learns to write solutions and revisions, in one stage or more;
2. it writes attempts at training problems, and in its last stage learns to revise its own wrong ones;
3. the critic, grown from the actor before that stage, learns to judge those attempts and corrupted ones, line by line;
4. where there is one more stage, it goes on with attempts and revisions of the final actor.

Some of what the actor sees are failures of a hasty solver, so that its first thought stays fallible.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from actorcritic.training.embedded.data import VOCABULARY
from actorcritic.training.embedded.embeddings import plant_numbers
from actorcritic.training.embedded.export import export
from actorcritic.training.embedded.loop import train
from actorcritic.training.embedded.model import Llama, Shape
from actorcritic.training.embedded.pools import write_pool
from actorcritic.training.embedded.recipes import Recipe, Runtime, Stage

__all__ = ["build", "grow", "train_pair"]


def build(shape: Shape, seed: int, device: str) -> Llama:
    """Return a fresh model whose number embeddings begin with the numbers' periods."""
    torch.manual_seed(seed)
    model = Llama(shape)
    plant_numbers(model.embedding.weight, VOCABULARY[: shape.vocabulary])
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
    _pool(actor, recipe, work / "attempts.jsonl", 77)
    last = len(recipe.actor_stages) - 1
    _train(actor, recipe.actor_stages[-1], runtime, work / f"actor{last}.pt", work / "attempts.jsonl")
    export(actor, out / "actor", families=recipe.knows)
    first, *others = recipe.critic_stages
    _train(critic, first, runtime, work / "critic0.pt", work / "attempts.jsonl")
    if others:
        _pool(actor, recipe, work / "revisions.jsonl", 78, revisions=True)
    for at, stage in enumerate(others, start=1):
        _train(critic, stage, runtime, work / f"critic{at}.pt", work / "revisions.jsonl")
    export(critic, out / "critic", families=recipe.knows)


def _train(model: Llama, stage: Stage, runtime: Runtime, checkpoint: Path, pool: Path | None = None) -> None:
    mixture = replace(stage.mixture, pool=str(pool)) if pool else stage.mixture
    schedule = replace(stage.schedule, precision=runtime.precision, compiled=runtime.compiled, workers=runtime.workers)
    train(model, mixture, schedule, checkpoint, stop_after=stage.stop_after)


def _pool(actor: Llama, recipe: Recipe, path: Path, seed: int, *, revisions: bool = False) -> None:
    if not path.exists():
        write_pool(actor.eval(), recipe.families, path, recipe.pool_size, seed, revisions=revisions)
        actor.train()
