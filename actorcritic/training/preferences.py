"""Pairs: DPO, a reward model, SimPO and TPO through TRL's trainers, on rows that are token ids already.

DPO's reference is what a row's log says (Agent Q: the likelihoods of the policy that wrote it), else the model as it
was loaded, before the first step; no second model is built. TRL prepares nothing: it would cut long rows in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from actorcritic.export.recipe import Columns, Drop
from actorcritic.search.options import choice, number
from actorcritic.training.adapters import lora_config
from actorcritic.training.bases import load_base
from actorcritic.training.encoding import Encoded, Encoder, Pair, encode_rows
from actorcritic.training.libraries import require
from actorcritic.training.references import LOGGED, logged_reference
from actorcritic.training.work import Built, Method, Work

__all__ = ["DPO", "REWARD", "SIMPO", "TPO", "preferred", "rewarded", "side_by_side", "trebled"]

_Made: TypeAlias = tuple[Mapping[str, Any], int]


def _pairs(row: Columns, encoder: Encoder, names: Sequence[str]) -> list[Pair] | Drop:
    """Return the named completions of a row's prompt."""
    pairs: list[Pair] = []
    for name in names:
        pair = encoder.pair(row["prompt"], row[name])
        if isinstance(pair, Drop):
            return pair
        pairs.append(pair)
    return pairs


def preferred(row: Columns, encoder: Encoder) -> _Made | Drop:
    """Return DPO's columns: `prompt_ids`, `chosen_ids`, `rejected_ids`, and the logged reference where there is one."""
    pairs = _pairs(row, encoder, ("chosen", "rejected"))
    if isinstance(pairs, Drop):
        return pairs
    chosen, rejected = pairs
    logged = {name: float(cast("float", row[name])) for name in LOGGED if name in row}
    columns = {"prompt_ids": chosen.prompt, "chosen_ids": chosen.completion, "rejected_ids": rejected.completion}
    return {**columns, **logged}, max(map(len, pairs))


def rewarded(row: Columns, encoder: Encoder) -> _Made | Drop:
    """Return the columns of a reward model's trainer: both sides whole, as `chosen_ids` and `rejected_ids`."""
    pairs = _pairs(row, encoder, ("chosen", "rejected"))
    if isinstance(pairs, Drop):
        return pairs
    chosen, rejected = ([*pair.prompt, *pair.completion] for pair in pairs)
    return {"chosen_ids": chosen, "rejected_ids": rejected}, max(map(len, pairs))


def side_by_side(row: Columns, encoder: Encoder) -> _Made | Drop:
    """Return SimPO's columns, as TRL's CPOTrainer makes them: ids, masks and labels of both sides and of the prompt."""
    pairs = _pairs(row, encoder, ("chosen", "rejected"))
    if isinstance(pairs, Drop):
        return pairs
    columns: dict[str, Any] = {
        "prompt_input_ids": pairs[0].prompt,
        "prompt_attention_mask": [1] * len(pairs[0].prompt),
    }
    for name, pair in zip(("chosen", "rejected"), pairs, strict=True):
        columns[f"{name}_input_ids"] = [*pair.prompt, *pair.completion]
        columns[f"{name}_attention_mask"] = [1] * len(pair)
        columns[f"{name}_labels"] = [-100] * len(pair.prompt) + pair.completion
    return columns, max(map(len, pairs))


def trebled(row: Columns, encoder: Encoder) -> _Made | Drop:
    """Return TPO's columns: DPO's, and `reference_ids`, the gold solution."""
    pairs = _pairs(row, encoder, ("chosen", "rejected", "reference"))
    if isinstance(pairs, Drop):
        return pairs
    chosen, rejected, gold = pairs
    columns = {"prompt_ids": chosen.prompt, "chosen_ids": chosen.completion, "rejected_ids": rejected.completion}
    return {**columns, "reference_ids": gold.completion}, max(map(len, pairs))


def _as_it_is(self: Any, dataset: Any, *rest: Any) -> Any:
    """Leave rows alone that are prepared already; replaces a trainer's own preparation."""
    return dataset


def _count_sides(self: Any, inputs: Mapping[str, Any]) -> None:
    """Count the tokens of both sides; a trainer whose batches are two knows no other way."""
    read = sum(int(inputs[f"{side}_attention_mask"].sum()) for side in ("chosen", "rejected"))
    self.state.num_input_tokens_seen += read


