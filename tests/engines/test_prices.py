"""Prices come from the user's file, reach the model they name, and must be there where money is limited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actorcritic.budget import Price
from actorcritic.engines.openai import OpenAIEngine
from actorcritic.engines.prices import price_engines, read_prices
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import InputError
from actorcritic.types import Usage
from tests.engines.openai.conftest import Serve, serve

__all__ = ["serve"]


def write(folder: Path, table: Any) -> Path:
    path = folder / "prices.json"
    path.write_text(table if isinstance(table, str) else json.dumps(table), encoding="utf-8")
    return path


def test_a_file_of_prices(tmp_path: Path) -> None:
    table = read_prices(
        write(tmp_path, {"a": {"prompt": 2, "completion": 8.0, "cached": 0.5}, "b": {"prompt": 0, "completion": 0}})
    )
    assert table == {"a": Price(prompt=2.0, completion=8.0, cached=0.5), "b": Price()}
    usage = Usage(calls=1, prompt_tokens=1_000_000, cached_tokens=400_000, completion_tokens=500_000)
    assert table["a"].of(usage) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.5 * 8)


@pytest.mark.parametrize(
    "table",
    [
        "{",
        "[]",
        {"a": 3},
        {"a": {}},
        {"a": {"prompt": 1}},
        {"a": {"prompt": 1, "completion": -1}},
        {"a": {"prompt": 1, "completion": True}},
        {"a": {"prompt": 1, "completion": "2"}},
        '{"a": {"prompt": 1, "completion": NaN}}',
        {"a": {"prompt": 1, "completion": 1, "input": 1}},
        {"a": {"prompt": 1, "completion": 1, "cached": None}},
    ],
)
def test_a_bad_file_is_one_line(table: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_prices(write(tmp_path, table))
    assert "\n" not in str(caught.value) and "prices.json" in str(caught.value)
    with pytest.raises(InputError, match="cannot read the price file"):
        read_prices(tmp_path / "none.json")


def test_a_model_is_found_by_spec_fingerprint_or_name(serve: Serve) -> None:
    api = serve(model="org/m@2")
    spec = f"openai:org/m@2@{api.url}"
    engine = OpenAIEngine.connect("org/m@2", api.url, name=spec)
    price = Price(prompt=1.0, completion=2.0)
    for name in (spec, "openai:org/m@2", "org/m@2"):
        assert price_engines({name: price}, [engine], needed=True) == {"openai:org/m@2": price}


def test_only_a_budget_of_money_needs_every_price() -> None:
    engine = ScriptedEngine([], name="mine")
    assert price_engines({}, [engine], needed=False) == {}
    with pytest.raises(InputError, match="'mine' is not in the price file"):
        price_engines({"other": Price()}, [engine], needed=True)
