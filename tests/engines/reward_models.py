"""Tiny random reward models in folders, one per published format: real architectures and file layouts, no meaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForSequenceClassification,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForTokenClassification,
)

from actorcritic.engines.transformers.model import quiet_loading

WORDS = [
    f"{word}" for word in ("Step", "ки", "+", "-", *(f"{i}:" for i in range(1, 10)), *(f"w{i}" for i in range(40)))
]
HIDDEN = 128
SIZES: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def sentence_tokenizer() -> PreTrainedTokenizerFast:
    """As Mistral's: a word with its leading blank is one token, and a text begins with `<s>`."""
    vocabulary = ["<unk>", "<s>", "</s>", "\n", *WORDS, *(f"▁{word}" for word in WORDS)]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Metaspace(prepend_scheme="first")]
    )
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast = cast("Any", PreTrainedTokenizerFast)(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    return cast("PreTrainedTokenizerFast", fast)


def chat_tokenizer(*, chat: bool = True) -> PreTrainedTokenizerFast:
    """As Qwen's: bytes (without merges every byte is a token), none before a text; `<extra_0>` among the added ones."""
    vocabulary = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_0>"]
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names])
    fast = cast("Any", PreTrainedTokenizerFast)(
        tokenizer_object=tokenizer, pad_token="<|endoftext|>", eos_token="<|im_end|>"
    )
    if chat:
        fast.chat_template = CHAT
    return cast("PreTrainedTokenizerFast", fast)


def save(folder: Path, model: Any, tokenizer: Any, extra: dict[str, torch.Tensor] | None = None) -> Path:
    """Write a model and its tokenizer; `extra` are tensors that the architecture does not know."""
    with quiet_loading():
        model.eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    if extra is not None:
        path = folder / "model.safetensors"
        save_file({**load_file(path), **extra}, path, metadata={"format": "pt"})
    return folder


def save_shepherd(folder: Path) -> Path:
    """Math-Shepherd: a Mistral language model."""
    tokenizer = sentence_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = cast("Any", MistralForCausalLM)(MistralConfig(vocab_size=len(tokenizer), **SIZES))
    return save(folder, model, tokenizer)


def save_qwen(folder: Path, *, deep: bool = True) -> Path:
    """Qwen2.5-Math-PRM: a Qwen2 backbone with two linear layers; or, not `deep`, a plain token classifier."""
    tokenizer = chat_tokenizer()
    config = cast("Any", Qwen2Config)(vocab_size=len(tokenizer), num_labels=2, **SIZES)
    with torch.random.fork_rng():
        torch.manual_seed(6)
        if not deep:
            return save(folder, cast("Any", Qwen2ForTokenClassification)(config), tokenizer)
        model = cast("Any", Qwen2ForCausalLM)(config)
        head = {
            "score.0.weight": torch.randn(HIDDEN, HIDDEN) / 12,
            "score.0.bias": torch.randn(HIDDEN),
            "score.2.weight": torch.randn(2, HIDDEN) / 12,
            "score.2.bias": torch.randn(2),
        }
    save(folder, model, tokenizer, head)
    # The published checkpoint names its own code, which must not be run.
    path = folder / "config.json"
    published = {
        "architectures": ["Qwen2ForProcessRewardModel"],
        "auto_map": {"AutoModel": "modeling_qwen2_rm.Qwen2ForProcessRewardModel"},
    }
    path.write_text(json.dumps({**json.loads(path.read_text()), **published}))
    return folder


def save_skywork(folder: Path) -> Path:
    """Skywork-o1-Open-PRM: a Qwen2 language model with a value head."""
    tokenizer = chat_tokenizer(chat=False)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = cast("Any", Qwen2ForCausalLM)(Qwen2Config(vocab_size=len(tokenizer), **SIZES))
        head = {"v_head.summary.weight": torch.randn(1, HIDDEN) / 12, "v_head.summary.bias": torch.randn(1)}
    return save(folder, model, tokenizer, head)


def save_outcome(folder: Path, *, labels: int = 1, pad: int | None = 256) -> Path:
    """An outcome model: a sequence classifier."""
    tokenizer = chat_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(8)
        config = cast("Any", LlamaConfig)(vocab_size=len(tokenizer), num_labels=labels, pad_token_id=pad, **SIZES)
        model = cast("Any", LlamaForSequenceClassification)(config)
    return save(folder, model, tokenizer)


def save_bidirectional(folder: Path) -> Path:
    """A backbone that looks ahead, with a 2-class head: no process reward model at all."""
    tokenizer = chat_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(9)
        sizes = {name: value for name, value in SIZES.items() if name != "num_key_value_heads"}
        model = cast("Any", BertModel)(BertConfig(vocab_size=len(tokenizer), **sizes))
        head = {"score.weight": torch.randn(2, HIDDEN)}
    return save(folder, model, tokenizer, head)
