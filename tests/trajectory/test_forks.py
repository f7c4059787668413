"""Going back in time leaves one line that counts, and the others where they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.budget import Ledger
from actorcritic.errors import RecordError
from actorcritic.trajectory.episodes import episode_of
from actorcritic.trajectory.events import Event, Kind
from actorcritic.trajectory.forks import fork_of, left_lines, line_of
from actorcritic.trajectory.reader import RunFacts
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.trajectory.replay import replay
from actorcritic.types import JsonValue, Problem
from tests.trajectory.simulation import Parrot, Process, Setup

SETUP = Setup(strategy="best-of-n:n=4", trials=4)
FACTS = RunFacts(run="r", created="t", config={}, problems=1)
PROBLEM = Problem(id="p", prompt="?")


def event(seq: int, after: JsonValue = None) -> Event:
    if after is None:
        return Event(kind=Kind.BUDGET, run="r", problem="p", seq=seq, time="t")
    return Event(kind=Kind.FORKED, run="r", problem="p", seq=seq, time="t", payload={"after": after})


def numbers(line: tuple[Event, ...]) -> list[int]:
    return [one.seq for one in line]


def test_a_log_without_forks_is_one_line() -> None:
    events = [event(seq) for seq in range(4)]
    assert numbers(line_of(events)) == [0, 1, 2, 3] and left_lines(events) == ()
    assert fork_of(events) is None and line_of([]) == ()


def test_one_may_go_back_again_even_on_a_line_that_was_left() -> None:
    events = [*map(event, range(5)), event(5, 1), event(6), event(7, 3), event(8)]
    assert numbers(line_of(events)) == [0, 1, 2, 3, 7, 8] and fork_of(line_of(events)) == 7
    assert [numbers(line) for line in left_lines(events)] == [[0, 1, 2, 3, 4], [0, 1, 5, 6]]
    assert [fork_of(line) for line in left_lines(events)] == [None, 5]


@pytest.mark.parametrize("after", [5, 9, -2, "x", 1.5])
def test_a_fork_from_nowhere_is_refused(after: JsonValue) -> None:
    with pytest.raises(RecordError, match="event 5 of problem 'p' forks from"):
        line_of([*map(event, range(5)), event(5, after)])


@given(st.lists(st.none() | st.integers(0, 30), max_size=30))
def test_every_event_is_on_some_line_and_lines_begin_at_the_beginning(drawn: list[int | None]) -> None:
    events = [event(seq, None if back is None or back >= seq else back) for seq, back in enumerate(drawn)]
    lines = [*left_lines(events), line_of(events)]
    assert {one.seq for line in lines for one in line} == set(range(len(events)))
    assert all(not line or line[0].seq == 0 for line in lines)
    assert all(numbers(line) == sorted(set(numbers(line))) for line in lines)


def forked_log() -> list[Event]:
    """Return a search that was taken back to its second trial and then came to its end again."""
    recorder = MemoryRecorder()
    Process(SETUP, Parrot(), recorder).run()
    whole = recorder.events
    cut = next(one.seq for one in whole if one.kind is Kind.ASKED and one.trial == 1)
    back = Event(kind=Kind.FORKED, run="r", problem="p", seq=len(whole), time="now", payload={"after": cut - 1})
    rest = [replace(one, seq=len(whole) + 1 + number) for number, one in enumerate(whole[cut:])]
    return [*whole, back, *rest]


def test_an_episode_is_of_the_line_that_counts() -> None:
    events = forked_log()
    plain = episode_of(FACTS, PROBLEM, None, [one for one in events if one.seq < events[-1].seq // 2])
    episode = episode_of(FACTS, PROBLEM, None, events)
    assert len(episode.attempts) == 4 and all(len(attempt.calls) == 2 for attempt in episode.attempts)
    assert episode.finished and episode.fork is not None
    assert episode.left.total.calls == 6, "three trials of two calls were left"
    assert episode.spend.total.calls == 8 and plain.fork is None


def test_a_late_word_on_a_trial_that_was_left_is_not_taken_for_one_on_its_successor() -> None:
    events = [replace(one, time="2026-01-02" if one.kind is Kind.FORKED else one.time) for one in forked_log()]

    def said(trial: int | None, time: str) -> Event:
        payload: dict[str, JsonValue] = {"by": "user", "score": 1.0, "gold": False}
        return Event(kind=Kind.SCORED, run="r", problem="p", seq=0, trial=trial, time=time, payload=payload)

    late = [said(0, "2026-01-01"), said(2, "2026-01-01"), said(None, "2026-01-01"), said(2, "2026-01-03")]
    episode = episode_of(FACTS, PROBLEM, None, events, late)
    assert [len(episode.attempt(trial).scores) for trial in (0, 1, 2)] == [1, 0, 1] and episode.strays == 2


def test_a_resume_follows_the_line_that_counts() -> None:
    events = forked_log()
    for end in range(len(events) // 2 + 2, len(events) + 1):
        recorder = MemoryRecorder()
        recorder.events = events[:end]
        past = replay(events[:end], SETUP.policy(), Ledger(SETUP.budget))
        assert past.next_seq == end
        again = Process(SETUP, Parrot(), recorder, tuple(events[:end])).run()
        assert sorted(again.attempts) == [0, 1, 2, 3]
        assert episode_of(FACTS, PROBLEM, None, recorder.events).finished
