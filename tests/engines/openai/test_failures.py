"""Servers that fail: who is asked again, how long is waited, what is said, and that no key ever shows."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies

from actorcritic.engines.load import load_engine
from actorcritic.engines.openai import OpenAIEngine, OpenAIOptions
from actorcritic.engines.openai.failures import RequestRefused, Secret, problem_of_status
from actorcritic.engines.openai.retrying import Gate, RetryPolicy, read_retry_after
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import EngineError, EngineUnavailable, InputError, PromptTooLong
from actorcritic.metering import free_meter
from actorcritic.types import GenerateRequest, Prompt
from tests.engines.openai.api import Api, Reaction
from tests.engines.openai.conftest import FakeTimer, Serve, free_port

KEY = "sk-test-0123456789abcdefXYZ"
REQUEST = GenerateRequest(prompt=Prompt(content="hello"), max_tokens=8)


def connect(api: Api, timer: FakeTimer, **options: Any) -> OpenAIEngine:
    chosen = OpenAIOptions(**options)
    return OpenAIEngine.connect(api.model, api.url, chosen, gate=Gate(chosen.concurrency, timer))


async def fail(api: Api, timer: FakeTimer, **options: Any) -> EngineError:
    """Return the error of one request."""
    engine = connect(api, timer, **options)
    with pytest.raises(EngineError) as caught:
        await engine.generate(REQUEST)
    await engine.aclose()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    return caught.value


# --- trying again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_a_passing_failure_is_tried_again(status: int, serve: Serve, timer: FakeTimer) -> None:
    api = serve(reactions={0: Reaction(status=status), 1: Reaction(status=status)})
    engine = connect(api, timer)
    assert (await engine.generate(REQUEST)).text == "one two three"
    assert len(api.requests) == 3 and timer.slept == [0.5, 1.0]
    await engine.aclose()


async def test_a_dropped_connection_is_tried_again(serve: Serve, timer: FakeTimer) -> None:
    api = serve(reactions={0: Reaction(drop=True)})
    engine = connect(api, timer)
    assert (await engine.generate(REQUEST)).text == "one two three"
    assert len(api.requests) == 2
    await engine.aclose()


async def test_a_server_that_hangs_is_left_and_tried_again(serve: Serve, timer: FakeTimer) -> None:
    api = serve(reactions={0: Reaction(hang=True)})
    engine = connect(api, timer, timeout=0.5)
    assert (await engine.generate(REQUEST)).text == "one two three"
    await engine.aclose()


async def test_tries_are_bounded_in_one_place(serve: Serve, timer: FakeTimer) -> None:
    api = serve(always=None)
    engine = connect(api, timer, retry=RetryPolicy(attempts=4))
    api.always = Reaction(status=503)
    with pytest.raises(EngineUnavailable, match=r"HTTP 503.*tried 4 times") as caught:
        # The meter, too, tries again what says that it may succeed: this does not any more.
        await free_meter().generate(engine, REQUEST, role="actor")
    assert len(api.requests) == 4 and timer.slept == [0.5, 1.0, 2.0] and not caught.value.retryable
    await engine.aclose()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "bad"}}, RequestRefused),
        (404, {"error": {"message": "no such model"}}, RequestRefused),
        (422, {"detail": [{"msg": "bad"}]}, RequestRefused),
        (401, {"error": {"message": "bad key"}}, EngineError),
        (403, {"error": {"message": "not yours"}}, EngineError),
        (429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, EngineError),
        (402, {"error": {"message": "pay"}}, EngineError),
        (400, {"error": {"message": "This model's maximum context length is 8 tokens"}}, PromptTooLong),
        (400, {"error": {"message": "x", "code": "context_length_exceeded"}}, PromptTooLong),
    ],
)
async def test_what_will_not_pass_is_never_tried_again(
    status: int, body: Any, kind: type[EngineError], serve: Serve, timer: FakeTimer
) -> None:
    api = serve(reactions={0: Reaction(status=status, body=body)})
    error = await fail(api, timer)
    assert type(error) is kind and not error.retryable
    assert len(api.requests) == 1 and timer.slept == []


class HeldTimer(FakeTimer):
    """Nobody who sleeps wakes before the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.over.wait()


