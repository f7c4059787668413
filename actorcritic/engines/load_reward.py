"""From a reward model's spec, such as `hf-prm:PATH_OR_ID?format=qwen`, to an engine that scores.

Heavy imports happen when a model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import parse_qsl

from actorcritic.engines.batch_scorer import ScoringOptions
from actorcritic.engines.local_models import model_licence, resolve_model
from actorcritic.engines.reward_formats import FORMATS, OutcomeClassifier, RewardFormat, format_of
from actorcritic.errors import InputError
from actorcritic.protocols import Engine

__all__ = ["RewardSpec", "load_reward_engine", "parse_reward_spec"]

FORMS = "hf-prm:PATH_OR_ID?format=NAME or hf-orm:PATH_OR_ID"
REDUCTIONS = ("min", "product", "last", "mean")
BATCH = 16
_KNOWN = {"hf-prm": ("format", "reduce", "batch"), "hf-orm": ("batch",)}


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


def parse_reward_spec(spec: str) -> RewardSpec:
    """Read `hf-prm:PATH_OR_ID?format=NAME`, with `&reduce=HOW` and `&batch=N` after it, or `hf-orm:PATH_OR_ID`.

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
    if scheme == "hf-prm" and "format" not in options:
        raise InputError(f"say how {spec} reads a solution: add ?format= and one of {', '.join(FORMATS)}")
    return RewardSpec(
        text=spec,
        source=source,
        format=format_of(options["format"]) if scheme == "hf-prm" else OutcomeClassifier(),
        reduce=_reduction(options),
        batch=_batch(options),
    )


def load_reward_engine(spec: str, *, device: str = "auto", dtype: str = "auto") -> Engine:
    """Load the reward model that a spec names.

    Args:
        spec: See `parse_reward_spec`.
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1` ...
        dtype: `auto` (float32 on the CPU, bfloat16 on a GPU), `float32`, `bfloat16` or `float16`.

    Raises:
        InputError: the spec or the device is unknown, or there is no such folder.
        EngineUnavailable: the model cannot be loaded, or is no model of its format.
    """
    named = parse_reward_spec(spec)
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise InputError(f"reward models need {' and '.join(missing)}: pip install 'actorcritic[local]'")
    # Imports torch, which a caller that never loads a local model must not pay for.
    from actorcritic.engines.transformers.rewards import TransformersScorer  # noqa: PLC0415

    source = resolve_model(named.source)
    options = ScoringOptions(
        device=device, dtype=dtype, max_batch=named.batch, reduce=named.reduce, licence=model_licence(source)
    )
    return TransformersScorer.load(source, named.format, options, name=spec)


def _reduction(options: Mapping[str, str]) -> str | None:
    how = options.get("reduce")
    if how is not None and how not in REDUCTIONS:
        raise InputError(f"option reduce={how} is refused; allowed: {' | '.join(REDUCTIONS)}")
    return how


def _batch(options: Mapping[str, str]) -> int:
    text = options.get("batch", str(BATCH))
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"option batch={text} is refused; allowed: a whole number >= 1")
    return int(text)
