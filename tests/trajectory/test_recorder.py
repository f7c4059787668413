from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actorcritic.errors import RecordError
from actorcritic.trajectory import recorder as module
from actorcritic.trajectory.events import Event, Kind, to_line
from actorcritic.trajectory.reader import by_problem, read_events, read_head, read_run, torn_ends
from actorcritic.trajectory.recorder import FileRecorder, NullRecorder, Torn, create_run
from actorcritic.types import Message, Problem, Reference

PROBLEM = Problem(id="p", prompt=(Message(role="user", content="2+2 \u2014?"),), meta={"level": 1})


def new_run(folder: Path) -> Path:
    problems = [(PROBLEM, Reference(answer="4")), (Problem(id="q", prompt="?"), None)]
    create_run(folder, run="r1", config={"seed": 3}, problems=problems, created="2026-01-01T00:00:00+00:00")
    return folder


def event(seq: int, problem: str | None = "p", text: str = "") -> Event:
    return Event(kind=Kind.CALLED, run="r1", problem=problem, seq=seq, time="t", payload={"text": text})


def test_a_run_folder_says_at_once_what_the_run_is(tmp_path: Path) -> None:
    folder = new_run(tmp_path / "deep" / "run")
    head = read_head(folder)
    assert (head.run, head.created, head.config) == ("r1", "2026-01-01T00:00:00+00:00", {"seed": 3})
    assert head.problems == (PROBLEM, Problem(id="q", prompt="?"))
    assert head.references == {"p": Reference(answer="4")}
    assert sorted(path.name for path in folder.iterdir()) == ["events", "problems.jsonl", "run.json"]
    assert "4" not in json.loads((folder / "problems.jsonl").read_text().split("\n")[0])["problem"].values()


