"""The child's side: one reply per line, whatever happens."""

from __future__ import annotations

import contextlib
import io
import json
import signal
from collections.abc import Generator

import pytest

from actorcritic.answers import answering


def test_every_line_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    @contextlib.contextmanager
    def limited(seconds: float) -> Generator[None]:
        limits.append(seconds)
        yield

    def reply(question: dict[str, str]) -> str:
        kind = question["kind"]
        if kind == "good":
            return "key"
        raise {"late": answering.Alarm, "error": ValueError, "exit": SystemExit}[kind]("why")

    # The alarm and the bounds of a process are not for the process that runs the tests.
    monkeypatch.setattr(answering, "limited", limited)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    lines = [json.dumps({"kind": kind}) for kind in ("good", "late", "error", "exit")]
    replies = io.StringIO()
    answering.answer_lines(reply, io.StringIO("\n".join([*lines, "no json"])), replies, 2.5)
    read = [json.loads(line) for line in replies.getvalue().splitlines()]
    assert read[:5] == [
        {"ready": True},
        {"value": "key"},
        {"late": True},
        {"error": "ValueError: why"},
        {"error": "SystemExit: why"},
    ]
    assert read[5]["error"].startswith("JSONDecodeError") and len(read) == 6
    assert limits == [2.5] * 5
