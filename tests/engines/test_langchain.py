"""Any LangChain chat model is an engine: the library's own fakes, and one that declares every option."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from pydantic import PrivateAttr, SecretStr

from actorcritic.engines.conformance import check_closing, run_checks
from actorcritic.engines.langchain import LangChainEngine, is_chat_model
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.errors import EngineError, EngineUnavailable, InputError, PromptTooLong
from actorcritic.formats.chat import ChatActorFormat
from actorcritic.loading import load_roles
from actorcritic.metering import free_meter
from actorcritic.types import (
    FinishReason,
    GenerateRequest,
    Message,
    Problem,
    Prompt,
    Sampling,
    ToolCall,
    ToolSpec,
    Usage,
)

KEY = "a-very-secret-key-123456"
TOOL = ToolSpec(name="add", description="Add.", parameters={"type": "object", "properties": {}})


class FullModel(BaseChatModel):
    """Declares every option and answers through a scripted engine, in the words of OpenAI's chat models."""

    model_name: str = "full"
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    api_key: SecretStr = SecretStr(KEY)
    _engine: ScriptedEngine = PrivateAttr()
    _seen: list[tuple[list[BaseMessage], dict[str, Any]]] = PrivateAttr(default_factory=list)
    _facts: dict[str, Any] = PrivateAttr(default_factory=dict)

    def __init__(self, says: Callable[[GenerateRequest], str | Reply] | str, **facts: Any) -> None:
        super().__init__()
        self._engine = ScriptedEngine((lambda request: says) if isinstance(says, str) else says)
        self._facts = facts

    @property
    def _llm_type(self) -> str:
        return "full"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=tools, **kwargs)

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self._seen.append((messages, {"stop": stop, **kwargs}))
        content = "\n".join(str(message.content) for message in messages)
        request = GenerateRequest(
            prompt=Prompt(content=content),
            max_tokens=self.max_tokens or 100,
            sampling=Sampling(temperature=self.temperature, top_p=self.top_p),
            stop=tuple(stop or ()),
            seed=self.seed,
            top_logprobs=self.top_logprobs or 0,
        )
        given = await self._engine.generate(request)
        text = given.text
        for one in stop or ():
            text = text.removesuffix(one)
        metadata: dict[str, Any] = {"finish_reason": str(given.finish_reason), **self._facts}
        if self.logprobs:
            metadata["logprobs"] = {
                "content": [
                    {
                        "token": token.text,
                        "logprob": token.logprob,
                        "top_logprobs": [{"token": text, "logprob": value} for text, value in token.top.items()],
                    }
                    for token in given.tokens
                ]
            }
        message = AIMessage(
            text,
            response_metadata=metadata,
            usage_metadata={
                "input_tokens": given.usage.prompt_tokens,
                "output_tokens": given.usage.completion_tokens,
                "total_tokens": given.usage.prompt_tokens + given.usage.completion_tokens,
                "input_token_details": {"cache_read": 1},
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


class Says(BaseChatModel):
    """Answers with one message, or raises."""

    answer: Any

    @property
    def _llm_type(self) -> str:
        return "says"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if isinstance(self.answer, Exception):
            raise self.answer
        return ChatResult(generations=[ChatGeneration(message=self.answer)])


def request(content: Any = "hello", **fields: Any) -> GenerateRequest:
    values: dict[str, Any] = {"prompt": Prompt(content=content), "max_tokens": 8, **fields}
    return GenerateRequest(**values)


def story(asked: GenerateRequest) -> str:
    text = "one two three, four five six. Seven eight nine ten"
    return text if asked.seed is None else text[asked.seed % 7 * 3 :]


async def test_conformance() -> None:
    engine = LangChainEngine(FullModel(story), deterministic=True)
    results = {result.name: result.outcome for result in await run_checks(engine, "one two three")}
    assert "failed" not in results.values(), results
    assert {name for name, outcome in results.items() if outcome == "skipped"} == {
        "encoding",
        "prefill",
        "prefill by ids",
        "scoring",
        "too long",
    }
    await check_closing(engine)


async def test_options_are_set_on_a_copy() -> None:
    model = FullModel("yes")
    engine = LangChainEngine(model)
    given = await engine.generate(
        request(seed=2**33 + 3, sampling=Sampling(temperature=0.25, top_p=0.5), top_logprobs=2)
    )
    asked = model._engine.calls[0].request
    assert (asked.sampling, asked.max_tokens, asked.seed) == (Sampling(temperature=0.25, top_p=0.5), 8, 3)
    assert given.usage == Usage(calls=1, prompt_tokens=1, cached_tokens=1, completion_tokens=1)
    assert 0 < len(given.tokens[0].top) <= 2 and given.finish_reason is FinishReason.STOP
    assert (model.temperature, model.max_tokens, model.seed, model.logprobs) == (1.0, None, None, None)
    assert engine.info.model == "langchain:full:full" and engine.info.notes == ()


async def test_what_a_model_does_not_declare_is_said() -> None:
    engine = LangChainEngine(FakeListChatModel(responses=["a\n\nb"]))
    notes = "; ".join(engine.info.notes)
    for lack in ("no limit of tokens", "no temperature", "no seed", "no log-probabilities"):
        assert lack in notes
    able = engine.info.capabilities
    assert able.chat and not (able.seeds or able.logprobs or able.tools or able.json_schema or able.prefill)
    given = await engine.generate(request(stop=("\n\n",)))
    assert given.text == "a\n\n" and given.finish_reason is FinishReason.STOP and given.tokens == ()
    assert given.usage.completion_tokens == 3 and any("reports no usage" in note for note in engine.info.notes)


async def test_a_generic_fake_model_answers_a_chat() -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("hi")]))
    chat = (Message(role="system", content="be brief"), Message(role="user", content="hello"))
    assert (await LangChainEngine(model).generate(request(chat))).text == "hi"


