"""What all methods of reinforcement share: prompts for a trainer, sizes of a step, a frozen actor, a log of rewards.

A row of the export is a prompt; a step takes `batch_size` prompts and samples each so many times. A prompt that leaves
no room for an answer is dropped and counted; nothing is cut. Knows no reward and no loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from actorcritic.actor import ModelActor
from actorcritic.errors import InputError
from actorcritic.export.recipe import Columns, Drop
from actorcritic.loading import LoadOptions, Roles, load_roles
from actorcritic.search.options import Option, integer, number
from actorcritic.training.adapters import lora_config
from actorcritic.training.bases import load_base
from actorcritic.training.encoding import encode_rows
from actorcritic.training.libraries import require
from actorcritic.training.work import Work, micro_batch

__all__ = ["RL_OPTIONS", "Prepared", "end_ids", "frozen_actor", "prepare", "setting_of", "trainer_parts"]

RL_OPTIONS: tuple[Option, ...] = (
    integer("generations", None, "Completions per prompt; none = as the recipe says, else 8.", low=2),
    integer("new_tokens", None, "Of one answer at most; none = 1,024, or half of the context where that is less."),
    number("temperature", None, "Of what is sampled to learn from; none = as the recipe says, else 1.", low=0.01),
)
"""Options of every method of reinforcement."""

GENERATIONS = 8
NEW_TOKENS = 1024
CLOSING = 8
"""Tokens with which a chat template ends a turn at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Rows and sizes for a trainer."""

    rows: Sequence[Columns]
    """With `prompt` as the trainer encodes it, and every other column that rewards and rollouts need."""
    dropped: Mapping[str, int]
    generations: int
    new_tokens: int
    temperature: float
    arguments: Mapping[str, Any]
    """Of the trainer's configuration."""


def setting_of(work: Work, name: str, default: Any) -> Any:
    """Return what a person asked for, else what the export's manifest says, else the preset, else the default."""
    manifest = "num_generations" if name == "generations" else name
    given = (
        work.options.get(name),
        work.data.trainer_settings.get(manifest),
        work.data.conditions.get(manifest),
        work.preset.arguments.get(manifest),
    )
    return next((value for value in given if value is not None), default)


def prepare(work: Work, *, turns: int = 1) -> Prepared:
    """Return rows and sizes.

    Args:
        work: The training run.
        turns: Answers in one completion.

    Raises:
        InputError: no row is left.
    """
    generations = int(setting_of(work, "generations", GENERATIONS))
    temperature = float(setting_of(work, "temperature", 1.0))
    new_tokens = int(setting_of(work, "new_tokens", max(1, min(NEW_TOKENS, work.limit // (2 * turns)))))

    def question(row: Columns) -> tuple[Mapping[str, Any], int] | Drop:
        asked = work.encoder.ask(row["prompt"])
        if isinstance(asked, Drop):
            return asked
        columns = {name: value for name, value in row.items() if name != "provenance"}
        length = len(asked) + turns * new_tokens + (turns - 1) * _asking_again(work, row, asked)
        return {**columns, "prompt": work.encoder.harmless(row["prompt"])}, length

    encoded = encode_rows(work.data.rows, question, work.limit)
    count = min(work.batch_size, len(encoded.rows)) * generations
    micro = micro_batch(count, encoded.longest, work.options.maybe_whole("micro_batch"))
    arguments = {
        **work.arguments(len(encoded.rows), encoded.longest),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": count // micro,
        "num_generations": generations,
        "max_completion_length": turns * new_tokens,
        "temperature": temperature,
        # TRL counts them itself.
        "include_num_input_tokens_seen": "no",
    }
    return Prepared(
        rows=encoded.rows,
        dropped=encoded.dropped,
        generations=generations,
        new_tokens=new_tokens,
        temperature=temperature,
        arguments=arguments,
    )


def _asking_again(work: Work, row: Columns, asked: Sequence[int]) -> int:
    """Return how many tokens ask for a further answer at most; the embedded pair is asked the question again."""
    if "correction" not in row or isinstance(row["prompt"], str):
        return len(asked)
    correction = work.encoder.ask([{"role": "user", "content": row["correction"]}])
    # A template may close the answer before it.
    return CLOSING + (0 if isinstance(correction, Drop) else len(correction))


def trainer_parts(work: Work, prepared: Prepared, config: Callable[..., Any], **more: Any) -> dict[str, Any]:
    """Return the arguments that every trainer of TRL takes: model, configuration, rows, tokenizer, adapter.

    Args:
        work: The training run.
        prepared: Its rows and sizes.
        config: TRL's configuration class.
        more: Further arguments of the configuration, over the others.
    """
    model = load_base(work.base)
    return {
        "model": model,
        "args": config(**{**prepared.arguments, **more}),
        "train_dataset": require("datasets").Dataset.from_list([dict(row) for row in prepared.rows]),
        "processing_class": work.tokenizer,
        "peft_config": lora_config(model, work.lora_rank),
    }


def end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the ids that end a completion: the tokenizer's end token, and what the model's own settings add."""
    declared: object = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    more = cast("list[int]", declared) if isinstance(declared, list) else [declared]
    return frozenset(int(each) for each in (tokenizer.eos_token_id, *more) if isinstance(each, int))


def frozen_actor(work: Work, temperature: float) -> tuple[ModelActor, Roles]:
    """Load the actor that refines with critiques, and that is not trained.

    Raises:
        InputError: nobody said which, and the rows are not in the embedded pair's words.
    """
    spec = work.options.maybe_text("actor")
    if spec is None:
        if not isinstance(work.data.rows[0]["prompt"], str):
            raise InputError("say which actor refines with the critiques: --option actor=MODEL, as for `solve --actor`")
        spec = "embedded"
    roles = load_roles(spec, "none", LoadOptions(device=work.settings.device, temperature=temperature))
    return roles.actor, roles
