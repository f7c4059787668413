"""Critique-GRPO's warm start: learns from groups that a log holds, nothing is sampled.

Every row is an answer to a question with its advantage in its group, a refinement among them (`critique-grpo` exported
with `form=logged`). The loss is Critique-GRPO's, with the ratio to the old policy left at 1: the log does not hold its
likelihoods. Off-policy, so one pass at a small learning rate is meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from actorcritic.errors import InputError
from actorcritic.export.recipe import Columns, Drop
from actorcritic.training.adapters import lora_config
from actorcritic.training.bases import load_base
from actorcritic.training.encoding import Encoder, encode_rows
from actorcritic.training.libraries import require
from actorcritic.training.work import Built, Work

__all__ = ["build_logged", "collate", "logged_loss", "with_advantage"]

SAMPLING = ("generations", "new_tokens", "temperature", "critic")
"""Options that say how completions are sampled."""


def with_advantage(row: Columns, encoder: Encoder) -> tuple[Mapping[str, Any], int] | Drop:
    """Return `input_ids`, how many of them are the `prompt`, `advantage` and `refined` of a row, and its length."""
    pair = encoder.pair(row["prompt"], row["completion"])
    if isinstance(pair, Drop):
        return pair
    columns = {
        "input_ids": [*pair.prompt, *pair.completion],
        "prompt": len(pair.prompt),
        "advantage": float(cast("float", row["advantage"])),
        "refined": row["is_refined"] is True,
    }
    return columns, len(pair)


def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a batch, padded at the right: ids, masks of all tokens and of completions, advantages, refinements."""
    import torch  # noqa: PLC0415 - heavy, and not needed to refuse bad settings

    lengths = [len(row["input_ids"]) for row in rows]
    places = torch.arange(max(lengths))[None]
    ends, starts = (torch.tensor(of)[:, None] for of in (lengths, [row["prompt"] for row in rows]))
    return {
        "input_ids": torch.tensor([[*row["input_ids"], *[0] * (max(lengths) - len(row["input_ids"]))] for row in rows]),
        "attention_mask": (places < ends).long(),
        "mask": ((places >= starts) & (places < ends)).float(),
        "advantages": torch.tensor([row["advantage"] for row in rows]),
        "refined": torch.tensor([row["refined"] for row in rows]),
    }


def logged_loss(model: Any, inputs: Mapping[str, Any], *, gamma: float, length: int) -> Any:
    """Return the loss of a batch of `collate`.

    Args:
        model: A causal language model.
        inputs: The batch.
        gamma: See `losses.critique_grpo_loss`.
        length: Tokens of the longest completion of all rows.
    """
    from actorcritic.training.rl.losses import critique_grpo_loss  # noqa: PLC0415 - imports torch

    ids = inputs["input_ids"]
    logits = model(input_ids=ids, attention_mask=inputs["attention_mask"]).logits[:, :-1].float()
    logps = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return critique_grpo_loss(
        logps,
        logps.detach(),
        inputs["advantages"],
        inputs["mask"][:, 1:],
        inputs["refined"],
        gamma=gamma,
        length=length,
    )


def build_logged(work: Work, gamma: float) -> Built:
    """Return the trainer of logged groups.

    Raises:
        InputError: an option says how to sample.
    """
    named = [name for name in SAMPLING if work.options.get(name) is not None]
    if named:
        raise InputError(f"rows of form=logged are not sampled: leave out {', '.join(named)}")
    encoded = encode_rows(work.data.rows, partial(with_advantage, encoder=work.encoder), work.limit)
    length = max(len(row["input_ids"]) - row["prompt"] for row in encoded.rows)
    transformers, model = require("transformers"), load_base(work.base)
    adapter = lora_config(model, work.lora_rank)
    if adapter is not None:
        model = require("peft").get_peft_model(model, adapter)

    def compute_loss(
        trainer: Any, model: Any, inputs: Mapping[str, Any], return_outputs: bool = False, **more: Any
    ) -> Any:
        return logged_loss(model, inputs, gamma=gamma, length=length)

    trainer = type("LoggedTrainer", (transformers.Trainer,), {"compute_loss": compute_loss})(
        model=model,
        args=transformers.TrainingArguments(
            **work.arguments(len(encoded.rows), encoded.longest), remove_unused_columns=False
        ),
        train_dataset=list(encoded.rows),
        data_collator=collate,
    )
    # The loss is a mean over a part of the batch; the trainer is to take the mean over the parts.
    trainer.model_accepts_loss_kwargs = False
    return Built(trainer=trainer, rows=len(encoded.rows), dropped=encoded.dropped, tokenizer=work.tokenizer)