def _trainer(home: str, name: str, **replaced: Callable[..., Any]) -> Any:
    """Return a trainer of TRL with some of its methods replaced."""
    base: Any = getattr(require(home), name)
    return type(name, (base,), replaced)


def _finish(work: Work, model: Any, encoded: Encoded, trainer: Any, config: Any, *, classifies: bool = False) -> Built:
    """Make the trainer."""
    task = "SEQ_CLS" if classifies else "CAUSAL_LM"
    made = trainer(
        model=model,
        args=config,
        train_dataset=require("datasets").Dataset.from_list(list(encoded.rows)),
        processing_class=work.tokenizer,
        peft_config=lora_config(model, work.lora_rank, task=task),
    )
    return Built(
        trainer=made,
        rows=len(encoded.rows),
        dropped=encoded.dropped,
        tokenizer=work.tokenizer,
        scheme="hf-orm" if classifies else "hf",
    )


def _encode(work: Work, encode: Callable[[Columns, Encoder], _Made | Drop]) -> tuple[Encoded, dict[str, Any]]:
    """Return the rows, and the arguments that follow from them; a row of two sides counts twice."""
    encoded = encode_rows(work.data.rows, lambda row: encode(row, work.encoder), work.limit)
    return encoded, work.arguments(len(encoded.rows), 2 * encoded.longest)


def _build_dpo(work: Work) -> Built:
    encoded, arguments = _encode(work, preferred)
    losses, weights = [work.options.text("loss")], [1.0]
    if work.options.real("sft_weight"):
        losses, weights = [*losses, "sft"], [1.0, work.options.real("sft_weight")]
    more = {"loss_type": losses, "loss_weights": weights, "max_length": None}
    # Never a second model: what is not logged is computed by the model before its first step.
    config = require("trl").DPOConfig(**{**arguments, **more, "precompute_ref_log_probs": True})
    trainer = logged_reference(_trainer("trl", "DPOTrainer", _prepare_dataset=_as_it_is))
    return _finish(work, load_base(work.base), encoded, trainer, config)


def _build_reward(work: Work) -> Built:
    encoded, arguments = _encode(work, rewarded)
    config = require("trl").RewardConfig(**arguments, max_length=None)
    model = load_base(work.base, "AutoModelForSequenceClassification", fresh=("score.", "classifier."), num_labels=1)
    return _finish(work, model, encoded, _trainer("trl", "RewardTrainer"), config, classifies=True)


def _build_simpo(work: Work) -> Built:
    encoded, arguments = _encode(work, side_by_side)
    home = "trl.experimental.cpo"
    # Prepared rows are never cut, but a missing limit would count as 512.
    config = require(home).CPOConfig(**arguments, max_length=work.limit, remove_unused_columns=False)
    trainer = _trainer(home, "CPOTrainer", tokenize_row=_as_it_is, _track_num_input_tokens=_count_sides)
    return _finish(work, load_base(work.base), encoded, trainer, config)


def _build_tpo(work: Work) -> Built:
    encoded, arguments = _encode(work, trebled)
    home = "trl.experimental.tpo"
    config = require(home).TPOConfig(**arguments, max_length=None)
    return _finish(
        work, load_base(work.base), encoded, _trainer(home, "TPOTrainer", _prepare_dataset=_as_it_is), config
    )


_PAIRED = frozenset({"preference"})
_COLUMNS = ("prompt", "chosen", "rejected")

DPO = Method(
    name="dpo",
    datasets=_PAIRED,
    columns=_COLUMNS,
    build=_build_dpo,
    options=(
        choice("loss", ("sigmoid", "ipo", "hinge"), "DPO's own, IPO's, or SLiC's."),
        number("sft_weight", 0.0, "Of the likelihood of the chosen side, added to the loss; 0 = none.", low=0),
    ),
)
REWARD = Method(name="reward", datasets=_PAIRED, columns=_COLUMNS, build=_build_reward)
SIMPO = Method(name="simpo", datasets=_PAIRED, columns=_COLUMNS, build=_build_simpo)
TPO = Method(name="tpo", datasets=_PAIRED, columns=(*_COLUMNS, "reference"), build=_build_tpo)
