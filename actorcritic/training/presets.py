"""How each recipe's paper trained: hyper-parameters, where they come from, and what is different here.

One preset per recipe and form. Batch sizes are rows per optimizer step over all devices. What the export's manifest
tells the trainer (`trainer_settings`) goes over `arguments` here, what a person asks for over both. Where no source
gives a number it is the library's own, and `source` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actorcritic.errors import InputError
from actorcritic.training.settings import MethodName
from actorcritic.types import JsonValue

__all__ = ["METHOD_PRESETS", "PRESETS", "Preset", "preset_of"]

OURS = "none found: the library's own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How one form of a recipe is trained, unless a person says otherwise."""

    method: MethodName
    source: str
    """Where the numbers come from: a paper's repository or text; or that they are the library's own."""
    deviations: str = ""
    """What is different from the source, and why."""
    epochs: float = 3
    learning_rate: float = 1e-5
    batch_size: int = 64
    scheduler: str = "cosine"
    """Of the learning rate: cosine, linear or constant, after the warm-up."""
    warmup: float = 0.05
    """Share of all steps, in [0, 1]."""
    weight_decay: float = 0.0
    lora_rank: int = 0
    """0 = all weights are trained."""
    max_length: int | None = None
    """Tokens; None = the model's context."""
    arguments: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """Further arguments of the trainer's configuration."""


def _dpo(source: str = OURS, deviations: str = "", **more: JsonValue) -> Preset:
    """Return a preset for pairs, at the learning rate of TRL's own."""
    return Preset(
        method="dpo",
        source=source,
        deviations=deviations,
        epochs=1,
        learning_rate=1e-6,
        scheduler="linear",
        warmup=0.1,
        arguments={"beta": 0.1, **more},
    )


_OUR_SFT = Preset(method="sft", source=OURS)
_LEMMA = Preset(
    method="sft",
    source="scripts/train.sh of pzs19/LEMMA: 1e-5, warm-up 0.03, 3 epochs, 8 rows accumulated per device",
    deviations="64 rows per step: the number of devices is not given",
    warmup=0.03,
)
_MATH_CRITIQUE = Preset(
    method="sft",
    source="inference-all.sh of WooooDyy/MathCritique: all weights, 5e-6, 1 epoch, cosine, no warm-up, cut-off 4096",
    deviations="256 rows per step (4 x 8 per device) becomes 64: the number of devices is not given; nothing is cut",
    epochs=1,
    learning_rate=5e-6,
    warmup=0.0,
    max_length=4096,
)
_CRITIC_RL = Preset(
    method="grpo",
    source="verl scripts of the papers, as far as they are public: 1e-6",
    epochs=1,
    learning_rate=1e-6,
    batch_size=64,
    scheduler="constant",
    warmup=0.0,
)

