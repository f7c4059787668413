"""What the tests that run vLLM itself share: models, adapters, processes."""

from __future__ import annotations

import json
import time
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file

from actorcritic.engines.restarting import RestartingEngine
from actorcritic.engines.vllm.engine import VllmEngine
from actorcritic.engines.vllm.options import VllmOptions
from actorcritic.engines.vllm.pooling import VllmScorer
from actorcritic.protocols import Engine

OPTIONS = VllmOptions(threads=1, memory=0.5, device="cpu")
"""Small, on one thread: the machine is shared."""


def core_process(engine: Engine) -> Any:
    """Return vLLM's engine process behind an engine."""
    inner = engine.engine if isinstance(engine, RestartingEngine) else engine
    llm = cast("VllmEngine", inner)._host.started.llm
    return psutil_process(llm.engine_core.resources.engine_manager.processes[0].pid)


def scorer_process(engine: RestartingEngine) -> Any:
    """Return vLLM's engine process behind a reward model's engine."""
    llm = cast("VllmScorer", engine.engine)._llm
    assert llm is not None, "not at work"
    return psutil_process(llm.llm_engine.engine_core.resources.engine_manager.processes[0].pid)


def psutil_process(pid: int) -> Any:
    """Return a process by its id."""
    return import_module("psutil").Process(pid)


SERVER = "vllm.entrypoints.openai.api_server"
"""The module that the fixture `vllm_server` runs; it lives as long as the tests do."""


def vllm_processes() -> list[str]:
    """Return the names of vLLM's processes below this one, without those of the server."""
    psutil = import_module("psutil")
    names: list[str] = []
    for child in psutil.Process().children():
        try:
            if SERVER not in child.cmdline():
                names += [process.name() for process in (child, *child.children(recursive=True))]
        except psutil.NoSuchProcess:
            continue
    return [name for name in names if name.startswith("VLLM")]


def wait_for_no_process(seconds: float = 30.0) -> None:
    """Wait until vLLM's processes are gone."""
    end = time.monotonic() + seconds
    while vllm_processes():
        assert time.monotonic() < end, f"left behind: {vllm_processes()}"
        time.sleep(0.05)


def save_adapter(folder: Path, base: Path, *, seed: int) -> str:
    """Write a random LoRA adapter of rank 4 for the attention of a Llama, as peft saves it, strong enough to matter."""
    folder.mkdir(parents=True)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    size, generator = config["hidden_size"], torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for layer in range(config["num_hidden_layers"]):
        for name in ("q_proj", "v_proj"):
            key = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(4, size, generator=generator)
            tensors[f"{key}.lora_B.weight"] = torch.randn(size, 4, generator=generator)
    save_file(tensors, str(folder / "adapter_model.safetensors"))
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "bias": "none"}
    settings |= {"target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": str(base)}
    (folder / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return str(folder)
