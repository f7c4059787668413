"""GRPO and RLOO through TRL, with the rewards that a recipe's rows are for: CRL, Critique-RL, RefCritic, DeepCritic.

Completions are sampled by TRL's plain generation, which RLOO knows alone. Where the reward is what an actor makes of a
critique, that actor is an engine of its own, any that `solve --actor` takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actorcritic.errors import InputError
from actorcritic.search.options import Option, integer, number, text
from actorcritic.training.libraries import require
from actorcritic.training.rewards import REFINEMENTS, RefinementReward
from actorcritic.training.rl.rewarding import Refiner, RewardFunction, boxed, crl, discrimination, dual, refined
from actorcritic.training.rl.setup import RL_OPTIONS, end_ids, frozen_actor, prepare, setting_of, trainer_parts
from actorcritic.training.work import Built, Method, Work
from actorcritic.types import Sampling

__all__ = ["GRPO", "RLOO"]

_OPTIONS: tuple[Option, ...] = (
    *RL_OPTIONS,
    text("actor", None, "Model that refines with critiques (Critique-RL stage 2, RefCritic); none = the embedded one."),
    integer("k", None, "Refinements per critique (RefCritic); none = as the recipe says."),
    number("lambda", None, "Weight of the refinements (RefCritic); none = as the recipe says.", low=0),
)
_REFINED_AT = 1.0
"""Temperature of RefCritic's refinements, of which there are several."""


@dataclass(frozen=True, slots=True)
class _Rewards:
    """Reward functions, and what frees the models behind them."""

    functions: list[RewardFunction]
    close: Callable[[], object] | None = None


def _rewards(work: Work, ends: frozenset[int]) -> _Rewards:
    """Return the rewards that the rows are for."""
    recipe = work.data.recipe
    if recipe == "crl":
        return _Rewards([*crl(ends)])
    if recipe == "deepcritic":
        return _Rewards([boxed(ends)])
    if recipe == "refcritic":
        refiner, close = _refiner(work, _REFINED_AT, int(setting_of(work, "k", 8)))
        return _Rewards([dual(ends, refiner, float(setting_of(work, "lambda", 1.0)))], close)
    if recipe == "critique-rl":
        if work.data.rows[0]["stage"] == 1:
            return _Rewards([discrimination(ends)])
        named = str(work.data.rows[0]["reward"])
        kinds: dict[str, RefinementReward] = {each: each for each in REFINEMENTS}
        if named not in kinds:
            raise InputError(f"unknown reward {named!r} in the rows; choose from: {', '.join(REFINEMENTS)}")
        refiner, close = _refiner(work, 0.0, 1)
        return _Rewards([refined(ends, refiner, kinds[named])], close)
    raise InputError(f"there is no reward for rows of the recipe {recipe} in this method")


def _refiner(work: Work, temperature: float, samples: int) -> tuple[Refiner, Callable[[], object]]:
    actor, roles = frozen_actor(work, temperature)
    sampling = Sampling(temperature=temperature)
    refiner = Refiner(actor=actor, sampling=sampling, samples=samples, seed=work.settings.seed)
    return refiner, lambda: asyncio.run(roles.aclose())


def _build(work: Work, name: str) -> Built:
    # Imports transformers.
    from actorcritic.training.rl.following import REWARDS, Ending, RewardLog  # noqa: PLC0415 - see above

    trl = require("trl")
    prepared = prepare(work)
    parts = trainer_parts(work, prepared, getattr(trl, f"{name}Config"))
    rewards = _rewards(work, end_ids(parts["model"], work.tokenizer))
    trainer: Any = getattr(trl, f"{name}Trainer")(**parts, reward_funcs=rewards.functions)
    trainer.add_callback(RewardLog(work.settings.out / REWARDS))
    if rewards.close is not None:
        trainer.add_callback(Ending([rewards.close]))
    return Built(trainer=trainer, rows=len(prepared.rows), dropped=prepared.dropped, tokenizer=work.tokenizer)


GRPO = Method(
    name="grpo",
    datasets=frozenset({"prompt-only"}),
    columns=("prompt",),
    build=lambda work: _build(work, "GRPO"),
    options=_OPTIONS,
)
RLOO = Method(
    name="rloo",
    datasets=frozenset({"prompt-only"}),
    columns=("prompt",),
    build=lambda work: _build(work, "RLOO"),
    options=_OPTIONS,
)