PRESETS: Mapping[str, Mapping[str, Preset]] = {
    "agent-q": {
        "dpo": _dpo(
            "text of the paper: off-policy DPO from a replay buffer; beta 0.1 from memory, the rest is TRL's default",
            "the reference is the logged likelihood where rows have it, else the model before the first step",
        )
    },
    "cct": {"sft": _OUR_SFT},
    "cft": {
        "sft": Preset(
            method="sft",
            source="train_on_math_reasoning.sh of TIGER-AI-Lab/One-Shot-CFT: all weights, 5e-6, cosine, warm-up 0.05, "
            "decay 0.05, 512 rows per step, 50 epochs, longer rows deleted",
            deviations="the checkpoint is the last one: choose by accuracy in solving, with `bench`",
            epochs=50,
            learning_rate=5e-6,
            batch_size=512,
            weight_decay=0.05,
        )
    },
    "clear": {"sft": _OUR_SFT},
    "critic-sft": {"sft": _MATH_CRITIQUE},
    "critique-grpo": {
        "grpo": Preset(
            method="critique-grpo",
            source="zhangxy-2019/critique-GRPO: 1e-6, 128 questions per step in mini-batches of 64, at most 30 epochs",
            deviations="1 epoch unless asked for more",
            epochs=1,
            learning_rate=1e-6,
            batch_size=128,
            scheduler="constant",
            warmup=0.0,
            arguments={"beta": 0.0, "scale_rewards": "none", "loss_type": "dr_grpo", "temperature": 1.0},
        ),
        "logged": Preset(
            method="critique-grpo",
            source="as for form=grpo",
            deviations="a warm start, off-policy: the groups are logged ones, the ratio to the old policy stays 1",
            epochs=1,
            learning_rate=1e-6,
            batch_size=128,
            scheduler="constant",
            warmup=0.0,
        ),
        "sdpo": Preset(
            method="sdpo",
            source="TRL 1.16's defaults for SDPO (arXiv 2601.20802), at GRPO's learning rate",
            deviations="TRL's own learning rate of 5e-5 is meant for adapters",
            epochs=1,
            learning_rate=1e-6,
            batch_size=64,
            scheduler="constant",
            warmup=0.0,
        ),
    },
    "critique-rl": {
        "rloo": Preset(
            method="rloo",
            source="scripts of WooooDyy/Critique-RL: RLOO, 4 samples, 64 per step, 5e-7, KL 0.01, 2 inner epochs, "
            "500 steps in stage I",
            deviations="1 epoch unless asked for more",
            epochs=1,
            learning_rate=5e-7,
            scheduler="constant",
            warmup=0.0,
        )
    },
    "crl": {
        "grpo": Preset(
            method="grpo",
            source="train_qwen3_4b_16k.sh of TIGER-AI-Lab/Critique-Coder: 1e-6, 128 prompts per step, warm-up 10 steps",
            deviations="warm-up as a share; groups of equal rewards are not refilled, they teach nothing",
            epochs=1,
            learning_rate=1e-6,
            batch_size=128,
            scheduler="constant",
        )
    },
    "deepcritic": {
        "sft": Preset(
            method="sft",
            source="RUCBM/DeepCritic: 1e-5, 3 epochs, cosine, warm-up 0.1, "
            "16 rows accumulated per device, cut-off 16384",
            deviations="64 rows per step: the number of devices is not given; nothing is cut",
            warmup=0.1,
            max_length=16384,
        ),
        "grpo": _CRITIC_RL,
    },
    "eef": {"tokens": _OUR_SFT},
    "faft": {"sft": _OUR_SFT},
    "ilf": {
        "sft": Preset(method="sft", source=OURS, deviations="the paper tuned through a provider's interface"),
        "preference": _dpo(),
        "triple": Preset(
            method="tpo",
            source="TRL 1.16's defaults for TPO",
            epochs=1,
            learning_rate=5e-7,
            scheduler="linear",
            warmup=0.1,
        ),
    },
    "itool": {
        "simpo": Preset(
            method="simpo",
            source="run_mcts_dpo.sh of zeng-yirong/iTool: SimPO with beta 2.5, gamma 0.5, 1e-6",
            epochs=1,
            learning_rate=1e-6,
            warmup=0.1,
            arguments={"loss_type": "simpo", "beta": 2.5, "simpo_gamma": 0.5, "cpo_alpha": 0.0},
        ),
        "warm-up": Preset(
            method="sft",
            source=OURS,
            deviations="the three stages are one pass from easy to hard",
            epochs=1,
            arguments={"train_sampling_strategy": "sequential"},
        ),
    },
    "kto": {
        "kto": Preset(
            method="kto",
            source="TRL 1.16's defaults for KTO, beta 0.1; weights of the two kinds by arXiv 2402.01306, eq. 8",
            epochs=1,
            learning_rate=1e-6,
            scheduler="linear",
            warmup=0.1,
            arguments={"beta": 0.1},
        )
    },
    "lemma": {"sft": _LEMMA, "tokens": _LEMMA},
    "leti": {
        "sft": Preset(
            method="sft",
            source="run_leti.py of xingyaoww/LeTI for 2B: 5e-6 constant, decay 0.01, 3 epochs per round of sampling",
            deviations="pre-training text is not mixed in; without it a model forgets more",
            learning_rate=5e-6,
            scheduler="constant",
            warmup=0.0,
            weight_decay=0.01,
        )
    },
    "marv": {"dpo": _dpo(OURS, "the paper trains a reward model and PPO: here DPO on the same pairs")},
    "mistakes": {"sft": _OUR_SFT},
    "morepair": {"sft": _OUR_SFT},
    "multicritique": {"sft": _OUR_SFT},
    "on-policy-dpo": {
        "dpo": _dpo(
            OURS,
            "the paper compares losses and collection policies, not one setting; one pass over each round's pairs",
        )
    },
    "prm": {
        "steps": Preset(
            method="prm",
            source=OURS,
            deviations="Math-Shepherd's own numbers could not be verified",
            epochs=1,
        ),
        "tokens": Preset(method="sft", source=OURS, deviations="as above", epochs=1),
    },
    "refcritic": {"grpo": _CRITIC_RL, "sft": _OUR_SFT},
    "rft": {
        "sft": Preset(
            method="sft",
            source=f"{OURS}; always from the base model, as ReST-EM (arXiv 2312.06585) and STaR do",
        )
    },
    "s3ft": {
        "sft": Preset(
            method="sft",
            source="the paper tunes adapters at a small learning rate; the numbers are the library's own",
            learning_rate=1e-4,
            lora_rank=16,
        )
    },
    "score": {
        "grpo": Preset(
            method="score",
            source="the paper as remembered, for MATH: 5e-6, 512 problems per step, 3000 steps",
            deviations="64 problems per step and 1 epoch unless asked for more",
            epochs=1,
            learning_rate=5e-6,
            scheduler="constant",
            warmup=0.0,
        )
    },
    "self-improve": {"actor": _MATH_CRITIQUE, "refinement": _MATH_CRITIQUE, "reasoning": _MATH_CRITIQUE},
    "self-talk": {"sft": _MATH_CRITIQUE},
}
"""By recipe, then by form, the recipe's default form first."""


