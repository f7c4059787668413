"""The `vllm:` engine: a model that vLLM runs in processes of this program, behind the `Engine` protocol.

Many requests at once share prefixes by vLLM's own cache; samples of one prompt are requests that arrive together.
Seeds are passed on, but the same seed may give another completion beside other requests: `seeds` is not declared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from actorcritic.engines.answer import scored_tokens
from actorcritic.engines.transformers.text import Text
from actorcritic.engines.vllm.answers import check_request, generation_of, sampling_of, scoring_of
from actorcritic.engines.vllm.host import Host
from actorcritic.engines.vllm.options import TOP_LOGPROBS, Adapter, VllmOptions
from actorcritic.engines.vllm.startup import Started, require_vllm, start_vllm
from actorcritic.errors import EngineUnavailable, InputError, PromptTooLong
from actorcritic.protocols import Capabilities, EngineInfo
from actorcritic.types import GenerateRequest, Generation, Prompt, ToolSpec

__all__ = ["VllmEngine", "fingerprint"]

_SAMPLE = 2**20
"""Bytes that a fingerprint reads at each end of a weight file."""


class VllmEngine:
    """Answers requests with a model, or with one LoRA adapter of it, that vLLM runs.

    Args:
        host: the running vLLM, which other engines may share.
        text: the model's tokenizer.
        info: who answers.
        adapter: the adapter that answers; None = the base model.
    """

    def __init__(self, host: Host, text: Text, info: EngineInfo, *, adapter: Adapter | None = None) -> None:
        self._host = host
        self._text = text
        self._info = info
        self._adapter = adapter
        host.open(self)

    @classmethod
    def load(cls, source: str, options: VllmOptions | None = None, *, name: str | None = None) -> VllmEngine:
        """Start vLLM with a model folder or a hub id; a script does this under `if __name__ == "__main__":`.

        Raises:
            InputError: vLLM or the folder is missing, or an option does not fit the device.
            EngineUnavailable: the model cannot be loaded.
        """
        return cls.load_roles(source, (None,), options, names=(name or f"vllm:{source}",))[0]

    @classmethod
    def load_roles(
        cls,
        source: str,
        adapters: Sequence[str | None],
        options: VllmOptions | None = None,
        *,
        names: Sequence[str],
    ) -> tuple[VllmEngine, ...]:
        """Start vLLM once for several roles: the base model (None) or LoRA adapters of it, by folder.

        Each role is an engine of its own, with its own fingerprint; vLLM ends when the last of them is closed.

        Raises:
            InputError: see `load`.
            EngineUnavailable: likewise, or an adapter cannot be loaded.
        """
        require_vllm()
        chosen = options or VllmOptions()
        _check_source(source)
        paths = [path for path in dict.fromkeys(adapters) if path is not None]
        numbered = {path: Adapter(number=number, path=path) for number, path in enumerate(paths, start=1)}
        text = Text(_tokenizer(source))
        host = Host(lambda: start_vllm(source, tuple(numbered.values()), chosen))
        return tuple(
            cls(
                host,
                text,
                _info(source, name, path, host.started, text, chosen.licence),
                adapter=None if path is None else numbered[path],
            )
            for path, name in zip(adapters, names, strict=True)
        )

    @property
    def info(self) -> EngineInfo:
        """Who is answering and what it can do."""
        return self._info

    @property
    def running(self) -> int:
        """How many requests vLLM has now, those of engines that share it included."""
        return self._host.running

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """Return the ids of the whole prompt exactly as `generate` sends them.

        Raises:
            InputError: chat messages for a model without a chat template.
        """
        return self._text.encode(prompt, tools)

    async def generate(self, request: GenerateRequest) -> Generation:
        """Answer one request; a cancelled task leaves vLLM's batch.

        Under a JSON schema log-probabilities are those among the tokens that the schema allows.

        Raises:
            InputError: a value out of range, or something that vLLM does not take, such as a schema.
            PromptTooLong: prompt and `max_tokens` exceed the context.
            EngineUnavailable: the engine is closed, or vLLM's process has died; every waiting request hears of it.
            EngineError: vLLM failed of this request alone.
        """
        check_request(request)
        prompt = self._text.encode(request.prompt, request.tools)
        self._check_length(prompt, request.max_tokens)
        scored = 0
        if not request.max_tokens:
            bare = self._text.encode(replace(request.prompt, prefill="", prefill_ids=()), request.tools)
            scored = scored_tokens(bare, prompt)
        output = await self._host.ask(self, prompt, sampling_of(request), self._adapter)
        if scored:
            return scoring_of(prompt, scored, output, self._text)
        return generation_of(request, prompt, output, self._text)

    async def aclose(self) -> None:
        """End this engine's requests, which fail with `EngineUnavailable`, and vLLM where no other engine uses it."""
        await self._host.release(self)

    def _check_length(self, prompt: tuple[int, ...], max_tokens: int) -> None:
        limit, length = self._info.max_context or 0, len(prompt)
        if not prompt:
            raise InputError("the prompt is empty: give at least one token")
        if length + max(max_tokens, 1) > limit:  # vLLM draws one token where none is wanted
            advice = f"lower max_tokens to {limit - length}" if length < limit else "shorten the prompt"
            raise PromptTooLong(
                f"the prompt has {length} tokens and max_tokens is {max_tokens}, but the model reads {limit} tokens "
                f"in all: {advice}, raise +context= in the spec, or take a model with a longer context"
            )


