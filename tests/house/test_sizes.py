"""Short files and short functions, with a list of the exceptions that must not outlive their reason."""

from __future__ import annotations

import ast

from tests.house.source import ROOT, modules

FILE_LINES = 400
FUNCTION_LINES = 60
ALLOWED: dict[str, str] = {
    "actorcritic/cli/bench.py:bench": "one parameter per option of the command, and each handed on by its name",
    "actorcritic/cli/collect.py:collect": "one parameter per option of the command, and each handed on by its name",
    "actorcritic/cli/train.py:train": "one parameter per option of the command, and each handed on by its name",
    "actorcritic/cli/improve.py:improve": "one parameter per option of the command, and each handed on by its name",
    "actorcritic/cli/solve.py:solve": "one parameter per option of the command, and each handed on by its name",
}
"""`path` or `path:function` to the reason why it may be longer."""


def too_long() -> dict[str, int]:
    """Return what is over the limits, with its length in lines."""
    found: dict[str, int] = {}
    for module in modules():
        path = module.path.relative_to(ROOT).as_posix()
        lines = len(module.path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES:
            found[path] = lines
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    found[f"{path}:{node.name}"] = length
    return found


def test_nothing_is_too_long() -> None:
    assert not {where: lines for where, lines in too_long().items() if where not in ALLOWED}


def test_no_exception_is_stale() -> None:
    assert not ALLOWED.keys() - too_long().keys()


def _lines_of_prose(docstring: str) -> int:
    """Count the lines that are neither blank nor drawn or shown (indented)."""
    return sum(1 for line in docstring.splitlines() if line.strip() and not line.startswith("    "))


def test_every_module_says_what_it_does_in_at_most_eight_lines() -> None:
    wrong = [module.name for module in modules() if not 1 <= _lines_of_prose(ast.get_docstring(module.tree) or "") <= 8]
    assert not wrong
