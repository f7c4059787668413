"""KTO through TRL's KTOTrainer, on rows that are token ids already.

Its KL term is estimated from mismatched pairs: within every batch a prompt is put together with the completion of the
row before it. The reference is the model as it was loaded; no second model is built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from actorcritic.export.recipe import Columns, Drop
from actorcritic.training.adapters import lora_config
from actorcritic.training.bases import load_base
from actorcritic.training.encoding import Encoded, Encoder, encode_rows
from actorcritic.training.libraries import require
from actorcritic.training.work import Built, Method, Work

__all__ = ["METHOD", "labelled", "mismatched"]


def labelled(row: Columns, encoder: Encoder) -> tuple[Mapping[str, Any], int] | Drop:
    """Return `prompt_ids`, `completion_ids` and `label` of a row, and its length."""
    pair = encoder.pair(row["prompt"], row["completion"])
    if isinstance(pair, Drop):
        return pair
    return {"prompt_ids": pair.prompt, "completion_ids": pair.completion, "label": row["label"] is True}, len(pair)


def mismatched(rows: Sequence[Mapping[str, Any]], micro: int) -> list[dict[str, Any]]:
    """Return the rows, each with the completion of the row before it in its batch as `KL_completion_ids`.

    A last row that is alone in its batch has no other to be put together with, and is left out.

    Args:
        rows: In the order in which they are read.
        micro: Rows in a batch, >= 2.
    """
    whole = len(rows) - (len(rows) % micro == 1)
    made: list[dict[str, Any]] = []
    for begin in range(0, whole, micro):
        batch = rows[begin : min(begin + micro, whole)]
        for place, row in enumerate(batch):
            made.append({**row, "KL_completion_ids": batch[place - 1]["completion_ids"]})
    return made


def _build(work: Work) -> Built:
    trl = require("trl")
    encoded = encode_rows(work.data.rows, partial(labelled, encoder=work.encoder), work.limit)
    arguments = work.arguments(len(encoded.rows), 2 * encoded.longest, least=2)
    rows = mismatched(encoded.rows, arguments["per_device_train_batch_size"])
    left = len(encoded.rows) - len(rows)
    if left:
        encoded = replace(encoded, dropped={**encoded.dropped, "alone in the last batch": left})
    config = trl.KTOConfig(
        **{
            **arguments,
            "max_length": None,
            # The mismatched pairs follow from the order of the rows; the export shuffled them.
            "train_sampling_strategy": "sequential",
            # Never a second model: the reference is computed by the model before its first step.
            "precompute_ref_log_probs": True,
        }
    )
    return _built(work, encoded, rows, config)


def _built(work: Work, encoded: Encoded, rows: Sequence[Mapping[str, Any]], config: Any) -> Built:
    base: Any = require("trl").KTOTrainer
    model = load_base(work.base)
    trainer = type("KTOTrainer", (base,), {"_prepare_dataset": lambda self, dataset, *rest: dataset})(
        model=model,
        args=config,
        train_dataset=require("datasets").Dataset.from_list(list(rows)),
        processing_class=work.tokenizer,
        peft_config=lora_config(model, work.lora_rank),
    )
    return Built(trainer=trainer, rows=len(rows), dropped=encoded.dropped, tokenizer=work.tokenizer)


METHOD = Method(
    name="kto",
    datasets=frozenset({"unpaired-preference"}),
    columns=("prompt", "completion", "label"),
    build=_build,
)
