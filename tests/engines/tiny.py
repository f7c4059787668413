"""A tiny random Llama in a folder: real code paths, no download, no meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from actorcritic.engines.transformers import TransformersEngine, TransformersOptions
from actorcritic.engines.transformers.model import quiet_loading
from actorcritic.types import GenerateRequest, Prompt

NO_END: frozenset[int] = frozenset()
WORDS = [f"w{i}" for i in range(180)]
CHAT = (
    "{% if tools %}tools w1 \n {% endif %}"
    "{% for m in messages %}{{ m.role }} {{ m.content }} \n {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


def make_tokenizer(*, chat: bool = True) -> PreTrainedTokenizerFast:
    """Words and line ends are tokens; a token's text is the word alone, and spaces are tokens too."""
    vocabulary = ["<pad>", "<s>", "</s>", "<unk>", " ", "\n", "tools", "system", "user", "assistant", "a", ".", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = cast("Any", PreTrainedTokenizerFast)(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    if chat:
        fast.chat_template = CHAT
    return cast("PreTrainedTokenizerFast", fast)


def make_model(*, seed: int = 0, spread: float = 0.1) -> PreTrainedModel:
    """Return a random Llama of 0.9 million weights; `spread` sets how decided it is."""
    config = LlamaConfig(
        vocab_size=192,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = cast("Any", LlamaForCausalLM)(config)
        for weight in model.parameters():
            if weight.dim() > 1:
                torch.nn.init.normal_(weight, 0.0, spread)
    return cast("PreTrainedModel", model.eval())


def save_tiny(folder: Path, *, chat: bool = True) -> Path:
    """Write model and tokenizer the way a person has them on disk."""
    with quiet_loading():
        make_model().save_pretrained(folder)
        make_tokenizer(chat=chat).save_pretrained(folder)
    return folder


def make_engine(model: Any = None, *, end_ids: frozenset[int] = NO_END, **options: Any) -> TransformersEngine:
    return TransformersEngine(
        model or make_model(),
        make_tokenizer(),
        end_ids=end_ids,
        name="tiny",
        max_context=512,
        options=TransformersOptions(**options),
    )


def ask(ids: tuple[int, ...], max_tokens: int = 8, **kwargs: Any) -> GenerateRequest:
    return GenerateRequest(prompt=Prompt(content="", prefill_ids=ids), max_tokens=max_tokens, **kwargs)
