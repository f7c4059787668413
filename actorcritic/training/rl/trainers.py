"""What Critique-GRPO and SCoRe add to TRL's GRPOTrainer: rollouts of their own, numbers per row, a loss of their own.

Each class is put before the trainer's among the bases (`with_trainer`), so that this module needs no TRL. It leans on
four of TRL 1.16's insides: `rollout_func`, `_generate_and_score_completions`, `_get_per_token_logps_and_entropies` and
`_compute_loss`; `check_version` refuses versions that were not looked at.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from actorcritic.errors import InputError
from actorcritic.training.rewards import group_baseline, turn_rewards
from actorcritic.training.rl.losses import (
    critique_grpo_loss,
    kl_estimate,
    score_loss,
    turn_advantages,
    turn_weights,
)
from actorcritic.training.rl.rollouts import Rollout, rollout_columns
from actorcritic.training.rl.rows import Columns

__all__ = ["CritiqueGrpoTrainer", "RollOut", "RolloutTrainer", "ScoreTrainer", "Turns", "check_version", "with_trainer"]

RollOut = Callable[[Any, Sequence[Columns]], Sequence[Rollout]]
"""Given the trainer and the rows of a batch, each as often as it is sampled, returns one rollout per row."""

KNOWN = ((1, 16), (2, 0))
"""Versions of TRL from the first to before the second have been looked at."""


class RolloutTrainer:
    """Hands whole rows to the rollouts, and what these bring along to the loss."""

    roll_out: RollOut

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._rows = inputs
        output: dict[str, Any] = cast("Any", super())._generate_and_score_completions(inputs)
        # TRL has put the extra columns of the rollouts into the rows by now.
        return {**output, **self.numbers(inputs, output)}

    def numbers(self, rows: Sequence[Mapping[str, Any]], output: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Return tensors for the loss, one entry per row."""
        raise NotImplementedError

    def loss(self, logps: Tensor, old: Tensor, mask: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        """Return the loss of a part of a batch."""
        raise NotImplementedError

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        me = cast("Any", self)
        ids, completion = inputs["completion_ids"], inputs["completion_mask"]
        mask = completion * inputs["tool_mask"] if "tool_mask" in inputs else completion
        logps, entropies, _ = me._get_per_token_logps_and_entropies(
            model,
            torch.cat([inputs["prompt_ids"], ids], dim=1),
            torch.cat([inputs["prompt_mask"], completion], dim=1),
            ids.size(1),
            compute_entropy=True,
        )
        old = inputs.get("old_per_token_logps")
        loss = self.loss(logps, logps.detach() if old is None else old, mask, inputs)
        entropy = (entropies * mask).sum() / mask.sum().clamp(min=1)
        self._tell("entropy", entropy)
        parts = me.current_gradient_accumulation_steps if me.model.training else 1
        return cast("Tensor", (loss - me.entropy_coef * entropy) / parts)

    def _tell(self, name: str, value: Tensor) -> None:
        me = cast("Any", self)
        me._metrics["train" if me.model.training else "eval"][name].append(float(value.detach()))


class CritiqueGrpoTrainer(RolloutTrainer):
    """Groups in which refinements are learnt as answers to the question, weighed by p / (p + gamma)."""

    gamma: float

    def numbers(self, rows: Sequence[Mapping[str, Any]], output: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """See `RolloutTrainer.numbers`: which rows are refinements. TRL's advantages are the paper's, without std."""
        device = output["completion_ids"].device
        return {"refined": torch.tensor([bool(row["is_refined"]) for row in rows], device=device)}

    def loss(self, logps: Tensor, old: Tensor, mask: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        """See `RolloutTrainer.loss`."""
        length = cast("Any", self).max_completion_length
        refined: Tensor = inputs["refined"]
        if refined.any():
            seen = mask * refined[:, None]
            self._tell("refinement/probability", (logps.exp() * seen).sum() / seen.sum().clamp(min=1))
        return critique_grpo_loss(logps, old, inputs["advantages"], mask, refined, gamma=self.gamma, length=length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """SCoRe's constants."""

    stage: int
    alpha: float
    beta_1: float
    beta_2: float


class ScoreTrainer(RolloutTrainer):
    """Two turns, each with a return and a weight of the divergence of its own."""

    turns: Turns

    def numbers(self, rows: Sequence[Mapping[str, Any]], output: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """See `RolloutTrainer.numbers`: advantages [B, T] less the mean of the group, and weights [B, T]."""
        me, turns = cast("Any", self), self.turns
        size = me.num_generations if me.model.training else me.num_generations_eval
        returns = turn_rewards(
            [row["first"] for row in rows], [row["second"] for row in rows], stage=turns.stage, alpha=turns.alpha
        )
        device, length = output["completion_ids"].device, output["completion_ids"].size(1)
        first, second = (torch.tensor(group_baseline(of, size), device=device) for of in returns)
        starts = torch.tensor([int(row["second_start"]) for row in rows], device=device)
        weights = turn_weights(starts, length, stage=turns.stage, beta_1=turns.beta_1, beta_2=turns.beta_2)
        return {"advantages": turn_advantages(first, second, starts, length), "kl_weights": weights}

    def loss(self, logps: Tensor, old: Tensor, mask: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        """See `RolloutTrainer.loss`."""
        reference: Tensor = inputs.get("ref_per_token_logps", logps.detach())
        self._tell("kl", (kl_estimate(logps, reference) * mask).sum() / mask.sum().clamp(min=1))
        length = cast("Any", self).max_completion_length
        return score_loss(logps, old, reference, inputs["advantages"], inputs["kl_weights"], mask, length=length)


def with_trainer(kind: type[RolloutTrainer], trl: Any) -> Any:
    """Return the class of TRL's GRPOTrainer with what `kind` adds; takes its arguments, and `roll_out` besides."""

    def begin(self: Any, *, roll_out: RollOut, **more: Any) -> None:
        self.roll_out = roll_out
        with warnings.catch_warnings():
            # That rollouts of one's own are experimental is what `check_version` is for.
            warnings.filterwarnings("ignore", message="You are using 'rollout_func'")
            trl.GRPOTrainer.__init__(self, rollout_func=_roll_out, **more)
        if self.accelerator.num_processes > 1:
            raise InputError("rollouts of groups with refinements or of two turns run in one process: start only one")

    return type(kind.__name__, (kind, trl.GRPOTrainer), {"__init__": begin})


def _roll_out(prompts: Sequence[Any], trainer: Any) -> dict[str, object]:
    """Be TRL's `rollout_func`, which is handed the prompts alone."""
    rows: Sequence[Columns] = trainer._rows
    if len(rows) != len(prompts):
        raise AssertionError(f"{len(prompts)} prompts of {len(rows)} rows")
    return rollout_columns(trainer.roll_out(trainer, rows))


def check_version(trl: Any) -> None:
    """Refuse a TRL whose insides were not looked at.

    Raises:
        InputError: the version is another.
    """
    version = tuple(int(part) for part in trl.__version__.split(".")[:2])
    if not KNOWN[0] <= version < KNOWN[1]:
        raise InputError(f"this method knows TRL from 1.16 to below 2, not {trl.__version__}: install trl==1.16.0")
