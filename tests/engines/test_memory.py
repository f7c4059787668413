"""A failure is one line; where memory was short it says what to change, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from actorcritic.cli.app import app
from actorcritic.engines import memory
from actorcritic.engines.load_reward import parse_reward_spec
from actorcritic.engines.memory import LOADING, RUNNING, SCORING, describe_failure
from actorcritic.engines.transformers import TransformersOptions
from actorcritic.engines.transformers.model import load_model
from actorcritic.errors import EngineUnavailable

CUDA = torch.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB\nof which 1 GiB is free."
)
CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "4398046511104 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize("error", [CUDA, CPU, MemoryError(), MemoryError("no room"), RuntimeError("HIP out of memory")])
def test_short_memory_says_what_to_change(error: Exception) -> None:
    line = describe_failure(error, "take less")
    assert line.startswith(type(error).__name__) and line.endswith(" (take less)") and "\n" not in line


def test_torchs_own_words_are_known() -> None:
    with pytest.raises(RuntimeError) as failed:
        torch.empty(2**60)
    assert describe_failure(failed.value, "take less").endswith("(take less)")


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), RuntimeError(""), ValueError("a\nb" * 900)])
def test_any_other_failure_is_one_line_without_advice(error: Exception) -> None:
    line = describe_failure(error, "take less")
    assert "take less" not in line and "\n" not in line and len(line) < 400 and not line.endswith(":")


def test_what_the_advice_names_is_there() -> None:
    shown = CliRunner().invoke(app, ["solve", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for option in re.findall(r"--[a-z-]+", " ".join((RUNNING, LOADING, SCORING))):
        assert option in shown, option
    for name in ("max_batch", "batch_bytes"):
        assert name in memory.RUNNING and hasattr(TransformersOptions(), name)
    assert "&batch=" in SCORING and parse_reward_spec("hf-orm:m?batch=2").batch == 2


def test_a_model_that_does_not_fit_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_big(*args: Any, **kwargs: Any) -> Any:
        raise CUDA

    monkeypatch.setattr("actorcritic.engines.transformers.model.AutoTokenizer.from_pretrained", too_big)
    with pytest.raises(EngineUnavailable, match=r"cannot load the model .*2\.00 GiB.*smaller model") as refused:
        load_model(str(tmp_path), device="cpu")
    assert "\n" not in str(refused.value)
