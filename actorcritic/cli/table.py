"""`actorcritic table` and `actorcritic query`: a run as Parquet files, and SQL over it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from actorcritic.cli.notes import say_torn
from actorcritic.errors import InputError, RecordError
from actorcritic.trajectory.columns import TABLES
from actorcritic.trajectory.table import query_run, write_tables

__all__ = ["query", "table"]


def table(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    columns: Annotated[bool, typer.Option(help="Only say what stands in each column.")] = False,
) -> int:
    """Write a run's tables as Parquet into RUN/tables: events, attempts, calls. Needs the extra `table`."""
    if columns:
        for name, found in TABLES.items():
            sys.stdout.write(f"{name}\n" + "".join(f"  {c.name:18}{c.type:8}{c.says}\n" for c in found))
        return 0
    say_torn(run)
    try:
        paths = write_tables(run)
    except RecordError as error:
        raise InputError(str(error)) from error
    sys.stdout.write("".join(f"{path}\n" for path in paths.values()))
    return 0


def query(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    sql: Annotated[str, typer.Argument(help="One SELECT over events, attempts, calls; `table --columns` lists them.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per row.")] = False,
) -> int:
    """Ask a question of a run in SQL (DuckDB); reads the run's tables and nothing else. Needs the extra `table`."""
    say_torn(run)
    try:
        names, rows = query_run(run, sql)
    except RecordError as error:
        raise InputError(str(error)) from error
    if not as_json:
        sys.stdout.write(_line(names))
    for row in rows:
        if as_json:
            sys.stdout.write(json.dumps(dict(zip(names, row, strict=True)), default=_to_json) + "\n")
        else:
            sys.stdout.write(_line(row))
    return 0


def _to_json(value: Any) -> Any:
    """Return what JSON has no form for: a decimal as a number, dates and the like as text."""
    return float(value) if isinstance(value, Decimal) else str(value)


def _line(values: Sequence[Any]) -> str:
    """Return a row separated by tabs; a control character of a model's must not reach the terminal."""
    return "\t".join(_cell(value) for value in values) + "\n"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
