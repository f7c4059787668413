"""The recipes of the packaged pairs: what decides their weights, up to floating-point sums. Data only, trains nothing.

Stages come in order, each going on from the weights of the one before with a fresh optimiser; `stages.train_pair` says
what the actor and the critic learn in which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from actorcritic.formats.lines import words_of
from actorcritic.training.embedded.attempts import FAMILIES
from actorcritic.training.embedded.batches import Mixture, Phase
from actorcritic.training.embedded.data import LABELS, VOCABULARY
from actorcritic.training.embedded.loop import Schedule
from actorcritic.training.embedded.model import Shape

__all__ = ["ARITHMETIC", "RECIPE", "RECIPES", "Recipe", "Runtime", "Stage", "scaled"]


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

    @property
    def families(self) -> tuple[str, ...]:
        """The families that any stage has a share for, as `FAMILIES` names them."""
        phases = [phase for stage in (*self.actor_stages, *self.critic_stages) for phase in stage.mixture.phases]
        return tuple(family for at, family in enumerate(FAMILIES) if any(phase.shares[at] for phase in phases))

    @property
    def knows(self) -> tuple[str, ...]:
        """The families by their words: countdown, sudoku, arithmetic."""
        return tuple(dict.fromkeys(family.partition("-")[0] for family in self.families))


@dataclass(frozen=True, slots=True)
class Runtime:
    """How to run it here; changes the weights only through rounding."""

    device: str = "cpu"
    precision: str = "float32"
    compiled: bool = False
    workers: int = 1
    threads: int = 1


WORDS = len(words_of(("countdown", "sudoku")))

RECIPE = Recipe(
    actor_shape=Shape(WORDS, width=128, layers=4, inner=384),
    critic_shape=Shape(WORDS, width=128, layers=6, inner=384, labels=len(LABELS)),
    actor_stages=(
        Stage(
            Mixture(
                "actor",
                1,
                (
                    Phase(0, (0.15, 0.7, 0.15, 0.0)),
                    Phase(67, (0.05, 0.92, 0.03, 0.0)),
                    Phase(135, (0.25, 0.74, 0.01, 0.0), hasty=(0.35, 0.0, 0.0, 0.0)),
                ),
                revision=(0.3, 0.3, 0.3, 0.0),
            ),
            Schedule(160, 2e-3),
        ),
        Stage(
            Mixture(
                "actor",
                3,
                (Phase(0, (0.22, 0.77, 0.01, 0.0), hasty=(0.5, 0.0, 0.0, 0.0)),),
                revision=(0.3, 0.3, 0.3, 0.0),
            ),
            Schedule(70, 6e-4),
        ),
        Stage(
            Mixture(
                "actor",
                4,
                (Phase(0, (0.3, 0.4, 0.3, 0.0), hasty=(0.35, 0.0, 0.0, 0.0), on_policy=0.8),),
                revision=(0.5, 0.5, 0.9, 0.0),
            ),
            Schedule(45, 6e-4),
        ),
    ),
    critic_stages=(
        Stage(
            Mixture("critic", 2, (Phase(0, (0.12, 0.33, 0.55, 0.0), solver=0.15, on_policy=0.6),), partial=0.15),
            Schedule(400, 1.5e-3, label_weight=0.5),
            stop_after=136,
        ),
        Stage(
            Mixture("critic", 5, (Phase(0, (0.08, 0.42, 0.5, 0.0), solver=0.1, on_policy=0.7),), partial=0.15),
            Schedule(70, 1e-3, label_weight=0.5),
        ),
    ),
    pool_size=24_000,
)
"""Countdown and sudoku: 59 M tokens, 42 minutes."""

ALONE = (0.0, 0.0, 0.0, 1.0)
"""Shares of a recipe for arithmetic alone."""
SMALLEST, SMALL, ALL = range(1, 4), range(2, 6), range(2, 11)
"""Operations of what the arithmetic pair begins with. The order of work is learnt on small expressions."""
ROWS, STEPS = 16, 80
"""Of its chunks: as many tokens as in others, and four times the updates."""

ARITHMETIC = Recipe(
    actor_shape=Shape(len(VOCABULARY), width=96, layers=4, inner=288),
    critic_shape=Shape(len(VOCABULARY), width=96, layers=6, inner=288, labels=len(LABELS)),
    actor_stages=(
        Stage(
            Mixture(
                "actor",
                1,
                (
                    Phase(0, ALONE, operations=SMALLEST),
                    Phase(5, ALONE, operations=SMALL),
                    Phase(10, ALONE, operations=ALL),
                ),
                rows=ROWS,
                steps=STEPS,
                revision=(0.0, 0.0, 0.0, 0.3),
            ),
            Schedule(30, 2e-3),
        ),
        Stage(
            Mixture(
                "actor",
                4,
                (Phase(0, ALONE, hasty=(0.0, 0.0, 0.0, 0.12), on_policy=0.8),),
                rows=ROWS,
                steps=STEPS,
                revision=(0.0, 0.0, 0.0, 0.5),
            ),
            Schedule(10, 5e-4),
        ),
    ),
    critic_stages=(
        Stage(
            Mixture(
                "critic",
                2,
                (
                    Phase(0, ALONE, solver=0.2, operations=SMALL),
                    Phase(30, ALONE, solver=0.2, operations=ALL, on_policy=0.5),
                ),
                rows=ROWS,
                steps=STEPS,
                partial=0.15,
            ),
            Schedule(120, 1e-3, label_weight=1.0),
        ),
        Stage(
            Mixture(
                "critic",
                5,
                (Phase(0, ALONE, solver=0.2, on_policy=0.7),),
                rows=ROWS,
                steps=STEPS,
                partial=0.15,
            ),
            Schedule(30, 5e-4, label_weight=1.0),
        ),
    ),
    pool_size=6_000,
)
"""Arithmetic: 23 M tokens. The critic learns late to find errors, and goes on solving so that it can."""

RECIPES: Mapping[str, Recipe] = {",".join(recipe.knows): recipe for recipe in (RECIPE, ARITHMETIC)}
"""By the families that they are for."""


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
