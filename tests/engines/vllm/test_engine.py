"""The engine over a fake vLLM: what is asked and what is made of the answer; closing and refusing."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from actorcritic.engines.conformance import CHECKS, check_closing
from actorcritic.engines.transformers.text import Text
from actorcritic.engines.vllm import engine as module
from actorcritic.engines.vllm.answers import generation_of, sampling_of
from actorcritic.engines.vllm.engine import VllmEngine, fingerprint
from actorcritic.engines.vllm.options import VllmOptions
from actorcritic.errors import EngineError, EngineUnavailable, InputError, PromptTooLong
from actorcritic.types import FinishReason, GenerateRequest, Message, Prompt, Sampling
from tests.engines.tiny import make_tokenizer
from tests.engines.vllm.fake import FakeVllm

REQUEST = GenerateRequest(prompt=Prompt(content="w1 w2"), max_tokens=3, seed=7)


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    made = FakeVllm()
    monkeypatch.setattr(module, "require_vllm", lambda: None)
    monkeypatch.setattr(module, "start_vllm", lambda source, adapters, options: made.start())
    return made


@pytest.fixture
async def engine(vllm: FakeVllm, tiny_model: Path) -> AsyncIterator[VllmEngine]:
    made = VllmEngine.load(str(tiny_model), VllmOptions(licence="Apache-2.0"))
    yield made
    await made.aclose()


async def test_one_request(engine: VllmEngine, vllm: FakeVllm) -> None:
    given = await engine.generate(replace(REQUEST, sampling=Sampling(temperature=0.5, top_p=0.9)))
    assert given.prompt_ids == engine.encode(REQUEST.prompt) and given.token_ids == (30, 31, 32)
    assert given.text == "".join(token.text for token in given.tokens) != ""
    assert given.finish_reason is FinishReason.STOP
    assert given.usage.prompt_tokens == 3 and given.usage.cached_tokens == 3 and given.usage.completion_tokens == 3
    assert [token.logprob for token in given.tokens] == [-0.5] * 3 and given.tokens[0].top == {}
    call = vllm.asked[0]
    assert call["seed"] == 7 and call["temperature"] == 0.5 and call["top_p"] == 0.9 and call["logprobs"] == 0
    assert call["prompt_token_ids"] == list(given.prompt_ids) and "stop" not in call and not call["detokenize"]
    assert engine.info.licence == "Apache-2.0" and engine.info.max_context == 80
    assert not engine.info.capabilities.seeds and "seeds" in engine.info.notes[0]


async def test_a_text_is_scored(engine: VllmEngine, vllm: FakeVllm) -> None:
    asked = replace(REQUEST, prompt=Prompt(content="w1", prefill=" w2"), max_tokens=0)
    ids = engine.encode(asked.prompt)
    vllm.prompt_logprobs = [None, *({token: SimpleNamespace(logprob=-0.25 * token)} for token in ids[1:])]
    vllm.reason = "length"
    given = await engine.generate(asked)
    assert [token.token_id for token in given.tokens] == list(ids[1:]) and given.prompt_ids == ids
    assert [token.logprob for token in given.tokens] == [-0.25 * token for token in ids[1:]]
    assert "".join(token.text for token in given.tokens) == " w2" and (given.text, given.token_ids) == ("", ())
    assert (given.usage.prompt_tokens, given.usage.completion_tokens) == (len(ids), 0)
    assert vllm.asked[0]["prompt_logprobs"] == 0 and vllm.asked[0]["max_tokens"] == 1
    vllm.prompt_logprobs = None
    with pytest.raises(EngineError, match="no log-probabilities"):
        await engine.generate(asked)
    with pytest.raises(InputError, match="give a prefill"):
        await engine.generate(replace(asked, prompt=Prompt(content="w1")))


async def test_stop_strings_are_kept(engine: VllmEngine, vllm: FakeVllm) -> None:
    vllm.ids, vllm.reason = (30, 4, 31), "length"
    given = await engine.generate(replace(REQUEST, stop=(" ",)))
    assert vllm.asked[0]["stop"] == [" "] and vllm.asked[0]["include_stop_str_in_output"]
    assert given.text.endswith(" ") and given.finish_reason is FinishReason.STOP
    assert "".join(token.text for token in given.tokens) == given.text and len(given.tokens) == 3


async def test_alternatives(engine: VllmEngine, vllm: FakeVllm) -> None:
    given = await engine.generate(replace(REQUEST, logprobs=False, top_logprobs=2))
    assert vllm.asked[0]["logprobs"] == 2
    assert [list(token.top.values()) for token in given.tokens] == [[-0.5, -1.0]] * 3
    assert not (await engine.generate(replace(REQUEST, logprobs=False))).tokens


async def test_a_schema_is_passed_on(engine: VllmEngine, vllm: FakeVllm) -> None:
    await engine.generate(replace(REQUEST, json_schema={"type": "object"}))
    assert vllm.asked[0]["json_schema"] == {"type": "object"}


async def test_a_chat_and_its_prefill(engine: VllmEngine) -> None:
    chat = Prompt(content=(Message(role="user", content="w3"),), prefill="w4", prefill_ids=(99, 98))
    given = await engine.generate(replace(REQUEST, prompt=chat))
    assert given.prompt_ids == engine.encode(chat) and given.prompt_ids[-2:] == (99, 98)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"seed": 2**63}, "seed is"),
        ({"seed": -1}, "seed is"),
        ({"top_logprobs": 21}, "top_logprobs is 21"),
        ({"stop": ("",)}, "stop string is empty"),
        ({"sampling": Sampling(temperature=-1)}, "temperature is -1"),
        ({"sampling": Sampling(temperature=math.nan)}, "temperature is nan"),
        ({"sampling": Sampling(top_p=0)}, "top_p is 0"),
        ({"prompt": Prompt(content="")}, "prompt is empty"),
    ],
)
async def test_out_of_range(engine: VllmEngine, vllm: FakeVllm, change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        await engine.generate(replace(REQUEST, **change))  # type: ignore[arg-type]  # one field at a time
    assert vllm.asked == []


@pytest.mark.parametrize(("words", "advice"), [(30, "lower max_tokens to 21"), (50, "shorten the prompt")])
async def test_too_long(engine: VllmEngine, words: int, advice: str) -> None:
    prompt = Prompt(content=" ".join(["w1"] * words))
    with pytest.raises(PromptTooLong, match=rf"{advice}, raise \+context="):
        await engine.generate(GenerateRequest(prompt=prompt, max_tokens=60))


async def test_roles_of_one_model(vllm: FakeVllm, tiny_model: Path, tmp_path: Path) -> None:
    lora = tmp_path / "lora"
    lora.mkdir()
    (lora / "adapter_config.json").write_text("{}", encoding="utf-8")
    base, tuned, same = VllmEngine.load_roles(str(tiny_model), (None, str(lora), str(lora)), names=("a", "b", "c"))
    for engine in (base, tuned, same):
        await engine.generate(REQUEST)
    assert [call["lora"] for call in vllm.asked] == [None, "adapter 1", "adapter 1"]
    assert base.info.model != tuned.info.model == same.info.model and base.info.name == "a"
    await base.aclose()
    with pytest.raises(EngineUnavailable, match="closed"):
        await base.generate(REQUEST)
    await tuned.generate(REQUEST)
    await tuned.aclose()
    assert vllm.stopped == 0
    await same.aclose()
    assert vllm.stopped == 1


async def test_closing(vllm: FakeVllm, tiny_model: Path) -> None:
    await check_closing(VllmEngine.load(str(tiny_model)), "w1")
    assert vllm.stopped == 1


@pytest.mark.parametrize("name", ["encoding", "log-probabilities", "prefill", "cancelling", "many at once", "chat"])
async def test_conformance(name: str, engine: VllmEngine) -> None:
    await next(check for check in CHECKS if check.name == name).run(engine, "w1 w2")


def test_no_such_folder(vllm: FakeVllm) -> None:
    with pytest.raises(InputError, match=r"no model folder \./nowhere"):
        VllmEngine.load("./nowhere")


def test_a_folder_without_a_tokenizer(vllm: FakeVllm, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="cannot load the tokenizer"):
        VllmEngine.load(str(tmp_path))


def test_a_hub_model_that_is_not_in_the_cache() -> None:
    with pytest.raises(EngineUnavailable, match=r"cache holds no config\.json"):
        module._folder("nobody/nothing")


def test_a_fingerprint_sees_settings_and_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"a" * 100)
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path, "bfloat16") != before
    (tmp_path / "README.md").write_text("words", encoding="utf-8")
    assert fingerprint(tmp_path) == before
    (tmp_path / "model.safetensors").write_bytes(b"a" * 99 + b"b")
    assert fingerprint(tmp_path) != before


def test_what_vllm_gave_up(tiny_model: Path) -> None:
    text = Text(make_tokenizer())
    answer = SimpleNamespace(token_ids=[], logprobs=None, finish_reason="abort")
    output = SimpleNamespace(outputs=[answer], num_cached_tokens=None)
    with pytest.raises(EngineError, match="gave a request up"):
        generation_of(REQUEST, (1,), output, text)


def test_what_a_schema_forbids_is_no_alternative() -> None:
    text = Text(make_tokenizer())
    row = {30: SimpleNamespace(logprob=0.0), 31: SimpleNamespace(logprob=-math.inf)}
    answer = SimpleNamespace(token_ids=[30], logprobs=[row], finish_reason="length")
    request = replace(REQUEST, top_logprobs=2)
    given = generation_of(request, (1,), SimpleNamespace(outputs=[answer], num_cached_tokens=None), text)
    assert list(given.tokens[0].top.values()) == [0.0] and given.finish_reason is FinishReason.LENGTH
    assert given.usage.cached_tokens == 0


def test_sampling_without_logprobs() -> None:
    assert "logprobs" not in sampling_of(replace(REQUEST, logprobs=False))
