"""No file under version control names a place that only one machine has, or a host that packages come from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.source import ROOT, tracked_files

SUFFIXES = {"", ".cfg", ".ini", ".json", ".jsonl", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"}
# Put together here, so that this file does not hold what it looks for.
PLACES = re.compile(r"(?<![\w.\-$}])/(?:" + "|".join(("root", "home", "work", "opt", "Users")) + r")/\w")
HOSTS = re.compile("|".join(rf"{name}\.{end}" for name, end in (("pypi", "org"), ("pythonhosted", "org"))))
HOST_OF_TORCH = re.compile(r"download\." + "pytorch")

TEXTS = [path for path in tracked_files() if path.suffix in SUFFIXES and path.stat().st_size < 2**20]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_text_is_free_of_places_and_hosts(path: Path) -> None:
    text = path.read_text(encoding="utf-8", errors="replace")
    for pattern in (PLACES, HOSTS, HOST_OF_TORCH):
        found = pattern.search(text)
        assert not found, f"line {text.count(chr(10), 0, found.start()) + 1}: {found[0]}"


@pytest.mark.parametrize("text", ["see /" + "root/x", "'/" + "home/me'", "pypi" + ".org/simple"])
def test_the_patterns_find_what_they_look_for(text: str) -> None:
    assert any(pattern.search(text) for pattern in (PLACES, HOSTS, HOST_OF_TORCH))
