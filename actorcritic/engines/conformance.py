"""Checks that any engine can be held to, one by one or all together: what the protocol and its capabilities promise.

Public, for whoever writes an engine. A check needs nothing but the engine and a prompt that it can read; one whose
capability is not declared is skipped, never failed. Takes about forty short requests.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from actorcritic.errors import EngineError, EngineUnavailable, InputError, PromptTooLong
from actorcritic.protocols import Engine, EngineInfo
from actorcritic.types import FinishReason, GenerateRequest, Generation, Message, Prompt, Sampling, TokenLogprob

__all__ = ["CHECKS", "Check", "CheckResult", "check_closing", "run_checks"]

PROMPT = "Count from one to twenty: one, two, three,"
_GREEDY = Sampling(temperature=0.0)
_ROUNDING = 0.05
"""Nats by which two log-probabilities of the same token may differ: half precision sums in another order."""
_PATIENCE = 60.0
"""Seconds after which a request counts as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One promise."""

    name: str
    applies: Callable[[EngineInfo], bool]
    """Whether the engine declares what the check needs."""
    run: Callable[[Engine, str], Awaitable[None]]
    """Takes the engine and a prompt; raises AssertionError with what was broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What became of one check."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    message: str = ""


async def run_checks(engine: Engine, prompt: str = PROMPT) -> tuple[CheckResult, ...]:
    """Run every check; the engine stays open.

    Args:
        engine: the engine, ready for requests.
        prompt: a text that the engine can read and goes on from with several tokens.
    """
    results: list[CheckResult] = []
    for check in CHECKS:
        if not check.applies(engine.info):
            results.append(CheckResult(name=check.name, outcome="skipped"))
            continue
        try:
            await check.run(engine, prompt)
        except (AssertionError, EngineError, InputError, TimeoutError) as error:
            message = f"{type(error).__name__}: {error}"
            results.append(CheckResult(name=check.name, outcome="failed", message=message))
        else:
            results.append(CheckResult(name=check.name, outcome="passed"))
    return tuple(results)


async def check_closing(engine: Engine, prompt: str = PROMPT) -> None:
    """See that closing is final, may be done twice, and ends what is in flight. Closes the engine.

    Raises:
        AssertionError: what was broken.
    """
    flying = asyncio.create_task(engine.generate(_request(prompt, max_tokens=64)))
    await asyncio.sleep(0)
    await engine.aclose()
    await engine.aclose()
    try:
        async with asyncio.timeout(_PATIENCE):
            await flying
    except EngineUnavailable:
        pass  # It may as well have ended just before.
    except TimeoutError:
        raise AssertionError("a request in flight never heard that the engine was closed") from None
    await _refused(engine, _request(prompt), EngineUnavailable)


async def _counts(engine: Engine, prompt: str) -> None:
    able = engine.info.capabilities
    for limit in (1, 2, 7):
        request = _request(prompt, max_tokens=limit)
        given = await _ask(engine, request)
        usage = given.usage
        _require(usage.calls == 1, f"one request counted as {usage.calls} calls")
        _require(0 <= usage.completion_tokens <= limit, f"{usage.completion_tokens} tokens of at most {limit}")
        _require(0 <= usage.cached_tokens <= usage.prompt_tokens, "more tokens cached than the prompt has")
        if given.finish_reason is FinishReason.LENGTH:
            _require(usage.completion_tokens == limit, f"stopped for length after {usage.completion_tokens} of {limit}")
        if able.token_ids:
            _require(len(given.token_ids) == usage.completion_tokens, "completion ids and their count differ")
            _require(len(given.prompt_ids) == usage.prompt_tokens, "prompt ids and their count differ")
        if able.exact_counts:
            _require(
                len(engine.encode(request.prompt, request.tools)) == usage.prompt_tokens, "encode counts another length"
            )


async def _encoding(engine: Engine, prompt: str) -> None:
    for content in (prompt, prompt + prompt):
        request = _request(content, max_tokens=1)
        given = await _ask(engine, request)
        _require(
            given.prompt_ids == engine.encode(request.prompt, request.tools), "encode gives other ids than were sent"
        )


async def _stops(engine: Engine, prompt: str) -> None:
    free = await _ask(engine, _request(prompt, max_tokens=12))
    _require(bool(free.text), "no text to choose a stop string from: give another prompt")
    middle = len(free.text) // 2
    stop = free.text[middle : middle + 2] or free.text[-1:]
    given = await _ask(engine, replace(_request(prompt, max_tokens=12), stop=("\0never\0", stop)))
    _require(given.finish_reason is FinishReason.STOP, f"ended by a stop string, but says {given.finish_reason}")
    _require(given.text.endswith(stop), f"the text {given.text!r} lacks its stop string {stop!r}")
    _require(given.text.find(stop) == len(given.text) - len(stop), "the text goes on after its first stop string")


