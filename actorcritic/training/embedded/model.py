"""A small Llama in plain torch for fast training, sampling with a key-value cache, and export to transformers.

Knows tensors and token ids; no task, no format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["POSITIONS", "Cache", "Llama", "Shape", "llama_config", "llama_state", "native_state"]

HEAD = 32
EPS = 1e-6
THETA = 10000.0
VALUES = 4
POSITIONS = 256
"""Longest sequence; the longest text of the pair has about 100 tokens."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a model."""

    vocabulary: int
    width: int = 128
    """A multiple of the head size, 32."""
    layers: int = 4
    inner: int = 384
    """Width of the gated feed-forward layer."""
    labels: int = 0
    """Classes of the auxiliary head that reads a line's label at the line's end; training only, 0 = no heads."""


@dataclass(slots=True)
class Cache:
    """Keys and values of the tokens read so far, one tensor `(batch, heads, tokens, 32)` per layer; grows in place."""

    keys: list[Tensor]
    values: list[Tensor]


class _Block(nn.Module):
    """Attention and gated feed-forward, both pre-normed."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm1 = nn.Parameter(torch.ones(shape.width))
        self.norm2 = nn.Parameter(torch.ones(shape.width))
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.gate_up = nn.Linear(shape.width, 2 * shape.inner, bias=False)
        self.down = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor, cache: Cache | None = None, layer: int = 0
    ) -> Tensor:
        batch, length, width = x.shape
        h = F.rms_norm(x, (width,), self.norm1, EPS)
        q, k, v = self.qkv(h).view(batch, length, 3, width // HEAD, HEAD).permute(2, 0, 3, 1, 4).unbind(0)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        if cache is not None:
            if len(cache.keys) > layer:
                k = torch.cat((cache.keys[layer], k), 2)
                v = torch.cat((cache.values[layer], v), 2)
                cache.keys[layer], cache.values[layer] = k, v
            else:
                cache.keys.append(k)
                cache.values.append(v)
        # Written out: at these lengths the fused kernels are slower on CPUs, and bfloat16 needs the plain products.
        weights = (q @ k.transpose(-1, -2) * HEAD**-0.5 + bias).softmax(-1)
        x = x + self.out((weights.to(v.dtype) @ v).transpose(1, 2).reshape(batch, length, width))
        gate, up = self.gate_up(F.rms_norm(x, (width,), self.norm2, EPS)).chunk(2, -1)
        gated: Tensor = self.down(F.silu(gate) * up)
        return x + gated


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x[..., : HEAD // 2], x[..., HEAD // 2 :]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


class Llama(nn.Module):
    """The decoder; its output layer is its embedding."""

    cosines: Tensor
    sines: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.width))
        # A table, not a formula: the compiler would compute the formula again inside every fused kernel.
        frequencies = THETA ** (-torch.arange(HEAD // 2) * 2.0 / HEAD)
        angles = torch.arange(POSITIONS)[:, None] * frequencies
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)
        self.label_head = nn.Linear(shape.width, shape.labels) if shape.labels else None
        self.value_head = nn.Linear(shape.width, VALUES) if shape.labels else None
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                deep = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * shape.layers) ** 0.5 if deep else 0.03)

    def hidden(self, ids: Tensor, bias: Tensor, cache: Cache | None = None, first: int = 0) -> Tensor:
        """Return the last hidden states.

        Args:
            ids: `(batch, length)` token ids.
            bias: added to the attention scores, `(batch or 1, 1, length, cached + length)`, minus infinity = unseen.
            cache: read and extended if given.
            first: position of the first of these tokens.
        """
        length = ids.shape[1]
        cos = self.cosines[first : first + length]
        sin = self.sines[first : first + length]
        x = self.embedding(ids)
        for layer, block in enumerate(self.blocks):
            x = block(x, cos, sin, bias, cache, layer)
        return F.rms_norm(x, (self.shape.width,), self.norm, EPS)

    def forward(self, ids: Tensor, bias: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the logits of the next token at every position, and of labels and values if there are heads."""
        x = self.hidden(ids, bias)
        labels = self.label_head(x) if self.label_head is not None else None
        values = self.value_head(x) if self.value_head is not None else None
        return F.linear(x, self.embedding.weight), labels, values


def llama_config(shape: Shape) -> dict[str, object]:
    """Return the transformers configuration that loads the exported weights."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "bos_token_id": None,
        "eos_token_id": 1,
        "pad_token_id": 0,
        "head_dim": HEAD,
        "hidden_act": "silu",
        "hidden_size": shape.width,
        "initializer_range": 0.02,
        "intermediate_size": shape.inner,
        "max_position_embeddings": POSITIONS,
        "mlp_bias": False,
        "num_attention_heads": shape.width // HEAD,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.width // HEAD,
        "rms_norm_eps": EPS,
        "rope_theta": THETA,
        "rope_parameters": {"rope_type": "default", "rope_theta": THETA},
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": shape.vocabulary,
    }


def llama_state(model: Llama) -> dict[str, Tensor]:
    """Return the weights under transformers' names (tied output layer left out, auxiliary head dropped)."""
    state: Mapping[str, Tensor] = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    named = {"model.embed_tokens.weight": state["embedding.weight"], "model.norm.weight": state["norm"]}
    for i in range(model.shape.layers):
        source, target = f"blocks.{i}.", f"model.layers.{i}."
        for part, weight in zip("qkv", state[source + "qkv.weight"].chunk(3), strict=True):
            named[f"{target}self_attn.{part}_proj.weight"] = weight.clone()
        gate, up = state[source + "gate_up.weight"].chunk(2)
        named[target + "mlp.gate_proj.weight"] = gate.clone()
        named[target + "mlp.up_proj.weight"] = up.clone()
        named[target + "mlp.down_proj.weight"] = state[source + "down.weight"]
        named[target + "self_attn.o_proj.weight"] = state[source + "out.weight"]
        named[target + "input_layernorm.weight"] = state[source + "norm1"]
        named[target + "post_attention_layernorm.weight"] = state[source + "norm2"]
    return named


def native_state(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Return exported weights under this module's names: the inverse of `llama_state`."""
    named = {"embedding.weight": state["model.embed_tokens.weight"], "norm": state["model.norm.weight"]}
    for i in range(layers):
        source, target = f"model.layers.{i}.", f"blocks.{i}."
        named[target + "qkv.weight"] = torch.cat([state[f"{source}self_attn.{p}_proj.weight"] for p in "qkv"])
        named[target + "gate_up.weight"] = torch.cat([state[f"{source}mlp.{p}_proj.weight"] for p in ("gate", "up")])
        named[target + "down.weight"] = state[source + "mlp.down_proj.weight"]
        named[target + "out.weight"] = state[source + "self_attn.o_proj.weight"]
        named[target + "norm1"] = state[source + "input_layernorm.weight"]
        named[target + "norm2"] = state[source + "post_attention_layernorm.weight"]
    return named
