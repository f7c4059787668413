"""How likely a given text is to a model, token by token: one call that writes nothing and is billed as its prompt.

Works over any engine that declares `scores_text`. Knows no run and no format.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from actorcritic.engines.answer import scored_tokens
from actorcritic.errors import InputError
from actorcritic.protocols import Engine, Meter, RemoteEncoder
from actorcritic.types import GenerateRequest, Prompt, Role, TokenLogprob, ToolSpec

__all__ = ["check_scores_text", "perplexity_of", "score_text"]


def check_scores_text(engine: Engine) -> None:
    """Refuse an engine that cannot score a given text.

    Raises:
        InputError: says which engines can.
    """
    if not engine.info.capabilities.scores_text:
        raise InputError(
            f"{engine.info.name} does not give the log-probabilities of a given text: take an hf: or vllm: model, or "
            "one on a vLLM server"
        )


async def score_text(
    engine: Engine,
    prompt: Prompt,
    text: str,
    ids: Sequence[int] = (),
    *,
    meter: Meter,
    role: Role = "actor",
    tools: Sequence[ToolSpec] = (),
) -> tuple[TokenLogprob, ...]:
    """Return how likely each token of a text is after a prompt: natural logarithms, <= 0.

    Args:
        engine: Whose model is asked.
        prompt: What stands before the text; its own prefill is not scored.
        text: What is scored.
        ids: The text as this model's own tokens; empty = encode the text.
        meter: Makes and bills the call.
        role: Who it is made for.
        tools: Those that the prompt offers.

    Raises:
        InputError: the engine scores no texts, there is no text, or a prefill in words does not stay as it is before
            the ids.
        BudgetExhausted: not even the prompt fits.
        EngineError: as from the engine.
    """
    check_scores_text(engine)
    before = await _encode(engine, prompt, tools)
    whole = replace(prompt, prefill=prompt.prefill + text, prefill_ids=())
    if ids:
        bare = await _encode(engine, replace(prompt, prefill="", prefill_ids=()), tools)
        if before[: len(bare)] != bare:
            raise InputError("the beginning of the answer merges with the prompt: its tokens cannot be told apart")
        whole = replace(whole, prefill_ids=(*before[len(bare) :], *ids))
    count = scored_tokens(before, await _encode(engine, whole, tools))
    request = GenerateRequest(prompt=whole, max_tokens=0, tools=tuple(tools))
    return (await meter.generate(engine, request, role=role)).tokens[-count:]


def perplexity_of(tokens: Sequence[TokenLogprob]) -> float:
    """Return the perplexity per token of a scored text, >= 1; there is at least one token."""
    return math.exp(-fmean(token.logprob for token in tokens))


async def _encode(engine: Engine, prompt: Prompt, tools: Sequence[ToolSpec]) -> tuple[int, ...]:
    """Return the ids of a whole prompt, without holding up others where a server has to be asked."""
    if isinstance(engine, RemoteEncoder):
        return await engine.encode_later(prompt, tools)
    return engine.encode(prompt, tools)
