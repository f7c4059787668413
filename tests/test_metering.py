"""The meter: what it bills for a call that brought nothing, and how it answers from the past."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from actorcritic.budget import Budget, Ledger, Price
from actorcritic.errors import BudgetExhausted, EngineError, EnvironmentFault
from actorcritic.metering import Call, CallMeter, EnvironmentStep, StepMeter
from actorcritic.observation import Observation
from actorcritic.protocols import Capabilities, EngineInfo
from actorcritic.types import FinishReason, GenerateRequest, Generation, Prompt, ToolSpec, Usage


@dataclass
class Echo:
    """Answers with its prompt; fails or hangs where told to."""

    fails: bool = False
    hangs: bool = False
    calls: list[GenerateRequest] = field(default_factory=list[GenerateRequest])

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(model="echo", name="echo", capabilities=Capabilities(exact_counts=True))

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        return tuple(map(ord, str(prompt.content)))

    async def generate(self, request: GenerateRequest) -> Generation:
        self.calls.append(request)
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise EngineError("scripted")
        ids = self.encode(request.prompt)
        usage = Usage(calls=1, prompt_tokens=len(ids), completion_tokens=2)
        return Generation(
            text="ok", finish_reason=FinishReason.STOP, usage=usage, prompt_ids=ids, token_ids=(1000, 1001)
        )

    async def aclose(self) -> None:
        pass


def ask(text: str) -> GenerateRequest:
    return GenerateRequest(prompt=Prompt(content=text), max_tokens=7)


def meter(ledger: Ledger, *, past: list[Call] | None = None, heard: list[Call] | None = None) -> CallMeter:
    lease = ledger.lease(0)
    assert lease is not None
    prices = {"echo": Price(prompt=1e6, completion=2e6)}
    return CallMeter(lease, seed=1, prices=prices, past=past or [], on_call=None if heard is None else heard.append)


async def two_calls() -> tuple[list[Call], Ledger]:
    """Return the calls of a trial, actor and critic, and what they cost."""
    ledger, heard = Ledger(), list[Call]()
    work = meter(ledger, heard=heard)
    await work.generate(Echo(), ask("abc"), role="actor")
    await work.generate(Echo(), ask("abcd"), role="critic")
    ledger.commit(0)
    return heard, ledger


async def test_a_call_is_heard_with_what_it_is_charged() -> None:
    heard, ledger = await two_calls()
    assert [(call.role, call.charge.prompt_ids) for call in heard] == [
        ("actor", (97, 98, 99)),
        ("critic", (97, 98, 99, 100)),
    ]
    assert [call.usage.logical_tokens for call in heard] == [5, 3], "the critic's prompt shares three tokens"
    assert (ledger.spend.total.logical_tokens, ledger.spend.money) == (8, 3 + 4 + 4 + 4)


async def test_the_same_requests_are_answered_from_the_past() -> None:
    heard, before = await two_calls()
    ledger, again, engine = Ledger(), list[Call](), Echo()
    work = meter(ledger, past=heard, heard=again)
    for text, role in (("abc", "actor"), ("abcd", "critic")):
        assert (await work.generate(engine, ask(text), role="actor" if role == "actor" else "critic")).text == "ok"
    assert (engine.calls, again) == ([], [])
    ledger.commit(0)
    assert ledger.spend == before.spend


@pytest.mark.parametrize("other", ["prompt", "role"])
async def test_any_other_request_is_made(other: str) -> None:
    heard, _ = await two_calls()
    engine = Echo()
    work = meter(Ledger(), past=heard)
    await work.generate(
        engine, ask("xyz" if other == "prompt" else "abc"), role="actor" if other == "prompt" else "critic"
    )
    assert len(engine.calls) == 1


async def test_later_seeds_are_those_of_the_unbroken_trial() -> None:
    whole, broken, first = Echo(), Echo(), list[Call]()
    work = meter(Ledger(), heard=first)
    await work.generate(whole, ask("a"), role="actor")
    await work.generate(whole, ask("b"), role="actor")
    for past in (first[:1], first[:1]):
        work = meter(Ledger(), past=past)
        work.take_over("actor")
        await work.generate(broken, ask("b"), role="actor")
    assert {request.seed for request in broken.calls} == {whole.calls[1].seed}


async def test_a_known_result_is_charged_by_role() -> None:
    heard, before = await two_calls()
    ledger = Ledger()
    work = meter(ledger, past=heard)
    work.take_over("actor")
    assert [call.role for call in work.calls] == ["actor"]
    work.take_over()
    work.take_over()
    ledger.commit(0)
    assert ledger.spend == before.spend


async def test_a_failed_call_is_charged_its_prompt_and_heard_without_an_answer() -> None:
    ledger, heard = Ledger(Budget(tokens=50)), list[Call]()
    work = meter(ledger, heard=heard)
    with pytest.raises(EngineError):
        await work.generate(Echo(fails=True), ask("abc"), role="actor")
    assert [(call.generation, call.usage.logical_tokens) for call in heard] == [(None, 3)]
    assert work.calls == [], "nothing finished"
    assert ledger.commit(0).total.logical_tokens == 3
    engine = Echo()
    again = meter(Ledger(), past=heard)
    await again.generate(engine, ask("abc"), role="actor")
    assert len(engine.calls) == 1, "what brought nothing answers nothing"


async def test_a_cancelled_call_is_charged_the_most_it_can_have_cost() -> None:
    ledger, heard = Ledger(), list[Call]()
    task = asyncio.create_task(meter(ledger, heard=heard).generate(Echo(hangs=True), ask("abc"), role="actor"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard[0].generation is None
    assert ledger.commit(0).total.logical_tokens == 3 + 7


# --- steps in an environment ---------------------------------------------------------------------------------------

SEEN = Observation(text="a hall")


def steps_of(
    ledger: Ledger, *, past: Sequence[EnvironmentStep] = (), heard: list[EnvironmentStep] | None = None
) -> CallMeter:
    lease = ledger.lease(0)
    assert lease is not None
    steps = StepMeter(lease, past=past, on_step=None if heard is None else heard.append, clock=lambda: 0.0)
    return CallMeter(lease, seed=1, steps=steps)


async def take(note: Callable[[], None]) -> Observation:
    note()
    note()
    return SEEN


async def fail(note: Callable[[], None]) -> Observation:
    note()
    raise EnvironmentFault("it is gone")


async def test_a_step_is_heard_and_billed_with_what_it_replayed() -> None:
    ledger, heard = Ledger(), list[EnvironmentStep]()
    assert await steps_of(ledger, heard=heard).step("house", "go", take) == SEEN
    assert heard == [EnvironmentStep(environment="house", action="go", observation=SEEN, replayed=2, seconds=0.0)]
    spend = ledger.commit(0).steps
    assert spend is not None and (spend.taken, spend.replayed) == (1, 2)


async def test_a_failed_step_is_on_the_bill_too() -> None:
    ledger, heard = Ledger(), list[EnvironmentStep]()
    with pytest.raises(EnvironmentFault):
        await steps_of(ledger, heard=heard).step("house", "go", fail)
    assert [(step.observation, step.replayed) for step in heard] == [(None, 1)]
    spend = ledger.commit(0).steps
    assert spend is not None and spend.taken == 1


async def test_a_step_of_the_past_is_not_taken_again() -> None:
    past = [EnvironmentStep(environment="house", action="go", observation=SEEN, replayed=3, seconds=1.0)]
    ledger, heard = Ledger(), list[EnvironmentStep]()
    work = steps_of(ledger, past=past, heard=heard)
    assert await work.step("house", "go", fail) == SEEN and heard == []
    with pytest.raises(EnvironmentFault):
        await work.step("house", "go", fail)
    spend = ledger.commit(0).steps
    assert spend is not None and (spend.taken, spend.replayed) == (2, 4)


@pytest.mark.parametrize(("environment", "action"), [("garden", "go"), ("house", "look")])
async def test_another_step_is_not_answered_from_the_past(environment: str, action: str) -> None:
    past = [EnvironmentStep(environment="house", action="go", observation=SEEN, seconds=1.0)]
    with pytest.raises(EnvironmentFault):
        await steps_of(Ledger(), past=past).step(environment, action, fail)


async def test_without_a_step_left_nothing_is_taken() -> None:
    work = steps_of(Ledger(Budget(steps=1)))
    await work.step("house", "go", take)
    with pytest.raises(BudgetExhausted, match="steps"):
        work.admit_step()
    with pytest.raises(BudgetExhausted, match="steps"):
        await work.step("house", "go", take)
