"""The `hf:` engine: a local model of the transformers library behind the `Engine` protocol.

Checks a request, hands it to the decoding thread and turns token ids into a `Generation`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from actorcritic.engines.answer import scored_tokens
from actorcritic.engines.transformers.model import Device, Dtype, Loaded, ModelRunner, fingerprint, load_model
from actorcritic.engines.transformers.prefix_cache import PrefixCache
from actorcritic.engines.transformers.sampling import seed_key
from actorcritic.engines.transformers.scheduler import Row, Scheduler
from actorcritic.engines.transformers.text import Text
from actorcritic.errors import InputError, PromptTooLong
from actorcritic.protocols import Capabilities, EngineInfo
from actorcritic.types import FinishReason, GenerateRequest, Generation, Prompt, TokenLogprob, ToolSpec, Usage

__all__ = ["TransformersEngine", "TransformersOptions"]

_TOP_LOGPROBS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformersOptions:
    """How a local model runs."""

    device: Device = "auto"
    """`auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1` ..."""
    dtype: Dtype = "auto"
    """`auto`: float32 on the CPU, bfloat16 on a GPU."""
    max_batch: int = 64
    """Requests decoded at once, >= 1; more of them wait."""
    batch_invariant: bool = True
    """Give every request the same numbers, bit for bit, whatever runs beside it. Costs padding to 16 rows, which a
    single request on a CPU feels most, and slower reading of long prompts."""
    prefix_cache_bytes: int = 512 * 2**20
    """Most memory for prefixes shared across requests; 0 = no cache."""
    batch_bytes: int = 4 * 2**30
    """Most memory for the keys and values of running requests, all their `max_tokens` counted; those that do not fit
    wait. A single request may take more."""
    threads: int | None = None
    """Threads that torch may use. torch knows one number for the whole process, so None leaves it alone."""
    licence: str | None = None
    """SPDX id of the model's licence, for provenance."""


