"""Tables hold what the episodes hold, and a query reaches nothing but them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from actorcritic.cli.app import run as command
from actorcritic.errors import InputError, RecordError
from actorcritic.trajectory import table as module
from actorcritic.trajectory.columns import TABLES
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.trajectory.events import Event, Kind
from actorcritic.trajectory.recorder import FileRecorder, create_run
from actorcritic.trajectory.table import query_run, write_tables
from actorcritic.types import Problem, Reference
from tests.trajectory.simulation import Parrot, Process, Setup


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a run of two searched problems, one attempt of which is scored and one of which fails."""
    run = tmp_path / "it's a run"
    pairs = [(Problem(id=name, prompt="?"), Reference(answer="a")) for name in ("p", "q")]
    create_run(run, run="r", config={"strategy": "mcts", "seed": 0, "width": 2}, problems=pairs, created="t")
    with FileRecorder(run) as recorder:
        Process(Setup(strategy="mcts", width=2, trials=12), Parrot(0.2), recorder).run()
        recorder.record(scored("p", 999, "\ud83d half"))
    return run


def scored(problem: str, seq: int, by: str) -> Event:
    payload: dict[str, Any] = {"by": by, "score": 1.0, "gold": True}
    return Event(kind=Kind.SCORED, run="r", problem=problem, seq=seq, trial=0, time="t", payload=payload)


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    return list(query_run(folder, sql)[1])


def test_the_tables_hold_what_the_episodes_hold(folder: Path) -> None:
    (episode,) = read_episodes(folder)
    found = rows(folder, "select trial, parent, action, answer, complete, correct, best, oracle from attempts")
    assert found == [
        (
            a.id,
            a.parent,
            a.action.value,
            None if a.solution is None else a.solution.answer,
            a.complete,
            a.correct,
            a.id == episode.best,
            False,
        )
        for a in episode.attempts
    ]
    assert any(attempt.failure for attempt in episode.attempts)
    ((tokens,),) = rows(folder, "select sum(logical_tokens) from calls")
    assert tokens == sum(call.usage.logical_tokens for a in episode.attempts for call in a.calls)
    lists = rows(folder, "select token_ids, logprobs from calls where text is not null order by problem, trial, call")
    generations = [call.generation for a in episode.attempts for call in a.calls if call.generation]
    assert lists == [(list(g.token_ids), [t.logprob for t in g.tokens]) for g in generations]
    counts = dict(rows(folder, "select kind, count(*) from events group by kind"))
    assert counts["asked"] == len(episode.attempts) and counts["scored"] == 1
    ((by,),) = rows(folder, "select json_extract_string(payload, '$.score') from events where kind = 'scored'")
    assert by == "1.0"


def test_every_column_is_documented_in_the_file(folder: Path) -> None:
    for name, path in write_tables(folder).items():
        schema = pq.read_schema(path)
        assert schema.names == [column.name for column in TABLES[name]]
        assert [field.metadata[b"says"].decode() for field in schema] == [column.says for column in TABLES[name]]


def test_tables_follow_the_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    ((before,),) = rows(folder, "select count(*) from events")
    with FileRecorder(folder, "other") as recorder:
        recorder.record(replace(scored("q", 0, "b"), kind=Kind.BUDGET, trial=None))
    ((after,),) = rows(folder, "select count(*) from events")
    assert after == before + 1
    made = (folder / "tables" / "events.parquet").stat().st_mtime_ns
    assert rows(folder, "select count(*) from events") == [(after,)]
    assert (folder / "tables" / "events.parquet").stat().st_mtime_ns == made, "nothing new: not made again"


@pytest.mark.parametrize(
    "sql",
    [
        "copy attempts to 'out.csv'",
        "select 1; copy attempts to 'out.csv'",
        "set enable_external_access = true",
        "create table x as select 1",
        "attach 'x.db'",
        "install httpfs",
        "pragma database_list",
        "explain analyze copy attempts to 'out.csv'",
        "",
        "select",
        "select * from read_csv('{secret}')",
        "select * from read_text('{secret}')",
        "select * from '{secret}'",
        "select * from glob('{folder}/*')",
        "select * from read_parquet('{folder}/../*.parquet')",
        "select * from sql",
    ],
)
def test_a_query_reaches_nothing_else(folder: Path, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(InputError, match=r"one SELECT statement|cannot run"):
        rows(folder, sql.format(secret=secret, folder=str(folder).replace("'", "''")))
    assert sorted(os.listdir(tmp_path)) == ["it's a run", "secret.csv"]


def test_the_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["table", str(folder)]) == 0
    assert all(Path(line).is_file() for line in capsys.readouterr().out.splitlines())
    assert command(["table", str(folder), "--columns"]) == 0
    assert "token_ids" in capsys.readouterr().out
    assert (
        command(["query", str(folder), "select trial, 'a' || chr(27) || chr(10) as x, null from attempts limit 1"]) == 0
    )
    assert capsys.readouterr().out.splitlines()[1] == "0\ta\\x1b\\n\t", "no control character reaches the terminal"
    assert command(["query", str(folder), "select 1 as a, [1.5] as b", "--json"]) == 0
    assert capsys.readouterr().out == '{"a": 1, "b": [1.5]}\n'
    for arguments in (
        ["query", str(folder), "drop view events"],
        ["query", "nowhere", "select 1"],
        ["table", "nowhere"],
    ):
        assert command(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_what_is_missing_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"actorcritic\[table\]"):
        write_tables(folder)
    with pytest.raises(InputError, match=r"actorcritic\[table\]"):
        query_run(folder, "select 1")
    monkeypatch.undo()
    with pytest.raises(RecordError, match="no run folder"):
        query_run(folder.parent, "select 1")
