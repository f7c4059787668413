"""The hf engine decodes what the model alone would, shares prefixes, and gives every request the same numbers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from actorcritic.engines.transformers import TransformersEngine, TransformersOptions
from actorcritic.errors import EngineError, EngineUnavailable, InputError, PromptTooLong
from actorcritic.types import (
    FinishReason,
    GenerateRequest,
    Generation,
    Message,
    Prompt,
    Sampling,
    ToolCall,
    ToolSpec,
    Usage,
)
from tests.engines.tiny import ask, make_engine, make_model

GREEDY = Sampling(temperature=0.0)


@pytest.fixture
async def engine() -> AsyncIterator[TransformersEngine]:
    made = make_engine()
    yield made
    await made.aclose()


async def gather(engine: TransformersEngine, requests: list[GenerateRequest]) -> list[Generation]:
    return list(await asyncio.gather(*(engine.generate(request) for request in requests)))


SMALL: dict[str, Any] = {
    "vocab_size": 192,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 96,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES: dict[str, Any] = {
    "llama": lambda: cast("Any", LlamaForCausalLM)(LlamaConfig(**SMALL)),
    "qwen2": lambda: cast("Any", Qwen2ForCausalLM)(Qwen2Config(**SMALL)),
    "qwen3": lambda: cast("Any", Qwen3ForCausalLM)(Qwen3Config(**SMALL)),
    "mistral with a window": lambda: cast("Any", MistralForCausalLM)(MistralConfig(**SMALL, sliding_window=7)),
    "gpt2": lambda: cast("Any", GPT2LMHeadModel)(GPT2Config(vocab_size=192, n_embd=64, n_layer=2, n_head=4)),
}


def decided(model: Any) -> Any:
    """Weights large enough that greedy decoding has no near ties."""
    generator = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, 0.0, 0.15, generator=generator)
    return model.eval()


@pytest.mark.parametrize("invariant", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
async def test_greedy_decoding_is_the_models_own(name: str, invariant: bool) -> None:
    model = decided(ARCHITECTURES[name]())
    prompts = [tuple(20 + (i * 31 + k * 17) % 160 for k in range(2 + 5 * i)) for i in range(7)]
    expected = []
    for ids in prompts:
        tensor = torch.tensor([ids])
        out = model.generate(tensor, attention_mask=torch.ones_like(tensor), max_new_tokens=16, do_sample=False)
        expected.append(out[0, len(ids) :].tolist())
    engine = make_engine(model, end_ids=frozenset({2, model.config.eos_token_id}), batch_invariant=invariant)
    try:
        done = await gather(engine, [ask(ids, 16, sampling=GREEDY) for ids in prompts])
        assert [list(one.token_ids) for one in done] == expected
    finally:
        await engine.aclose()


def test_an_architecture_with_other_attention_is_refused() -> None:
    model = cast("Any", Gemma2ForCausalLM)(Gemma2Config(**SMALL))
    with pytest.raises(EngineUnavailable, match="does not support Gemma2ForCausalLM"):
        make_engine(model.eval())


async def test_logprobs_are_the_models_own_whatever_the_sampling(engine: TransformersEngine) -> None:
    ids = (30, 40, 50, 60)
    done = await engine.generate(ask(ids, 10, seed=3, sampling=Sampling(temperature=1.7, top_p=0.8), top_logprobs=4))
    with torch.inference_mode():
        logits = make_model()(input_ids=torch.tensor([ids + done.token_ids])).logits[0]
    own = torch.log_softmax(logits.float(), -1)[len(ids) - 1 : -1]
    for position, token in enumerate(done.tokens):
        assert token.token_id is not None
        assert math.isclose(token.logprob, own[position, token.token_id].item(), abs_tol=1e-4)
        best = own[position].topk(4)
        assert [round(value, 3) for value in token.top.values()] == [round(v, 3) for v in best.values.tolist()]


async def test_samples_of_one_prompt_pay_for_it_once(engine: TransformersEngine) -> None:
    ids = tuple(20 + i * 7 % 150 for i in range(60))
    done = await gather(engine, [ask(ids, 4, seed=i) for i in range(8)])
    computed = [one.usage.prompt_tokens - one.usage.cached_tokens for one in done]
    assert sorted(computed) == [1] * 7 + [60]
    assert len({one.token_ids for one in done}) > 1
    assert done[0].usage == Usage(calls=1, prompt_tokens=60, cached_tokens=60 - computed[0], completion_tokens=4)
    kept = ids + done[0].token_ids[:3]
    again = await engine.generate(ask((*kept, 99, 98), 2, seed=1))
    assert again.usage.cached_tokens == len(kept)


async def test_a_long_prompt_is_read_in_parts_beside_others(engine: TransformersEngine) -> None:
    long = tuple(20 + i * 13 % 160 for i in range(500))
    requests = [ask((30 + i, *long[: 400 + i]), 6, seed=i) for i in range(4)]
    together = await gather(engine, requests)
    fresh = make_engine(prefix_cache_bytes=0)
    for request, one in zip(requests, together, strict=True):
        assert (await fresh.generate(request)).tokens == one.tokens
    await fresh.aclose()


async def test_without_a_cache_nothing_is_cached() -> None:
    engine = make_engine(prefix_cache_bytes=0)
    done = await gather(engine, [ask(tuple(range(20, 60)), 2, seed=i) for i in range(4)])
    assert [one.usage.cached_tokens for one in done] == [0] * 4
    await engine.aclose()


async def test_a_cancelled_request_frees_its_place() -> None:
    engine = make_engine(max_batch=1)
    first = asyncio.create_task(engine.generate(ask((30,), 400)))
    waiting = asyncio.create_task(engine.generate(ask((31,), 400)))
    while not engine.running:
        await asyncio.sleep(0.001)
    first.cancel()
    waiting.cancel()
    done = await engine.generate(ask((32,), 3))
    assert done.usage.completion_tokens == 3
    assert first.cancelled() and waiting.cancelled()
    await engine.aclose()


async def test_requests_wait_for_memory(engine: TransformersEngine) -> None:
    token_bytes = 4 * 2 * 128 * 4
    small = make_engine(batch_bytes=3 * 40 * token_bytes, prefix_cache_bytes=0)
    requests = [ask((30 + i, 31), 38, seed=i) for i in range(9)]
    flights = [asyncio.create_task(small.generate(request)) for request in requests]
    most = 0
    while not all(flight.done() for flight in flights):
        most = max(most, small.running)
        await asyncio.sleep(0.001)
    assert most == 3
    for flight, expected in zip(flights, await gather(engine, requests), strict=True):
        assert flight.result().tokens == expected.tokens
    long = await small.generate(ask((30, 31), 200, seed=1))
    assert long.usage.completion_tokens == 200
    await small.aclose()


async def test_a_failing_model_fails_its_requests_and_nothing_else(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = engine._runner.step
    monkeypatch.setattr(engine._runner, "step", lambda *args: 1 / 0)
    with pytest.raises(EngineError, match="ZeroDivisionError"):
        await engine.generate(ask((30,)))
    monkeypatch.setattr(engine._runner, "step", step)
    assert (await engine.generate(ask((30,)))).usage.completion_tokens == 8


async def test_a_model_without_memory_says_what_to_change(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = engine._runner.step

    def short(*args: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB")

    monkeypatch.setattr(engine._runner, "step", short)
    with pytest.raises(EngineError, match=r"^the model failed: .*2\.00 GiB \(fewer requests at once \(--concurrency"):
        await engine.generate(ask((30,)))
    monkeypatch.setattr(engine._runner, "step", step)
    assert (await engine.generate(ask((30,)))).usage.completion_tokens == 8


async def test_the_end_token_ends_and_has_no_text() -> None:
    engine = make_engine()
    free = await engine.generate(ask((30, 31), 8, seed=1))
    await engine.aclose()
    # The fifth token becomes an end token, unless it came before.
    end = free.token_ids[4]
    cut = free.token_ids.index(end) + 1
    ending = make_engine(end_ids=frozenset({end}))
    done = await ending.generate(ask((30, 31), 8, seed=1))
    assert done.finish_reason is FinishReason.STOP
    assert done.token_ids == free.token_ids[:cut]
    assert done.usage.completion_tokens == cut
    await ending.aclose()


async def test_a_stop_string_may_end_inside_a_token(engine: TransformersEngine) -> None:
    free = await engine.generate(ask((30, 31), 12, seed=6))
    # The words of the tiny model look like w17: stop after the w of the last one that is new.
    index = max(i for i, token in enumerate(free.tokens) if len(token.text) > 2)
    before = "".join(token.text for token in free.tokens[:index])
    stop = before[-2:] + free.tokens[index].text[0]
    done = await engine.generate(ask((30, 31), 12, seed=6, stop=(stop,)))
    assert done.finish_reason is FinishReason.STOP
    assert done.text == "".join(token.text for token in done.tokens) == free.text[: free.text.index(stop) + len(stop)]
    assert done.token_ids == free.token_ids[: len(done.token_ids)]
    assert done.usage.completion_tokens == len(done.token_ids) == len(done.tokens)


async def test_greedy_and_sampled_rows_share_a_batch(engine: TransformersEngine) -> None:
    ids = (30, 31, 32)
    samplings = [GREEDY, Sampling(), Sampling(top_p=0.5), Sampling(temperature=0.01), Sampling(top_p=1e-6)]
    requests = [ask(ids, 10, seed=4, sampling=sampling) for sampling in samplings]
    together = await gather(engine, requests)
    for request, one in zip(requests, together, strict=True):
        assert (await engine.generate(request)).token_ids == one.token_ids
    assert together[0].token_ids == together[3].token_ids == together[4].token_ids != together[1].token_ids


async def test_without_a_seed_the_engine_has_its_own_randomness(engine: TransformersEngine) -> None:
    done = await gather(engine, [ask((30, 31), 12) for _ in range(4)])
    assert len({one.token_ids for one in done}) > 1


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ask((30,), -1), "max_tokens"),
        (ask((30,), 0), "nothing stands before"),
        (ask((30,), sampling=Sampling(temperature=-1.0)), "temperature"),
        (ask((30,), sampling=Sampling(temperature=math.nan)), "temperature"),
        (ask((30,), sampling=Sampling(top_p=0.0)), "top_p"),
        (ask((30,), sampling=Sampling(top_p=1.5)), "top_p"),
        (ask((30,), seed=-1), "seed"),
        (ask((30,), seed=2**63), "seed"),
        (ask((30,), top_logprobs=21), "top_logprobs"),
        (ask((30,), stop=("x", "")), "stop string"),
        (ask((30,), json_schema={}), "JSON schema"),
        (ask(()), "empty"),
    ],
)
async def test_what_is_out_of_range_is_refused(
    engine: TransformersEngine, request_: GenerateRequest, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        await engine.generate(request_)


async def test_a_prompt_too_long_says_what_to_change(engine: TransformersEngine) -> None:
    with pytest.raises(PromptTooLong, match="lower max_tokens to 12"):
        await engine.generate(ask((30,) * 500, 13))
    with pytest.raises(PromptTooLong, match="512 tokens in all: shorten the prompt"):
        await engine.generate(ask((30,) * 512, 1))
    assert (await engine.generate(ask((30,) * 500, 12))).usage.completion_tokens == 12


async def test_chat_goes_through_the_template(engine: TransformersEngine) -> None:
    call = ToolCall(id="1", name="w2", arguments='{"x": 1}')
    messages = (
        Message(role="user", content="w1"),
        Message(role="assistant", content="w3", tool_calls=(call,)),
        Message(role="tool", content="w4", tool_call_id="1"),
    )
    prompt = Prompt(content=messages, prefill="w5 w6")
    text = "user w1 \nassistant w3 \ntool w4 \nassistant w5 w6"
    assert engine.encode(prompt) == engine.encode(Prompt(content=text))
    tool = ToolSpec(name="w7", description="w8", parameters={"type": "object"})
    done = await engine.generate(GenerateRequest(prompt=prompt, max_tokens=2, tools=(tool,)))
    assert done.prompt_ids == engine.encode(Prompt(content=f"tools w1 \n{text}"))
    assert done.prompt_ids == engine.encode(prompt, (tool,))


async def test_no_logprobs_where_none_are_asked_for(engine: TransformersEngine) -> None:
    assert (await engine.generate(ask((30,), logprobs=False))).tokens == ()
    assert (await engine.generate(ask((30,), logprobs=False, top_logprobs=1))).tokens


def test_a_batch_holds_at_least_one() -> None:
    with pytest.raises(InputError, match="max_batch"):
        make_engine(max_batch=0)


async def test_threads_are_left_alone_unless_set(tiny_model: Path) -> None:
    before = torch.get_num_threads()
    engine = TransformersEngine.load(str(tiny_model), TransformersOptions(device="cpu"))
    await engine.generate(ask((30,)))
    await engine.aclose()
    assert torch.get_num_threads() == before
    engine = TransformersEngine.load(str(tiny_model), TransformersOptions(threads=before, dtype="bfloat16"))
    assert (await engine.generate(ask((30,)))).usage.completion_tokens <= 8
    await engine.aclose()


def test_the_fingerprint_knows_the_weights(tiny_model: Path) -> None:
    names = set()
    for model in (make_model(), make_model(seed=1)):
        engine = make_engine(model)
        names.add(engine.info.model)
        asyncio.run(engine.aclose())
    loaded = TransformersEngine.load(str(tiny_model))
    names.add(loaded.info.model)
    assert loaded.info.name == f"hf:{tiny_model}"
    asyncio.run(loaded.aclose())
    assert len(names) == 2