async def test_retry_after_is_honoured_by_all_who_ask_that_server(serve: Serve) -> None:
    timer = HeldTimer()
    api = serve(reactions={0: Reaction(status=429, headers={"Retry-After": "7"})})
    engine = connect(api, timer, concurrency=1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(engine.generate(REQUEST))
        while len(timer.slept) < 2:
            await asyncio.sleep(0.002)
        # The one that was told, and the next in the line, who was not.
        assert timer.slept == [7.0, 7.0] and len(api.requests) == 1
        timer.seconds += 7
        timer.over.set()
    assert len(api.requests) == 4
    await engine.aclose()


async def test_a_server_that_asks_for_an_hour_is_not_waited_for(serve: Serve, timer: FakeTimer) -> None:
    error = await fail(serve(reactions={0: Reaction(status=429, headers={"Retry-After": "3600"})}), timer)
    assert isinstance(error, EngineUnavailable) and timer.slept == []


def test_retry_after_in_all_its_forms() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert read_retry_after({"retry-after": "2"}) == 2.0
    assert read_retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert read_retry_after({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}, now) == 30.0
    assert read_retry_after({"retry-after": "Wed, 31 Dec 2025 00:00:00 GMT"}, now) == 0.0
    assert read_retry_after({"retry-after": "-5"}) == 0.0
    for nonsense in ("", "soon", "1e400", "nan", "99999999999999"):
        assert read_retry_after({"retry-after": nonsense}) is None


@given(attempt=strategies.integers(0, 2000), draw=strategies.floats(0, 1, exclude_max=True))
def test_waits_grow_within_bounds(attempt: int, draw: float) -> None:
    policy = RetryPolicy(longest_wait=30.0)
    assert 0.25 <= policy.wait(attempt, draw) <= 30.0
    assert policy.wait(attempt, 0.0) >= policy.wait(attempt, draw) >= policy.wait(attempt, 0.0) / 2
    with pytest.raises(InputError):
        RetryPolicy(attempts=0)


# --- hostile answers -----------------------------------------------------------------------------------------------


def completion(**choice: Any) -> bytes:
    return json.dumps({"choices": [{"finish_reason": "stop", **choice}]}).encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "something else than JSON"),
        (b"<html>gateway</html>", "something else than JSON"),
        (b'{"choices": [', "something else than JSON"),
        (b"[" * 100_000, "something else than JSON"),
        (b"[]", "something else than a JSON object"),
        (b'"text"', "something else than a JSON object"),
        (b"{}", "without a choice"),
        (b'{"choices": null}', "without a choice"),
        (b'{"choices": []}', "without a choice"),
        (b'{"choices": ["x"]}', "without a choice"),
        (completion(message=None), "without a message"),
        (completion(message={"content": None}), "neither text nor a tool call"),
        (completion(message={}), "neither text nor a tool call"),
        (completion(message={"content": "x"}, finish_reason="error"), "failed while it generated"),
    ],
)
async def test_nonsense_is_a_typed_error(body: bytes, words: str, serve: Serve, timer: FakeTimer) -> None:
    api = serve(reactions={0: Reaction(body=body)})
    error = await fail(api, timer)
    assert words in str(error) and api.url in str(error) and len(api.requests) == 1


async def test_a_flood_is_a_typed_error(serve: Serve, timer: FakeTimer) -> None:
    flood = completion(message={"content": "x" * 6_000_000})
    error = await fail(serve(reactions={0: Reaction(body=flood)}), timer)
    assert "sends without end" in str(error)


async def test_an_error_inside_a_success_is_an_error(serve: Serve, timer: FakeTimer) -> None:
    wrapped = Reaction(body={"error": {"code": 429, "message": "busy upstream"}})
    api = serve(reactions={0: wrapped})
    engine = connect(api, timer)
    assert (await engine.generate(REQUEST)).text == "one two three"
    assert len(api.requests) == 2
    await engine.aclose()
    refused = Reaction(body={"error": {"code": 400, "message": "no"}})
    assert isinstance(await fail(serve(reactions={0: refused}), timer), RequestRefused)


async def test_halves_of_surrogates_and_impossible_numbers_do_no_harm(serve: Serve, timer: FakeTimer) -> None:
    body = (
        b'{"choices": [{"finish_reason": "stop", "message": {"content": "a\\ud800b"}, "logprobs": {"content": '
        b'[{"token": "a", "logprob": NaN}]}}], "usage": {"prompt_tokens": 1e99, "completion_tokens": true}}'
    )
    engine = connect(serve(reactions={0: Reaction(body=body)}), timer)
    generation = await engine.generate(REQUEST)
    assert generation.text == "a\ufffdb" and generation.text.encode() and generation.tokens == ()
    assert generation.usage.completion_tokens > 0
    await engine.aclose()


