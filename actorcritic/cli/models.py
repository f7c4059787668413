"""`actorcritic models`: small models for this machine, added once and used by name."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from actorcritic.engines.local_models import add_model, list_models

__all__ = ["app"]

app = typer.Typer(help="Local models: list them, add one.", no_args_is_help=True)


@app.command("list")
def _show() -> None:
    """List the models that can be added, and those that are there."""
    table = Table()
    for column in ("name", "model", "licence", "added"):
        table.add_column(column)
    for model in list_models():
        table.add_row(model.name, model.description, model.licence, str(model.folder) if model.installed else "no")
    Console().print(table)


@app.command("add")
def _add(name: Annotated[str, typer.Argument(help="As `models list` shows it.")]) -> None:
    """Fetch a model and put it into the cache as a Hugging Face folder; nothing happens where it is there already."""
    folder = add_model(name, _report)
    sys.stdout.write(f"{folder}\nuse it as hf:{name}\n")


def _report(stage: str) -> None:
    """Say what is being done."""
    sys.stderr.write(f"{stage}\n")