async def test_an_ending_that_nobody_names_is_asked_for_again_without_stop_strings() -> None:
    model = FullModel("one\n\ntwo")
    engine = LangChainEngine(model)
    for calls in (2, 1):
        given = await engine.generate(request(stop=("\n\n",)))
        assert given.text == "one\n\n" and given.usage.calls == calls
        assert "".join(token.text for token in given.tokens) == given.text
    assert [seen["stop"] for _, seen in model._seen] == [["\n\n"], None, None]
    named = LangChainEngine(FullModel("one\n\ntwo", stop_sequence="\n\n"))
    given = await named.generate(request(stop=("\n\n",)))
    assert given.text == "one\n\n" and given.usage.calls == 1
    whole = LangChainEngine(FullModel("one", stop_sequence=None))
    assert (await whole.generate(request(stop=("\n\n",)))).text == "one"


async def test_tools_go_both_ways() -> None:
    good = {"id": "c1", "name": "add", "args": {"a": 1}, "type": "tool_call"}
    bad = {"id": None, "name": "add", "args": '{"a":', "error": "x", "type": "invalid_tool_call"}
    answer = AIMessage("", tool_calls=[good], invalid_tool_calls=[bad])
    given = await LangChainEngine(Says(answer=answer)).generate(request())
    assert given.tool_calls == (
        ToolCall(id="c1", name="add", arguments='{"a": 1}'),
        ToolCall(id="call_1", name="add", arguments='{"a":'),
    )
    assert given.finish_reason is FinishReason.TOOL_CALLS
    model = FullModel("yes")
    calls = (ToolCall(id="1", name="add", arguments='{"a": 1}'), ToolCall(id="2", name="add", arguments="{"))
    chat = (
        Message(role="system", content="s"),
        Message(role="user", content="u"),
        Message(role="assistant", content="", tool_calls=calls),
        Message(role="tool", content="2", tool_call_id="1"),
    )
    await LangChainEngine(model).generate(request(chat, tools=(TOOL,)))
    messages, extra = model._seen[0]
    assert [type(message) for message in messages] == [SystemMessage, HumanMessage, AIMessage, ToolMessage]
    said, result = messages[2], messages[3]
    assert isinstance(said, AIMessage) and isinstance(result, ToolMessage)
    assert said.tool_calls[0]["args"] == {"a": 1} and said.invalid_tool_calls[0]["args"] == "{"
    assert result.tool_call_id == "1" and extra["tools"][0]["function"]["name"] == "add"


@pytest.mark.parametrize(
    "answer",
    [
        AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "4"}]),
        AIMessage([{"type": "reasoning", "reasoning": "hm"}, "4"]),
        AIMessage("4", additional_kwargs={"reasoning_content": "hm"}),
    ],
)
async def test_reasoning_is_kept_apart(answer: AIMessage) -> None:
    given = await LangChainEngine(Says(answer=answer)).generate(request())
    assert (given.text, given.reasoning) == ("4", "hm")


