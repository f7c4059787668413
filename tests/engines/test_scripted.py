"""The scripted engine says what it was told to, when and how it was told to."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.errors import EngineError, EngineUnavailable, InputError, PromptTooLong
from actorcritic.protocols import Capabilities
from actorcritic.types import FinishReason, GenerateRequest, Generation, Message, Prompt, ToolCall, Usage


def ask(content: str = "a question", max_tokens: int = 100, stop: tuple[str, ...] = ()) -> GenerateRequest:
    return GenerateRequest(prompt=Prompt(content=content), max_tokens=max_tokens, stop=stop)


async def test_replies_come_in_the_order_of_calling() -> None:
    engine = ScriptedEngine(["first", "second", "third"], latencies=(0.02, 0.0, 0.01))
    ended: list[str] = []

    async def call() -> Generation:
        generation = await engine.generate(ask())
        ended.append(generation.text)
        return generation

    done = await asyncio.gather(call(), call(), call())
    assert [one.text for one in done] == ["first", "second", "third"]
    assert ended == ["second", "third", "first"]
    assert (engine.peak, engine.running) == (3, 0)
    assert [call.index for call in engine.calls] == [0, 1, 2]
    with pytest.raises(EngineError, match="holds 3 replies"):
        await engine.generate(ask())


async def test_a_function_answers_the_request() -> None:
    engine = ScriptedEngine(lambda request: f"seed {request.seed}")
    assert (await engine.generate(GenerateRequest(prompt=Prompt(content="x"), max_tokens=9, seed=3))).text == "seed 3"


async def test_failures_come_where_they_were_told_to() -> None:
    failures = {1: EngineError("busy", retryable=True), 2: EngineUnavailable("dead")}
    engine = ScriptedEngine(["one", "two"], failures=failures, latencies=(0.001,))
    assert (await engine.generate(ask())).text == "one"
    with pytest.raises(EngineError, match="busy") as busy:
        await engine.generate(ask())
    assert busy.value.retryable
    with pytest.raises(EngineUnavailable, match="dead"):
        await engine.generate(ask())
    assert (await engine.generate(ask())).text == "two"
    assert [call.error for call in engine.calls] == [None, failures[1], failures[2], None]


@given(text=st.text(max_size=40), content=st.text(max_size=20), units=st.sampled_from(["words", "chars"]))
def test_counts_are_exact_and_tokens_spell_the_text(text: str, content: str, units: str) -> None:
    engine = ScriptedEngine([text], units="chars" if units == "chars" else "words")
    done = asyncio.run(engine.generate(ask(content, max_tokens=1000)))
    assert done.text == text == "".join(token.text for token in done.tokens)
    assert done.prompt_ids == engine.encode(Prompt(content=content))
    assert done.usage == Usage(calls=1, prompt_tokens=len(done.prompt_ids), completion_tokens=len(done.token_ids))
    assert all(token.logprob <= 0 for token in done.tokens)
    kept = engine.encode(Prompt(content=content, prefill=text))
    assert kept == done.prompt_ids + done.token_ids
    assert kept == engine.encode(Prompt(content=content, prefill=text, prefill_ids=done.token_ids))


async def test_ends() -> None:
    engine = ScriptedEngine(
        [
            "one two three",
            "one\ntwo\nthree",
            Reply(text="x", finish_reason=FinishReason.FILTERED),
            Reply(tool_calls=(ToolCall(id="1", name="f", arguments="{}"),), finish_reason=FinishReason.TOOL_CALLS),
        ]
    )
    cut = await engine.generate(ask(max_tokens=2))
    assert (cut.text, cut.finish_reason) == ("one ", FinishReason.LENGTH)
    stopped = await engine.generate(ask(stop=("three", "\n")))
    assert (stopped.text, stopped.finish_reason) == ("one\n", FinishReason.STOP)
    assert (await engine.generate(ask())).finish_reason is FinishReason.FILTERED
    called = await engine.generate(ask())
    assert (called.finish_reason, called.tool_calls[0].name) == (FinishReason.TOOL_CALLS, "f")


async def test_scripted_probabilities() -> None:
    reply = Reply(text="yes no", logprobs=(-0.5,), top=({"yes": -0.5, "no": -1.0, "maybe": -9.0},), reasoning="hm")
    engine = ScriptedEngine([reply])
    done = await engine.generate(GenerateRequest(prompt=Prompt(content="x"), max_tokens=9, top_logprobs=2))
    assert done.tokens[0].logprob == -0.5
    assert done.tokens[0].top == {"yes": -0.5, "no": -1.0}
    assert set(done.tokens[2].top) == {"no", "<other>"}
    assert done.reasoning == "hm"


async def test_what_is_not_claimed_is_not_done() -> None:
    engine = ScriptedEngine(["one two"] * 2, capabilities=Capabilities())
    done = await engine.generate(ask())
    assert (done.prompt_ids, done.token_ids, done.tokens) == ((), (), ())
    assert engine.encode(Prompt(content="12345678")) != ()
    for prompt in (Prompt(content=(Message(role="user", content="x"),)), Prompt(content="x", prefill="y")):
        with pytest.raises(InputError):
            await engine.generate(GenerateRequest(prompt=prompt, max_tokens=1))
    with pytest.raises(InputError, match="JSON schema"):
        await engine.generate(GenerateRequest(prompt=Prompt(content="x"), max_tokens=1, json_schema={}))
    logprobs_only = ScriptedEngine(["one"], capabilities=Capabilities(logprobs=True))
    assert (await logprobs_only.generate(ask())).tokens[0].token_id is None


async def test_the_context_is_a_limit() -> None:
    engine = ScriptedEngine(["one"] * 2, max_context=5)
    assert (await engine.generate(ask("a b", 2))).text == "one"
    with pytest.raises(PromptTooLong, match="5 tokens in all"):
        await engine.generate(ask("a b", 3))


async def test_cancelling_is_recorded() -> None:
    engine = ScriptedEngine(["one"], latencies=(30.0,))
    task = asyncio.create_task(engine.generate(ask()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert engine.calls[0].cancelled and engine.running == 0


async def test_closing_ends_what_is_in_flight() -> None:
    engine = ScriptedEngine(["one"], latencies=(30.0,))
    task = asyncio.create_task(engine.generate(ask()))
    await asyncio.sleep(0)
    await engine.aclose()
    with pytest.raises(EngineUnavailable, match="was closed"):
        await task
    with pytest.raises(EngineUnavailable, match="is closed"):
        await engine.generate(ask())
