"""A run as tables: Parquet files beside the log, and SQL over them (extra `table`).

`RUN/tables/` holds `events`, `attempts` and `calls`; `columns.TABLES` says what stands in each column. They can be made
anew from the log at any time and are made one batch of rows at a time. What a run holds is hostile input, and so is
SQL that somebody was handed: a query may read these three tables and nothing else, neither a file nor the network.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actorcritic.errors import InputError
from actorcritic.trajectory.columns import TABLES, ColumnType, Row, attempt_rows, call_rows, event_row
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.trajectory.reader import read_events, read_facts, read_outcomes
from actorcritic.trajectory.recorder import EVENTS, OUTCOMES

if TYPE_CHECKING:
    import duckdb

__all__ = ["TABLE_FOLDER", "query_run", "write_tables"]

TABLE_FOLDER = "tables"
"""Below the run folder."""

MADE_FROM = "made-from.json"
"""Names and sizes of the log files that the tables were made from."""

BATCH = 1000
"""Rows in memory at a time."""


def write_tables(folder: Path) -> dict[str, Path]:
    """Write a run's tables as Parquet, as far as the run has come, and return their paths by name.

    Raises:
        InputError: the extra `table` is missing.
        RecordError: this is no run folder, or an event cannot be read.
    """
    _require("pyarrow")
    read_facts(folder)
    place = folder / TABLE_FOLDER
    place.mkdir(exist_ok=True)
    made_from = _sizes(folder)
    sources = {
        "events": _event_rows(folder),
        "attempts": (row for episode in read_episodes(folder) for row in attempt_rows(episode)),
        "calls": (row for episode in read_episodes(folder) for row in call_rows(episode)),
    }
    paths = {name: _write(place / f"{name}.parquet", name, rows) for name, rows in sources.items()}
    (place / MADE_FROM).write_text(json.dumps(made_from), encoding="utf-8")
    return paths


def query_run(folder: Path, sql: str) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
    """Run one SELECT over a run's tables, which are made first where they are missing or behind the log.

    Args:
        folder: A run folder.
        sql: One statement in DuckDB's dialect over the views `events`, `attempts` and `calls`.

    Returns:
        The names of the columns, and the rows.

    Raises:
        InputError: the statement is no SELECT, cannot run, or reaches for anything but the tables; or the extra
            `table` is missing.
        RecordError: this is no run folder, or an event cannot be read.
    """
    _require("duckdb")
    import duckdb  # noqa: PLC0415 - of the extra `table`

    read_facts(folder)
    if not _is_fresh(folder):
        write_tables(folder)
    connection = _connect(folder)
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise InputError("a query is one SELECT statement: nothing else is run")
        result = connection.execute(statements[0])
        names = tuple(column[0] for column in result.description or ())
    except duckdb.Error as error:
        connection.close()
        raise InputError(f"the query cannot run: {str(error).splitlines()[0]}") from error
    except InputError:
        connection.close()
        raise
    return names, _rows(connection)


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the last statement and close."""
    try:
        while batch := connection.fetchmany(BATCH):
            yield from batch
    finally:
        connection.close()


def _connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return a database in memory that shows the tables and can reach nothing else any more."""
    import duckdb  # noqa: PLC0415 - of the extra `table`

    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
    paths = [str((folder / TABLE_FOLDER / f"{name}.parquet").resolve()) for name in TABLES]
    connection.execute("SET allowed_paths = $paths", {"paths": paths})
    connection.execute("SET enable_external_access = false")
    for name, path in zip(TABLES, paths, strict=True):
        quoted = path.replace("'", "''")
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{quoted}')")
    connection.execute("SET lock_configuration = true")
    return connection


def _event_rows(folder: Path) -> Iterator[Row]:
    """Yield the rows of `events`, in the order of the files."""
    yield from (event_row(event, late=False) for event in read_events(folder))
    yield from (event_row(event, late=True) for event in read_outcomes(folder))


def _write(path: Path, name: str, rows: Iterable[Row]) -> Path:
    """Write a table, so that it is there whole or not at all."""
    import pyarrow as pa  # noqa: PLC0415 - of the extra `table`
    import pyarrow.parquet as pq  # noqa: PLC0415 - of the extra `table`

    fields = [pa.field(c.name, _arrow(c.type), metadata={"says": c.says}) for c in TABLES[name]]
    schema = pa.schema(fields)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            columns = [[_clean(row.get(c.name)) for row in batch] for c in TABLES[name]]
            arrays = [pa.array(values, type=field.type) for values, field in zip(columns, fields, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    os.replace(draft, path)
    return path


def _arrow(kind: ColumnType) -> Any:
    """Return the column type of Parquet."""
    import pyarrow as pa  # noqa: PLC0415 - of the extra `table`

    types: dict[ColumnType, Any] = {
        "text": pa.string(),
        "whole": pa.int64(),
        "real": pa.float64(),
        "yes": pa.bool_(),
        "wholes": pa.list_(pa.int64()),
        "reals": pa.list_(pa.float64()),
    }
    return types[kind]


def _batches(rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
    """Yield rows a batch at a time."""
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _clean(value: Any) -> Any:
    """Return a value as Parquet takes it: half of a surrogate pair is no text there."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value


def _sizes(folder: Path) -> dict[str, int]:
    """Return how far the log has come."""
    paths = [path for place in (EVENTS, OUTCOMES) for path in sorted((folder / place).glob("*.jsonl"))]
    return {f"{path.parent.name}/{path.name}": path.stat().st_size for path in paths}


def _is_fresh(folder: Path) -> bool:
    """Return whether the tables hold all that the log does."""
    place = folder / TABLE_FOLDER
    try:
        made_from: Any = json.loads((place / MADE_FROM).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return made_from == _sizes(folder) and all((place / f"{name}.parquet").is_file() for name in TABLES)


def _require(module: str) -> None:
    """Refuse to go on without a library of the extra.

    Raises:
        InputError: it is missing.
    """
    if find_spec(module) is None:
        raise InputError(f"tables need {module}: pip install 'actorcritic[table]'")
