"""vLLM itself, in this process's service: it keeps every promise, shares prefixes, mixes adapters and leaves nothing.

Run by `make test-full` in an environment of its own, on the CPU; what needs a GPU differs in its options alone.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from actorcritic.engines.conformance import CHECKS, Check, check_closing
from actorcritic.engines.restarting import close_all
from actorcritic.engines.transformers import TransformersEngine
from actorcritic.engines.vllm.engine import VllmEngine
from actorcritic.errors import InputError
from actorcritic.loading import EMBEDDED
from actorcritic.types import FinishReason, GenerateRequest, Generation, JsonValue, Message, Prompt, Sampling
from tests.engines.vllm.live import OPTIONS, save_adapter, vllm_processes, wait_for_no_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.timeout(900),
    # vLLM's own, in the libraries that it imports.
    pytest.mark.filterwarnings("ignore"),
]

GREEDY = Sampling(temperature=0.0)
PROMPTS = {"embedded": "numbers 7 13 14 to 15\n", "smollm2": "Count from one to twenty: one, two, three,"}


@pytest.fixture(scope="module", params=["embedded", "smollm2"])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(model: str, request: pytest.FixtureRequest) -> Iterator[VllmEngine]:
    source = str(EMBEDDED / "actor") if model == "embedded" else request.getfixturevalue("smollm2")
    options = replace(OPTIONS, context=256 if model == "embedded" else 1024)
    made = VllmEngine.load(source, options, name=f"vllm:{model}")
    yield made
    close_all([made])
    wait_for_no_process()


only_smollm2 = pytest.mark.parametrize("model", ["smollm2"], indirect=True, scope="module")
only_embedded = pytest.mark.parametrize("model", ["embedded"], indirect=True, scope="module")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_it_keeps_its_promises(check: Check, engine: VllmEngine, model: str) -> None:
    if not check.applies(engine.info):
        pytest.skip("not declared")
    await check.run(engine, PROMPTS[model])


@only_embedded
async def test_greedy_decoding_is_that_of_the_other_engine(engine: VllmEngine, model: str) -> None:
    other = TransformersEngine.load(str(EMBEDDED / "actor"))
    request = GenerateRequest(prompt=Prompt(content=PROMPTS[model]), max_tokens=20, sampling=GREEDY, top_logprobs=3)
    ours, theirs = await engine.generate(request), await other.generate(request)
    await other.aclose()
    assert ours.text == theirs.text and ours.token_ids == theirs.token_ids and ours.prompt_ids == theirs.prompt_ids
    for one, two in zip(ours.tokens, theirs.tokens, strict=True):
        assert one.text == two.text and math.isclose(one.logprob, two.logprob, abs_tol=1e-3)
        assert set(one.top) == set(two.top)


@only_embedded
async def test_a_text_is_as_likely_as_to_the_other_engine(engine: VllmEngine, model: str) -> None:
    other = TransformersEngine.load(str(EMBEDDED / "actor"))
    wrote = await other.generate(GenerateRequest(prompt=Prompt(content=PROMPTS[model]), max_tokens=20, seed=5))
    prompt = Prompt(content=PROMPTS[model], prefill=wrote.text, prefill_ids=wrote.token_ids)
    request = GenerateRequest(prompt=prompt, max_tokens=0)
    ours, theirs = await ask_all(engine, [request, request]), await other.generate(request)
    await other.aclose()
    for given in ours:
        assert [(one.token_id, one.text) for one in given.tokens] == [(one.token_id, one.text) for one in theirs.tokens]
        pairs = zip(given.tokens, theirs.tokens, strict=True)
        assert all(math.isclose(one.logprob, two.logprob, abs_tol=1e-3) for one, two in pairs)


async def ask_all(engine: VllmEngine, requests: list[GenerateRequest]) -> list[Generation]:
    return list(await asyncio.gather(*(engine.generate(request) for request in requests)))


@only_embedded
async def test_many_long_prompts_with_seeds(engine: VllmEngine) -> None:
    # More prompt tokens than vLLM reads at once: a seeded prompt read in parts would end its process on the CPU.
    prompts = [Prompt(content="", prefill_ids=tuple(3 + (7 * i + j) % 400 for j in range(200))) for i in range(48)]
    given = await ask_all(
        engine, [GenerateRequest(prompt=prompt, max_tokens=3, seed=i) for i, prompt in enumerate(prompts)]
    )
    assert all(one.usage.prompt_tokens == 200 for one in given)


@only_smollm2
async def test_samples_of_one_prompt_share_one_prefill(engine: VllmEngine) -> None:
    prompt = Prompt(content="A fresh and long enough story, told to nobody before. " * 16)
    asked = GenerateRequest(prompt=prompt, max_tokens=2)
    given = await ask_all(engine, [replace(asked, seed=seed) for seed in range(4)])
    length = given[0].usage.prompt_tokens
    assert length > 160
    computed = sum(one.usage.prompt_tokens - one.usage.cached_tokens for one in given)
    # What is not a whole block of 32 tokens is computed by each.
    assert computed <= length + 3 * 64


@only_smollm2
async def test_seeds(engine: VllmEngine) -> None:
    asked = GenerateRequest(prompt=Prompt(content="Once upon a time"), max_tokens=8)
    given = [await engine.generate(replace(asked, seed=seed)) for seed in (2**63 - 1, 2**63 - 1, 5)]
    assert given[0].text == given[1].text != given[2].text


@only_smollm2
async def test_a_critique_by_schema_can_be_read(engine: VllmEngine) -> None:
    schema: dict[str, JsonValue] = {
        "type": "object",
        "properties": {"verdict": {"type": "string", "enum": ["correct", "incorrect"]}, "index": {"type": "integer"}},
        "required": ["index", "verdict"],
        "additionalProperties": False,
    }
    chat = (Message(role="user", content="Is 2 + 2 = 4 right? Answer as JSON."),)
    asked = GenerateRequest(prompt=Prompt(content=chat), max_tokens=48, json_schema=schema, top_logprobs=5)
    for given in await ask_all(engine, [replace(asked, seed=seed) for seed in range(3)]):
        assert given.finish_reason is FinishReason.STOP
        assert json.loads(given.text)["verdict"] in ("correct", "incorrect")
        assert "\n" not in given.text and all(token.top for token in given.tokens)


@only_smollm2
async def test_a_schema_that_cannot_be_met(engine: VllmEngine) -> None:
    asked = GenerateRequest(prompt=Prompt(content="go"), max_tokens=4, json_schema={"type": "no such type"})
    with pytest.raises(InputError, match="vLLM refuses the request"):
        await engine.generate(asked)


async def test_closing_leaves_no_process(engine: VllmEngine, model: str) -> None:
    assert vllm_processes()
    await check_closing(engine, PROMPTS[model])
    wait_for_no_process(0.0)


@pytest.fixture
async def roles(tiny_model: Path, tmp_path: Path) -> AsyncIterator[tuple[VllmEngine, ...]]:
    adapters = [save_adapter(tmp_path / name, tiny_model, seed=seed) for seed, name in enumerate(("actor", "critic"))]
    made = VllmEngine.load_roles(str(tiny_model), (None, *adapters), OPTIONS, names=("base", "actor", "critic"))
    yield made
    for engine in made:
        await engine.aclose()


async def test_adapters_beside_one_another_and_the_base_model(roles: tuple[VllmEngine, ...]) -> None:
    # vLLM's CPU kernels compute a row without adapter with the last slot's adapter, where no slot is free: silently,
    # and in mixed batches only.
    prompts = [Prompt(content=f"w{index} w7 w9") for index in range(6)]
    asked = [GenerateRequest(prompt=prompt, max_tokens=8, sampling=GREEDY) for prompt in prompts]
    alone = [[(await engine.generate(request)).token_ids for request in asked] for engine in roles]
    assert len({tuple(ids) for ids in alone}) == 3, "the adapters change nothing, so the test would see nothing"
    both = await asyncio.gather(*(engine.generate(request) for request in asked for engine in roles))
    together = [[both[3 * index + role].token_ids for index in range(len(asked))] for role in range(3)]
    assert together == alone
