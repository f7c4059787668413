"""From a GGUF file to a model folder that every other library reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from actorcritic.engines.transformers.model import quiet_loading
from actorcritic.errors import EngineUnavailable

__all__ = ["convert_gguf"]


def convert_gguf(gguf: Path, target: Path) -> None:
    """Unpack the weights of a GGUF file to float32 and write them, with tokenizer and chat template, to a folder.

    Raises:
        EngineUnavailable: the file cannot be read.
    """
    folder, name = str(gguf.parent), gguf.name
    # transformers leaves its constructor untyped.
    unpacked = cast("Any", GgufConfig)(gguf_file=name, dequantize=True)
    try:
        with quiet_loading():
            tokenizer = cast("Any", AutoTokenizer).from_pretrained(folder, gguf_file=name)
            model = cast("Any", AutoModelForCausalLM).from_pretrained(
                folder, gguf_file=name, quantization_config=unpacked, dtype=torch.float32
            )
            model.save_pretrained(target)
            tokenizer.save_pretrained(target)
    except (ImportError, KeyError, RuntimeError, ValueError) as error:
        raise EngineUnavailable(f"cannot read {name}: {error}") from error
