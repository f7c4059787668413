"""Only a process that somebody else started for us ends with us."""

from __future__ import annotations

import ctypes
import os
import signal

import pytest

from actorcritic.engines.vllm.plugin import PARENT, end_with_parent


@pytest.mark.parametrize(("starter", "asked"), [(None, False), ("", False), ("itself", False), ("1", True)])
def test_who_ends_with_whom(monkeypatch: pytest.MonkeyPatch, starter: str | None, asked: bool) -> None:
    calls: list[tuple[int, int]] = []

    class Kernel:
        def __init__(self, name: str | None, use_errno: bool) -> None:
            assert name is None

        def prctl(self, option: int, value: int) -> None:
            calls.append((option, value))

    monkeypatch.setattr(ctypes, "CDLL", Kernel)
    monkeypatch.delenv(PARENT, raising=False)
    if starter is not None:
        monkeypatch.setenv(PARENT, str(os.getpid()) if starter == "itself" else starter)
    end_with_parent()
    assert calls == ([(1, signal.SIGKILL)] if asked else [])
