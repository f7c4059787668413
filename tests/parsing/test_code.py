"""The program is found in a solution and the tests in a problem, and nothing that was cut off or is no Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.parsing.code import find_program, shown_tests


def test_a_block_may_run_over_several_steps() -> None:
    program = find_program(["I add.", "```python\ndef add(a, b):", "    return a - b\n```", "Done."])
    assert program is not None and program.code == "def add(a, b):\n    return a - b"
    assert [program.step_of(line) for line in (1, 2, 3, 0, None)] == [1, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```\nx = 1\n```", "x = 1"),
        ("~~~py\nx = 1\n~~~", "x = 1"),
        ("```python\nx = 1\n```\nBetter:\n```python\nx = 2\n```\nRun it:\n```bash\nrm -r x\n```", "x = 2"),
        ('````python\nx = """\n```\n"""\n````', 'x = """\n```\n"""'),
        ("x = 1\ny = 2", "x = 1\ny = 2"),
        ("The answer is 3.", None),
        ("```python\nx = 1", None),
        ("```python\nx = 1\n```\n```python\ny = 2", None),
        ("```rust\nfn main() {}\n```", None),
        ("```python\n```", None),
        ("", None),
    ],
)
def test_the_last_closed_block_is_the_program(text: str, code: str | None) -> None:
    program = find_program([text])
    assert (program and program.code) == code


def test_asserts_of_a_problem_are_its_tests() -> None:
    text = "Write `add`.\n  assert add(1, 2) == 3\nassert add(\n    1, 1\n) == 2\n"
    text += "assert that it works\nassert add(0, 0) == 0"
    assert shown_tests(text).splitlines() == [
        "assert add(1, 2) == 3",
        "assert add(",
        "    1, 1",
        ") == 2",
        "assert add(0, 0) == 0",
    ]
    assert shown_tests("We assert that 1 = 1.") == ""


@given(st.lists(st.text(st.sampled_from(list("`~python \nx=1(")))))
def test_any_text_is_read(steps: list[str]) -> None:
    program = find_program(steps)
    if program is not None:
        assert len(program.steps) == len(program.code.split("\n"))
        assert all(0 <= step < len(steps) for step in program.steps)
    shown_tests("\n".join(steps))
