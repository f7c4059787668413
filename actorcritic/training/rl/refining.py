"""Critique-GRPO and SCoRe: rollouts through the library's own engine over a copy of the model in training.

Critique-GRPO (arXiv 2506.03106) asks a critic for critiques, or lets the checker say right or wrong. SCoRe
(arXiv 2409.12917) has two stages: the second starts from the result of the first, and is held to the model that the
first started from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from actorcritic.errors import InputError
from actorcritic.loading import LoadOptions, Roles, load_roles
from actorcritic.protocols import Critic
from actorcritic.search.options import number, text
from actorcritic.training.bases import Base, find_base, load_base
from actorcritic.training.folders import SETTINGS, read_run
from actorcritic.training.libraries import require
from actorcritic.training.rl.background import Background
from actorcritic.training.rl.logged import build_logged
from actorcritic.training.rl.rewarding import Rewards
from actorcritic.training.rl.rollouts import CRITIQUES, CritiqueKind, Rollout, Sampler, mixed_group, two_turns
from actorcritic.training.rl.rows import Row
from actorcritic.training.rl.setup import RL_OPTIONS, Prepared, end_ids, prepare, setting_of, trainer_parts
from actorcritic.training.work import Built, Method, Work
from actorcritic.types import Sampling

__all__ = ["CRITIQUE_GRPO", "SCORE"]

_Group = Callable[[Sequence[Row], Sampler, str], Coroutine[Any, Any, Sequence[Rollout]]]
"""Given the rows of one group, all alike, the model in training and a key of its own, returns a rollout for each."""


def _build_critique_grpo(work: Work) -> Built:
    from actorcritic.training.rl.trainers import CritiqueGrpoTrainer  # noqa: PLC0415 - imports torch

    gamma = float(setting_of(work, "gamma", 0.1))
    if "advantage" in work.data.rows[0]:
        return build_logged(work, gamma)
    prepared = prepare(work)
    named = str(work.data.rows[0]["critique"])
    kinds: dict[str, CritiqueKind] = {each: each for each in CRITIQUES}
    if named not in kinds:
        raise InputError(f"unknown critique {named!r} in the rows; choose from: {', '.join(CRITIQUES)}")
    kind = kinds[named]
    roles = _critic_roles(work) if kind == "text" else None
    critic: Critic | None = None if roles is None else roles.critic

    async def group(rows: Sequence[Row], sampler: Sampler, key: str) -> Sequence[Rollout]:
        return await mixed_group(rows[0], sampler, size=len(rows), kind=kind, critic=critic, key=key)

    rewards = [_column("reward", "solution")]
    bonus = float(setting_of(work, "entropy_coef", 0.001))
    trainer = _trainer(work, prepared, CritiqueGrpoTrainer, group, roles, rewards=rewards, entropy_coef=bonus)
    trainer.gamma = gamma
    return _built(work, prepared, trainer)


def _build_score(work: Work) -> Built:
    from actorcritic.training.rl.trainers import ScoreTrainer, Turns  # noqa: PLC0415 - imports torch

    prepared = prepare(work, turns=2)
    stage = int(cast("int", work.data.rows[0]["stage"]))
    turns = Turns(
        stage=stage,
        alpha=float(setting_of(work, "alpha", 10.0)),
        beta_1=float(setting_of(work, "beta_1", 0.01)),
        beta_2=float(setting_of(work, "beta_2", 0.1)),
    )
    base = _reference(work, stage)

    async def group(rows: Sequence[Row], sampler: Sampler, key: str) -> Sequence[Rollout]:
        jobs = (two_turns(row, sampler, key=key, place=place) for place, row in enumerate(rows))
        return await asyncio.gather(*jobs)

    rewards = [_column("first", "first_turn"), _column("second", "second_turn")]
    # Not 0, so that TRL computes what the reference thinks; the weights by token are the loss's own.
    beta = max(turns.beta_1, turns.beta_2)
    trainer = _trainer(work, prepared, ScoreTrainer, group, None, rewards=rewards, beta=beta)
    trainer.turns = turns
    if beta and base is not None:
        _hold_to(trainer, base)
    return _built(work, prepared, trainer)


def _column(name: str, called: str) -> Callable[..., Rewards]:
    """Return a reward function that passes on a number of the rollouts; with both turns, what changed is logged."""

    def reward(**columns: Any) -> Rewards:
        if name == "second":
            pairs = list(zip(columns["first"], columns["second"], strict=True))
            columns["log_metric"]("turns/mended", sum(one < two for one, two in pairs) / len(pairs))
            columns["log_metric"]("turns/broken", sum(one > two for one, two in pairs) / len(pairs))
        return [*columns[name]]

    reward.__name__ = called
    return reward


def _trainer(
    work: Work,
    prepared: Prepared,
    kind: Any,
    group: _Group,
    roles: Roles | None,
    *,
    rewards: Sequence[Callable[..., Rewards]],
    **config: Any,
) -> Any:
    """Return a trainer of TRL with rollouts of our own."""
    # These import torch.
    from actorcritic.training.rl.following import REWARDS, Ending, RewardLog  # noqa: PLC0415 - see above
    from actorcritic.training.rl.policy import PolicyEngine  # noqa: PLC0415 - see above
    from actorcritic.training.rl.trainers import check_version, with_trainer  # noqa: PLC0415 - see above

    trl = require("trl")
    check_version(trl)
    parts = trainer_parts(work, prepared, trl.GRPOConfig, **config)
    ends = end_ids(parts["model"], work.tokenizer)
    background = Background()
    policy: list[PolicyEngine] = []
    sampling = Sampling(temperature=prepared.temperature, top_p=float(setting_of(work, "top_p", 1.0)))

    def roll_out(trainer: Any, rows: Sequence[Any]) -> Sequence[Rollout]:
        model = trainer.accelerator.unwrap_model(trainer.model)
        if not policy:
            policy.append(PolicyEngine(model, work.tokenizer, ends))
        policy[0].update(model)
        sampler = Sampler(
            engine=policy[0].engine,
            sampling=sampling,
            max_tokens=prepared.new_tokens,
            seed=work.settings.seed,
        )
        size = prepared.generations
        groups = [[Row(row) for row in rows[at : at + size]] for at in range(0, len(rows), size)]
        keys = [f"{trainer.state.global_step}:{place}" for place, _ in enumerate(groups)]
        return background.run(_all(group, groups, sampler, keys))

    trainer: Any = with_trainer(kind, trl)(**parts, reward_funcs=list(rewards), roll_out=roll_out)
    trainer.add_callback(RewardLog(work.settings.out / REWARDS))

    def close() -> None:
        for each in policy:
            background.run(each.engine.aclose())
        if roles is not None:
            background.run(roles.aclose())
        background.close()

    trainer.add_callback(Ending([close]))
    return trainer


async def _all(
    group: _Group, groups: Sequence[Sequence[Row]], sampler: Sampler, keys: Sequence[str]
) -> Sequence[Rollout]:
    made = await asyncio.gather(*(group(rows, sampler, key) for rows, key in zip(groups, keys, strict=True)))
    return [one for rollouts in made for one in rollouts]


def _built(work: Work, prepared: Prepared, trainer: Any) -> Built:
    return Built(trainer=trainer, rows=len(prepared.rows), dropped=prepared.dropped, tokenizer=work.tokenizer)


def _critic_roles(work: Work) -> Roles | None:
    """Load who writes critiques; None = nobody, the checker says right or wrong."""
    spec = work.options.maybe_text("critic")
    if spec is None:
        spec = "embedded" if isinstance(work.data.rows[0]["prompt"], str) else "none"
    # An actor's model is needed for none of it: the critic's own stands for both.
    if spec in ("none", "oracle", "calculate"):
        return None
    return load_roles(spec, spec, LoadOptions(device=work.settings.device))


def _reference(work: Work, stage: int) -> Base | None:
    """Return what the policy is held to, None for the model that this run starts from.

    Raises:
        InputError: in stage 2, nobody says what stage 1 started from.
    """
    named = work.options.maybe_text("reference")
    if named is not None:
        return find_base(named)
    if stage == 1:
        return None
    folder = work.base.folder
    for parent in () if folder is None else folder.resolve().parents[:2]:
        if (parent / SETTINGS).is_file() and (before := read_run(parent)[0]).recipe == "score":
            return find_base(before.model)
    raise InputError(
        "stage 2 is held to the model that stage 1 started from: train the result of a run of stage 1, or name that "
        "model with --option reference=MODEL"
    )


def _hold_to(trainer: Any, base: Base) -> None:
    """Put another reference model in the place of the trainer's own, prepared as TRL prepares it."""
    reference = load_base(base)
    require("trl.trainer.utils").add_fused_lm_head(reference, temperature=trainer.temperature)
    trainer.ref_model = trainer.accelerator.prepare_model(reference, evaluation_mode=True)


CRITIQUE_GRPO = Method(
    name="critique-grpo",
    datasets=frozenset({"prompt-only", "prompt-completion"}),
    columns=("prompt", "problem|completion", "checker|is_refined", "critique|advantage"),
    build=_build_critique_grpo,
    options=(
        *RL_OPTIONS,
        text("critic", None, "Model that writes critiques, for critique=text; none = the embedded pair's, or nobody."),
        number("gamma", None, "Probability at which a refinement teaches most; none = 0.1.", low=0, open_low=True),
    ),
)
SCORE = Method(
    name="score",
    datasets=frozenset({"prompt-only"}),
    columns=("prompt", "problem", "checker", "correction", "stage"),
    build=_build_score,
    options=(
        *RL_OPTIONS,
        number("alpha", None, "Weight of progress in stage 2; none = 10.", low=0),
        number("beta_1", None, "Weight of the divergence from the base model; none = 0.01.", low=0),
        number("beta_2", None, "The same on the first turn in stage 1; none = 0.1.", low=0),
        text("reference", None, "Base model in stage 2; none = what the run of stage 1 started from."),
    ),
)
