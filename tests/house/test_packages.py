"""What the build takes is what the directories hold, and the two in-package links stay out of it."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from tests.house.source import ROOT, package_directories

LINKS = ("graphs", "tools")


def metadata() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_packages_are_the_directories() -> None:
    listed = metadata()["tool"]["setuptools"]["packages"]
    assert listed == sorted(name for name, _ in package_directories())


def test_every_folder_with_modules_is_a_package() -> None:
    packages = {folder for _, folder in package_directories()}
    folders = {path.parent for top in ("actorcritic", *LINKS) for path in (ROOT / top).rglob("*.py")}
    assert {folder for folder in folders if not folder.is_relative_to(ROOT / "actorcritic/models")} <= packages


@pytest.mark.parametrize("name", LINKS)
def test_the_links_lead_to_the_top_folders(name: str) -> None:
    link = ROOT / "actorcritic" / name
    if not link.is_symlink():
        pytest.skip("a checkout without symlinks")
    assert link.readlink().as_posix() == f"../{name}"
    assert metadata()["tool"]["setuptools"]["package-dir"][f"actorcritic.{name}"] == name


def test_graph_entries_exist() -> None:
    for entry in json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))["graphs"].values():
        path, _, name = entry.partition(":")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_the_cpu_set_pins_exact_versions_and_nothing_else() -> None:
    lines = (ROOT / "ci/constraints-cpu.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert all("==" in pin and "+" not in pin and "@" not in pin and "--" not in pin for pin in pins)