async def _seeds_alone(engine: Engine, prompt: str) -> None:
    request = _request(prompt, seed=11)
    first, second = await _ask(engine, request), await _ask(engine, request)
    _same(first, second, "the same seed gave two completions")


async def _seeds_in_company(engine: Engine, prompt: str) -> None:
    requests = [_request(prompt + " " * (i % 3), seed=i, max_tokens=6 + i % 5) for i in range(12)]
    alone = [await _ask(engine, request) for request in requests[:4]]
    for order in (range(12), reversed(range(12))):
        together = await _ask_all(engine, [(i, requests[i]) for i in order])
        for i, generation in enumerate(alone):
            _same(generation, together[i], "company changed what a seed gives")


async def _logprobs(engine: Engine, prompt: str) -> None:
    for request in (_request(prompt), _request(prompt, seed=5)):
        given = await _ask(engine, request)
        _require(len(given.tokens) == given.usage.completion_tokens, "log-probabilities and tokens differ in number")
        values = [token.logprob for token in given.tokens]
        _require(all(math.isfinite(value) and value <= 0 for value in values), f"no log-probabilities: {values}")
        _require("".join(token.text for token in given.tokens) == given.text, "the tokens do not spell the text")


async def _alternatives(engine: Engine, prompt: str) -> None:
    asked = min(3, engine.info.capabilities.top_logprobs)
    given = await _ask(engine, replace(_request(prompt), top_logprobs=asked))
    _require(bool(given.tokens), "no tokens, and so no alternatives")
    for token in given.tokens:
        _require(0 < len(token.top) <= asked, f"{len(token.top)} alternatives where {asked} were asked for")
        likeliest = max(token.top.values())
        _require(likeliest <= 0, f"an alternative with log-probability {likeliest}")
        _require(token.logprob <= likeliest + 1e-6, "a greedy token less likely than an alternative")
        _require(sum(math.exp(value) for value in token.top.values()) <= 1 + 1e-3, "alternatives add up to more than 1")


async def _prefill(engine: Engine, prompt: str) -> None:
    whole = await _ask(engine, _request(prompt, max_tokens=2))
    kept = Prompt(content=prompt, prefill=f" {prompt}")
    given = await _ask(engine, GenerateRequest(prompt=kept, max_tokens=2, sampling=_GREEDY))
    _require(given.usage.prompt_tokens > whole.usage.prompt_tokens, "the prefill is not part of the prompt")


async def _prefill_ids(engine: Engine, prompt: str) -> None:
    whole = await _ask(engine, _request(prompt, max_tokens=8))
    cut = len(whole.token_ids) // 2
    text = "".join(token.text for token in whole.tokens[:cut])
    kept = Prompt(content=prompt, prefill=text, prefill_ids=whole.token_ids[:cut])
    rest = await _ask(engine, GenerateRequest(prompt=kept, max_tokens=8 - cut, sampling=_GREEDY))
    _require(rest.prompt_ids == whole.prompt_ids + whole.token_ids[:cut], "the prefill's ids were not taken as given")
    if engine.info.capabilities.seeds:
        _require(rest.token_ids == whole.token_ids[cut:], "going on from a prefix gave another continuation")


async def _scoring(engine: Engine, prompt: str) -> None:
    whole = await _ask(engine, _request(prompt, max_tokens=8))
    text, able = "".join(token.text for token in whole.tokens), engine.info.capabilities
    ids = whole.token_ids if able.token_ids and able.prefill else ()
    given = await _ask(engine, _scoring_request(Prompt(content=prompt, prefill=text, prefill_ids=ids)))
    _require(not given.text and not given.token_ids, "wrote something where nothing was wanted")
    _require(given.usage.completion_tokens == 0 and given.usage.calls == 1, "nothing written, and not counted so")
    _require(bool(given.tokens), "no token of the prefill was scored")
    values = [token.logprob for token in given.tokens]
    _require(all(math.isfinite(value) and value <= 0 for value in values), f"no log-probabilities: {values}")
    if ids:
        _require(given.prompt_ids == whole.prompt_ids + ids, "the prefill's ids were not taken as given")
        _require(tuple(token.token_id for token in given.tokens) == ids, "other tokens were scored than were given")
        # What a model thinks of its own words it thought when it wrote them, up to how sums are rounded.
        close = (math.isclose(one.logprob, two.logprob, abs_tol=_ROUNDING) for one, two in _pairs(given, whole))
        _require(all(close), "a text is not as likely as when it was written")
    again = await _ask_all(
        engine, [(i, _scoring_request(Prompt(content=prompt, prefill=f" {'a ' * i}"))) for i in (1, 3)]
    )
    _require(len(again[3].tokens) > len(again[1].tokens), "a longer text has no more tokens")
    await _refused(engine, _scoring_request(Prompt(content=prompt)), InputError)


async def _no_scoring(engine: Engine, prompt: str) -> None:
    await _refused(engine, _scoring_request(Prompt(content=prompt)), InputError)