# --- keys ----------------------------------------------------------------------------------------------------------


async def test_the_key_is_taken_from_the_named_variable(
    serve: Serve, timer: FakeTimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    api = serve(key=KEY)
    engine = connect(api, timer, key_variable="MY_KEY")
    await engine.generate(REQUEST)
    assert api.headers[0]["authorization"] == f"Bearer {KEY}"
    await engine.aclose()


@pytest.mark.parametrize(
    "echo",
    [
        {"error": {"message": f"Incorrect API key provided: {KEY}. Header: Bearer {KEY}"}},
        {"error": f"key {KEY[:14]} is wrong"},
        {"detail": {"message": f"{KEY[-12:]}"}},
        {"message": f"sk-other-000{KEY}"},
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_a_server_that_repeats_the_key_does_not_get_it_into_an_error_or_a_log(
    echo: Any,
    status: int,
    serve: Serve,
    timer: FakeTimer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    api = serve(always=None)
    engine = connect(api, timer, retry=RetryPolicy(attempts=2))
    api.always = Reaction(status=status, body=echo)
    with pytest.raises(EngineError) as caught:
        await engine.generate(REQUEST)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(engine.__dict__) + caplog.text
    parts = [KEY[at : at + 8] for at in range(len(KEY) - 7)]
    assert not [part for part in parts if part in shown]
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert api.url in str(caught.value)
    await engine.aclose()


async def test_a_bad_key_is_said_at_once_and_once(
    serve: Serve, timer: FakeTimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve(key=KEY)
    with pytest.raises(EngineError, match=r"wants a key: set OPENAI_API_KEY \(HTTP 401\)"):
        connect(api, timer)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-000000000000")
    with pytest.raises(EngineError, match=r"refuses the key in OPENAI_API_KEY \(HTTP 401\)") as caught:
        connect(api, timer)
    assert "wrong" not in str(caught.value) and timer.slept == []


@given(key=strategies.text(min_size=1, max_size=40), text=strategies.text(max_size=80))
def test_no_part_of_a_key_survives_scrubbing(key: str, text: str) -> None:
    secret = Secret("KEY", key)
    scrubbed = secret.scrub(f"{text} {key} {text}")
    window = key if len(key) < 8 else key[:8]
    if (
        window.strip() == window
        and "*" not in window
        and "\ufffd" not in window
        and " " not in " ".join(window.split())
    ):
        assert window not in scrubbed
    assert "\n" not in scrubbed and repr(secret) == "Secret(KEY)"


def test_what_a_status_means_is_pure() -> None:
    problem = problem_of_status("S", Secret("K"), 503, None, {"retry-after": "3"})
    assert problem.again and problem.wait == 3.0 and "S cannot answer now (HTTP 503)" in str(problem.error)


# --- reaching ------------------------------------------------------------------------------------------------------


def test_a_refused_connection_names_the_server() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(EngineUnavailable, match="cannot reach") as caught:
        load_engine(f"openai:m@{url}")
    assert url in str(caught.value) and "\n" not in str(caught.value)


async def test_a_server_that_goes_away_is_named(serve: Serve, timer: FakeTimer) -> None:
    api = serve()
    engine = connect(api, timer)
    engine._server.url = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(EngineUnavailable, match=r"cannot reach http://127.*is it running\? \(tried 6 times\)"):
        await engine.generate(REQUEST)
    assert timer.slept == [0.5, 1.0, 2.0, 4.0, 8.0]
    with pytest.raises(EngineUnavailable):
        await engine.check_health()
    await engine.aclose()


async def test_engines_on_one_server_share_its_concurrency(serve: Serve, timer: FakeTimer) -> None:
    api = serve(ScriptedEngine(lambda asked: "one", latencies=(0.01,)))
    gates: dict[str, Gate] = {}
    engines = [load_engine(f"openai:{name}@{api.url}#concurrency=2", gates=gates) for name in ("m", "n")]
    async with asyncio.TaskGroup() as group:
        for engine in engines * 4:
            group.create_task(engine.generate(REQUEST))
    assert api.peak == 2 and len(api.requests) == 8
    for engine in engines:
        await engine.aclose()
    with pytest.raises(InputError):
        Gate(0)
