"""Low-rank adapters, and tokens that a recipe adds to a model. Knows no method and no rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actorcritic.errors import InputError
from actorcritic.training.libraries import require

__all__ = ["add_tokens", "lora_config"]

HEADS = ("score", "classifier")
"""Names of the output layer of a model that classifies."""


def add_tokens(model: Any, tokenizer: Any, tokens: Sequence[str]) -> list[int]:
    """Register tokens and give them embeddings; return the ids of those that are new.

    A new embedding is the mean of all others, so that the model gives the token no weight before it has learnt it.

    Args:
        model: One of transformers; its embeddings grow where they have no room.
        tokenizer: Its own; changed.
        tokens: Known ones stay as they are.
    """
    known = tokenizer.get_vocab()
    fresh = [token for token in dict.fromkeys(tokens) if token not in known]
    if not fresh:
        return []
    tokenizer.add_special_tokens({"additional_special_tokens": fresh}, replace_extra_special_tokens=False)
    ids = [int(tokenizer.convert_tokens_to_ids(token)) for token in fresh]
    rows = int(model.get_input_embeddings().weight.shape[0])
    if max(ids) >= rows:
        model.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
    for table in {id(each): each for each in (model.get_input_embeddings(), model.get_output_embeddings())}.values():
        if table is not None:
            # The tied table is one tensor: written twice with the same values.
            table.weight.data[ids] = table.weight.data[: min(ids)].mean(0)
    return ids


def lora_config(model: Any, rank: int, new_tokens: Sequence[int] = (), *, task: str = "CAUSAL_LM") -> Any:
    """Return PEFT's configuration of an adapter on all linear layers but the output; None for rank 0.

    Args:
        model: What it is for.
        rank: >= 0.
        new_tokens: Ids of tokens that were added: with any, embeddings and output are trained whole.
        task: PEFT's name of what the model does.
    """
    if rank == 0:
        return None
    peft = require("peft")
    found = dict(model.named_modules())
    linear = require("torch").nn.Linear
    if not any(isinstance(module, linear) for module in found.values()):
        raise InputError("this model has no linear layer to adapt: train all weights with --lora-rank 0")
    more: dict[str, Any] = {}
    if task == "TOKEN_CLS":
        # PEFT trains the new head whole, but leaves it out of "all-linear" for sequences alone.
        more["exclude_modules"] = list(HEADS)
    if new_tokens:
        # Whole tables, since TRL reads the output's weight itself and sees no single rows that are trained.
        tables = (model.get_input_embeddings(), model.get_output_embeddings())
        names = [name.rpartition(".")[2] for name, module in found.items() if any(module is each for each in tables)]
        more |= {"modules_to_save": names, "ensure_weight_tying": bool(model.config.tie_word_embeddings)}
    return peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type=task, **more
    )