def test_a_second_run_in_one_folder_is_refused(tmp_path: Path) -> None:
    new_run(tmp_path)
    with pytest.raises(RecordError, match="holds a run already"):
        new_run(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot write the run folder"):
        new_run(tmp_path / "file")


def test_events_are_there_as_soon_as_they_are_recorded(tmp_path: Path) -> None:
    with FileRecorder(new_run(tmp_path)) as recorder:
        for seq in range(3):
            recorder.record(event(seq))
            assert [e.seq for e in read_events(tmp_path)] == list(range(seq + 1))
    recorder.close()
    with FileRecorder(tmp_path, sync=True) as recorder:
        recorder.record(event(3))
        recorder.flush()
    assert [e.seq for e in read_events(tmp_path)] == [0, 1, 2, 3]
    NullRecorder().record(event(0))


def test_a_second_writer_is_refused_and_another_file_is_not(tmp_path: Path) -> None:
    new_run(tmp_path)
    with FileRecorder(tmp_path) as first:
        with pytest.raises(RecordError, match="in use by another writer"):
            FileRecorder(tmp_path)
        with FileRecorder(tmp_path, writer="shard-2") as second:
            first.record(event(0, "p"))
            second.record(event(0, "q"))
    with FileRecorder(tmp_path):
        pass
    assert set(read_run(tmp_path).events) == {"p", "q"}


@pytest.mark.parametrize("writer", ["", "../x", "a/b", ".hidden", "a b"])
def test_a_writer_s_name_stays_inside_the_folder(tmp_path: Path, writer: str) -> None:
    with pytest.raises(RecordError, match="name is made of"):
        FileRecorder(new_run(tmp_path), writer=writer)


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    for use in (FileRecorder, read_head, read_run):
        with pytest.raises(RecordError, match="no run folder"):
            use(tmp_path)
    new_run(tmp_path)
    (tmp_path / "run.json").write_text('{"version": 99}')
    with pytest.raises(RecordError, match="not of version 1"):
        read_head(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RecordError, match="cannot be read"):
        read_head(tmp_path)
    (tmp_path / "events").rmdir()
    (tmp_path / "events").write_text("")
    with pytest.raises(RecordError, match="cannot write"):
        FileRecorder(tmp_path)


def test_every_cut_is_tolerated_reported_and_mended(tmp_path: Path) -> None:
    new_run(tmp_path)
    lines = [to_line(event(0, text="a\nb")), to_line(event(1, text="\u2028 \u00e9"))]
    path = tmp_path / "events" / "main.jsonl"
    for cut in range(len(lines[1]) + 1):
        content = lines[0] + lines[1][:cut]
        path.write_bytes(content)
        whole = cut >= len(lines[1]) - 1
        record = read_run(tmp_path)
        assert [e.seq for e in record.events["p"]] == ([0, 1] if whole else [0])
        rest = Torn(path=path, offset=len(lines[0]), size=cut)
        assert record.torn == torn_ends(tmp_path) == (() if whole or cut == 0 else (rest,))
        with FileRecorder(tmp_path) as recorder:
            assert recorder.mended == (None if whole or cut == 0 else rest)
            recorder.record(event(1 + whole, text="new"))
        assert path.read_bytes().startswith(lines[0] + (lines[1] if whole else b""))
        assert [e.seq for e in read_events(tmp_path)] == ([0, 1, 2] if whole else [0, 1])


def test_a_torn_line_longer_than_a_block_is_mended(tmp_path: Path) -> None:
    new_run(tmp_path)
    path = tmp_path / "events" / "main.jsonl"
    long = to_line(event(1, text="x" * (3 * module.TAIL)))
    for first in (b"", to_line(event(0))):
        path.write_bytes(first + long[:-5])
        assert torn_ends(tmp_path) == (Torn(path=path, offset=len(first), size=len(long) - 5),)
        with FileRecorder(tmp_path) as recorder:
            assert recorder.mended == Torn(path=path, offset=len(first), size=len(long) - 5)
        assert path.read_bytes() == first


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    new_run(tmp_path)
    path = tmp_path / "events" / "main.jsonl"
    path.write_bytes(to_line(event(0)) + b"{\n" + to_line(event(1)))
    with pytest.raises(RecordError, match=r"main\.jsonl, line 2: not JSON"):
        list(read_events(tmp_path))


def test_events_come_under_their_problems_in_order() -> None:
    mixed = [event(1), event(0, "q"), event(0), event(0, None), event(0, None)]
    groups = by_problem(iter(mixed))
    assert [e.seq for e in groups["p"]] == [0, 1]
    assert len(groups[None]) == 2
    with pytest.raises(RecordError, match="two events with the number 0"):
        by_problem(iter([event(0), event(0)]))


def test_a_full_disk_does_not_tear_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FileRecorder(new_run(tmp_path)) as recorder:
        recorder.record(event(0))
        write = os.write

        def full(file: int, data: bytes) -> int:
            if len(data) < 30:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(file, data[:-20])

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(RecordError, match="No space left"):
            recorder.record(event(1))
        monkeypatch.undo()
        recorder.record(event(1))
    assert [e.seq for e in read_events(tmp_path)] == [0, 1]


def test_short_writes_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FileRecorder(new_run(tmp_path)) as recorder:
        write = os.write
        monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
        recorder.record(event(0))
        monkeypatch.undo()
    assert [e.seq for e in read_events(tmp_path)] == [0]


WRITER = """
import sys
from pathlib import Path
from tests.trajectory.test_recorder import event
from actorcritic.trajectory.recorder import FileRecorder
recorder = FileRecorder(Path(sys.argv[1]))
seq = 0
while True:
    recorder.record(event(seq, text="x" * (seq * 37 % 5000)))
    sys.stdout.write(f"{seq}\\n")
    sys.stdout.flush()
    seq += 1
"""


def test_kill_9_loses_no_recorded_event_and_leaves_no_lock(tmp_path: Path) -> None:
    new_run(tmp_path)
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True)
    assert process.stdout is not None
    with process.stdout as lines:
        acknowledged = [int(next(lines)) for _ in range(200)]
        with pytest.raises(RecordError, match="in use"):
            FileRecorder(tmp_path)
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in lines if line.endswith("\n")]
    assert process.wait() == -signal.SIGKILL
    read = [e.seq for e in read_events(tmp_path)]
    assert read == list(range(len(read)))
    assert len(read) > acknowledged[-1]
    with FileRecorder(tmp_path) as recorder:
        recorder.record(event(len(read)))


def test_reading_keeps_one_event_in_memory(tmp_path: Path) -> None:
    with FileRecorder(new_run(tmp_path)) as recorder:
        for seq in range(2000):
            recorder.record(event(seq, text="x" * 10_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in read_events(tmp_path)) == 2000
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 10_000, f"{grown} KiB for a file of 20 MB"
