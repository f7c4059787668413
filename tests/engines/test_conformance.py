"""Both engines keep every promise that they declare; an engine that breaks one is caught."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from actorcritic.engines.conformance import CHECKS, Check, check_closing, run_checks
from actorcritic.engines.load import load_engine
from actorcritic.engines.scripted import ALL_CAPABILITIES, Reply, ScriptedEngine
from actorcritic.engines.transformers import TransformersEngine, TransformersOptions
from actorcritic.errors import EngineError, PromptTooLong
from actorcritic.protocols import Capabilities, Engine
from actorcritic.types import FinishReason, GenerateRequest, Generation, Usage

PROMPT = "w1 w2 w3\nw4"
STORY = "one two three, four five six. Seven eight nine ten"


def story(request: GenerateRequest) -> str:
    """Go on with the story from where the prefill ends, a seed later in it."""
    return STORY[len(request.prompt.prefill) + (request.seed or 0) % 5 :]


def scripted(capabilities: Capabilities = ALL_CAPABILITIES) -> ScriptedEngine:
    return ScriptedEngine(story, capabilities=capabilities, latencies=(0.003, 0.0, 0.001), max_context=200)


def make_engine(kind: str, folder: Path) -> Engine:
    if kind == "scripted":
        return scripted()
    if kind == "scripted without anything":
        return scripted(Capabilities())
    if kind == "hf":
        return load_engine(f"hf:{folder}")
    options = TransformersOptions(batch_invariant=False, max_batch=3, prefix_cache_bytes=0, dtype="bfloat16")
    return TransformersEngine.load(str(folder), options)


KINDS = ("scripted", "scripted without anything", "hf", "hf, small and plain")


@pytest.fixture(params=KINDS)
async def engine(request: pytest.FixtureRequest, tiny_model: Path) -> AsyncIterator[Engine]:
    made = make_engine(request.param, tiny_model)
    yield made
    await made.aclose()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_the_engines_keep_it(check: Check, engine: Engine) -> None:
    if not check.applies(engine.info):
        pytest.skip("not declared")
    await check.run(engine, PROMPT)


@pytest.mark.parametrize("kind", KINDS)
async def test_closing(kind: str, tiny_model: Path) -> None:
    await check_closing(make_engine(kind, tiny_model), PROMPT)


async def test_all_together() -> None:
    results = {result.name: result.outcome for result in await run_checks(scripted(), PROMPT)}
    assert results.pop("no scoring") == "skipped"
    assert results == {check.name: "passed" for check in CHECKS if check.name != "no scoring"}
    plain = {result.name: result.outcome for result in await run_checks(scripted(Capabilities()), PROMPT)}
    assert plain["seeds alone"] == plain["alternatives"] == plain["prefill by ids"] == "skipped"
    assert "failed" not in plain.values()


class Faulty(ScriptedEngine):
    """Breaks one promise."""

    def __init__(self, fault: str) -> None:
        able = replace(ALL_CAPABILITIES, scores_text=fault != "no scoring")
        super().__init__(story, max_context=200, capabilities=able)
        self.fault = fault
        self.asked = 0

    async def generate(self, request: GenerateRequest) -> Generation:
        self.asked += 1
        if self.fault == "no scoring" and not request.max_tokens:
            return Generation(text="", finish_reason=FinishReason.STOP, usage=Usage(calls=1))
        if self.fault == "scoring" and not request.max_tokens:
            given = await super().generate(request)
            return replace(given, tokens=tuple(replace(t, logprob=t.logprob - 1) for t in given.tokens))
        if self.fault == "too long":
            try:
                return await super().generate(request)
            except PromptTooLong:
                return Generation(text="", finish_reason=FinishReason.STOP, usage=Usage(calls=1))
        given = await super().generate(request)
        return self.spoil(request, given)

    def spoil(self, request: GenerateRequest, given: Generation) -> Generation:
        match self.fault:
            case "counts":
                return replace(given, usage=replace(given.usage, completion_tokens=request.max_tokens + 1))
            case "encoding" | "many at once":
                return replace(given, prompt_ids=(1, *given.prompt_ids[1:]))
            case "stop strings" if request.stop:
                return replace(given, text=given.text.removesuffix(request.stop[-1]))
            case "seeds alone" | "seeds in company":
                return replace(given, text=f"{given.text}{self.asked}")
            case "log-probabilities":
                return replace(given, tokens=tuple(replace(t, logprob=0.5) for t in given.tokens))
            case "alternatives":
                return replace(given, tokens=tuple(replace(t, top={}) for t in given.tokens))
            case "prefill" | "prefill by ids":
                ids = given.prompt_ids[:1]
                return replace(given, prompt_ids=ids, usage=replace(given.usage, prompt_tokens=1))
            case "chat" if not isinstance(request.prompt.content, str):
                return replace(given, usage=Usage(calls=1))
            case "cancelling" if request.max_tokens == 48:
                raise EngineError("gone with the others")
            case _:
                return given


@pytest.mark.parametrize("name", [check.name for check in CHECKS])
async def test_a_broken_promise_is_found(name: str) -> None:
    results = {result.name: result for result in await run_checks(Faulty(name), PROMPT)}
    assert results[name].outcome == "failed"
    assert results[name].message


async def test_an_engine_without_chat_must_refuse_messages() -> None:
    class Hasty(ScriptedEngine):
        def _check(self, request: GenerateRequest) -> None:
            """Accept anything."""

    results = {r.name: r for r in await run_checks(Hasty(story, capabilities=Capabilities()), PROMPT)}
    assert results["chat"].outcome == "failed"


async def test_closing_must_be_final() -> None:
    class Immortal(ScriptedEngine):
        async def aclose(self) -> None:
            """Stay."""

    with pytest.raises(AssertionError, match="should refuse"):
        await check_closing(Immortal(lambda request: Reply(text="on and on")), PROMPT)
