"""What the benchmarks reckon, on requests made up by hand."""

from __future__ import annotations

import math

import pytest

from actorcritic.budget import Charge
from actorcritic.metering import Call
from actorcritic.types import FinishReason, GenerateRequest, Generation, Prompt, Usage
from tests.benchmarks.recording import Asked, Moment, Speed, billed_twice, prefix_share, speed

REQUEST = GenerateRequest(prompt=Prompt(content="x"), max_tokens=4)


def asked(prompt: range, completion: range, start: float, end: float, cached: int = 0) -> Asked:
    return Asked(
        request=REQUEST, prompt=tuple(prompt), completion=tuple(completion), start=start, end=end, cached=cached
    )


def call(prompt: tuple[int, ...], completion: tuple[int, ...], seed: int, *, failed: bool = False) -> Call:
    usage = Usage(calls=1, prompt_tokens=len(prompt), completion_tokens=len(completion))
    generation = Generation(text="", finish_reason=FinishReason.STOP, usage=usage)
    return Call(
        role="actor",
        engine="e",
        model="m",
        request=GenerateRequest(prompt=Prompt(content="x"), max_tokens=4, seed=seed),
        generation=None if failed else generation,
        charge=Charge(role="actor", model="m", prompt_ids=prompt, completion_ids=completion, usage=usage),
        usage=usage,
        seconds=1.0,
    )


def moment(time: float, processor: float) -> Moment:
    return Moment(time=time, processor=processor)


def test_speed_counts_a_request_under_way_in_part() -> None:
    part = [asked(range(3), range(10), 0.0, 2.0), asked(range(3), range(10), 0.0, 4.0)]
    assert speed(part, moment(0, 10), moment(4, 12)) == Speed(clock=5.0, processor=10.0)
    assert math.isclose(speed(part, moment(0, 0), moment(2, 1)).clock, 7.5)
    late = [*part, asked(range(3), range(10), 3.0, 4.0)]
    assert math.isclose(speed(late, moment(0, 0), moment(2, 1)).processor, 15.0)


def test_time_without_anything_to_do_counts_against_it() -> None:
    part = [asked(range(3), range(10), 1.0, 2.0), asked(range(3), range(10), 1.5, 3.0), asked(range(3), range(4), 4, 5)]
    assert math.isclose(speed(part, moment(0, 0), moment(6, 2)).processor, 24 / 2 * 3 / 6)


def test_what_could_have_been_shared() -> None:
    first = asked(range(10), range(10, 15), 0.0, 2.0)
    sibling = asked(range(10), range(20, 22), 1.0, 2.0, cached=8)
    critique = asked(range(18), range(3), 3.0, 4.0, cached=8)
    assert prefix_share([first], block=4, least=1) == {"share": 0.0, "tokens_shareable": 0, "prompts": 1}
    assert prefix_share([first, sibling], block=4, least=1)["share"] == 1.0
    # Of its 18 tokens 14 had been computed before: the prompt and all of the completion but the last.
    whole = prefix_share([first, sibling, critique], block=4, least=1)
    assert whole == {"share": 0.8, "tokens_shareable": 20, "prompts": 3}
    assert prefix_share([first, sibling, critique], block=4, least=11) == {
        "share": pytest.approx(8 / 12, abs=1e-4),
        "tokens_shareable": 12,
        "prompts": 1,
    }


def test_a_completion_that_had_not_ended_could_not_be_shared() -> None:
    first = asked(range(10), range(10, 15), 0.0, 5.0)
    assert prefix_share([first, asked(range(18), range(3), 3.0, 4.0)], block=4, least=1)["tokens_shareable"] == 8


def test_billing() -> None:
    calls = [(0, call((1, 2, 3), (4, 5), 1)), (1, call((1, 2, 3), (6,), 2)), (1, call((1, 2, 3, 4, 5, 7), (8,), 3))]
    assert billed_twice(calls, 3 + 2 + 1 + 1 + 1) == 0
    assert billed_twice(calls, 12) == 4
    again = [*calls, (0, call((1, 2, 3), (4, 5), 1))]
    assert billed_twice(again, 8 + 2) == 2
    assert billed_twice([(0, call((1, 2), (), 1, failed=True)), (1, call((1, 2), (3,), 2))], 3) == 0