METHOD_PRESETS: Mapping[str, Preset] = {
    "dpo": _dpo("TRL 1.16's defaults for DPO"),
    "reward": Preset(
        method="reward", source="TRL 1.16's defaults for reward models", epochs=1, learning_rate=1e-4, warmup=0.0
    ),
    "simpo": Preset(
        method="simpo",
        source="TRL 1.16's defaults for SimPO; beta and gamma as run_mcts_dpo.sh of zeng-yirong/iTool has them",
        epochs=1,
        learning_rate=1e-6,
        warmup=0.1,
        arguments={"loss_type": "simpo", "beta": 2.5, "simpo_gamma": 0.5, "cpo_alpha": 0.0},
    ),
}
"""For a method that a person chose in place of the recipe's own."""


def preset_of(recipe: str, form: str | None = None, method: str | None = None) -> Preset:
    """Return the preset of a recipe's form.

    Args:
        recipe: Its name.
        form: None = its default form.
        method: None = the recipe's own; another has its own preset, or trains as the recipe's would.

    Raises:
        InputError: there is no such recipe, or no method here trains on its rows in this form.
    """
    forms = PRESETS.get(recipe)
    if forms is None:
        raise InputError(f"unknown recipe {recipe!r}; choose from: {', '.join(sorted(PRESETS))}")
    name = next(iter(forms)) if form is None else form
    if name not in forms:
        others = ", ".join(forms)
        raise InputError(f"no method here trains on rows of {recipe} in the form {name}: export with form={others}")
    own = forms[name]
    return own if method in (None, own.method) else METHOD_PRESETS.get(str(method), own)
