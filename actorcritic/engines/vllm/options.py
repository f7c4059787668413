"""How a vLLM engine runs, and how a model spec says so: `vllm:PATH_OR_ID+lora=PATH+context=4096+memory=0.4+gpus=2`.

Pure: imports neither torch nor vLLM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from actorcritic.errors import InputError

__all__ = [
    "CPU_GIB",
    "GPU_SHARE",
    "SCORER_GIB",
    "SCORER_SHARE",
    "TOP_LOGPROBS",
    "Adapter",
    "VllmOptions",
    "VllmSpec",
    "parse_spec",
]

TOP_LOGPROBS = 20
"""The most alternatives per position."""

GPU_SHARE = 0.9
"""What models that generate have together of a GPU's whole memory, for weights and cache, by default."""
SCORER_SHARE = 0.3
"""What a reward model has of it by default."""
CPU_GIB = 4.0
"""What models that generate have together for their caches on the CPU, in GiB, by default."""
SCORER_GIB = 1.0
"""What a reward model has for its cache on the CPU, in GiB, by default."""

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_OPTION = re.compile(r"\+(?=[a-z]+=)")


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmOptions:
    """How an engine runs. Engines of one base model in one process have the same options."""

    device: str = "auto"
    """`auto` (what the installed vLLM was built for), `cpu`, `cuda`, or one GPU such as `cuda:1`."""
    dtype: str = "auto"
    """`auto`: float32 on the CPU, on a GPU what the model's own settings say; `float32`, `bfloat16` or `float16`."""
    context: int | None = None
    """Tokens of prompt and completion together, >= 1; None = as many as the model can read."""
    memory: float | None = None
    """On a GPU: the share of its whole memory for weights and cache, in (0, 1]; None = 0.9 less what is reserved for
    others, divided by `neighbours`. On the CPU: GiB for the cache alone; None = 4, divided by `neighbours`."""
    neighbours: int = 1
    """How many engines share the device in equal parts, this one included, >= 1."""
    reserved: float = 0.0
    """The share of a GPU's memory that other models on it have been given, >= 0; without meaning on the CPU."""
    gpus: int = 1
    """GPUs over which every layer is spread (tensor parallelism), >= 1."""
    max_batch: int = 256
    """Requests decoded at once, >= 1; more of them wait."""
    threads: int | None = None
    """Threads of a CPU engine; None = OMP_NUM_THREADS where it is set, else vLLM binds one to each core. On cores
    that are shared with other programs one is best: two were up to twenty times slower."""
    licence: str | None = None
    """SPDX id of the model's licence, for provenance."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further environment variables for vLLM's processes alone."""

    def __post_init__(self) -> None:
        """Refuse what is out of range.

        Raises:
            InputError: one line that names the option.
        """
        if not _DEVICE.fullmatch(self.device):
            raise InputError(f"unknown device {self.device!r}: use auto, cpu, cuda or cuda:NUMBER")
        for name in ("context", "gpus", "max_batch", "neighbours", "threads"):
            value: int | None = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}: it must be at least 1")
        if self.memory is not None and not self.memory > 0:
            raise InputError(f"memory is {self.memory}: it must be above 0")
        if not self.reserved >= 0:
            raise InputError(f"reserved is {self.reserved}: it must be at least 0")

    @property
    def gpu_share(self) -> float:
        """The share of a GPU's memory that the engine has.

        Raises:
            InputError: the share is above 1, or others have been given all there is.
        """
        left = GPU_SHARE - self.reserved
        if self.memory is None and left <= 0:
            raise InputError(
                f"other models have been given {self.reserved:g} of the GPU's memory, and {GPU_SHARE:g} is to be had: "
                "give them less with +memory= (&memory= for a reward model)"
            )
        share = left / self.neighbours if self.memory is None else self.memory
        if share > 1:
            raise InputError(f"+memory={share:g}: on a GPU this is a share of its memory, at most 1")
        return share


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA adapter of a base model."""

    number: int
    """1, 2, 3 ...: its number among the adapters of one engine."""
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSpec:
    """A model spec, taken apart."""

    model: str
    """A folder, the name of an added model, or a hub id."""
    adapter: str | None = None
    """Folder of a LoRA adapter (as peft saves it); None = the base model itself."""
    context: int | None = None
    memory: float | None = None
    gpus: int = 1

    @property
    def base(self) -> VllmSpec:
        """What specs have in common that one engine can serve."""
        return VllmSpec(model=self.model, context=self.context, memory=self.memory, gpus=self.gpus)


def parse_spec(text: str) -> VllmSpec:
    """Take apart what follows `vllm:` in a model spec.

    Args:
        text: `PATH_OR_ID`, then any of `+lora=FOLDER`, `+context=TOKENS`, `+memory=SHARE` (of a GPU; GiB of cache on
            the CPU) and `+gpus=NUMBER`, in any order.

    Raises:
        InputError: an option is unknown, said twice or out of range, or the adapter's folder is missing.
    """
    model, *parts = _OPTION.split(text)
    given: dict[str, str] = {}
    for part in parts:
        key, _, value = part.partition("=")
        if key not in ("lora", "context", "memory", "gpus"):
            raise InputError(f"unknown option {key!r} of a vllm: spec: use +lora=, +context=, +memory= or +gpus=")
        if key in given:
            raise InputError(f"the option {key} stands twice in the spec vllm:{text}")
        given[key] = value
    if not model:
        raise InputError("a vllm: spec names no model: use vllm:PATH_OR_ID")
    adapter = given.get("lora")
    if adapter is not None and not (Path(adapter).expanduser() / "adapter_config.json").is_file():
        raise InputError(f"no LoRA adapter in {adapter!r}: name a folder that holds adapter_config.json")
    return VllmSpec(
        model=model,
        adapter=None if adapter is None else str(Path(adapter).expanduser()),
        context=_whole(given, "context"),
        memory=_number(given, "memory"),
        gpus=_whole(given, "gpus") or 1,
    )


def _whole(given: Mapping[str, str], key: str) -> int | None:
    if key not in given:
        return None
    if not given[key].isascii() or not given[key].isdigit() or int(given[key]) < 1:
        raise InputError(f"+{key}={given[key]}: give a whole number of at least 1")
    return int(given[key])


def _number(given: Mapping[str, str], key: str) -> float | None:
    if key not in given:
        return None
    try:
        value = float(given[key])
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise InputError(f"+{key}={given[key]}: give a number above 0")
    return value
