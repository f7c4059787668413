"""The library's own files, as the tests of the house look at them: parsed, never imported."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {"actorcritic": "actorcritic", "actorcritic.graphs": "graphs", "actorcritic.tools": "tools"}
"""Import name of each package tree, and where it lies."""


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    """As it is imported; a package goes by its own name."""
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file."""
        return ast.parse(self.path.read_text(encoding="utf-8"), filename=str(self.path))

    @property
    def is_package(self) -> bool:
        """Whether this is an `__init__.py`."""
        return self.path.name == "__init__.py"

    @property
    def is_public(self) -> bool:
        """Whether no part of the name starts with an underscore."""
        return not any(part.startswith("_") for part in self.name.split("."))

    @cached_property
    def imports(self) -> frozenset[str]:
        """Every module that this one imports, anywhere in it; `from a import b` names `a.b` where that is a module."""
        names: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    names.add(inner if inner in module_names() else node.module)
        return frozenset(names)


def package_directories() -> Iterator[tuple[str, Path]]:
    """Yield the import name and the directory of every package, links left alone."""
    for name, folder in PACKAGES.items():
        for init in sorted((ROOT / folder).rglob("__init__.py")):
            if not any(parent.is_symlink() for parent in init.parents if ROOT in parent.parents):
                yield ".".join((name, *init.parent.relative_to(ROOT / folder).parts)), init.parent


@cache
def module_names() -> frozenset[str]:
    """Import names of all modules and packages."""
    names: set[str] = set()
    for package, folder in package_directories():
        names.add(package)
        names.update(f"{package}.{path.stem}" for path in folder.glob("*.py") if path.name != "__init__.py")
    return frozenset(names)


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the library."""
    found: list[Module] = []
    for package, folder in package_directories():
        for path in sorted(folder.glob("*.py")):
            found.append(Module(package if path.name == "__init__.py" else f"{package}.{path.stem}", path))
    return tuple(sorted(found, key=lambda module: module.name))


def tracked_files() -> tuple[Path, ...]:
    """Return the files under version control; where there is none (an exported archive), what is not built."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return tuple(ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())
    return tuple(path for path in ROOT.rglob("*") if path.is_file() and not any(map(_is_built, _parts(path))))


def _parts(path: Path) -> tuple[str, ...]:
    return path.relative_to(ROOT).parts


def _is_built(part: str) -> bool:
    hidden = part.startswith(".") and part not in {".ci", ".gitignore"}
    return hidden or part in {"build", "dist", "runs", "htmlcov", "__pycache__"} or part.endswith(".egg-info")
