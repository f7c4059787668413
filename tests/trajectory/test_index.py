"""The index finds each problem's events, whoever wrote them, and holds none of them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from actorcritic.errors import RecordError
from actorcritic.trajectory.events import Event, Kind, to_line
from actorcritic.trajectory.index import EventIndex
from actorcritic.trajectory.recorder import FileRecorder, create_run
from actorcritic.types import Problem


def event(problem: str | None, seq: int, text: str = "", time: str = "t") -> Event:
    return Event(kind=Kind.SCORED, run="r", problem=problem, seq=seq, time=time, payload={"text": text})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_run(tmp_path, run="r", config={}, problems=[(Problem(id="p", prompt="?"), None)], created="t")
    return tmp_path


def test_events_of_several_writers_come_in_order(folder: Path) -> None:
    names = ["p", "q\ud800", 'say "problem":null,']
    with FileRecorder(folder, "a") as a, FileRecorder(folder, "b") as b:
        for name in names:
            b.record(event(name, 1))
            a.record(event(name, 0))
            a.record(event(name, 2))
        a.record(event(None, 0))
        b.record(event(None, 0))
    with EventIndex(folder) as index:
        assert [[e.seq for e in index.events(name)] for name in names] == [[0, 1, 2]] * 3
        assert [e.problem for e in index.events(names[1])] == [names[1]] * 3
        assert len(index.events(None)) == 2 and index.events("other") == ()
        assert sorted(index.problems()) == sorted(names)


def test_outcomes_of_later_stand_apart(folder: Path) -> None:
    with FileRecorder(folder) as recorder:
        recorder.record(event("p", 0))
    (folder / "outcomes").mkdir()
    (folder / "outcomes" / "x.jsonl").write_bytes(to_line(event("p", 1, time="3")) + to_line(event("p", 0, time="2")))
    (folder / "outcomes" / "y.jsonl").write_bytes(to_line(event("p", 0, time="1")))
    with EventIndex(folder) as index:
        assert [e.seq for e in index.events("p")] == [0]
        assert [e.time for e in index.outcomes("p")] == ["1", "2", "3"]


def test_broken_lines(folder: Path) -> None:
    path = folder / "events" / "main.jsonl"
    whole = to_line(event("p", 0))
    for torn in (whole[:-1][:-5], b'{"version":1', b"\xff"):
        path.write_bytes(whole + torn)
        with EventIndex(folder) as index:
            assert [e.seq for e in index.events("p")] == [0]
            assert [(t.path, t.offset, t.size) for t in index.torn] == [(path, len(whole), len(torn))]
    path.write_bytes(whole + b"nothing\n" + whole)
    with pytest.raises(RecordError, match=r"main\.jsonl, line 2"):
        EventIndex(folder)
    path.write_bytes(whole[:-2] + b",}\n")
    with EventIndex(folder) as index, pytest.raises(RecordError, match="byte 0: not JSON"):
        index.events("p")
    path.write_bytes(whole.replace(b'"time"', b'"problem":"q","time"') + whole)
    with EventIndex(folder) as index, pytest.raises(RecordError, match="names its problem twice"):
        index.events("p")
    path.write_bytes(whole + whole)
    with EventIndex(folder) as index, pytest.raises(RecordError, match="two events with the number 0"):
        index.events("p")


def test_memory_does_not_grow_with_the_log(folder: Path) -> None:
    def peak(events: int) -> int:
        with open(folder / "events" / "main.jsonl", "wb") as file:
            for number in range(events):
                file.write(to_line(event(f"problem {number}", 0, "x" * 200)))
        tracemalloc.start()
        with EventIndex(folder) as index:
            assert sum(len(index.events(name)) for name in index.problems()) == events
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    small = peak(500)
    assert peak(5000) < 1.5 * small + 20_000
