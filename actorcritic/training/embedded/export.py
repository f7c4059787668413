"""Writes a trained model as a folder that transformers and vLLM load: weights, configuration, tokenizer.

A Llama configuration, because loaders keep a custom tokenizer's blanks and newlines for it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from actorcritic.formats.lines import END, known_families, vocabulary, words_of
from actorcritic.training.embedded.model import POSITIONS, Llama, llama_config, llama_state

__all__ = ["export", "tokenizer"]


ALL = known_families(vocabulary())
"""The families that there are words for."""


def tokenizer(families: Collection[str] = ALL) -> Tokenizer:
    """Return the tokenizer of a pair that is made for these families.

    A word with its own trailing blank or newline is a token, so texts join without loss.
    """
    made = Tokenizer(models.WordLevel(dict(words_of(families)), unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"\S+[ \n]"), "isolated")
    made.decoder = decoders.Fuse()
    made.add_special_tokens(["<pad>", END, "<unk>"])
    return made


def export(model: Llama, folder: Path, *, families: Collection[str] = ALL, half: bool = True) -> None:
    """Write the folder of a model that is made for these families.

    With `half` the weights are rounded to float16 (loaders compute in what they are told).
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = llama_config(model.shape)
    state = llama_state(model)
    if half:
        state = {name: weight.to(torch.float16) for name, weight in state.items()}
    config["dtype"] = "float16" if half else "float32"
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    _write(folder / "config.json", config)
    _write(
        folder / "generation_config.json",
        {"do_sample": True, "eos_token_id": 1, "max_new_tokens": 32, "pad_token_id": 0, "temperature": 1.0},
    )
    _write(
        folder / "tokenizer_config.json",
        {
            "clean_up_tokenization_spaces": False,
            "eos_token": END,
            "model_max_length": POSITIONS,
            "pad_token": "<pad>",
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": "<unk>",
        },
    )
    tokenizer(families).save(str(folder / "tokenizer.json"))


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
