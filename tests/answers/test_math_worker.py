"""The child's side: canonical forms, and one reply per line whatever happens."""

from __future__ import annotations

import pytest

from actorcritic.answers import math_worker

KEYS = {
    r"\frac12": "1/2",
    "x = 3": "3",
    "3 = x + 1": "3 = x + 1",
    "x < 5": "x < 5",
    r"\{2, \frac12\}": "{1/2, 2}",
    r"(-\infty, 3]": "(-oo, 3]",
    r"\begin{pmatrix}1 & 2\end{pmatrix}": "1x2: 1, 2",
    r"\sqrt 2": "1.41421356237",
    r"\emptyset": "EmptySet",
    r"(x+1)(x-1)": "x**2 - 1",
    r"\frac{x^2-1}{x-1}": "x + 1",
    r"\frac": None,
    "": None,
}


@pytest.mark.parametrize(("answer", "key"), KEYS.items())
def test_canonical_forms(answer: str, key: str | None) -> None:
    found = math_worker.reply({"answer": answer})
    assert str(found).replace("Eq(3, x + 1)", "3 = x + 1").replace(" == ", " = ") == str(key)


def test_equality() -> None:
    assert math_worker.reply({"answer": "x+x", "gold": "2x"}) is True
    assert math_worker.reply({"answer": r"\frac", "gold": r"\frac"}) is False
