"""From a reward model's spec, such as `hf-prm:PATH_OR_ID?format=qwen`, to an engine that scores.

Heavy imports happen when a model is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import parse_qsl

from actorcritic.engines.batch_scorer import ScoringOptions
from actorcritic.engines.local_models import model_licence, resolve_model
from actorcritic.engines.restarting import keep_running
from actorcritic.engines.reward_formats import FORMATS, OutcomeClassifier, RewardFormat, format_of
from actorcritic.engines.vllm.options import VllmOptions
from actorcritic.errors import InputError
from actorcritic.protocols import Engine

__all__ = ["RewardSpec", "load_reward_engine", "parse_reward_spec"]

FORMS = "hf-prm:PATH_OR_ID?format=NAME or hf-orm:PATH_OR_ID (vllm-prm:, vllm-orm: for vLLM)"
REDUCTIONS = ("min", "product", "last", "mean")
BATCH = 16
_KNOWN = {
    "hf-prm": ("format", "reduce", "batch"),
    "hf-orm": ("batch",),
    "vllm-prm": ("format", "reduce", "batch", "context", "memory"),
    "vllm-orm": ("batch", "context", "memory"),
}
"""Options by scheme."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardSpec:
    """A reward model as its spec names it."""

    text: str
    source: str
    """A model folder, an added model or a hub id."""
    format: RewardFormat
    reduce: str | None = None
    """How one score is made of the steps', one of `REDUCTIONS`; None = as the format's publishers do."""
    batch: int = BATCH
    """Solutions in one forward pass at most, >= 1."""
    context: int | None = None
    """vLLM: tokens of one solution at most; None = as many as the model can read."""
    memory: float | None = None
    """vLLM: the share of a GPU's memory, in (0, 1]; on the CPU GiB of cache. None = 0.3 and 1."""

    @property
    def vllm(self) -> bool:
        """Whether it runs in vLLM, rather than over transformers."""
        return self.text.startswith("vllm-")


def parse_reward_spec(spec: str) -> RewardSpec:
    """Read `hf-prm:PATH_OR_ID?format=NAME`, with `&reduce=HOW` and `&batch=N` after it, or `hf-orm:PATH_OR_ID`.

    `vllm-prm:` and `vllm-orm:` are the same in vLLM, and take `&context=TOKENS` and `&memory=SHARE` too.

    Raises:
        InputError: something is unknown; the message lists the choices.
    """
    scheme, _, rest = spec.partition(":")
    source, _, query = rest.partition("?")
    if scheme not in _KNOWN or not source:
        raise InputError(f"unknown reward model {spec!r}: use {FORMS}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in _KNOWN[scheme]:
            raise InputError(f"{scheme}: has no option {name!r}; choose from: {', '.join(_KNOWN[scheme])}")
    process = scheme.endswith("-prm")
    if process and "format" not in options:
        raise InputError(f"say how {spec} reads a solution: add ?format= and one of {', '.join(FORMATS)}")
    return RewardSpec(
        text=spec,
        source=source,
        format=format_of(options["format"]) if process else OutcomeClassifier(),
        reduce=_reduction(options),
        batch=_whole(options, "batch") or BATCH,
        context=_whole(options, "context"),
        memory=_number(options, "memory"),
    )


def load_reward_engine(spec: str, *, device: str = "auto", dtype: str = "auto") -> Engine:
    """Load the reward model that a spec names. One in vLLM that dies is started again, up to `RESTARTS` times.

    Args:
        spec: See `parse_reward_spec`.
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1` ...
        dtype: `auto` (float32 on the CPU, bfloat16 on a GPU), `float32`, `bfloat16` or `float16`.

    Raises:
        InputError: the spec or the device is unknown, there is no such folder, or a library is missing.
        EngineUnavailable: the model cannot be loaded, or is no model of its format.
    """
    named = parse_reward_spec(spec)
    source = resolve_model(named.source)
    options = ScoringOptions(
        device=device, dtype=dtype, max_batch=named.batch, reduce=named.reduce, licence=model_licence(source)
    )
    if named.vllm:
        # Imports torch, as below.
        from actorcritic.engines.vllm.pooling import VllmScorer  # noqa: PLC0415

        how = VllmOptions(device=device, dtype=dtype, context=named.context, memory=named.memory)
        (scorer,) = keep_running(lambda: [VllmScorer.load(source, named.format, options, name=spec, how=how)])
        return scorer
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise InputError(f"reward models need {' and '.join(missing)}: pip install 'actorcritic[local]'")
    # Imports torch, which a caller that never loads a local model must not pay for.
    from actorcritic.engines.transformers.rewards import TransformersScorer  # noqa: PLC0415

    return TransformersScorer.load(source, named.format, options, name=spec)


def _reduction(options: Mapping[str, str]) -> str | None:
    how = options.get("reduce")
    if how is not None and how not in REDUCTIONS:
        raise InputError(f"option reduce={how} is refused; allowed: {' | '.join(REDUCTIONS)}")
    return how


def _whole(options: Mapping[str, str], name: str) -> int | None:
    text = options.get(name)
    if text is not None and (not text.isdecimal() or int(text) < 1):
        raise InputError(f"option {name}={text} is refused; allowed: a whole number >= 1")
    return None if text is None else int(text)


def _number(options: Mapping[str, str], name: str) -> float | None:
    text = options.get(name)
    try:
        value = None if text is None else float(text)
    except ValueError:
        value = 0.0
    if value is not None and not 0 < value < math.inf:
        raise InputError(f"option {name}={text} is refused; allowed: a number > 0")
    return value
