"""From a model spec such as `hf:PATH_OR_ID` to an engine. Heavy imports happen when a model is loaded."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, cast

from actorcritic.engines.local_models import model_licence, resolve_model
from actorcritic.errors import InputError
from actorcritic.protocols import Engine

__all__ = ["load_engine"]

_DTYPES = ("auto", "float32", "bfloat16", "float16")
_LATER = ("vllm", "openai")


def load_engine(spec: str, *, device: str = "auto", dtype: str = "auto", threads: int | None = None) -> Engine:
    """Load the engine that a spec names.

    Args:
        spec: `hf:PATH_OR_ID`: a model folder, a model added with `actorcritic models add NAME`, or a hub id.
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1` ...
        dtype: `auto` (float32 on the CPU, bfloat16 on a GPU), `float32`, `bfloat16` or `float16`.
        threads: threads of torch in this whole process; None leaves them alone. On a processor shared with others one
            is best: two were up to three times slower.

    Raises:
        InputError: the spec, the device or the dtype is unknown, or there is no such folder.
        EngineUnavailable: the model or the libraries that run it cannot be loaded.
    """
    scheme, _, rest = spec.partition(":")
    if scheme in _LATER:
        raise InputError(f"{scheme}: engines are not available yet: use hf:PATH_OR_ID")
    if scheme != "hf" or not rest:
        raise InputError(f"unknown model spec {spec!r}: use hf:PATH_OR_ID")
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
