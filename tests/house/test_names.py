"""`__all__` says what a module offers, and a package offers no function that would hide a module of its own."""

from __future__ import annotations

import ast
import importlib

import pytest

from tests.house.source import Module, modules

PUBLIC = [module for module in modules() if module.is_public and not module.name.endswith("__main__")]
PLAIN = [module for module in PUBLIC if not module.is_package]
FACADES = [module for module in PUBLIC if module.is_package]


def names_defined(module: Module) -> tuple[set[str], set[str]]:
    """Return the public functions, classes and aliases of a module, and its public constants (in capitals)."""
    names: set[str] = set()
    for node in module.tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names.update(
                    name.id
                    for target in targets
                    for name in ast.walk(target)
                    if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
                )
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case _:
                pass
    names = {name for name in names if not name.startswith("_")}
    constants = {name for name in names if name.isupper()}
    return names - constants, constants


def names_listed(module: Module) -> list[str] | None:
    """Return `__all__` as written, None where there is none."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return list(ast.literal_eval(node.value))
    return None


@pytest.mark.parametrize("module", PLAIN, ids=lambda module: module.name)
def test_all_lists_the_public_names(module: Module) -> None:
    listed = names_listed(module)
    defined, constants = names_defined(module)
    assert listed is not None, "no __all__"
    assert len(listed) == len(set(listed))
    unlisted, missing = defined - set(listed), set(listed) - constants - defined
    assert not unlisted, f"neither in __all__ nor private by a leading underscore: {unlisted}"
    assert not missing, f"in __all__ but not defined here: {missing}"


@pytest.mark.parametrize("module", FACADES, ids=lambda module: module.name)
def test_what_a_package_offers_is_there(module: Module) -> None:
    listed = names_listed(module) or []
    package = importlib.import_module(module.name)
    for name in listed:
        assert getattr(package, name) is not None


@pytest.mark.parametrize("module", FACADES, ids=lambda module: module.name)
def test_no_name_hides_a_module(module: Module) -> None:
    inner = {other.name.rpartition(".")[2] for other in modules() if other.name.rpartition(".")[0] == module.name}
    assert not inner & set(names_listed(module) or [])