def fingerprint(folder: Path, *parts: str) -> str:
    """Return a short hash of a folder's settings and of both ends of its weight files, and of further words."""
    digest = hashlib.sha256("\0".join(parts).encode())
    for file in sorted(folder.iterdir()):
        if file.name in ("config.json", "adapter_config.json"):
            digest.update(file.read_bytes())
        elif file.suffix in (".safetensors", ".bin", ".gguf", ".pt"):
            size = file.stat().st_size
            digest.update(f"{file.name} {size}".encode())
            with file.open("rb") as weights:
                digest.update(weights.read(_SAMPLE))
                weights.seek(max(0, size - _SAMPLE))
                digest.update(weights.read(_SAMPLE))
    return digest.hexdigest()[:16]


def _info(source: str, name: str, adapter: str | None, started: Started, text: Text, licence: str | None) -> EngineInfo:
    model = fingerprint(_folder(source), "vllm", started.dtype)
    return EngineInfo(
        model=model if adapter is None else fingerprint(Path(adapter), model),
        name=name,
        max_context=started.max_context,
        licence=licence,
        notes=("seeds: passed on, but in other company vLLM may give another completion for the same seed",),
        capabilities=Capabilities(
            token_ids=True,
            exact_counts=True,
            logprobs=True,
            top_logprobs=TOP_LOGPROBS,
            prefill=True,
            scores_text=True,
            chat=text.chat,
            json_schema=True,
        ),
    )


def _check_source(source: str) -> None:
    if not Path(source).is_dir() and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise InputError(f"no model folder {source}: check the path, or name a model of the hub as OWNER/NAME")


def _tokenizer(source: str) -> PreTrainedTokenizerBase:
    try:
        return cast("PreTrainedTokenizerBase", cast("Any", AutoTokenizer).from_pretrained(source))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineUnavailable(f"cannot load the tokenizer of {source}: {line}") from error


def _folder(source: str) -> Path:
    """Return where a model's files are: the folder itself, or the hub's cache once the model is there."""
    if Path(source).is_dir():
        return Path(source)
    # Comes with transformers.
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - used for hub ids only

    found = try_to_load_from_cache(source, "config.json")
    if not isinstance(found, str):
        raise EngineUnavailable(f"the hub's cache holds no config.json of {source}: download the model again")
    return Path(found).parent
