"""What models cost, from a file that the user keeps: providers change their prices, so none are built in.

The file is a JSON object: `{"MODEL": {"prompt": 2.5, "completion": 10.0, "cached": 1.25}}`, in any one currency per
million tokens. MODEL is a model spec, or the name of the model on its server.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from actorcritic.budget import Price
from actorcritic.errors import InputError
from actorcritic.protocols import Engine, EngineInfo

__all__ = ["price_engines", "read_prices"]

_SERVED = re.compile(r"openai:(?P<model>.+?)@\w+://")
_FIELDS = ("prompt", "completion", "cached")


def read_prices(path: Path) -> dict[str, Price]:
    """Read a price file.

    Raises:
        InputError: it cannot be read, or an entry is no price.
    """
    try:
        table: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the price file {path}: {' '.join(str(error).split())}") from error
    if not isinstance(table, dict):
        raise InputError(f'{path} must hold an object such as {{"MODEL": {{"prompt": 2.5, "completion": 10}}}}')
    return {model: _price(row, f"{path}: {model!r}") for model, row in cast("dict[str, object]", table).items()}


def price_engines(table: Mapping[str, Price], engines: Sequence[Engine], *, needed: bool) -> dict[str, Price]:
    """Return the prices by model fingerprint, as the meter looks them up.

    Args:
        table: by model spec or name.
        engines: all engines of a run.
        needed: True where a budget of money depends on it, so that every model must have a price.

    Raises:
        InputError: a model that must have a price has none.
    """
    prices: dict[str, Price] = {}
    for engine in engines:
        info = engine.info
        known = next((table[name] for name in _names(info) if name in table), None)
        if known is not None:
            prices[info.model] = known
        elif needed:
            raise InputError(
                f"a budget of money needs the price of every model: {_names(info)[-1]!r} is not in the price file "
                "(0 for one that costs nothing)"
            )
    return prices


def _names(info: EngineInfo) -> list[str]:
    served = _SERVED.match(info.name)
    return [info.name, info.model, served["model"] if served else info.name]


def _price(row: object, where: str) -> Price:
    fields = cast("dict[str, object]", row) if isinstance(row, dict) else {}
    unknown = fields.keys() - set(_FIELDS)
    numbers = {name: _number(value) for name, value in fields.items()}
    prompt, completion = numbers.get("prompt"), numbers.get("completion")
    if prompt is None or completion is None or unknown or None in numbers.values():
        raise InputError(
            f"{where} needs prompt and completion, and may have cached: numbers per million tokens, 0 or more"
        )
    return Price(prompt=prompt, completion=completion, cached=numbers.get("cached"))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)
