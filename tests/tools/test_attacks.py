"""No attack gets out of a sandbox, and the caller goes on after each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actorcritic.tools import bubblewrap
from actorcritic.tools.execution import Limits
from actorcritic.tools.sandboxes import SandboxName
from tests.tools.attacks import ATTACKS, BREACH, Attack, Target, carry_out, open_target
from tests.tools.sandboxes import sandbox_of

QUICK = frozenset(
    "ctypes-open environment exit-hard fill-disk fork-bomb memory-list read-secret signal-parent socket-back".split()
)
"""Those that the ordinary run tries on the operating system's sandbox, where each takes a process; others are slow."""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with open_target(tmp_path_factory.mktemp("target")) as target:
        yield target


def _cases() -> Iterator[object]:
    for name in ATTACKS:
        yield pytest.param("monty", name, marks=[pytest.mark.slow] if ATTACKS[name].heavy and name not in QUICK else [])
        yield pytest.param("bubblewrap", name, marks=[] if name in QUICK else [pytest.mark.slow])


@pytest.mark.parametrize(("sandbox", "name"), list(_cases()))
def test_an_attack_fails_and_the_caller_goes_on(sandbox: SandboxName, name: str, target: Target) -> None:
    assert carry_out(ATTACKS[name], sandbox_of(sandbox), target) is None


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) >= 50 and QUICK <= ATTACKS.keys()


def test_an_attack_that_succeeds_is_seen(target: Target) -> None:
    for code in (f"print({BREACH!r})", "print('the-callers-' + 'own-words')"):
        assert carry_out(Attack("open", code), sandbox_of("monty"), target) is not None


def test_without_walls_attacks_succeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox_of("bubblewrap")
    monkeypatch.setattr(bubblewrap, "_confine", lambda program, python, limits: ())
    with open_target(tmp_path) as target:
        bare = bubblewrap.BubblewrapSandbox(Limits(seconds=5))
        for name in ("read-passwd", "host-name", "socket-back"):
            assert carry_out(ATTACKS[name], bare, target) is not None
