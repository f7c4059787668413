"""The model in training as an engine: the library's own, over a copy of the weights that is brought up to date.

A copy, because the engine computes attention its own way and training must not. Costs the weights a second time; a
LoRA adapter is added to the base weights in the copy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from actorcritic.engines.transformers import TransformersEngine, TransformersOptions
from actorcritic.errors import InputError

__all__ = ["PolicyEngine", "plain_weights"]


class PolicyEngine:
    """An engine that answers as a model in training does after `update`.

    Args:
        model: The model in training, with or without a LoRA adapter.
        tokenizer: Its tokenizer.
        ends: Ids of tokens that end a completion.
    """

    def __init__(self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, ends: frozenset[int]) -> None:
        base = _base(model)
        dtype = next(base.parameters()).dtype
        # A configuration of its own: the engine writes its attention into it.
        config = deepcopy(base.config)
        made: PreTrainedModel = cast("Any", AutoModelForCausalLM).from_config(config, dtype=dtype)
        self._copy = cast("PreTrainedModel", cast("Any", made).to(next(base.parameters()).device).eval())
        self.update(model)
        limit: object = getattr(base.config.get_text_config(), "max_position_embeddings", None)
        # What is computed with one set of weights is of no use with the next.
        options = TransformersOptions(prefix_cache_bytes=0)
        self.engine = TransformersEngine(
            self._copy,
            tokenizer,
            end_ids=ends,
            name="the model in training",
            max_context=limit if isinstance(limit, int) else None,
            options=options,
        )

    def update(self, model: nn.Module) -> None:
        """Take over the weights as they are now; no request may be running.

        Raises:
            InputError: the model holds weights that a plain copy has no place for.
        """
        weights = plain_weights(model)
        with torch.no_grad():
            for name, mine in self._copy.state_dict().items():
                if name not in weights:
                    raise InputError(f"rollouts cannot copy this model: it has no weights {name}; train LoRA or all")
                mine.copy_(weights[name])


def plain_weights(model: nn.Module) -> Mapping[str, Tensor]:
    """Return a model's weights by the names of the plain architecture, those of a LoRA adapter added in."""
    base = _base(model)
    weights = {name.replace(".base_layer.", "."): weight for name, weight in base.state_dict().items()}
    for name, module in base.named_modules():
        adapted = cast("Any", module)
        if hasattr(module, "get_delta_weight") and hasattr(module, "base_layer"):
            weight: Tensor = adapted.base_layer.weight.detach()
            for adapter in adapted.active_adapters:
                if adapter in adapted.lora_A:
                    weight = weight + adapted.get_delta_weight(adapter).detach().to(weight.dtype)
            weights[f"{name}.weight"] = weight
    return weights


def _base(model: nn.Module) -> PreTrainedModel:
    """Return the model below an adapter."""
    inner = getattr(model, "get_base_model", None)
    return cast("PreTrainedModel", model if inner is None else inner())
