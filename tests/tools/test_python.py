"""Code runs, its output, value and error come back, and it stays within its limits."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcritic.errors import InputError, ToolError
from actorcritic.tools import bubblewrap, python_tool
from actorcritic.tools.execution import Execution, Limits, Sandbox, Transcript, describe
from actorcritic.tools.monty import MontySandbox, show
from actorcritic.tools.sandboxes import SANDBOXES, SandboxName, open_sandbox, sandbox_named, working_sandboxes
from tests.tools.sandboxes import sandbox_of

PYTHON = """
def double(x):
    return 2 * x
print('hello')
double(21)
"""


@pytest.fixture(params=SANDBOXES)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return sandbox_of(request.param)


def test_printed_value_and_error_come_back(sandbox: Sandbox) -> None:
    transcript = sandbox.run([PYTHON])
    assert transcript == Transcript(executions=(Execution(value="42"),), printed="hello\n")
    assert describe(transcript) == "printed:\nhello\nvalue: 42"


def test_snippets_share_an_interpreter_and_an_error_stops_none(sandbox: Sandbox) -> None:
    transcript = sandbox.run(["def f(x):\n    y = 1\n    return y / x", "f(0)", "f(2)", "g", "x = ("])
    done, zero, half, unknown, cut = transcript.executions
    assert done == Execution() and half == Execution(value="0.5")
    assert (zero.kind, zero.line) == ("raised", 3) and "ZeroDivisionError" in (zero.error or "")
    assert (unknown.kind, unknown.line) == ("raised", None) and "NameError" in (unknown.error or "")
    assert cut.kind == "raised" and "SyntaxError" in (cut.error or "")


def test_nothing_is_kept_between_runs(sandbox: Sandbox) -> None:
    sandbox.run(["x = 1"])
    assert "NameError" in (sandbox.run(["x"]).executions[0].error or "")


def test_after_a_limit_the_rest_is_skipped(sandbox: Sandbox) -> None:
    ended, never = sandbox.run(["while True:\n    pass", "1"]).executions
    assert (ended.kind, never.kind) == ("limit", "skipped") and never.value is None


def test_the_limits_are_those_given(sandbox: Sandbox) -> None:
    small = type(sandbox)(Limits(seconds=5, memory=64 * 2**20, output=200))  # type: ignore[call-arg]
    many, large = small.run(["'x' * 1000", "len('x' * 10 ** 8)"]).executions
    assert many.value is not None and 200 <= len(many.value) <= 203
    assert large.kind == "limit" and "MemoryError" in (large.error or "")
    printed = small.run(["for _ in range(100):\n    print('x' * 100)"])
    assert printed.executions[0].kind == "limit" and 0 < len(printed.printed) <= 200
    small.close()


@pytest.mark.parametrize("change", [{"seconds": 0}, {"memory": 1}, {"output": 0}, {"processes": 0}, {"files": -1}])
def test_limits_have_bounds(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"the limit {next(iter(change))} must be at least"):
        Limits(**change)


@pytest.mark.parametrize("code", ["x" * 200_000, "x = '\ud800'", "x\0"])
def test_what_is_no_code_is_refused(sandbox: Sandbox, code: str) -> None:
    with pytest.raises(ToolError):
        sandbox.run([code])


async def test_the_tool_answers_in_words() -> None:
    tool = python_tool()
    assert tool.invoke({"code": PYTHON}) == "printed:\nhello\nvalue: 42"
    assert await tool.ainvoke({"code": "x = 1"}) == "no output"
    assert "ZeroDivisionError" in await tool.ainvoke({"code": "1 / 0"})
    assert str(await tool.ainvoke({"code": "x" * 200_000})).startswith("error: the code has 200000 characters")
    assert "validation error" in str(tool.invoke({"wrong": 1}))


def test_an_unknown_sandbox_is_one_line() -> None:
    with pytest.raises(InputError, match="choose from: monty, bubblewrap"):
        sandbox_named("docker")


def test_without_bubblewrap_there_is_an_error_and_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="needs bwrap: install the package bubblewrap"):
        python_tool(sandbox="bubblewrap")
    assert working_sandboxes() == ("monty",)


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="needs a shell")
def test_a_bubblewrap_that_does_not_work_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    with pytest.raises(InputError, match=r"does not work here .*: allow unprivileged user namespaces") as caught:
        open_sandbox("bubblewrap")
    assert "\n" not in str(caught.value)


def test_without_monty_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorcritic.tools.monty.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'actorcritic\[tools\]'"):
        MontySandbox()


def test_what_monty_does_not_know_is_unsupported() -> None:
    sandbox = sandbox_of("monty")
    codes = ["def f():\n    yield 1", "class A(list):\n    pass", "import unittest", "import os\nos.environ"]
    assert [execution.kind for execution in sandbox.run(codes).executions] == ["unsupported"] * 4
    codes = ["import nowhere_to_be_found", "raise NotImplementedError('mine')", "raise RuntimeError('mine')"]
    assert [execution.kind for execution in sandbox.run(codes).executions] == ["raised"] * 3


def test_a_process_that_is_left_behind_dies_with_the_run() -> None:
    sandbox, mark = sandbox_of("bubblewrap"), "600.0625"
    code = f"import subprocess\nsubprocess.Popen(['sleep', '{mark}'], start_new_session=True).pid > 0"
    assert sandbox.run([code]).executions[0].value == "True"
    assert _wait_for(mark, running=False)


@pytest.mark.slow
def test_what_runs_dies_with_a_caller_that_is_killed() -> None:
    sandbox_of("bubblewrap")
    mark = "600.03125"
    program = (
        "from actorcritic.tools.execution import Limits\nfrom actorcritic.tools.sandboxes import open_sandbox\n"
        f"code = \"import subprocess\\nsubprocess.run(['sleep', '{mark}'])\"\n"
        "open_sandbox('bubblewrap', Limits(seconds=100)).run([code])"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as caller:
        assert _wait_for(mark, running=True)
        caller.kill()
    assert _wait_for(mark, running=False)


def _wait_for(mark: str, *, running: bool) -> bool:
    """Wait until a process with this mark in its command is running, or none is; False if that takes a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        commands = subprocess.run(["ps", "-eo", "comm,args"], capture_output=True, text=True, check=True).stdout
        if any(line.startswith("sleep") and mark in line for line in commands.splitlines()) == running:
            return True
        time.sleep(0.05)
    return False


