"""Equivalence and vote keys: by value for mathematics, by text otherwise; hostile ones end in time and never pass."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.answers import CHECKERS, ExactChecker, MathChecker, checkers, equivalent, normalise, vote_key
from actorcritic.errors import InputError

LIMIT = 0.6
EQUAL = [
    ["1/2", "0.5", r"\frac{1}{2}", r"\frac12", "50%", r"50\%", "$0.50", "x = 1/2", "2/4", ".5", "5e-1"],
    ["1,000", "1000", r"1{,}000", "1000 dollars", r"1000\text{ dollars}", r"\$1000", "10^3", "10**3", "1e3"],
    ["(x+1)^2", "x^2 + 2x + 1", "1 + 2x + x^2"],
    [r"\sqrt{8}", r"2\sqrt{2}", r"\frac{4}{\sqrt 2}"],
    [r"\pi/2", "pi/2", "π/2", r"\frac{\pi}{2}"],
    [r"\{2, 1\}", r"\{1,2\}"],
    ["[1, 2)", "[1,2)"],
    [r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"],
    ["x < 5", "x<5"],
    ["Tuesday", r"\text{Tuesday}", "tuesday."],
    ["(A)", "A", r"\text{(A)}", "a"],
    ["-3", "−3", "-3.0"],
    ["2^{0.5}", r"\sqrt{2}"],
]
HOSTILE = [
    "10^{10^{10}}", "9^{9^{9^9}}", "100000000!", "(" * 300 + "1" + ")" * 300, "9" * 10_000, "{" * 900, "\\frac" * 150,
    "x\x00y", "\x1b[31m5", "\ud800", "", " ", "\\sum_{i=1}^{10^{9}} i^{i}",
]  # fmt: skip


@pytest.fixture(scope="module")
def math() -> Iterator[MathChecker]:
    checker = MathChecker(limit=20.0)
    yield checker
    checker.close()


@pytest.mark.parametrize("answers", EQUAL)
def test_equal_answers_vote_alike(math: MathChecker, answers: list[str]) -> None:
    keys = {answer: math.vote_key(answer) for answer in answers}
    assert len(set(keys.values())) == 1 and None not in keys.values(), keys


@pytest.mark.parametrize("answers", EQUAL)
def test_equal_answers_are_equivalent(math: MathChecker, answers: list[str]) -> None:
    assert [answer for answer in answers if not math.equivalent(answer, answers[0])] == []


def test_other_answers_are_not(math: MathChecker) -> None:
    first = [answers[0] for answers in EQUAL]
    assert len({math.vote_key(answer) for answer in first}) == len(first)
    for answer, gold in zip(first, first[1:] + first[:1], strict=True):
        assert not math.equivalent(answer, gold)


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("not 5", "5"), ("5 or 6", "5"), ("5 million", "5"), ("Thursday", "Tuesday"), ("5", "five"),
        ("0.33", "1/3"), ("1/0", "0"), ("", ""), (" ", " "), ("2", "20"), ("-2", "2"),
    ],
)  # fmt: skip
def test_what_is_not_equal(math: MathChecker, answer: str, gold: str) -> None:
    assert not math.equivalent(answer, gold)


def test_a_long_decimal_equals_its_fraction(math: MathChecker) -> None:
    assert math.equivalent("0.333333", "1/3")


@given(numerator=st.integers(-(10**6), 10**6), power=st.integers(0, 6))
def test_decimals_and_fractions_vote_alike(numerator: int, power: int) -> None:
    checker = MathChecker()
    decimal = f"{numerator / 10**power:.{power}f}"
    assert checker.vote_key(decimal) == checker.vote_key(f"{numerator}/{10**power}") is not None


@pytest.mark.parametrize("answer", HOSTILE)
def test_hostile_answers_end_in_time_and_cast_no_vote(answer: str) -> None:
    checker = MathChecker(limit=LIMIT)
    begin = time.perf_counter()
    key = checker.vote_key(answer)
    assert time.perf_counter() - begin < LIMIT + 30  # a loaded machine may take long to start the process
    assert key is None or key == normalise(answer)
    checker.close()


@pytest.mark.parametrize("answer", ["10^{10^{10}}", "9" * 10_000, "(" * 300 + "1" + ")" * 300, "x\x00y"])
def test_hostile_answers_do_not_pass_and_do_no_harm(answer: str) -> None:
    checker = MathChecker(limit=LIMIT)
    assert not checker.equivalent(answer, "x") and not checker.equivalent("x", answer)
    # The process may have to start again, and on a loaded machine the limit is soon over.
    assert any(checker.equivalent("x + x", "2x") for _ in range(5))
    checker.close()


def test_exact() -> None:
    exact = ExactChecker()
    assert exact.equivalent(" The CAT.", "the  cat") and exact.vote_key("The CAT") == exact.vote_key("the cat")
    assert not exact.equivalent("1/2", "0.5") and not exact.equivalent("", "") and exact.vote_key("  ") is None


def test_the_checkers_by_name() -> None:
    assert isinstance(CHECKERS["math"], MathChecker) and isinstance(CHECKERS["exact"], ExactChecker)


def test_without_math_verify_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkers, "find_spec", lambda name: None if name == "math_verify" else find_spec(name))
    for ask in (lambda: MathChecker().vote_key("1"), lambda: MathChecker().equivalent("1", "1")):
        with pytest.raises(InputError, match=r"actorcritic\[math\]"):
            ask()


async def test_the_loop_goes_on_while_an_answer_is_compared() -> None:
    checker = MathChecker(limit=LIMIT)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(tick())
        assert await vote_key(checker, "10^{10^{10}}") is None
        assert not await equivalent(checker, "10^{10^{10}}", "x")
        ticking.cancel()
    assert ticks > 20
    checker.close()


async def test_no_answer_and_quick_checkers() -> None:
    for checker in CHECKERS.values():
        assert await vote_key(checker, None) is None and not await equivalent(checker, None, "x")
    seen: list[threading.Thread] = []

    class Quick(ExactChecker):
        def vote_key(self, answer: str) -> str | None:
            seen.append(threading.current_thread())
            return answer

    assert await vote_key(Quick(), "a") == "a" and seen == [threading.main_thread()]
    assert await equivalent(CHECKERS["exact"], "a", "A")
    assert await vote_key(CHECKERS["math"], "0.50") == "1/2"
