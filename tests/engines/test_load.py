"""A spec leads to an engine, or to one line that says what to do."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from actorcritic.engines.load import load_engine
from actorcritic.errors import EngineUnavailable, InputError


async def test_a_model_folder(tiny_model: Path) -> None:
    engine = load_engine(f"hf:{tiny_model}", device="cpu", dtype="float32")
    assert engine.info.name == f"hf:{tiny_model}"
    assert engine.info.max_context == 512
    assert engine.info.capabilities.chat and engine.info.capabilities.seeds
    assert engine.info.licence is None
    await engine.aclose()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "unknown model spec '': use hf:PATH_OR_ID"),
        ("hf:", "use hf:PATH_OR_ID"),
        ("smollm2", "use hf:PATH_OR_ID"),
        ("gguf:x", "use hf:PATH_OR_ID"),
        ("vllm:x", "vllm: engines need vLLM: pip install"),
        ("openai:m", "names no server: write openai:MODEL@URL"),
        ("openai:m@http://h?k=v", "has a query"),
        ("hf:./nowhere", "no model folder ./nowhere"),
        ("hf:/no/such/folder", "no model folder /no/such/folder"),
    ],
)
def test_a_bad_spec_says_what_to_do(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        load_engine(spec)
    assert "\n" not in str(error.value)


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="cannot load the model") as error:
        load_engine(f"hf:{tmp_path}")
    assert "\n" not in str(error.value)


def test_a_hub_model_that_is_not_here_is_unavailable_offline(no_network: list[object]) -> None:
    with pytest.raises(EngineUnavailable, match="cannot load the model nobody/nothing"):
        load_engine("hf:nobody/nothing")
    assert no_network == []


def test_bad_options(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="unknown dtype 'int3'"):
        load_engine(f"hf:{tiny_model}", dtype="int3")
    with pytest.raises(InputError, match="unknown device 'abacus'"):
        load_engine(f"hf:{tiny_model}", device="abacus")


def test_no_gpu(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU"):
        load_engine(f"hf:{tiny_model}", device="cuda")


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorcritic.engines.load.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"torch and transformers: pip install 'actorcritic\[local\]'"):
        load_engine("hf:x/y")
    assert importlib.util.find_spec("torch") is not None
