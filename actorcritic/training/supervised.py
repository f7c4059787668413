"""Supervised fine-tuning through TRL's SFTTrainer, on rows that are token ids already: the loss is where labels are.

Prompts are read and not learnt; a recipe's own masks (`tokenized`) are taken as they are. Nothing is packed or cut.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

from actorcritic.errors import InputError
from actorcritic.export.masking import IGNORED
from actorcritic.export.recipe import Columns, Drop
from actorcritic.metering import derive_seed
from actorcritic.search.options import choice, integer, number
from actorcritic.training.adapters import add_tokens, lora_config
from actorcritic.training.bases import load_base
from actorcritic.training.encoding import Encoder, encode_rows
from actorcritic.training.libraries import require
from actorcritic.training.objectives import Projector, UtilityDiversity
from actorcritic.training.tricks import (
    Anchor,
    Anchored,
    Choice,
    Choosing,
    Masked,
    Masking,
    Weighted,
    with_weights,
)
from actorcritic.training.work import Built, Method, Work

__all__ = ["MASK", "METHOD", "labelled"]

MASK = "[mask]"
"""The token that Masked Thought adds to a model."""


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


def _build(work: Work) -> Built:
    model = load_base(work.base)
    masked = work.options.real("mask") > 0
    marks = [*work.data.marks, *([MASK] if masked and work.options.text("mask_token") == "new" else [])]
    new = add_tokens(model, work.tokenizer, marks)
    encoded = encode_rows(work.data.rows, lambda row: _weighted(row, work.encoder), work.limit)
    weighted = len({row["weight"] for row in encoded.rows if "weight" in row}) > 1
    if weighted and work.options.text("loss") != "nll":
        raise InputError("rows with weights of their own are learnt by their likelihood: leave out --option loss")
    loss, anchor = work.options.text("loss"), None
    if loss == "asft":
        # Before TRL changes anything: the model that training begins with.
        anchor = Anchor(work.options.real("anchor"), None if work.lora_rank else copy.deepcopy(model).eval())
    config = require("trl").SFTConfig(
        **{
            **work.arguments(len(encoded.rows), encoded.longest),
            "max_length": None,
            "packing": False,
            "shuffle_dataset": False,
            "loss_type": "dft" if loss == "dft" else "nll",
        }
    )
    trainer = _trainer_class(work, anchored=loss == "asft", weighted=weighted)(
        model=model,
        args=config,
        train_dataset=require("datasets").Dataset.from_list(_evened(encoded.rows)),
        processing_class=work.tokenizer,
        peft_config=lora_config(model, work.lora_rank, new),
    )
    trainer.anchor = anchor
    if weighted:
        trainer.data_collator = with_weights(trainer.data_collator)
    if masked:
        trainer.masking = _masking(work)
    keep = work.options.maybe_whole("keep")
    if keep is not None:
        trainer.choice = _choice(work, keep, encoded.longest, int(model.config.get_text_config().vocab_size))
    return Built(
        trainer=trainer,
        rows=len(encoded.rows),
        dropped=encoded.dropped,
        tokenizer=work.tokenizer,
        kept=() if keep is None else (trainer.choice,),
    )


def _weighted(row: Columns, encoder: Encoder) -> tuple[Mapping[str, Any], int] | Drop:
    """Return what `labelled` does, with the row's weight where it has one (MORepair)."""
    made = labelled(row, encoder)
    if isinstance(made, Drop) or "weight" not in row:
        return made
    return {**made[0], "weight": float(cast("float", row["weight"]))}, made[1]


def _evened(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with weights whose mean is 1, so that they change no learning rate; equal ones are left out."""
    weights = [row["weight"] for row in rows if "weight" in row]
    if len(set(weights)) < 2:
        return [{name: value for name, value in row.items() if name != "weight"} for row in rows]
    mean = sum(weights) / len(weights)
    return [{**row, "weight": row["weight"] / mean} for row in rows]


def _trainer_class(work: Work, *, anchored: bool, weighted: bool) -> Any:
    """Return TRL's trainer with the parts before it that are asked for."""
    parts: list[type] = []
    if work.options.maybe_whole("keep") is not None:
        parts.append(Choosing)
    if work.options.real("mask") > 0:
        parts.append(Masked)
    if anchored:
        parts.append(Anchored)
    if weighted:
        parts.append(Weighted)
    base: Any = require("trl").SFTTrainer
    return type("SFTTrainer", (*parts, base), {}) if parts else base


def _masking(work: Work) -> Masking:
    new = work.options.text("mask_token") == "new"
    mask = work.tokenizer.convert_tokens_to_ids(MASK) if new else work.tokenizer.pad_token_id
    return Masking(int(mask), work.options.real("mask"), work.options.whole("mask_warmup"), work.settings.seed)


def _choice(work: Work, keep: int, longest: int, words: int) -> Choice:
    projector = Projector(longest, words, derive_seed(work.settings.seed, "projector") % 2**63)
    return Choice(UtilityDiversity(projector, work.options.real("alpha"), work.options.whole("queue")), keep)


METHOD = Method(
    name="sft",
    datasets=frozenset({"language-modeling", "prompt-completion", "tokenized"}),
    columns=("input_ids|text|prompt", "labels|text|completion"),
    build=_build,
    options=(
        choice("loss", ("nll", "dft", "asft"), "Likelihood; that weighted by itself; and anchored to the base (ASFT)."),
        number("anchor", 0.1, "Weight of ASFT's divergence from the base.", low=0),
        number("mask", 0.0, "Probability that a learnt token is masked where it is read (MFT).", low=0, high=1),
        integer("mask_warmup", 0, "Optimizer steps over which that rises from 0.", low=0),
        choice("mask_token", ("new", "pad"), "What takes its place: a token of its own, or the padding token."),
        integer("keep", None, "Rows of a micro-batch that are learnt, the best by UDS; none = all of them."),
        number("alpha", 2.5e-3, "UDS: weight of diversity beside utility.", low=0),
        integer("queue", 1024, "UDS: how many chosen rows are remembered."),
    ),
)
