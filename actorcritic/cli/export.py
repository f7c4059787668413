"""`actorcritic export`: turns a run folder into training data by a recipe. Calls no model."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from actorcritic.cli.notes import say_torn
from actorcritic.errors import InputError
from actorcritic.export.lengths import load_tokenizer
from actorcritic.export.pipeline import Export, Order, export_run
from actorcritic.export.recipe import Recipe, Setting
from actorcritic.export.recipes import RECIPES, parse_recipe
from actorcritic.export.splitting import parse_split
from actorcritic.export.wordings import wording_named
from actorcritic.export.writing import check_folder, manifest_of, write_export
from actorcritic.search.options import Options

__all__ = ["export"]

SAMPLES = 3
"""Rows that a dry run shows."""


def export(  # noqa: PLR0913 - one parameter per option of the command
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    recipe: Annotated[
        str, typer.Option(help="NAME or NAME:option=value,...; an unknown one prints the list.", show_default=False)
    ] = "",
    out: Annotated[Path | None, typer.Option(help="New folder for the rows and their manifest.")] = None,
    split: Annotated[str, typer.Option(help="Shares of problems for training and validation.")] = "0.95/0.05",
    max_length: Annotated[
        int | None, typer.Option(help="Tokens of a row; longer ones are dropped.", show_default="any")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Folder or name of the tokenizer that counts them.", show_default="none")
    ] = None,
    exclude: Annotated[
        list[Path] | None, typer.Option(help="Problem file of a benchmark not to train on; may be given often.")
    ] = None,
    wording: Annotated[str, typer.Option(help="chat, or embedded: the embedded pair's own text.")] = "chat",
    plain: Annotated[bool, typer.Option("--plain", help="Ask with the problem's own words alone.")] = False,
    seed: Annotated[int, typer.Option(help="Of the split and of everything that is drawn.")] = 0,
    limit: Annotated[int | None, typer.Option(help="Only the first so many problems.", show_default="all")] = None,
    allow_oracle: Annotated[
        bool, typer.Option("--allow-oracle", help="Export a run in which a gold answer took part.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; print counts and three rows.")] = False,
) -> int:
    """Turn a run into training data: rows for a trainer of TRL, split by problem, with a manifest."""
    if not recipe:
        raise InputError(f"name a recipe with --recipe: {', '.join(sorted(RECIPES))}")
    chosen, options = parse_recipe(recipe)
    words = wording_named(wording, plain=plain)
    setting = replace(_setting(chosen, options, tokenizer, seed=seed, plain=plain), wording=words)
    if limit is not None and limit < 1:
        raise InputError(f"--limit must be at least 1, not {limit}")
    if max_length is not None and (max_length < 1 or tokenizer is None):
        raise InputError("--max-length takes a whole number of tokens >= 1, and --tokenizer to count them with")
    if out is None and not dry_run:
        raise InputError("give a new folder with --out, or --dry-run")
    if out is not None:
        check_folder(out)
    say_torn(run)
    made = export_run(
        run,
        Order(
            recipe=chosen,
            setting=setting,
            share=parse_split(split),
            max_length=max_length,
            exclude=tuple(exclude or ()),
            allow_oracle=allow_oracle,
            limit=limit,
        ),
    )
    if dry_run:
        _show(made)
        return 0
    if not made.total or out is None:
        raise InputError(f"the recipe {chosen.name} makes no row of this run; dropped: {_drops(made) or 'nothing'}")
    write_export(made, out)
    sys.stderr.write(f"{_counts(made)}\nwritten to {out}\n")
    return 0


def _setting(recipe: Recipe, options: Options, tokenizer: str | None, *, seed: int, plain: bool) -> Setting:
    """Return what the recipe may look at; the tokenizer is loaded here.

    Raises:
        InputError: the recipe needs a tokenizer and none is given, or it cannot be loaded.
    """
    form = options.text("form") if "form" in options else next(iter(recipe.forms))
    if recipe.forms[form].tokens and tokenizer is None:
        raise InputError(f"the recipe {recipe.name} writes token ids in this form: give --tokenizer")
    loaded = None if tokenizer is None else load_tokenizer(tokenizer)
    return Setting(recipe=recipe.name, options=options, form=form, seed=seed, plain=plain, tokenizer=loaded)


def _counts(made: Export) -> str:
    """Return what came out and what was left out, in lines."""
    rows = ", ".join(f"{len(rows)} {split}" for split, rows in made.rows.items())
    lines = [f"{made.order.recipe.name}: {made.total} rows ({rows}) of {made.run.problems} problems"]
    lines += [f"  dropped {count:>6}  {reason}" for reason, count in made.drops.items()]
    return "\n".join(lines)


def _drops(made: Export) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in made.drops.items())


def _show(made: Export) -> None:
    """Print what would come out: the counts, the manifest, and rows from all over it."""
    rows = [row for split in made.rows.values() for row in split]
    chosen = made.order.setting.draw("samples").sample(range(len(rows)), min(SAMPLES, len(rows)))
    shown = [{"manifest": manifest_of(made)}, *(rows[place] for place in sorted(chosen))]
    sys.stdout.write(f"{_counts(made)}\n")
    sys.stdout.writelines(f"{json.dumps(value, indent=2, ensure_ascii=False)}\n" for value in shown)
