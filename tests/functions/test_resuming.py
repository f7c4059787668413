"""A search over a caller's function that broke off goes on: the same result, and no call that had ended made again."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from actorcritic.budget import Budget
from actorcritic.errors import InputError, NoResult, RecordError
from actorcritic.functions.calls import this_call
from actorcritic.functions.codecs import Codec, typed_codec
from actorcritic.functions.methods import adaptive_vote, best_of_n, majority, mcts, refine, scale
from actorcritic.functions.results import PastError, Scaled
from actorcritic.trajectory.events import Kind, parse_line, read_call
from actorcritic.trajectory.reader import read_run


class Draft(BaseModel):
    """A value that is no JSON."""

    number: int
    notes: tuple[str, ...] = ()


DRAFT = typed_codec(Draft)


@dataclass
class World:
    """The caller's functions; every call is remembered by its seed, which no two calls share."""

    made: list[int] = field(default_factory=list[int])
    failing: frozenset[int] = frozenset({1})

    async def fn(self, parent: Draft | None = None) -> Draft:
        call = self.enter()
        call.charge(prompt_tokens=3, completion_tokens=2)
        for _ in range(call.seed % 4):
            await asyncio.sleep(0)
        if call.index in self.failing:
            raise TimeoutError(f"call {call.index} is lost")
        start = 0 if parent is None else parent.number
        return Draft(number=start + 1 + call.seed % 3, notes=("made",))

    def enter(self) -> Any:
        call = this_call()
        self.made.append(call.seed)
        return call

    def plain_score(self, draft: Draft) -> float:
        self.enter()
        return min(1.0, draft.number / 20)

    async def score(self, draft: Draft) -> float | None:
        call = self.enter()
        call.charge(completion_tokens=1)
        if call.index == 2:
            raise ConnectionError("the judge is away")
        return None if call.index == 4 else min(0.99, draft.number / 20)

    async def critique(self, draft: Draft) -> tuple[float, Draft]:
        self.enter()
        return min(0.99, draft.number / 20), draft

    async def revise(self, draft: Draft, feedback: Draft) -> Draft:
        assert feedback == draft
        return await self.fn(draft)

    def key(self, draft: Draft) -> int:
        if draft.number == 3:
            raise KeyError("odd")
        return draft.number


def done(draft: Draft) -> bool:
    return draft.number > 3


async def refined(world: World, **options: Any) -> Scaled[Draft]:
    """Refine by feedback that is no JSON either."""
    if "codec" in options:
        options["feedback_codec"] = DRAFT
    return await refine(world.fn, world.critique, world.revise, rounds=5, **options)


Search = Callable[..., Awaitable[Scaled[Draft]]]
SEARCHES: dict[str, Search] = {
    "best-of-n": lambda w, **o: best_of_n(w.fn, w.score, n=7, width=3, **o),
    "plain score": lambda w, **o: best_of_n(w.fn, w.plain_score, n=4, width=2, **o),
    "votes": lambda w, **o: majority(w.fn, n=6, key=w.key, width=2, **o),
    "refine": refined,
    "mcts": lambda w, **o: mcts(w.fn, w.score, n=9, width=2, **o),
    "chains": lambda w, **o: scale(
        w.fn, "beam:n=4,beam_width=2,searches=1", score=w.score, done=done, width=2, budget=Budget(calls=21), **o
    ),
    "calls": lambda w, **o: best_of_n(w.fn, w.score, n=50, width=2, budget=Budget(calls=9), **o),
    "tokens": lambda w, **o: best_of_n(w.fn, w.score, n=50, width=2, budget=Budget(tokens=33), call_tokens=6, **o),
}


def cut(folder: Path, copy: Path, events: int) -> set[int]:
    """Copy a run, cut after so many events; returns the seeds of the calls that had ended by then."""
    shutil.copytree(folder, copy)
    path = copy / "events" / "main.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)[:events]
    path.write_bytes(b"".join(lines))
    calls = [read_call(event.payload) for event in map(parse_line, lines) if event.kind is Kind.CALLED]
    return {call.request.seed or 0 for call in calls if call.generation is not None}


@pytest.mark.parametrize("name", SEARCHES)
async def test_cut_after_any_event_it_goes_on_as_if_nothing_had_been(name: str, tmp_path: Path) -> None:
    search, whole = SEARCHES[name], World()
    plain = await search(World())
    result = await search(whole, codec=DRAFT, out=tmp_path / "run")
    assert result == plain, "a log changes nothing"
    events = len((tmp_path / "run" / "events" / "main.jsonl").read_bytes().splitlines())
    assert events > 15
    for kept in range(events + 1):
        folder, world = tmp_path / f"{kept}", World()
        ended = cut(tmp_path / "run", folder, kept)
        again = await search(world, codec=DRAFT, resume=folder)
        assert again == result, kept
        assert [str(failure) for failure in again.failures] == [str(failure) for failure in result.failures]
        assert not ended & set(world.made), f"after {kept} events a call was made again"
        assert ended | set(world.made) == set(whole.made)
        run = read_run(folder)
        numbers = [event.seq for event in run.events["function"]]
        assert numbers == list(range(len(numbers)))
        assert (await search(World(failing=frozenset(range(99))), codec=DRAFT, resume=folder)) == result, "read only"


