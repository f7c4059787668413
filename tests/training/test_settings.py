from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actorcritic.errors import InputError
from actorcritic.training.settings import TrainSettings


def settings(**more: Any) -> TrainSettings:
    return TrainSettings(recipe="rft", data=Path("d"), model="m", out=Path("o"), **more)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lora_rank", -1),
        ("epochs", 0.0),
        ("epochs", float("nan")),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("batch_size", 0),
        ("max_steps", 0),
        ("max_length", 0),
        ("seed", -1),
        ("seed", 2**32),
    ],
)
def test_a_number_out_of_its_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match="must be"):
        settings(**{name: value})


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(InputError, match="unknown device 'tpu': use one of auto, cpu, cuda"):
        settings(device="tpu")


def test_the_least_that_is_allowed_is_taken() -> None:
    made = settings(lora_rank=0, epochs=0.5, learning_rate=1e-9, batch_size=1, max_steps=1, max_length=1)
    assert (made.lora_rank, made.batch_size) == (0, 1)
    assert settings(seed=2**32 - 1).seed == 2**32 - 1
