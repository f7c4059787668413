"""`actorcritic tree`: the search trees of a run, to look at or for another program."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from actorcritic.cli.display import printable
from actorcritic.cli.notes import say_torn
from actorcritic.errors import InputError
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.treeview import episode_graph, render_tree, texts_of, to_graphml, to_json, tree_of

__all__ = ["tree"]


def _text(episode: Episode) -> str:
    """Return a tree for the terminal, with its problem above and its answer below."""
    said = " ".join(episode.problem.text.split())
    end = "not done" if episode.stopped_by is None else episode.stopped_by
    answer = "no answer" if episode.answer is None else episode.answer
    lines = render_tree(tree_of(episode), best=episode.best, texts=texts_of(episode))
    return printable(f"{episode.problem.id}: {said}\n{lines}\n{answer} ({end})\n")


FORMATS: Mapping[str, Callable[[Episode], str]] = MappingProxyType(
    {
        "text": _text,
        "json": lambda episode: f"{to_json(episode_graph(episode))}\n",
        "graphml": lambda episode: f"{to_graphml(episode_graph(episode))}\n",
    }
)


def tree(
    run: Annotated[Path, typer.Argument(help="Run folder; it may be at work.")],
    problem: Annotated[str | None, typer.Option(help="Id of one problem.", show_default="all")] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="text, a line per trial; json, a line per problem in node-link form; graphml, for one problem.",
        ),
    ] = "text",
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="stdout")] = None,
) -> int:
    """Show or export the search trees of a run: every trial with its verdict, scores, visits and what it wrote."""
    if form not in FORMATS:
        raise InputError(f"unknown format {form!r}; choose from: {', '.join(FORMATS)}")
    say_torn(run)
    episodes = _chosen(run, problem)
    first = list(islice(episodes, 2))
    if form == "graphml" and len(first) > 1:
        raise InputError(f"GraphML holds one tree: choose it by --problem, such as {first[0].problem.id!r}")
    trees = map(FORMATS[form], chain(first, episodes))
    if out is None:
        sys.stdout.writelines(trees)
        return 0
    try:
        with open(out, "w", encoding="utf-8") as file:
            file.writelines(trees)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from error
    return 0


def _chosen(run: Path, problem: str | None) -> Iterator[Episode]:
    """Yield the episodes of a run, or of one problem.

    Raises:
        InputError: there are none.
    """
    found = False
    for episode in read_episodes(run):
        if problem in (None, episode.problem.id):
            found = True
            yield episode
    if not found and (run / "searches").is_dir():
        raise InputError(f"{run} is a comparison: name one of the run folders in {run / 'searches'}")
    if not found:
        raise InputError(f"{run} has no trial yet" if problem is None else f"{run} has no trial of problem {problem!r}")
