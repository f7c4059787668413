"""Supervised fine-tuning through TRL's SFTTrainer, on rows that are token ids already: the loss is where labels are.

Prompts are read and not learnt; a recipe's own masks (`tokenized`) are taken as they are. Nothing is packed or cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from actorcritic.errors import InputError
from actorcritic.export.masking import IGNORED
from actorcritic.export.recipe import Columns, Drop
from actorcritic.training.adapters import add_tokens, lora_config
from actorcritic.training.bases import load_base
from actorcritic.training.encoding import Encoded, Encoder, encode_rows
from actorcritic.training.libraries import require
from actorcritic.training.work import Built, Method, Work

__all__ = ["METHOD", "labelled"]


def labelled(row: Columns, encoder: Encoder) -> tuple[Mapping[str, Any], int] | Drop:
    """Return `input_ids` and `labels` of a row, and its length.

    Args:
        row: With `input_ids` and `labels`, a `text`, `messages`, or a `prompt` and a `completion`.
        encoder: Of the model to be trained.
    """
    if "input_ids" in row:
        ids = cast("list[int]", row["input_ids"])
        labels = cast("list[int]", row["labels"])
        if len(labels) != len(ids):
            raise InputError("a row has not as many labels as tokens: export again")
        if all(label == IGNORED for label in labels):
            return Drop("nothing to learn")
        return {"input_ids": ids, "labels": labels}, len(ids)
    if "text" in row:
        text = encoder.text(str(row["text"]))
        return text if isinstance(text, Drop) else ({"input_ids": text, "labels": list(text)}, len(text))
    pair = encoder.pair(row["prompt"], row["completion"])
    if isinstance(pair, Drop):
        return pair
    labels = [IGNORED] * len(pair.prompt) + pair.completion
    return {"input_ids": [*pair.prompt, *pair.completion], "labels": labels}, len(pair)


def _encoded(rows: Sequence[Columns], work: Work) -> Encoded:
    return encode_rows(rows, lambda row: labelled(row, work.encoder), work.limit)


def _build(work: Work) -> Built:
    trl, datasets = require("trl"), require("datasets")
    model = load_base(work.base)
    new = add_tokens(model, work.tokenizer, work.data.marks)
    encoded = _encoded(work.data.rows, work)
    config = trl.SFTConfig(
        **work.arguments(len(encoded.rows), encoded.longest), max_length=None, packing=False, shuffle_dataset=False
    )
    trainer = trl.SFTTrainer(
        model=model,
        args=config,
        train_dataset=datasets.Dataset.from_list(list(encoded.rows)),
        processing_class=work.tokenizer,
        peft_config=lora_config(model, work.lora_rank, new),
    )
    return Built(trainer=trainer, rows=len(encoded.rows), dropped=encoded.dropped, tokenizer=work.tokenizer)


METHOD = Method(
    name="sft",
    datasets=frozenset({"language-modeling", "prompt-completion", "tokenized"}),
    columns=("input_ids|text|prompt", "labels|text|completion"),
    build=_build,
)
