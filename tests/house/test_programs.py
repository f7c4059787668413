"""Every program that a reader may copy runs: the Python blocks of README.md and the files of examples/.

A block of the README is followed by a `text` block with what it prints; an example holds that in its docstring, after
`Prints:`. `...` stands for whatever differs from run to run.
"""

from __future__ import annotations

import ast
import doctest
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.house.source import ROOT

BLOCK = re.compile(r"^```python\n(?P<program>.*?)^```\n(?:\s*```text\n(?P<output>.*?)^```$)?", re.MULTILINE | re.DOTALL)
BLOCKS = [(match["program"], match["output"]) for match in BLOCK.finditer((ROOT / "README.md").read_text("utf-8"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
OFFLINE = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}


def run(arguments: list[str], folder: Path) -> str:
    """Run a program from a folder that is not the checkout, and return what it prints."""
    environment = {**os.environ, **OFFLINE, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def assert_prints(expected: str, printed: str) -> None:
    """Compare line by line, `...` standing for anything."""
    options = doctest.ELLIPSIS
    checker = doctest.OutputChecker()
    if not checker.check_output(expected, printed, options):
        pytest.fail(checker.output_difference(doctest.Example("", expected), printed, options))


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_readme_block_runs(number: int, tmp_path: Path) -> None:
    program, output = BLOCKS[number]
    printed = run(["-c", program], tmp_path)
    if output is not None:
        assert_prints(output, printed)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_prints_what_it_says(example: Path, tmp_path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8"))) or ""
    assert f"python examples/{example.name}" in docstring, "the docstring says how to run the example"
    _, marker, expected = docstring.partition("Prints:\n")
    assert marker, "the docstring says after `Prints:` what the example prints"
    assert_prints(textwrap.dedent(expected).strip("\n") + "\n", run([str(example)], tmp_path))


def test_examples_are_short() -> None:
    assert not [path.name for path in EXAMPLES if len(path.read_text(encoding="utf-8").splitlines()) > 120]


def test_a_wrong_output_is_found() -> None:
    assert_prints("a ... c\n", "a b c\n")
    with pytest.raises(pytest.fail.Exception):
        assert_prints("a\n", "b\n")
