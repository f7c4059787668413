"""From `vllm:` specs to engines: roles of one base model share a running model, several models share the device.

Imports neither torch nor vLLM before a model is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from actorcritic.engines.local_models import model_licence, resolve_model
from actorcritic.engines.restarting import close_all, keep_running
from actorcritic.engines.vllm.options import SCORER_SHARE, VllmOptions, VllmSpec, parse_spec
from actorcritic.engines.vllm.startup import require_vllm
from actorcritic.errors import InputError
from actorcritic.protocols import Engine

__all__ = ["load_vllm"]

_DTYPES = ("auto", "float32", "bfloat16", "float16")


def load_vllm(
    specs: Sequence[str],
    *,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    scorers: Sequence[float | None] = (),
) -> dict[str, Engine]:
    """Load the engines of `vllm:` specs, with as few running models as they need.

    `vllm:BASE` and `vllm:BASE+lora=FOLDER` are roles of one running model, whose adapters work side by side. Other
    specs have a model of their own; what reward models and those with `+memory=` leave of the device they share in
    equal parts. An engine that dies is started again, up to `RESTARTS` times.

    Args:
        specs: `vllm:PATH_OR_ID`, then any of `+lora=FOLDER` (a LoRA adapter), `+context=TOKENS` (prompt and completion
            together), `+memory=SHARE` (of a GPU's memory; GiB of cache on the CPU), `+gpus=NUMBER`.
        device: `auto` (what the installed vLLM is built for), `cpu`, `cuda`, or one GPU such as `cuda:1`.
        dtype: `auto` (float32 on the CPU, the model's own on a GPU), `float32`, `bfloat16` or `float16`.
        threads: threads of an engine on the CPU; None = OMP_NUM_THREADS where it is set, else one for each core.
        scorers: the memory of each reward model that vLLM runs on the same device; None = what it has by default.

    Returns:
        An engine for each spec.

    Raises:
        InputError: a spec, the device or the dtype is unknown, there is no such folder, vLLM is missing, or other
            models have been given all the memory.
        EngineUnavailable: a model cannot be loaded.
    """
    if dtype not in _DTYPES:
        raise InputError(f"unknown dtype {dtype!r}: use one of {', '.join(_DTYPES)}")
    groups: dict[VllmSpec, dict[str, VllmSpec]] = {}
    for spec in specs:
        parsed = parse_spec(spec.removeprefix("vllm:"))
        groups.setdefault(parsed.base, {})[spec] = parsed
    given = [SCORER_SHARE if memory is None else memory for memory in scorers]
    given += [base.memory for base in groups if base.memory is not None]
    equal = sum(base.memory is None for base in groups)
    engines: dict[str, Engine] = {}
    for base, roles in groups.items():
        source = resolve_model(base.model)
        options = VllmOptions(
            device=device,
            dtype=dtype,
            context=base.context,
            memory=base.memory,
            neighbours=max(1, equal),
            reserved=0.0 if base.memory is not None else math.fsum(given),
            gpus=base.gpus,
            threads=threads,
            licence=model_licence(source),
        )
        try:
            started = _start_vllm(source, roles, options)
        except BaseException:
            close_all(tuple(engines.values()))
            raise
        engines.update(zip(roles, started, strict=True))
    return engines


def _start_vllm(source: str, roles: dict[str, VllmSpec], options: VllmOptions) -> Sequence[Engine]:
    """Start one running model for some roles of it."""
    require_vllm()
    # Imports torch, which a caller that never loads a local model must not pay for.
    from actorcritic.engines.vllm.engine import VllmEngine  # noqa: PLC0415

    adapters = [role.adapter for role in roles.values()]
    return keep_running(lambda: VllmEngine.load_roles(source, adapters, options, names=tuple(roles)))