async def test_a_search_that_is_cancelled_goes_on(tmp_path: Path) -> None:
    world, gate = World(failing=frozenset()), asyncio.Event()

    async def fn() -> Draft:
        if this_call().index >= 3:
            await gate.wait()
        return await world.fn()

    task = asyncio.create_task(best_of_n(fn, world.score, n=6, width=2, codec=DRAFT, out=tmp_path))
    while len(world.made) < 6:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    before = list(world.made)
    result = await best_of_n(fn, world.score, n=6, width=2, codec=DRAFT, resume=tmp_path)
    assert len(set(world.made)) == len(world.made) == 12 and len(before) == 6
    assert result == await best_of_n(World(failing=frozenset()).fn, world.score, n=6, width=2)


async def test_candidates_that_were_given_up_stay_so_at_their_price(tmp_path: Path) -> None:
    """A vote that is decided cancels what is in flight; that is on the bill, and nobody begins it again."""
    begun: list[int] = []

    async def fn() -> str:
        begun.append(this_call().index)
        this_call().charge(completion_tokens=7)
        if this_call().index >= 5:
            await asyncio.Event().wait()
        return "sure"

    result = await adaptive_vote(fn, n=50, width=7, out=tmp_path)
    assert result.stopped_by == "completed" and result.attempts > len(result.candidates)
    made = len(begun)
    assert await adaptive_vote(fn, n=50, width=7, resume=tmp_path) == result
    assert len(begun) == made


async def test_one_that_ran_out_of_time_is_read_as_it_ended(tmp_path: Path) -> None:
    begun: list[int] = []

    async def fn() -> float:
        begun.append(this_call().index)
        if this_call().index > 2:
            await asyncio.Event().wait()
        return this_call().index / 10

    limit = Budget(seconds=0.2)
    result = await best_of_n(fn, float, n=50, width=4, budget=limit, out=tmp_path)
    made = len(begun)
    again = await asyncio.wait_for(best_of_n(fn, float, n=50, width=4, budget=limit, resume=tmp_path), timeout=10)
    assert again == result and result.stopped_by == "seconds"
    assert len(begun) == made


async def test_nothing_came_of_it_twice(tmp_path: Path) -> None:
    world = World(failing=frozenset(range(9)))
    with pytest.raises(NoResult, match="call 0 is lost"):
        await best_of_n(world.fn, world.score, n=3, codec=DRAFT, out=tmp_path)
    with pytest.raises(NoResult, match="call 0 is lost") as caught:
        await best_of_n(world.fn, world.score, n=3, codec=DRAFT, resume=tmp_path)
    assert len(world.made) == 3
    assert all(isinstance(error, PastError) and error.type == "TimeoutError" for error in caught.value.errors)


async def test_the_folder_is_a_run_like_any_other(tmp_path: Path) -> None:
    world = World()
    result = await best_of_n(world.fn, world.score, n=4, codec=DRAFT, out=tmp_path, seed=5)
    run = read_run(tmp_path)
    events = run.events["function"]
    assert run.head.problems[0].text == "best-of-n:n=4 over a function"
    kinds = [event.kind.value for event in events]
    assert kinds.count("asked") == kinds.count("committed") == 4 and kinds[-1] == "finished"
    assert kinds.count("called") == result.spend.total.calls and kinds.count("proposed") == len(result.candidates)
    assert kinds.count("failed") == len(result.failures)
    assert json.loads(str(events[-1].payload["answer"])) == {"number": result.value.number, "notes": ["made"]}


# --- codecs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["text", 3, 0.5, True, None, ["a", {"b": [1, None]}], {"k": "é\ud800"}])
async def test_what_is_json_needs_no_codec(value: Any, tmp_path: Path) -> None:
    async def fn() -> Any:
        return value

    result = await best_of_n(fn, lambda _: 0.5, n=2, out=tmp_path)
    again = await best_of_n(fn, lambda _: 0.1, n=2, resume=tmp_path)
    assert again == result and again.value == value and type(again.value) is type(value)


