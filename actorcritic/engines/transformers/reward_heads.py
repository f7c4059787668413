"""What stands on top of a reward model, and loading it without running a checkpoint's own code.

A process reward model is a causal backbone with a small head: two rows of the vocabulary, a linear layer, two of them
with a ReLU between, or a value head. The head's weights are read from the checkpoint by name. Knows no request.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.hub import cached_file

from actorcritic.engines.reward_formats import MathShepherd, RewardFormat
from actorcritic.engines.transformers.model import fingerprint, pick_device, quiet_loading
from actorcritic.errors import EngineUnavailable, InputError

__all__ = ["Marks", "RewardParts", "load_reward_parts"]

Marks = Callable[[Tensor], Tensor]
"""From the hidden states [n, hidden] at n marks to scores [n], float32, in [0, 1]."""

_SAFE, _OLD = "model.safetensors", "pytorch_model.bin"


class RewardParts:
    """A loaded reward model.

    Attributes:
        backbone: gives hidden states; for an outcome model the whole classifier.
        tokenizer: its tokenizer, a fast one.
        read: reads the head at the marks; None for an outcome model, which has its own.
        fingerprint: of all weights, the head's included.
        max_context: tokens of one solution at most; None = unknown.
    """

    def __init__(
        self, backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, read: Marks | None, fingerprint: str
    ) -> None:
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.read = read
        self.fingerprint = fingerprint
        limit: object = getattr(backbone.config.get_text_config(), "max_position_embeddings", None)
        self.max_context = limit if isinstance(limit, int) else None


def load_reward_parts(source: str, format: RewardFormat, *, device: str = "auto", dtype: str = "auto") -> RewardParts:
    """Load a reward model from a folder or a hub id; remote code is never run.

    Raises:
        InputError: there is no such folder or device.
        EngineUnavailable: it cannot be loaded, or is no model of this format.
    """
    where = pick_device(device)
    kind = ("float32" if where.type == "cpu" else "bfloat16") if dtype == "auto" else dtype
    if not Path(source).is_dir() and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise InputError(f"no model folder {source}: check the path, or name a model of the hub as OWNER/NAME")
    try:
        with quiet_loading():
            return _load(source, format, where, getattr(torch, kind))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineUnavailable(f"cannot load the reward model {source}: {line}") from error


def _load(source: str, format: RewardFormat, where: torch.device, dtype: torch.dtype) -> RewardParts:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    classes: dict[str, Any] = {"tokens": AutoModelForCausalLM, "outcome": AutoModelForSequenceClassification}
    loader = classes.get(format.head, AutoModel)
    loaded: PreTrainedModel = loader.from_pretrained(source, dtype=dtype, trust_remote_code=False)
    cast("Any", loaded).to(where).eval()
    cast("Any", loaded.config).use_cache = False
    made_of = fingerprint(loaded)
    if format.head == "outcome":
        if loaded.config.num_labels not in (1, 2):
            raise EngineUnavailable(f"{source} has {loaded.config.num_labels} classes: an outcome model has one or two")
        return RewardParts(loaded, tokenizer, None, made_of)
    if format.head == "tokens":
        return RewardParts(cast("Any", loaded).base_model, tokenizer, _token_head(loaded, tokenizer), made_of)
    prefix = "v_head." if format.head == "value" else "score."
    weights = {name: item.to(where, torch.float32) for name, item in _weights(source, prefix).items()}
    read = _value_head(weights, source) if format.head == "value" else _class_head(weights, source)
    head = hashlib.sha256(b"".join(item.cpu().numpy().tobytes() for item in weights.values())).hexdigest()[:8]
    return RewardParts(loaded, tokenizer, read, f"{made_of}+{head}")


def _token_head(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Marks:
    """Return the probability of the good token against the bad one, from two rows of the output layer.

    Raises:
        EngineUnavailable: the model does more to its logits than multiply.
    """
    output = cast("Any", model).get_output_embeddings()
    rows = list(MathShepherd().candidates(tokenizer))
    weight: Tensor = output.weight[rows]
    bias: Tensor | None = None if getattr(output, "bias", None) is None else output.bias[rows]
    probe = torch.arange(1, 13, device=weight.device)[None]
    with torch.inference_mode():
        own: Tensor = cast("Any", model)(probe).logits[0][:, rows]
        hidden: Tensor = cast("Any", model).base_model(probe).last_hidden_state[0]
        ours = functional.linear(hidden, weight, bias)
    if not torch.allclose(own.float(), ours.float(), rtol=1e-2, atol=1e-2 * float(own.abs().max())):
        raise EngineUnavailable(f"{type(model).__name__} models give other logits than their output layer's")
    return lambda hidden: functional.linear(hidden, weight, bias).float().softmax(-1)[:, 0]


def _class_head(weights: Mapping[str, Tensor], source: str) -> Marks:
    """Return the probability of class 1 of a linear layer, or of two with a ReLU between (Qwen2.5-Math-PRM).

    Raises:
        EngineUnavailable: the checkpoint has neither.
    """
    linear = [name.removesuffix(".weight") for name in sorted(weights) if name.endswith(".weight")]
    if linear not in (["score"], ["score.0", "score.2"]) or weights[f"{linear[-1]}.weight"].shape[0] != 2:
        raise EngineUnavailable(f"{source} has no 2-class head: this is no model of format=qwen")

    def read(hidden: Tensor) -> Tensor:
        for number, name in enumerate(linear):
            if number:
                hidden = functional.relu(hidden)
            weight = weights[f"{name}.weight"]
            bias = weights.get(f"{name}.bias")
            hidden = functional.linear(hidden.float(), weight, bias)
        return hidden.softmax(-1)[:, 1]

    return read


def _value_head(weights: Mapping[str, Tensor], source: str) -> Marks:
    """Return the sigmoid of a value head.

    Raises:
        EngineUnavailable: the checkpoint has none.
    """
    weight = weights.get("v_head.summary.weight")
    if weight is None or weight.shape[0] != 1:
        raise EngineUnavailable(f"{source} has no value head: this is no model of format=skywork")
    bias = weights.get("v_head.summary.bias")
    return lambda hidden: functional.linear(hidden.float(), weight, bias).sigmoid()[:, 0]


def _weights(source: str, prefix: str) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint whose names begin so."""
    found: dict[str, Tensor] = {}
    for path in _files(source, prefix):
        if path.endswith(".safetensors"):
            with safe_open(path, framework="pt") as file:
                found |= {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}
        else:
            saved: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
            found |= {name: item for name, item in saved.items() if name.startswith(prefix)}
    return found


def _files(source: str, prefix: str) -> Iterable[str]:
    """Return the checkpoint's files that may hold the tensors, safetensors before pickles.

    Raises:
        OSError: there are none.
    """
    for name in (_SAFE, _OLD):
        index = cached_file(source, f"{name}.index.json", _raise_exceptions_for_missing_entries=False)
        if index is not None:
            shards: Mapping[str, str] = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
            wanted = sorted({file for tensor, file in shards.items() if tensor.startswith(prefix)})
            return [str(cached_file(source, file)) for file in wanted]
        whole = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
        if whole is not None:
            return [whole]
    raise OSError(f"there is neither {_SAFE} nor {_OLD} in {source}")