class TransformersEngine:
    """Answers requests with a local model, many at once.

    Args:
        model: a causal language model in evaluation mode, on its device.
        tokenizer: its tokenizer.
        end_ids: ids that end a completion.
        name: how a person calls it.
        options: how it runs; `device` and `dtype` are the model's own by now.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        end_ids: frozenset[int],
        name: str,
        max_context: int | None = None,
        options: TransformersOptions | None = None,
    ) -> None:
        chosen = options or TransformersOptions()
        if chosen.max_batch < 1:
            raise InputError(f"max_batch is {chosen.max_batch}: it must be at least 1")
        if chosen.threads is not None:
            torch.set_num_threads(chosen.threads)
        self._text = Text(tokenizer)
        self._runner = ModelRunner(model, invariant=chosen.batch_invariant, limit_bytes=chosen.batch_bytes)
        self._cache = PrefixCache(chosen.prefix_cache_bytes)
        self._info = EngineInfo(
            model=fingerprint(model),
            name=name,
            max_context=max_context,
            licence=chosen.licence,
            capabilities=Capabilities(
                token_ids=True,
                exact_counts=True,
                seeds=self._runner.invariant,
                logprobs=True,
                top_logprobs=_TOP_LOGPROBS,
                prefill=True,
                scores_text=True,
                chat=self._text.chat,
            ),
        )
        self._scheduler = Scheduler(
            self._runner,
            self._cache,
            self._text,
            end_ids=end_ids,
            max_batch=chosen.max_batch,
        )

    @classmethod
    def load(
        cls, source: str, options: TransformersOptions | None = None, *, name: str | None = None
    ) -> TransformersEngine:
        """Load a model folder, or a model of the hub (offline where HF_HUB_OFFLINE is set).

        Raises:
            InputError: there is no such folder or device.
            EngineUnavailable: the model cannot be loaded, or its architecture is not supported.
        """
        chosen = options or TransformersOptions()
        loaded: Loaded = load_model(source, device=chosen.device, dtype=chosen.dtype)
        return cls(
            loaded.model,
            loaded.tokenizer,
            end_ids=loaded.end_ids,
            name=name or f"hf:{source}",
            max_context=loaded.max_context,
            options=chosen,
        )

    @property
    def info(self) -> EngineInfo:
        """Who is answering and what it can do."""
        return self._info

    @property
    def running(self) -> int:
        """How many requests are being decoded now."""
        return self._scheduler.running

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """Return the ids of the whole prompt exactly as `generate` sends them.

        Raises:
            InputError: chat messages for a model without a chat template.
        """
        return self._text.encode(prompt, tools)

    async def generate(self, request: GenerateRequest) -> Generation:
        """Answer one request; a cancelled task leaves the batch before the next token.

        Where a stop string ends inside a token, the text ends with the stop string and the ids keep the whole token.

        Raises:
            InputError: a value out of range, or something that this engine cannot do.
            PromptTooLong: prompt and `max_tokens` exceed the context.
            EngineUnavailable: the engine is closed.
        """
        _check(request)
        prompt = self._text.encode(request.prompt, request.tools)
        self._check_length(prompt, request.max_tokens)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Row] = loop.create_future()

        def deliver(row: Row) -> None:
            try:
                loop.call_soon_threadsafe(_resolve, done, row)
            except RuntimeError:
                return  # The event loop was closed meanwhile: nobody waits.

        row = Row(
            prompt=prompt,
            limit=request.max_tokens,
            sampling=request.sampling,
            key=seed_key(secrets.randbits(63) if request.seed is None else request.seed),
            stop=self._text.rule(request.stop),
            top_logprobs=request.top_logprobs,
            scored=0 if request.max_tokens else self._scored(request, prompt),
            deliver=deliver,
        )
        self._scheduler.submit(row)
        try:
            await done
        finally:
            row.cancelled = True
        if row.error is not None:
            raise row.error
        return self._generation(request, row) if request.max_tokens else self._scoring(row)

    async def aclose(self) -> None:
        """Stop decoding and forget what is cached; requests in flight fail with `EngineUnavailable`."""
        await asyncio.to_thread(self._scheduler.close)
        self._cache.clear()
        self._runner.free()

    def _check_length(self, prompt: tuple[int, ...], max_tokens: int) -> None:
        limit, length = self._info.max_context, len(prompt)
        if not prompt:
            raise InputError("the prompt is empty: give at least one token")
        if limit is not None and length + max_tokens > limit:
            advice = f"lower max_tokens to {limit - length}" if length < limit else "shorten the prompt"
            raise PromptTooLong(
                f"the prompt has {length} tokens and max_tokens is {max_tokens}, but the model reads {limit} tokens "
                f"in all: {advice}, or take a model with a longer context"
            )

    def _generation(self, request: GenerateRequest, row: Row) -> Generation:
        pieces = self._text.pieces(row.prompt, row.ids)
        if row.length is not None:
            pieces = _shorten(pieces, row.length)
        tokens: tuple[TokenLogprob, ...] = ()
        if request.logprobs or request.top_logprobs:
            tops = [self._named(top) for top in row.tops] or [{}] * len(pieces)
            tokens = tuple(
                TokenLogprob(token_id=token, text=piece, logprob=logprob, top=top)
                for token, piece, logprob, top in zip(row.ids, pieces, row.logprobs, tops, strict=True)
            )
        return Generation(
            text="".join(pieces),
            finish_reason=row.finish or FinishReason.ABORTED,
            usage=Usage(
                calls=1,
                prompt_tokens=len(row.prompt),
                cached_tokens=row.cached,
                completion_tokens=len(row.ids),
            ),
            tokens=tokens,
            prompt_ids=row.prompt,
            token_ids=tuple(row.ids),
        )

    def _scored(self, request: GenerateRequest, prompt: tuple[int, ...]) -> int:
        """Return how many of a prompt's last tokens are to be scored."""
        bare = self._text.encode(replace(request.prompt, prefill="", prefill_ids=()), request.tools)
        return scored_tokens(bare, prompt)

    def _scoring(self, row: Row) -> Generation:
        """Return what became of a request that writes nothing."""
        ids = row.prompt[-row.scored :]
        pieces = self._text.pieces(row.prompt[: -row.scored], ids)
        tokens = zip(ids, pieces, row.logprobs, strict=True)
        return Generation(
            text="",
            finish_reason=row.finish or FinishReason.ABORTED,
            usage=Usage(calls=1, prompt_tokens=len(row.prompt), cached_tokens=row.cached),
            tokens=tuple(TokenLogprob(token_id=token, text=text, logprob=logprob) for token, text, logprob in tokens),
            prompt_ids=row.prompt,
        )

    def _named(self, top: dict[int, float]) -> dict[str, float]:
        named: dict[str, float] = {}
        for token, logprob in top.items():
            # Likeliest first: where two tokens read alike, the likelier one stands.
            named.setdefault(self._text.name(token), logprob)
        return named


def _resolve(done: asyncio.Future[Row], row: Row) -> None:
    if not done.done():
        done.set_result(row)


def _check(request: GenerateRequest) -> None:
    """Refuse what is out of range or not offered."""
    sampling = request.sampling
    if request.max_tokens < 0:
        raise InputError(f"max_tokens is {request.max_tokens}: it must be at least 1, or 0 to score the prefill")
    if not sampling.temperature >= 0:
        raise InputError(f"temperature is {sampling.temperature}: it must be 0 or more")
    if not 0 < sampling.top_p <= 1:
        raise InputError(f"top_p is {sampling.top_p}: it must lie in (0, 1]")
    if request.seed is not None and not 0 <= request.seed < 2**63:
        raise InputError(f"seed is {request.seed}: it must lie in [0, 2**63)")
    if not 0 <= request.top_logprobs <= _TOP_LOGPROBS:
        raise InputError(f"top_logprobs is {request.top_logprobs}: it must lie in [0, {_TOP_LOGPROBS}]")
    if any(not stop for stop in request.stop):
        raise InputError("a stop string is empty")
    if request.json_schema is not None:
        raise InputError("the hf engine cannot constrain a completion to a JSON schema")


def _shorten(pieces: list[str], length: int) -> list[str]:
    """Cut the pieces so that together they have `length` characters."""
    kept: list[str] = []
    for piece in pieces:
        kept.append(piece[:length])
        length -= len(kept[-1])
    return kept
