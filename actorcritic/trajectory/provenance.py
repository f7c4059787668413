"""Where a trajectory comes from: library, strategy, models and their licences. Written with every problem's start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actorcritic.codec import decode, encode
from actorcritic.types import JsonValue, Role

__all__ = ["ModelOrigin", "Provenance", "provenance_config", "read_provenance"]

KEY = "provenance"
"""Under which it stands in the `config` of `problem_started`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOrigin:
    """A model that took part."""

    role: Role
    name: str
    """How a person calls it, such as the model spec."""
    model: str
    """Its fingerprint."""
    licence: str | None = None
    """SPDX id; None = unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What every trajectory of a run says of the run."""

    library: str | None = None
    """Version of this library; None where the log is older than this field."""
    strategy: str | None = None
    seed: int | None = None
    """Of the run; every request's own seed stands with the request."""
    width: int | None = None
    """Trials in flight per problem."""
    oracle: bool = False
    """True where a gold answer or the task's own checker stood behind the critic during the run."""
    models: tuple[ModelOrigin, ...] = ()


def provenance_config(provenance: Provenance) -> dict[str, JsonValue]:
    """Return the `config` of a problem's start that holds this."""
    return {KEY: encode(provenance)}


def read_provenance(config: JsonValue) -> Provenance | None:
    """Return what `provenance_config` wrote; None where the config holds none.

    Raises:
        RecordError: it has another shape.
    """
    if not isinstance(config, Mapping) or KEY not in config:
        return None
    return decode(Provenance, config[KEY])
