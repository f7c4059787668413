"""What is built: one top-level name, each module once, every prompt; the same from checkout, archive and sdist."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.house.source import ROOT, modules, tracked_files

LINKS = ("actorcritic/graphs", "actorcritic/tools")


def copy_checkout(target: Path, *, links: bool) -> Path:
    """Copy what is under version control; without links, these become small text files, as on some systems."""
    for path in tracked_files():
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.relative_to(ROOT).as_posix() not in LINKS:
            shutil.copy2(path, copy)
    for name in LINKS:
        link = target / name
        link.symlink_to(f"../{link.name}") if links else link.write_text(f"../{link.name}", encoding="utf-8")
    return target


def build(folder: Path, kind: str) -> Path:
    """Build an sdist or a wheel with the tools of this environment, and return the file."""
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        f"--{kind}",
        "--outdir",
        str(folder / "out"),
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (built,) = (folder / "out").glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def contents(wheel: Path) -> dict[str, int]:
    """Return each file of a wheel with the checksum of what it holds."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        return {entry.filename: entry.CRC for entry in archive.infolist() if ".dist-info/" not in entry.filename}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(copy_checkout(tmp_path_factory.mktemp("checkout"), links=True), "wheel")


def test_one_top_level_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"actorcritic"}


def test_every_module_once(wheel: Path) -> None:
    expected = {
        module.name.replace(".", "/") + ("/__init__.py" if module.is_package else ".py")
        for module in modules()
        if module.path in tracked_files()
    }
    assert {name for name in contents(wheel) if name.endswith(".py")} == expected


def test_data_is_there(wheel: Path) -> None:
    data = {
        path.relative_to(ROOT).as_posix()
        for path in tracked_files()
        if path.is_relative_to(ROOT / "actorcritic") and path.suffix != ".py" and not path.is_symlink()
    }
    assert "actorcritic/py.typed" in data
    assert data <= contents(wheel).keys()


def test_a_checkout_without_links_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert contents(build(copy_checkout(tmp_path, links=False), "wheel")) == contents(wheel)


def test_the_sdist_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    sdist = build(copy_checkout(tmp_path / "checkout", links=True), "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (folder,) = (tmp_path / "unpacked").iterdir()
    assert contents(build(folder, "wheel")) == contents(wheel)
