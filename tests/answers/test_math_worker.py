"""The child's side: canonical forms, and one reply per line whatever happens."""

from __future__ import annotations

import contextlib
import io
import json
import signal
from collections.abc import Generator

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


def test_every_line_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def limited(seconds: float) -> Generator[None]:
        assert seconds == 2.5
        yield

    def reply(question: dict[str, str]) -> str:
        if question["answer"] == "late":
            raise math_worker.Alarm
        return {"good": "key"}[question["answer"]]

    # The alarm and the bounds of a process are not for the process that runs the tests.
    monkeypatch.setattr(math_worker, "limited", limited)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(math_worker, "reply", reply)
    lines = [json.dumps({"answer": answer}) for answer in ("good", "late", "bad")]
    replies = io.StringIO()
    math_worker.main(io.StringIO("\n".join([*lines, "no json"])), replies, 2.5)
    read = [json.loads(line) for line in replies.getvalue().splitlines()]
    assert read == [
        {"ready": True},
        {"value": "key"},
        {"late": True},
        {"error": "KeyError"},
        {"error": "JSONDecodeError"},
    ]
