"""The commands of README.md can be followed in their order: no folder is written twice, none read before."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

import pytest

from actorcritic.export.needs import COLLECTED
from actorcritic.export.recipes import parse_recipe
from tests.house.source import ROOT

CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
READING = ("export", "query", "table", "view")
"""Commands whose first argument is a run folder."""


def commands() -> list[list[str]]:
    """Return the words of every command of the library's own, in their order, comments left out."""
    blocks = CONSOLE.findall((ROOT / "README.md").read_text("utf-8"))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("actorcritic ")]


COMMANDS = commands()


def given(words: list[str], *options: str) -> list[str]:
    return [after for word, after in pairwise(words) if word in options]


def test_no_folder_is_written_twice() -> None:
    written = [folder for words in COMMANDS for folder in given(words, "--out")]
    assert len(written) > 10 and len(written) == len(set(written)), sorted(written)


def test_what_is_read_was_written_before() -> None:
    written: set[str] = set()
    for words in COMMANDS:
        read = given(words, "--from", "--resume", "--data") + (words[1:2] if words[0] in READING else [])
        assert not (set(read) - written) & {folder for folder in read if folder.startswith(("runs/", "data/"))}, words
        written.update(given(words, "--out"))


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "export"], ids=" ".join)
def test_an_export_names_a_recipe_whose_collection_steps_stand_before_it(words: list[str]) -> None:
    recipe, options = parse_recipe(given(words, "--recipe")[0])
    before = COMMANDS[: COMMANDS.index(words)]
    appended = [given(other, "--step")[0] for other in before if given(other, "--from") == words[1:2]]
    collected = {step.partition(":")[0] for step in appended}
    for need in recipe.needs:
        step = re.search(r"--step ([a-z-]+)", need.collect)
        if need.applies(options) and step is not None and step[1] in COLLECTED:
            assert step[1] in collected
