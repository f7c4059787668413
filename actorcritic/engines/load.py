"""From a model spec such as `hf:PATH_OR_ID` to an engine. Heavy imports happen when a model is loaded."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any, cast

from actorcritic.engines.fleet import FleetEngine
from actorcritic.engines.local_models import model_licence, resolve_model
from actorcritic.engines.openai import OpenAIEngine, OpenAIOptions
from actorcritic.engines.openai.address import Address, parse_address
from actorcritic.engines.openai.retrying import Gate, RetryPolicy
from actorcritic.engines.vllm.loading import load_vllm
from actorcritic.errors import EngineError, EngineUnavailable, InputError
from actorcritic.protocols import Engine

__all__ = ["load_engine"]

_DTYPES = ("auto", "float32", "bfloat16", "float16")
_FORMS = "hf:PATH_OR_ID, vllm:PATH_OR_ID or openai:MODEL@URL"


def load_engine(
    spec: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    gates: dict[str, Gate] | None = None,
) -> Engine:
    """Load the engine that a spec names.

    Args:
        spec: `hf:PATH_OR_ID` or `vllm:PATH_OR_ID`: a model folder, a model added with `actorcritic models add NAME`,
            or a hub id (see `load_vllm` for what may follow after `vllm:`); or
            `openai:MODEL@URL[,URL...][#key=VARIABLE,concurrency=N]`: a model on OpenAI-compatible servers, which are
            reached now.
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1` ...
        dtype: `auto` (float32 on the CPU, bfloat16 on a GPU), `float32`, `bfloat16` or `float16`.
        threads: threads of torch in this whole process; None leaves them alone. On a processor shared with others one
            is best: two were up to three times slower.
        gates: by server, who goes through when; engines loaded with the same ones share each server's concurrency.

    Raises:
        InputError: the spec, the device or the dtype is unknown, or there is no such folder.
        EngineUnavailable: the model or the libraries that run it cannot be loaded, or a server cannot be reached.
        EngineError: a server refuses the key.
    """
    scheme, _, rest = spec.partition(":")
    if scheme == "vllm" and rest:
        return load_vllm((spec,), device=device, dtype=dtype, threads=threads)[spec]
    if scheme == "openai":
        return _load_servers(parse_address(spec), spec, {} if gates is None else gates)
    if scheme != "hf" or not rest:
        raise InputError(f"unknown model spec {spec!r}: use {_FORMS}")
    if dtype not in _DTYPES:
        raise InputError(f"unknown dtype {dtype!r}: use one of {', '.join(_DTYPES)}")
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise InputError(f"hf: engines need {' and '.join(missing)}: pip install 'actorcritic[local]'")
    # Imports torch, which a caller that never loads a local model must not pay for.
    from actorcritic.engines.transformers import TransformersEngine, TransformersOptions  # noqa: PLC0415

    source = resolve_model(rest)
    options = TransformersOptions(
        device=device, dtype=cast("Any", dtype), licence=model_licence(source), threads=threads
    )
    return TransformersEngine.load(source, options, name=spec)


def _load_servers(address: Address, spec: str, gates: dict[str, Gate]) -> Engine:
    """Reach every server of an address; several become a fleet, in which some may be down as long as one is up."""
    doors = [gates.setdefault(url, Gate(address.concurrency)) for url in address.urls]
    options = OpenAIOptions(key_variable=address.key_variable, concurrency=address.concurrency)
    if len(doors) == 1:
        return OpenAIEngine.connect(address.model, address.urls[0], options, name=spec, gate=doors[0])
    # One of a fleet does not wait for itself to come back: another one answers.
    options = replace(options, retry=RetryPolicy(attempts=1))
    reached: dict[int, OpenAIEngine] = {}
    down: dict[int, EngineError] = {}
    for place, (url, gate) in enumerate(zip(address.urls, doors, strict=True)):
        try:
            reached[place] = OpenAIEngine.connect(address.model, url, options, gate=gate)
        except EngineUnavailable as error:
            down[place] = error
    if not reached:
        raise EngineUnavailable(f"no server of the fleet answers: {'; '.join(map(str, down.values()))}")
    sample = next(iter(reached.values()))
    engines = [
        reached[place] if place in reached else sample.on(url, options, gate=gate)
        for place, (url, gate) in enumerate(zip(address.urls, doors, strict=True))
    ]
    return FleetEngine(engines, name=spec, dropped=down)