@pytest.mark.parametrize(
    ("facts", "tokens", "reason"),
    [
        ({"finish_reason": "length"}, 3, FinishReason.LENGTH),
        ({"stop_reason": "end_turn"}, 3, FinishReason.STOP),
        ({"stop_reason": "max_tokens"}, 3, FinishReason.LENGTH),
        ({"done_reason": "stop"}, 3, FinishReason.STOP),
        ({"finish_reason": "content_filter"}, 3, FinishReason.FILTERED),
        ({"finish_reason": "whim"}, 3, FinishReason.ABORTED),
        ({}, 3, FinishReason.STOP),
        ({}, 8, FinishReason.LENGTH),
    ],
)
async def test_finish_reasons(facts: dict[str, Any], tokens: int, reason: FinishReason) -> None:
    usage: Any = {"input_tokens": 1, "output_tokens": tokens, "total_tokens": 1 + tokens}
    answer = AIMessage("x", response_metadata=facts, usage_metadata=usage)
    assert (await LangChainEngine(Says(answer=answer)).generate(request())).finish_reason is reason


class StatusError(Exception):
    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ValueError("odd"), EngineError, "ValueError: odd"),
        (ConnectionRefusedError("no"), EngineUnavailable, "ConnectionRefusedError"),
        (TimeoutError(), EngineUnavailable, "TimeoutError"),
        (StatusError(503, "later"), EngineUnavailable, "HTTP 503"),
        (StatusError(401, f"key {KEY}"), EngineError, "refuses its key"),
        (StatusError(400, "maximum context length is 8"), PromptTooLong, "shorten the prompt"),
        (RuntimeError(f"cannot use {KEY}!"), EngineError, "cannot use"),
    ],
)
async def test_a_failure_is_typed_and_holds_no_key(error: Exception, kind: type[EngineError], words: str) -> None:
    def fail(asked: GenerateRequest) -> str:
        raise error

    engine = LangChainEngine(FullModel(fail))
    with pytest.raises(kind, match=words) as caught:
        await engine.generate(request())
    assert type(caught.value) is kind and not caught.value.retryable
    assert KEY not in str(caught.value) and caught.value.__context__ is None


async def test_what_chat_models_cannot_do_is_refused() -> None:
    engine = LangChainEngine(FakeListChatModel(responses=["x"]))
    for asked, words in (
        (request(json_schema={}), "JSON schema"),
        (GenerateRequest(prompt=Prompt(content="x", prefill="y"), max_tokens=1), "prefill"),
        (request(tools=(TOOL,)), "takes no tools"),
    ):
        with pytest.raises(InputError, match=words):
            await engine.generate(asked)


async def test_log_probabilities_that_stay_away_are_noticed() -> None:
    class Silent(FullModel):
        def __init__(self, says: str) -> None:
            super().__init__(says)

        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            result = await super()._agenerate(*args, **kwargs)
            result.generations[0].message.response_metadata.pop("logprobs")
            return result

    engine = LangChainEngine(Silent("yes"))
    assert engine.info.capabilities.top_logprobs == 20
    await engine.generate(request())
    assert not engine.info.capabilities.logprobs and "log-probabilities" in engine.info.notes[0]


async def test_roles_take_chat_models_and_engines() -> None:
    model = FullModel("Step 1: 7 + 8 = 15\n\nThe answer is 15.")
    roles = load_roles(model, model)
    try:
        assert len(roles.engines) == 1 and isinstance(roles.actor.engine, LangChainEngine)
        assert isinstance(roles.actor.format, ChatActorFormat) and not roles.actor.format.prefill and not roles.exact
        solution = await roles.actor.propose(Problem(id="p", prompt="7 + 8?"), meter=free_meter())
        assert solution.complete and solution.steps
        partial = await roles.actor.propose(Problem(id="p", prompt="7 + 8?"), meter=free_meter(), max_steps=1)
        assert not partial.complete and partial.steps[0].raw.endswith("\n\n")
    finally:
        await roles.aclose()
    engine = ScriptedEngine(["x"])
    assert load_roles(engine, "none").engines == (engine,)
    assert [is_chat_model(one) for one in (model, engine, "embedded")] == [True, False, False]


async def test_cancelling_cancels_the_model() -> None:
    model = FullModel("yes")
    model._engine._latencies = (60.0,)
    engine = LangChainEngine(model)
    task = asyncio.create_task(engine.generate(request()))
    while not model._engine.calls:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model._engine.calls[0].cancelled
    await engine.aclose()
    with pytest.raises(EngineUnavailable, match="is closed"):
        await engine.generate(request())


def test_the_estimate_grows_with_tools() -> None:
    engine = LangChainEngine(FakeListChatModel(responses=["x"]))
    assert len(engine.encode(Prompt(content="x"), (TOOL,))) > len(engine.encode(Prompt(content="x")))
    assert json.dumps(engine.info.notes)
