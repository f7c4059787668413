"""Code against tests: what passed, what failed and why, in words; and what is no test."""

from __future__ import annotations

import pytest

from actorcritic.errors import ToolError
from actorcritic.tools import run_tests_tool
from actorcritic.tools.execution import Sandbox
from actorcritic.tools.run_tests import run_tests
from actorcritic.tools.sandboxes import SANDBOXES
from tests.tools.sandboxes import sandbox_of

ADD = "def add(a, b):\n    return a + b\n"
TESTS = """
import math

CASES = [(1, 2, 3), (2, 2, 4)]

assert add(1, 2) == 3
assert add(1, 1) == 3, "too small"

def test_cases():
    for a, b, total in CASES:
        assert add(a, b) == total

def test_fails():
    assert add(math.floor(1.5), 0) == 0
"""


@pytest.fixture(params=SANDBOXES)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return sandbox_of(request.param)


def test_every_test_is_run_and_named(sandbox: Sandbox) -> None:
    report = run_tests(ADD, TESTS, sandbox=sandbox)
    assert [case.passed for case in report.cases] == [True, False, True, False]
    assert report.passed == 2 and not report.ok and report.failure is report.cases[1]
    text = report.describe()
    assert text.startswith('2 of 4 tests passed\n\nfailed: assert add(1, 1) == 3, "too small"\n')
    assert "AssertionError: too small" in text and "def test_fails()" in text and "def test_cases()" not in text


def test_right_code_passes(sandbox: Sandbox) -> None:
    report = run_tests(ADD, "assert add(1, 2) == 3", sandbox=sandbox)
    assert report.ok and report.describe() == "1 of 1 tests passed"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def add(a, b)\n    return a + b", "the code does not run:"),
        ("raise SystemExit(0)", "the code does not run:"),
        ("print('1 of 1 tests passed')", "0 of 1 tests passed"),
        ("def add(a, b):\n    raise SystemExit(0)", "0 of 1 tests passed"),
        ("import os\nos._exit(0)", "the code does not run:"),
        ("def add(a, b):\n    import os\n    os._exit(0)", "0 of 1 tests passed"),
        ("def add(a, b):\n    while True:\n        pass", "0 of 1 tests passed"),
        ("", "0 of 1 tests passed"),
    ],
)
def test_no_way_of_ending_early_is_a_pass(sandbox: Sandbox, code: str, why: str) -> None:
    report = run_tests(code, "assert add(1, 2) == 3", sandbox=sandbox)
    assert not report.ok and report.passed == 0 and report.describe().startswith(why)


def test_tests_whose_helper_fails_do_not_pass(sandbox: Sandbox) -> None:
    report = run_tests(ADD, "wanted = unknown_helper()\nassert add(1, 2) == 3", sandbox=sandbox)
    assert report.passed == 0 and "unknown_helper" in report.describe()


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        ("", "there is no test"),
        ("x = 1", "there is no test"),
        ("assert (", "the tests are no Python"),
        ("(" * 5000, "the tests are no Python"),
        ("x" * 200_000, "the tests have 200000 characters"),
    ],
)
def test_what_is_no_test_is_said(tests: str, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        run_tests(ADD, tests, sandbox=sandbox_of("monty"))


def test_long_lists_of_failures_are_cut() -> None:
    tests = "\n".join(f"assert add(1, {number}) == 0" for number in range(9))
    text = run_tests(ADD, tests, sandbox=sandbox_of("monty")).describe()
    assert text.count("failed: ") == 3 and text.endswith("and 6 more failed")


async def test_the_tool_answers_in_words() -> None:
    tool = run_tests_tool()
    call = {"code": ADD, "tests": "assert add(1, 2) == 3"}
    assert tool.invoke(call) == await tool.ainvoke(call) == "1 of 1 tests passed"
    assert tool.invoke({"code": ADD, "tests": ""}).startswith("error: there is no test")
