"""The engine against a real server on this machine: what it sends, what it keeps, and what it does without."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actorcritic.engines.conformance import check_closing, run_checks
from actorcritic.engines.load import load_engine
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.errors import InputError
from actorcritic.loading import EMBEDDED
from actorcritic.protocols import Capabilities, RemoteEncoder
from actorcritic.types import (
    FinishReason,
    Message,
    Prompt,
    Sampling,
    ToolCall,
    ToolSpec,
    Usage,
)
from tests.engines.openai.api import Reaction
from tests.engines.openai.asking import CHAT, ask, connect, request, story
from tests.engines.openai.conftest import Serve

PROMPT = "w1 w2 w3\nw4"
TOOL = ToolSpec(name="add", description="Add.", parameters={"type": "object", "properties": {"a": {"type": "number"}}})


# --- conformance ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["scripted", "scripted, plain", "hf", "hf as vLLM"])
async def test_conformance(kind: str, serve: Serve, tiny_model: Path) -> None:
    if kind.startswith("hf"):
        backend: Any = load_engine(f"hf:{tiny_model}")
    else:
        backend = ScriptedEngine(story)
    if kind == "scripted, plain":
        backend = ScriptedEngine(story, capabilities=Capabilities(chat=True))
    api = serve(backend, vllm=kind == "hf as vLLM")
    engine = connect(api, deterministic=kind != "scripted, plain")
    results = {result.name: result for result in await run_checks(engine, PROMPT)}
    failed = [result for result in results.values() if result.outcome == "failed"]
    assert not failed
    skipped = {name for name, result in results.items() if result.outcome == "skipped"}
    by_ids = {"encoding", "prefill", "prefill by ids", "too long", "scoring"}
    if kind == "scripted, plain":
        assert skipped == by_ids | {"seeds alone", "seeds in company", "log-probabilities", "alternatives"}
    else:
        assert skipped == ({"no scoring"} if kind == "hf as vLLM" else by_ids)
    await check_closing(engine, PROMPT)
    await backend.aclose()


async def test_a_text_is_scored_as_by_the_model_behind_it(serve: Serve, tiny_model: Path) -> None:
    behind = load_engine(f"hf:{tiny_model}")
    api = serve(behind, vllm=True)
    engine = connect(api)
    asked = request(Prompt(content=CHAT, prefill="w5 w6 w7"), max_tokens=0)
    direct, remote = await behind.generate(asked), await engine.generate(asked)
    assert remote.tokens == direct.tokens and len(remote.tokens) == 5
    assert (remote.text, remote.usage) == ("", Usage(calls=1, prompt_tokens=direct.usage.prompt_tokens))
    assert api.requests[-1]["echo"] is True and api.requests[-1]["logprobs"] == 0
    api.omits.add("logprobs")
    with pytest.raises(InputError, match="scores no given text: it echoes"):
        await engine.generate(asked)
    assert not engine.info.capabilities.scores_text and engine.info.capabilities.logprobs
    with pytest.raises(InputError, match="not at least 1"):
        await engine.generate(asked)
    assert any("given texts cannot be scored" in note for note in engine.info.notes)
    await engine.aclose()
    await behind.aclose()


async def test_who_refuses_to_echo_is_asked_once(serve: Serve, tiny_model: Path) -> None:
    behind = load_engine(f"hf:{tiny_model}")
    engine = connect(serve(behind, vllm=True, refuses={"echo": "echo is not supported"}))
    asked = request(Prompt(content="w1", prefill=" w2"), max_tokens=0)
    with pytest.raises(InputError, match="echo is not supported"):
        await engine.generate(asked)
    assert not engine.info.capabilities.scores_text
    assert (await engine.generate(replace(asked, max_tokens=2))).tokens
    await engine.aclose()
    await behind.aclose()


@pytest.mark.parametrize("model", ["tiny", "embedded"])
async def test_vllm_gives_exactly_what_the_model_behind_it_gives(model: str, serve: Serve, tiny_model: Path) -> None:
    behind = load_engine(f"hf:{tiny_model if model == 'tiny' else EMBEDDED / 'actor'}")
    contents: list[Any] = [PROMPT, CHAT] if model == "tiny" else ["countdown 3 4 5 -> 17\n"]
    engine = connect(serve(behind, vllm=True))
    assert engine.info.max_context == behind.info.max_context and isinstance(engine, RemoteEncoder)
    for content in contents:
        for asked in (
            request(content, seed=3, top_logprobs=2),
            request(content, sampling=Sampling(temperature=0.0), stop=("\n", " ")),
        ):
            direct, remote = await behind.generate(asked), await engine.generate(asked)
            assert engine.encode(asked.prompt) == behind.encode(asked.prompt) == remote.prompt_ids
            assert (remote.text, remote.finish_reason) == (direct.text, direct.finish_reason)
            assert remote.token_ids == direct.token_ids
            assert [token.logprob for token in remote.tokens] == [token.logprob for token in direct.tokens]
            assert [token.top for token in remote.tokens] == [token.top for token in direct.tokens]
            assert replace(remote.usage, cached_tokens=0) == replace(direct.usage, cached_tokens=0)
            kept = Prompt(content=content, prefill="w9 w8")
            assert (await engine.encode_later(kept)) == behind.encode(kept) or model == "embedded"
    await engine.aclose()
    await behind.aclose()


# --- what is sent --------------------------------------------------------------------------------------------------


async def test_what_a_plain_server_is_sent(serve: Serve) -> None:
    api = serve()
    await ask(api, request(CHAT, seed=2**40 + 5, sampling=Sampling(temperature=0.5, top_p=0.9), stop=("two",)))
    body = api.requests[0]
    assert body["messages"] == [{"role": "system", "content": "w1 w2"}, {"role": "user", "content": "w3 w4"}]
    assert (body["model"], body["max_tokens"], body["temperature"], body["top_p"]) == ("m", 8, 0.5, 0.9)
    assert 0 <= body["seed"] < 2**31 and body["stop"] == ["two"] and body["logprobs"] is True
    assert not {"top_k", "return_token_ids", "include_stop_str_in_output", "top_logprobs"} & body.keys()


async def test_vllm_is_kept_from_using_defaults_of_its_own(serve: Serve, tiny_model: Path) -> None:
    behind = load_engine(f"hf:{tiny_model}")
    api = serve(behind, vllm=True)
    await ask(api, request(CHAT, stop=("w9",)))
    body = api.requests[-1]
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (0, 0.0, 1.0)
    assert body["include_stop_str_in_output"] is True and isinstance(body["prompt"][0], int)
    await behind.aclose()


async def test_a_schema_is_sent(serve: Serve) -> None:
    api = serve()
    schema: Any = {"type": "object", "properties": {}, "additionalProperties": False}
    await ask(api, request(json_schema=schema))
    await ask(api, request(json_schema={"type": "object"}))
    formats = [body["response_format"] for body in api.requests]
    assert formats[0] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }
    assert formats[1]["json_schema"]["strict"] is False


async def test_tools_go_both_ways(serve: Serve) -> None:
    call = ToolCall(id="c1", name="add", arguments='{"a": 1')
    behind = ScriptedEngine(lambda asked: Reply(tool_calls=(call,), finish_reason=FinishReason.TOOL_CALLS))
    api = serve(behind)
    past = (
        Message(role="user", content="add"),
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="2", tool_call_id="c1"),
    )
    given = await ask(api, request(past, tools=(TOOL,)))
    assert given.tool_calls == (call,) and given.finish_reason is FinishReason.TOOL_CALLS and given.text == ""
    received = behind.calls[0].request
    assert received.prompt.content == past and received.tools == (TOOL,)


async def test_tools_on_vllm_are_a_chat_with_exact_ids(serve: Serve, tiny_model: Path) -> None:
    behind = load_engine(f"hf:{tiny_model}")
    api = serve(behind, vllm=True)
    engine = connect(api)
    kept = Prompt(content=CHAT, prefill="w5 ")
    given = await engine.generate(request(kept, tools=(TOOL,), seed=1))
    assert api.requests[-1]["continue_final_message"] is True and api.requests[-1]["add_generation_prompt"] is False
    assert given.prompt_ids == engine.encode(kept, (TOOL,)) == behind.encode(kept, (TOOL,))
    assert len(given.token_ids) == given.usage.completion_tokens
    await engine.aclose()
    await behind.aclose()


# --- what is kept --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_kept_apart_and_billed(field: str, serve: Serve) -> None:
    def edit(answer: Any) -> Any:
        message = answer["choices"][0]["message"]
        message[field] = message.pop("reasoning_content")
        # As a server says it that leaves reasoning out of the completion.
        answer["usage"] = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 33}
        return answer

    given = await ask(serve(Reply(text="So 4.", reasoning="2 and 2 ..."), edit=edit), request())
    assert (given.text, given.reasoning) == ("So 4.", "2 and 2 ...")
    assert given.usage == Usage(calls=1, prompt_tokens=10, completion_tokens=23)


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 7}}, 7),
        ({"prompt_cache_hit_tokens": 6}, 6),
        ({"prompt_tokens_details": {"cached_tokens": 700}}, 10),
        ({"prompt_tokens_details": None}, 0),
        ({"prompt_tokens_details": {"cached_tokens": -3}}, 0),
    ],
)
async def test_cached_tokens_are_read(usage: Any, cached: int, serve: Serve) -> None:
    def edit(answer: Any) -> Any:
        return answer | {"usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13} | usage}

    given = await ask(serve(edit=edit), request())
    assert given.usage == Usage(calls=1, prompt_tokens=10, cached_tokens=cached, completion_tokens=3)


async def test_missing_usage_is_estimated_and_said(serve: Serve) -> None:
    for broken in (None, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": "7"}, [1]):

        def edit(answer: Any, broken: Any = broken) -> Any:
            return answer | {"usage": broken}

        engine = connect(serve(edit=edit))
        given = await engine.generate(request(CHAT))
        assert given.usage.completion_tokens == 5 and 4 <= given.usage.prompt_tokens <= 40
        assert any("reports no usage" in note for note in engine.info.notes)
        await engine.aclose()


# --- what ends a text ----------------------------------------------------------------------------------------------


async def test_where_nobody_says_what_ended_a_text_it_is_written_whole_and_cut(serve: Serve) -> None:
    api = serve("one\n\ntwo\n\nthree")
    engine = connect(api)
    given = await engine.generate(request(stop=("\n\n",)))
    assert given.text == "one\n\n" and given.finish_reason is FinishReason.STOP
    assert "".join(token.text for token in given.tokens) == given.text
    assert given.usage.calls == 2 and given.usage.completion_tokens == 2 + 5
    assert any("written whole" in note for note in engine.info.notes)
    again = await engine.generate(request(stop=("\n\n",)))
    assert again.text == "one\n\n" and again.usage.calls == 1
    assert ["stop" in body for body in api.requests] == [True, False, False]
    whole = await engine.generate(request(stop=("never",)))
    assert whole.text == "one\n\ntwo\n\nthree" and whole.finish_reason is FinishReason.STOP
    assert whole.usage.calls == 1  # no stop string was sent, so that none can have ended it
    await engine.aclose()


@pytest.mark.parametrize("name", ["stop_reason", "matched_stop"])
async def test_a_stop_string_that_the_server_names_is_put_back(name: str, serve: Serve) -> None:
    def edit(answer: Any) -> Any:
        choice = answer["choices"][0]
        choice[name] = "\n\n" if choice["message"]["content"] == "one" else None
        return answer

    api = serve("one\n\ntwo", edit=edit)
    engine = connect(api)
    assert (await engine.generate(request(stop=(".", "\n\n")))).text == "one\n\n"
    assert (await engine.generate(request(stop=("never",)))).text == "one\n\ntwo"
    assert len(api.requests) == 2
    await engine.aclose()


async def test_a_text_that_the_server_did_not_end_is_cut_at_the_stop_string(serve: Serve) -> None:
    def edit(answer: Any) -> Any:
        answer["choices"][0]["message"]["content"] = "a.b.c"
        return answer

    given = await ask(serve(edit=edit), request(stop=(".",)))
    assert given.text == "a." and given.finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("eos", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.FILTERED),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("abort", FinishReason.ABORTED),
        ("whim", FinishReason.ABORTED),
        (None, FinishReason.ABORTED),
        (7, FinishReason.ABORTED),
    ],
)
async def test_finish_reasons(word: Any, reason: FinishReason, serve: Serve) -> None:
    def edit(answer: Any) -> Any:
        answer["choices"][0]["finish_reason"] = word
        return answer

    assert (await ask(serve(edit=edit), request())).finish_reason is reason


# --- cancelling ----------------------------------------------------------------------------------------------------


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def test_cancelling_closes_the_connection(serve: Serve) -> None:
    api = serve(reactions={0: Reaction(hang=True)})
    engine = connect(api)
    task = asyncio.create_task(engine.generate(request()))
    await until(lambda: api.running == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: api.disconnected == 1)
    assert (await engine.generate(request())).text == "one two three"
    await engine.aclose()


async def test_so_many_at_a_time(serve: Serve) -> None:
    api = serve(ScriptedEngine(story, latencies=(0.01,)))
    engine = connect(api, concurrency=3)
    async with asyncio.TaskGroup() as group:
        for seed in range(12):
            group.create_task(engine.generate(request(seed=seed)))
    assert api.peak == 3 and len(api.requests) == 12
    await engine.aclose()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_another_event_loop_may_take_over(serve: Serve) -> None:
    engine = connect(serve())
    for _ in range(2):
        assert asyncio.run(engine.generate(request())).text == "one two three"
    asyncio.run(engine.aclose())
    gc.collect()  # what the ended loop left open
