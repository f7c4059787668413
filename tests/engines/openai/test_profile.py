"""What a server lacks is found out once, left out from then on, and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorcritic.engines.load import load_engine
from actorcritic.engines.openai import OpenAIEngine
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import InputError, PromptTooLong
from actorcritic.types import (
    FinishReason,
    Prompt,
)
from tests.engines.openai.asking import CHAT, ask, connect, request, story
from tests.engines.openai.conftest import Serve


@pytest.mark.parametrize("named", [True, False], ids=["by param", "in words"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("seed", "Unrecognized request argument supplied: seed"),
        ("logprobs", "logprobs is not supported with this model"),
        ("top_logprobs", "'top_logprobs' is not available"),
        ("temperature", "Unsupported value: 'temperature' does not support 0 with this model"),
        ("top_p", "unknown field `top_p`"),
        ("stop", "Unsupported parameter: 'stop' is not supported with this model"),
        ("response_format", "response_format json_schema is not supported"),
        ("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
    ],
)
async def test_a_refused_field_is_left_out_once_and_for_all_and_said(
    name: str, words: str, named: bool, serve: Serve
) -> None:
    api = serve("one two", refuses={name: words}, names_field=named)
    engine = connect(api)
    before = engine.info
    asked = request(seed=1, stop=(" two",), top_logprobs=2, json_schema={"type": "object"})
    for _ in range(2):
        given = await engine.generate(asked)
        assert given.text == "one two" and given.finish_reason is FinishReason.STOP
    refused = [body for body in api.requests if name in body]
    assert len(refused) == 1
    assert ("max_completion_tokens" in api.requests[-1]) is (name == "max_tokens")
    new = set(engine.info.notes) - set(before.notes)
    assert any(name in note or "logprob" in name or name in ("stop", "response_format") for note in new)
    able = engine.info.capabilities
    assert able.logprobs is (name != "logprobs")
    assert able.top_logprobs == (0 if name in ("logprobs", "top_logprobs") else 20)
    assert able.json_schema is (name != "response_format")
    await engine.aclose()


async def test_fewer_alternatives_are_asked_for_where_a_server_gives_fewer(serve: Serve) -> None:
    api = serve(most_top=5)
    engine = connect(api)
    given = await engine.generate(request(top_logprobs=10))
    assert [body["top_logprobs"] for body in api.requests] == [10, 5] and given.tokens[0].top
    assert engine.info.capabilities.top_logprobs == 5 and any("at most 5" in note for note in engine.info.notes)
    await engine.aclose()


async def test_log_probabilities_that_silently_stay_away_are_noticed(serve: Serve) -> None:
    engine = connect(serve(omits={"logprobs"}))
    before = engine.info.capabilities
    assert (await engine.generate(request())).tokens == ()
    after = engine.info.capabilities
    assert before.logprobs and not after.logprobs and after.top_logprobs == 0
    assert sum("log-probabilities" in note for note in engine.info.notes) == 1
    await engine.aclose()
    engine = connect(serve(omits={"top_logprobs"}))
    assert len((await engine.generate(request(top_logprobs=3))).tokens) == 5
    assert engine.info.capabilities.logprobs and engine.info.capabilities.top_logprobs == 0
    await engine.aclose()


async def test_a_prefill_is_refused_where_a_server_cannot_go_on_from_it(serve: Serve) -> None:
    with pytest.raises(InputError, match="cannot go on from a prefill"):
        await ask(serve(), request(Prompt(content=CHAT, prefill="so")))


async def test_vllm_without_tokenize_still_goes_on_from_a_prefill(serve: Serve, tiny_model: Path) -> None:
    behind = load_engine(f"hf:{tiny_model}")
    api = serve(behind, vllm=True, omits={"tokenize"})
    engine = connect(api)
    able = engine.info.capabilities
    assert able.prefill and not able.exact_counts and not able.token_ids
    assert any("does not take token ids" in note for note in engine.info.notes)
    given = await engine.generate(request(Prompt(content=CHAT, prefill="w5 ")))
    assert api.requests[-1]["messages"][-1] == {"role": "assistant", "content": "w5 "}
    assert given.prompt_ids == () and given.usage.prompt_tokens == len(behind.encode(Prompt(content=CHAT))) + 2
    await engine.aclose()
    await behind.aclose()


async def test_a_server_without_a_list_of_models_is_taken_at_its_word(serve: Serve) -> None:
    api = serve(omits={"models"})
    assert (await ask(api, request())).text == "one two three"


def test_vllm_that_serves_another_model_says_which(serve: Serve) -> None:
    api = serve(vllm=True, model="llama")
    with pytest.raises(InputError, match="does not serve 'qwen': it has llama"):
        OpenAIEngine.connect("qwen", api.url)


async def test_a_prompt_that_is_too_long(serve: Serve) -> None:
    api = serve(ScriptedEngine(story, max_context=20))
    with pytest.raises(PromptTooLong, match="lower max_tokens or shorten the prompt"):
        await ask(api, request(max_tokens=21))
    assert len(api.requests) == 1