async def _cancelling(engine: Engine, prompt: str) -> None:
    tasks = [asyncio.create_task(engine.generate(_request(prompt, seed=i, max_tokens=48))) for i in range(4)]
    await asyncio.sleep(0.01)
    for task in tasks[1:]:
        task.cancel()
    async with asyncio.timeout(_PATIENCE):
        await asyncio.wait(tasks)
    _require(not tasks[0].cancelled(), "cancelling one request cancelled another")
    tasks[0].result()
    await _ask(engine, _request(prompt))


async def _together(engine: Engine, prompt: str) -> None:
    requests = [_request(f"{prompt} {'a ' * (i % 4)}", seed=i, max_tokens=1 + i % 7) for i in range(24)]
    given = await _ask_all(engine, list(enumerate(requests)))
    for i, request in enumerate(requests):
        _require(given[i].usage.completion_tokens <= request.max_tokens, "more tokens than were asked for")
        if engine.info.capabilities.token_ids:
            _require(given[i].prompt_ids == engine.encode(request.prompt, request.tools), "an answer to another prompt")


async def _too_long(engine: Engine, prompt: str) -> None:
    limit = engine.info.max_context or 0
    await _refused(engine, _request(prompt, max_tokens=limit + 1), PromptTooLong)


async def _chat(engine: Engine, prompt: str) -> None:
    messages = (Message(role="system", content=prompt), Message(role="user", content=prompt))
    request = GenerateRequest(prompt=Prompt(content=messages), max_tokens=4, sampling=_GREEDY)
    if not engine.info.capabilities.chat:
        await _refused(engine, request, InputError)
        return
    given = await _ask(engine, request)
    _require(given.usage.prompt_tokens > 0, "a chat without prompt tokens")


CHECKS = (
    Check(name="counts", applies=lambda info: True, run=_counts),
    Check(name="encoding", applies=lambda info: info.capabilities.token_ids, run=_encoding),
    Check(name="stop strings", applies=lambda info: True, run=_stops),
    Check(name="seeds alone", applies=lambda info: info.capabilities.seeds, run=_seeds_alone),
    Check(name="seeds in company", applies=lambda info: info.capabilities.seeds, run=_seeds_in_company),
    Check(name="log-probabilities", applies=lambda info: info.capabilities.logprobs, run=_logprobs),
    Check(name="alternatives", applies=lambda info: info.capabilities.top_logprobs > 0, run=_alternatives),
    Check(name="prefill", applies=lambda info: info.capabilities.prefill, run=_prefill),
    Check(
        name="prefill by ids",
        applies=lambda info: info.capabilities.prefill and info.capabilities.token_ids and info.capabilities.logprobs,
        run=_prefill_ids,
    ),
    Check(
        name="scoring",
        applies=lambda info: info.capabilities.scores_text and info.capabilities.logprobs,
        run=_scoring,
    ),
    Check(name="no scoring", applies=lambda info: not info.capabilities.scores_text, run=_no_scoring),
    Check(name="cancelling", applies=lambda info: True, run=_cancelling),
    Check(name="many at once", applies=lambda info: True, run=_together),
    Check(name="too long", applies=lambda info: info.max_context is not None, run=_too_long),
    Check(name="chat", applies=lambda info: True, run=_chat),
)
"""Every check but `check_closing`, in the order in which `run_checks` runs them."""


def _request(prompt: str, *, seed: int | None = None, max_tokens: int = 8) -> GenerateRequest:
    """Greedy without a seed."""
    sampling = _GREEDY if seed is None else Sampling()
    return GenerateRequest(prompt=Prompt(content=prompt), max_tokens=max_tokens, sampling=sampling, seed=seed)


def _scoring_request(prompt: Prompt) -> GenerateRequest:
    return GenerateRequest(prompt=prompt, max_tokens=0)


def _pairs(one: Generation, two: Generation) -> Iterable[tuple[TokenLogprob, TokenLogprob]]:
    return zip(one.tokens, two.tokens, strict=True)


async def _ask(engine: Engine, request: GenerateRequest) -> Generation:
    async with asyncio.timeout(_PATIENCE):
        return await engine.generate(request)


async def _ask_all(engine: Engine, requests: list[tuple[int, GenerateRequest]]) -> dict[int, Generation]:
    async with asyncio.TaskGroup() as group:
        tasks = {index: group.create_task(_ask(engine, request)) for index, request in requests}
    return {index: task.result() for index, task in tasks.items()}


async def _refused(engine: Engine, request: GenerateRequest, expected: type[Exception]) -> None:
    try:
        await _ask(engine, request)
    except expected as error:
        _require(bool(str(error).strip()) and "\n" not in str(error), f"not one line of text: {error!r}")
        return
    raise AssertionError(f"accepted what it should refuse with {expected.__name__}")


def _same(first: Generation, second: Generation, message: str) -> None:
    _require(first.text == second.text and first.token_ids == second.token_ids, message)


def _require(held: bool, message: str) -> None:
    if not held:
        raise AssertionError(message)
