"""A spec says which model, which adapter and how much of the device; what it cannot mean is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.engines.vllm.options import VllmOptions, VllmSpec, parse_spec
from actorcritic.errors import InputError


def adapter(folder: Path) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    return str(folder)


def test_a_model_alone() -> None:
    assert parse_spec("owner/model-7B") == VllmSpec(model="owner/model-7B")


def test_everything_in_any_order(tmp_path: Path) -> None:
    lora = adapter(tmp_path / "a+b")
    spec = parse_spec(f"./c++/model+memory=0.4+lora={lora}+gpus=2+context=4096")
    assert spec == VllmSpec(model="./c++/model", adapter=lora, context=4096, memory=0.4, gpus=2)
    assert spec.base == VllmSpec(model="./c++/model", context=4096, memory=0.4, gpus=2)


def test_roles_of_one_model_have_one_base(tmp_path: Path) -> None:
    one, two = adapter(tmp_path / "one"), adapter(tmp_path / "two")
    assert parse_spec(f"m+lora={one}").base == parse_spec(f"m+lora={two}").base == parse_spec("m").base
    assert parse_spec("m+context=9").base != parse_spec("m").base


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("+context=9", "names no model"),
        ("m+wish=1", "unknown option 'wish'"),
        ("m+gpus=1+gpus=2", "gpus stands twice"),
        ("m+gpus=0", "whole number of at least 1"),
        ("m+context=4k", "whole number"),
        ("m+context=²", "whole number"),
        ("m+memory=much", "number above 0"),
        ("m+memory=-1", "number above 0"),
        ("m+memory=nan", "number above 0"),
        ("m+memory=inf", "number above 0"),
        ("m+lora=/no/such/folder", "no LoRA adapter in '/no/such/folder'"),
        ("m+lora=", "no LoRA adapter"),
    ],
)
def test_what_it_cannot_mean(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        parse_spec(text)
    assert "\n" not in str(error.value)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert parse_spec(text).model
    except (InputError, ValueError) as error:
        assert isinstance(error, InputError) or "null" in str(error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "abacus"}, "unknown device 'abacus'"),
        ({"device": "cuda:x"}, "unknown device"),
        ({"context": 0}, "context is 0"),
        ({"gpus": 0}, "gpus is 0"),
        ({"max_batch": 0}, "max_batch is 0"),
        ({"neighbours": 0}, "neighbours is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"memory": 0.0}, "memory is 0.0"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VllmOptions(**options)  # type: ignore[arg-type]  # one field at a time