@pytest.mark.parametrize("value", [Draft(number=1), (1, 2), {1: 2}, float("nan"), b"x", {"a": (1,)}, object()])
async def test_anything_else_is_refused_in_one_line_after_one_call(value: Any, tmp_path: Path) -> None:
    calls: list[int] = []

    async def fn() -> Any:
        calls.append(1)
        return value

    with pytest.raises(InputError, match=r"^fn returned a \w+ that cannot be logged: .*typed_codec") as refused:
        await best_of_n(fn, lambda _: 0.5, n=5, width=1, out=tmp_path)
    assert len(calls) == 1 and "\n" not in str(refused.value)


async def test_a_refused_value_can_be_mended_and_the_run_goes_on(tmp_path: Path) -> None:
    world = World(failing=frozenset())
    with pytest.raises(InputError, match="Draft that cannot be logged"):
        await best_of_n(world.fn, world.score, n=3, width=1, out=tmp_path)
    result = await best_of_n(world.fn, world.score, n=3, width=1, codec=DRAFT, resume=tmp_path)
    assert result == await best_of_n(World(failing=frozenset()).fn, world.score, n=3, width=1)


@pytest.mark.parametrize("wrong", [0, 1])
async def test_a_wrong_score_is_not_asked_for_again(wrong: int, tmp_path: Path) -> None:
    """After a right one it is that value's failure, as the first one it is refused: in the run that goes on as well."""

    async def search(**options: Any) -> Scaled[int] | str:
        async def fn() -> int:
            made.append(this_call().index)
            return this_call().index

        try:
            return await best_of_n(fn, lambda value: 7 if value == wrong else 0.5, n=3, width=1, **options)
        except InputError as refused:
            return str(refused)

    made: list[int] = []
    first, calls = await search(out=tmp_path / "run"), list(made)
    assert calls == ([0] if wrong == 0 else [0, 1, 2])
    again = await search(resume=tmp_path / "run")
    assert made == calls
    if isinstance(first, str):
        assert again == first and "score returned 7" in first
    else:
        assert isinstance(again, Scaled) and again.candidates == first.candidates
        assert [str(failure) for failure in again.failures] == [str(failure) for failure in first.failures]
        assert [failure.failure.type for failure in again.failures] == ["WrongScore"]


async def test_a_codec_that_does_not_read_what_it_wrote_is_refused_at_once(tmp_path: Path) -> None:
    def broken(data: Any) -> Any:
        raise ValueError("no\nway")

    async def fn() -> int:
        return 1

    def no_json(value: Any) -> Any:
        return (value,)

    for number, codec in enumerate((Codec[Any](encode=str, decode=broken), Codec[Any](encode=no_json, decode=str))):
        with pytest.raises(InputError, match="mend its codec"):
            await best_of_n(fn, lambda _: 0.5, n=5, codec=codec, out=tmp_path / str(number))


async def test_dataclasses_and_lists_of_models_have_codecs(tmp_path: Path) -> None:
    numbers = random.Random(3)

    async def fn() -> list[Draft]:
        return [Draft(number=numbers.randrange(99)) for _ in range(2)]

    codec = typed_codec(list[Draft])
    result = await best_of_n(fn, lambda drafts: drafts[0].number / 99, n=4, width=1, codec=codec, out=tmp_path)
    assert await best_of_n(fn, lambda _: 0.0, n=4, width=1, codec=codec, resume=tmp_path) == result


# --- what is refused -------------------------------------------------------------------------------------------------


async def test_other_options_than_the_run_began_with_are_refused(tmp_path: Path) -> None:
    world = World()
    await best_of_n(world.fn, world.score, n=3, codec=DRAFT, out=tmp_path)
    made = len(world.made)
    for options in ({"seed": 1}, {"width": 2}, {"n": 4}, {"budget": Budget(calls=5)}, {"accept": 0.5}):
        settings: dict[str, Any] = {"n": 3, "codec": DRAFT, "resume": tmp_path, **options}
        with pytest.raises(InputError, match=r"was begun with .*: give the same options"):
            await best_of_n(world.fn, world.score, **settings)
    with pytest.raises(InputError, match="one of them"):
        await best_of_n(world.fn, world.score, n=3, codec=DRAFT, out=tmp_path, resume=tmp_path)
    with pytest.raises(InputError, match="give out or resume"):
        await best_of_n(world.fn, world.score, n=3, codec=DRAFT)
    with pytest.raises(RecordError, match="holds a run already"):
        await best_of_n(world.fn, world.score, n=3, codec=DRAFT, out=tmp_path)
    with pytest.raises(RecordError, match="no run folder"):
        await best_of_n(world.fn, world.score, n=3, codec=DRAFT, resume=tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read with this codec"):
        await best_of_n(world.fn, world.score, n=3, codec=typed_codec(int), resume=tmp_path)
    assert len(world.made) == made
