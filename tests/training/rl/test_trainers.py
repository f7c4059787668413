"""What is put before TRL's trainer, over a stand-in for it: rows reach the rollout, numbers reach the loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from actorcritic.errors import InputError
from actorcritic.training.rl.losses import critique_grpo_loss, score_loss
from actorcritic.training.rl.rollouts import Rollout
from actorcritic.training.rl.rows import Columns
from actorcritic.training.rl.trainers import CritiqueGrpoTrainer, ScoreTrainer, Turns, check_version, with_trainer

LOGPS = torch.tensor([[0.5, 0.25, 0.5, 0.5], [0.2, 0.4, 0.5, 0.5]]).log()
LENGTH = 4


class Stub:
    """Does with rollouts what TRL's GRPOTrainer does, and nothing else."""

    def __init__(self, *, rollout_func: Any, processes: int = 1) -> None:
        self.rollout_func = rollout_func
        self.accelerator = SimpleNamespace(num_processes=processes)
        self.model = SimpleNamespace(training=True)
        self.num_generations = self.num_generations_eval = 2
        self.max_completion_length = 8
        self.current_gradient_accumulation_steps = 2
        self.entropy_coef = 0.0
        self._metrics: Any = {"train": defaultdict(list), "eval": defaultdict(list)}
        self.logps = LOGPS.clone().requires_grad_()

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        made = self.rollout_func([row["prompt"] for row in inputs], self)
        for name in made.keys() - {"prompt_ids", "completion_ids", "logprobs", "env_mask"}:
            for row, value in zip(inputs, made[name], strict=True):
                row[name] = value
        ids = torch.tensor([[*one, *[0] * (LENGTH - len(one))] for one in made["completion_ids"]])
        mask = torch.tensor([[*[1] * len(one), *[0] * (LENGTH - len(one))] for one in made["completion_ids"]])
        tools = torch.tensor([[*one, *[1] * (LENGTH - len(one))] for one in made["env_mask"]])
        prompt = torch.tensor(made["prompt_ids"])
        return {
            "prompt_ids": prompt,
            "prompt_mask": torch.ones_like(prompt),
            "completion_ids": ids,
            "completion_mask": mask,
            "tool_mask": tools,
            "advantages": torch.tensor([-0.5, 0.5]),
        }

    def _get_per_token_logps_and_entropies(self, model: Any, *rest: Any, **more: Any) -> tuple[Tensor, Tensor, None]:
        return self.logps, torch.full_like(LOGPS, 0.7), None


def rows() -> list[dict[str, Any]]:
    """Return one question, twice."""
    return [{"prompt": "q", "problem": "p"}, {"prompt": "q", "problem": "p"}]


def rollouts(mask: tuple[int, ...] = (1, 1, 1, 1), **extra: tuple[float, float]) -> list[Rollout]:
    """Return two rollouts of three and of four tokens."""
    return [
        Rollout(
            prompt_ids=(7, 8),
            completion_ids=(3,) * length,
            mask=mask[:length],
            extra={name: values[place] for name, values in extra.items()},
        )
        for place, length in enumerate((3, 4))
    ]


def trainer(kind: Any, made: list[Rollout]) -> Any:
    """Return a trainer of this kind over the stand-in."""
    seen: list[Sequence[Columns]] = []

    def roll_out(trainer: Any, given: Sequence[Columns]) -> Sequence[Rollout]:
        seen.append([dict(row) for row in given])
        return made

    one = with_trainer(kind, SimpleNamespace(GRPOTrainer=Stub))(roll_out=roll_out)
    one.seen = seen
    return one


MASK = torch.tensor([[1.0, 1, 1, 0], [1, 1, 1, 1]])


def test_refinements_are_known_to_the_loss() -> None:
    one = trainer(CritiqueGrpoTrainer, rollouts(reward=(0.0, 1.0), is_refined=(0.0, 1.0)))
    one.gamma = 0.1
    inputs = one._generate_and_score_completions(rows())
    assert one.seen == [rows()], "the rollout is handed whole rows"
    assert inputs["refined"].tolist() == [False, True]
    wanted = critique_grpo_loss(LOGPS, LOGPS, inputs["advantages"], MASK, inputs["refined"], gamma=0.1, length=8)
    assert one._compute_loss(None, inputs).item() == pytest.approx(wanted.item() / 2)
    assert one._metrics["train"]["refinement/probability"] == [pytest.approx((0.2 + 0.4 + 0.5 + 0.5) / 4)]
    one.entropy_coef = 0.01
    assert one._compute_loss(None, inputs).item() == pytest.approx(wanted.item() / 2 - 0.01 * 0.7 / 2)


def test_old_log_probabilities_are_used_where_a_batch_is_learnt_from_twice() -> None:
    one = trainer(CritiqueGrpoTrainer, rollouts(reward=(0.0, 1.0), is_refined=(0.0, 0.0)))
    one.gamma = 0.1
    inputs = one._generate_and_score_completions(rows())
    old = LOGPS - 0.5
    wanted = critique_grpo_loss(LOGPS, old, inputs["advantages"], MASK, inputs["refined"], gamma=0.1, length=8)
    assert one._compute_loss(None, {**inputs, "old_per_token_logps": old}).item() == pytest.approx(wanted.item() / 2)


@pytest.mark.parametrize(("stage", "first", "second"), [(1, (0.0, 0.0), (-0.5, 0.5)), (2, (0.5, -0.5), (-10.5, 10.5))])
def test_each_turn_has_its_own_advantage(stage: int, first: tuple[float, ...], second: tuple[float, ...]) -> None:
    made = rollouts((1, 0, 1, 1), first=(1.0, 0.0), second=(0.0, 1.0), second_start=(2.0, 2.0))
    one = trainer(ScoreTrainer, made)
    one.turns = Turns(stage=stage, alpha=10.0, beta_1=0.01, beta_2=0.1)
    inputs = one._generate_and_score_completions(rows())
    assert inputs["advantages"].tolist() == [[a, a, b, b] for a, b in zip(first, second, strict=True)]
    held = 0.1 if stage == 1 else 0.01
    assert inputs["kl_weights"].flatten().tolist() == pytest.approx([held, held, 0.01, 0.01] * 2)
    reference = LOGPS - 0.1
    mask = MASK * torch.tensor([[1, 0, 1, 1]])
    wanted = score_loss(LOGPS, LOGPS, reference, inputs["advantages"], inputs["kl_weights"], mask, length=8)
    loss = one._compute_loss(None, {**inputs, "ref_per_token_logps": reference})
    assert loss.item() == pytest.approx(wanted.item() / 2)
    assert one._metrics["train"]["kl"][0] > 0


def test_several_processes_are_refused() -> None:
    made = SimpleNamespace(GRPOTrainer=lambda: None)
    made.GRPOTrainer = type(
        "Two",
        (Stub,),
        {"__init__": lambda self, rollout_func: Stub.__init__(self, rollout_func=rollout_func, processes=2)},
    )
    with pytest.raises(InputError, match="run in one process"):
        with_trainer(ScoreTrainer, made)(roll_out=lambda trainer, given: [])


@pytest.mark.parametrize(
    ("version", "known"), [("1.16.0", True), ("1.20.1", True), ("1.15.0", False), ("2.0.0", False)]
)
def test_other_versions_of_trl_are_refused(version: str, known: bool) -> None:
    if known:
        check_version(SimpleNamespace(__version__=version))
    else:
        with pytest.raises(InputError, match=r"install trl==1\.16\.0"):
            check_version(SimpleNamespace(__version__=version))
