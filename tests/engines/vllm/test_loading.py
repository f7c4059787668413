"""Specs that have a base model in common share a running model; others share the device; nothing half-loaded stays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from actorcritic import loading as roles_module
from actorcritic.critic import ModelCritic
from actorcritic.engines.load import load_engine
from actorcritic.engines.load_reward import parse_reward_spec
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.engines.vllm import engine as engine_module
from actorcritic.engines.vllm import loading
from actorcritic.engines.vllm.loading import load_vllm
from actorcritic.engines.vllm.options import SCORER_SHARE, VllmOptions
from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.formats.chat import ChatActorFormat, ChatCriticFormat
from actorcritic.formats.embedded import EmbeddedActorFormat
from actorcritic.loading import EMBEDDED, LoadOptions, load_roles


class Started:
    """Stands for `VllmEngine`; keeps what was started."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[str | None, ...], VllmOptions]] = []
        self.engines: list[ScriptedEngine] = []
        self.failing: str | None = None

    def load_roles(
        self, source: str, adapters: Sequence[str | None], options: VllmOptions, *, names: Sequence[str]
    ) -> tuple[ScriptedEngine, ...]:
        if source == self.failing:
            raise EngineUnavailable("no room")
        self.calls.append((source, tuple(adapters), options))
        made = tuple(ScriptedEngine(["a"], name=name) for name in names)
        self.engines += made
        return made


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    made = Started()
    monkeypatch.setattr(engine_module, "VllmEngine", made)
    monkeypatch.setattr(loading, "require_vllm", lambda: None)
    return made


def adapter(folder: Path) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    return str(folder)


def test_one_engine(started: Started) -> None:
    engine = load_engine("vllm:o/m+context=9+memory=0.5+gpus=2", device="cuda:1", dtype="bfloat16", threads=3)
    assert engine.info.name == "vllm:o/m+context=9+memory=0.5+gpus=2"
    (source, adapters, options) = started.calls[0]
    assert source == "o/m" and adapters == (None,)
    assert options == VllmOptions(
        device="cuda:1", dtype="bfloat16", context=9, memory=0.5, gpus=2, threads=3, neighbours=1
    )


def test_adapters_of_one_base_share_it_and_two_bases_share_the_device(started: Started, tmp_path: Path) -> None:
    lora = adapter(tmp_path / "lora")
    specs = ("vllm:o/m", f"vllm:o/m+lora={lora}", "vllm:o/other")
    engines = load_vllm(specs)
    assert tuple(engines) == specs and [engines[spec].info.name for spec in specs] == list(specs)
    assert [(source, adapters) for source, adapters, _ in started.calls] == [
        ("o/m", (None, lora)),
        ("o/other", (None,)),
    ]
    assert {options.neighbours for _, _, options in started.calls} == {2}


@pytest.mark.parametrize(
    ("actor", "critic", "reward_model", "shares"),
    [
        ("vllm:o/m", None, None, [0.9]),
        ("vllm:o/m", "vllm:o/other", None, [0.45, 0.45]),
        ("vllm:o/m", None, "vllm-prm:o/prm?format=qwen", [0.6]),
        ("vllm:o/m", "vllm:o/other", "vllm-prm:o/prm?format=qwen", [0.3, 0.3]),
        ("vllm:o/m", "vllm:o/other+memory=0.4", "vllm-prm:o/prm?format=qwen&memory=0.2", [0.3, 0.4]),
        ("vllm:o/m+memory=0.5", None, "vllm-prm:o/prm?format=qwen", [0.5]),
        ("vllm:o/m", None, "hf-prm:o/prm?format=qwen", [0.9]),
    ],
)
def test_all_that_runs_in_vllm_fits_the_gpu(
    started: Started,
    monkeypatch: pytest.MonkeyPatch,
    actor: str,
    critic: str | None,
    reward_model: str | None,
    shares: list[float],
) -> None:
    scorer = ScriptedEngine(["a"])
    monkeypatch.setattr(roles_module, "load_reward_engine", lambda spec, **how: scorer)
    load_roles(actor, critic, reward_model=reward_model)
    given = [options.gpu_share for _, _, options in started.calls]
    assert given == pytest.approx(shares)
    if reward_model is not None and (named := parse_reward_spec(reward_model)).vllm:
        given.append(SCORER_SHARE if named.memory is None else named.memory)
    assert sum(given) <= 0.9 + 1e-9


def test_others_cannot_have_it_all(started: Started) -> None:
    load_vllm(("vllm:o/m",), scorers=(0.9,))
    with pytest.raises(InputError, match=r"have been given 0\.9 of the GPU's memory, and 0\.9 .*&memory="):
        _ = started.calls[0][2].gpu_share
    assert load_vllm(("vllm:o/m+memory=0.1",), scorers=(0.9,)) and started.calls[1][2].gpu_share == 0.1
    with pytest.raises(InputError, match="reserved is -1"):
        VllmOptions(reserved=-1)


def test_what_was_loaded_is_closed_when_the_next_cannot_be(started: Started) -> None:
    started.failing = "o/other"
    with pytest.raises(EngineUnavailable, match="no room"):
        load_vllm(("vllm:o/m", "vllm:o/other"))
    with pytest.raises(EngineUnavailable, match="closed"):
        asyncio.run(started.engines[0].generate(None))  # type: ignore[arg-type]  # refused before it is looked at


@pytest.mark.parametrize(("spec", "dtype", "message"), [("vllm:m", "int3", "unknown dtype"), ("vllm:", "auto", "spec")])
def test_bad_input(started: Started, spec: str, dtype: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_engine(spec, dtype=dtype)
    assert started.calls == []


async def test_one_model_in_both_roles_is_one_engine_held_to_the_schema(started: Started) -> None:
    roles = load_roles("vllm:o/m", options=LoadOptions(device="cpu", dtype="float32"))
    assert len(started.calls) == len(roles.engines) == 1
    assert isinstance(roles.critic, ModelCritic) and roles.critic.engine is roles.actor.engine
    assert isinstance(roles.critic.format, ChatCriticFormat) and roles.critic.format.output == "json"
    assert isinstance(roles.actor.format, ChatActorFormat) and roles.critic.format.follows is roles.actor.format
    assert started.calls[0][2].device == "cpu" and started.calls[0][2].dtype == "float32"
    await roles.aclose()


async def test_two_adapters_are_two_roles_of_one_model(started: Started, tmp_path: Path) -> None:
    one, two = adapter(tmp_path / "actor"), adapter(tmp_path / "critic")
    roles = load_roles(f"vllm:o/m+lora={one}", f"vllm:o/m+lora={two}")
    assert [adapters for _, adapters, _ in started.calls] == [(one, two)] and len(roles.engines) == 2
    assert isinstance(roles.critic, ModelCritic) and roles.critic.engine is roles.engines[1]
    await roles.aclose()


async def test_the_embedded_pair_in_vllm(started: Started) -> None:
    roles = load_roles("vllm:embedded")
    assert [source for source, _, _ in started.calls] == [str(EMBEDDED / "actor"), str(EMBEDDED / "critic")]
    assert isinstance(roles.actor.format, EmbeddedActorFormat) and {call[2].neighbours for call in started.calls} == {2}
    await roles.aclose()


async def test_no_vllm_spec_starts_nothing(started: Started) -> None:
    await load_roles("embedded", "none").aclose()
    assert started.calls == []