def test_reports_that_the_code_forges_are_not_taken() -> None:
    seen = bubblewrap._Seen("token")
    seen.raw = b'{"value": "1"}\n[]\n\xff\n' + b"[" * 100_000 + b'\n{"token": "token", "ready": true}\n{"token":'
    seen.read()
    assert seen.ready and not seen.reports and seen.raw == b'{"token":'
    odd = {"value": 1, "error": "x" * 1000, "kind": [], "line": "no"}
    assert bubblewrap._read(odd, 100) == Execution(error="x" * 103, kind="raised")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(VALUES)
def test_small_values_are_shown_as_python_writes_them(value: object) -> None:
    assert show(value, 1_000_000) == repr(value)


@given(VALUES, st.integers(100, 200))
def test_no_value_is_shown_longer_than_the_limit(value: object, limit: int) -> None:
    assert len(show(value, limit)) <= limit + 3


def test_hostile_values_cost_little() -> None:
    shared: list[object] = [1]
    for _ in range(200):
        shared = [shared, shared]
    assert len(show(shared, 1000)) == 1003
    assert show(10**100_000, 1000) == "<a whole number of 332193 bits>"
    assert show((1,), 100) == "(1,)" and show(set(), 100) == "set()" and show(object(), 100) == "<object>"


@pytest.mark.parametrize("name", SANDBOXES)
def test_every_sandbox_has_a_tool_that_describes_it(name: SandboxName) -> None:
    sandbox_of(name)
    assert "Run Python code" in python_tool(sandbox=name).description
