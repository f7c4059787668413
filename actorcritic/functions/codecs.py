"""How a caller's values are written to a log and read again, exactly. Knows no search and no file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from actorcritic.functions.checks import Refusal
from actorcritic.types import JsonValue

__all__ = ["JSON", "Codec", "typed_codec", "written"]

T = TypeVar("T")

PLAIN = (type(None), bool, int, str)
"""Classes whose values come back from JSON as they were; subclasses, such as enumerations, would not."""


@dataclass(frozen=True, kw_only=True)  # with slots, Codec[Answer](...) would raise
class Codec(Generic[T]):
    """Two functions, each the other's inverse."""

    encode: Callable[[T], JsonValue]
    """Returns a value as JSON; what it raises ends the search."""
    decode: Callable[[JsonValue], T]
    """Returns the value of the JSON that `encode` gave."""


def typed_codec(kind: type[T]) -> Codec[T]:
    """Return the codec of a type that pydantic knows: a model, a dataclass, `tuple[str, int]`, `list[Answer]` ..."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - `import actorcritic` imports no dependency

    adapter: TypeAdapter[T] = TypeAdapter(kind)

    def encode(value: T) -> JsonValue:
        return cast("JsonValue", adapter.dump_python(value, mode="json"))

    return Codec(encode=encode, decode=adapter.validate_python)


def _as_it_is(value: Any) -> JsonValue:
    if not _is_json(value):
        raise TypeError("it does not come back from JSON as it was")
    return cast("JsonValue", value)


def _is_json(value: Any) -> bool:
    """Return whether JSON holds a value exactly: no tuple, which would be a list, and no number that is none."""
    kind = type(value)
    if kind is list:
        return all(map(_is_json, value))
    if kind is dict:
        return all(type(key) is str and _is_json(item) for key, item in value.items())
    return kind in PLAIN or (kind is float and math.isfinite(value))


JSON: Codec[Any] = Codec(encode=_as_it_is, decode=lambda data: data)
"""For values that are JSON already: text, numbers, True, False and None, in lists and in dictionaries by text."""


def written(value: T, codec: Codec[T], where: str) -> JsonValue:
    """Return a value as it is logged, once it is certain that it can be read again.

    Args:
        value: What the caller's function returned.
        codec: Its codec.
        where: The caller's function.

    Raises:
        Refusal: the codec cannot write the value, or not read what it wrote.
    """
    try:
        data = codec.encode(value)
        if not _is_json(data):
            raise TypeError("the codec's encode returned no plain JSON")
        codec.decode(data)
    except Exception as error:
        advice = "give codec=typed_codec(THE TYPE), or a Codec of your own" if codec is JSON else "mend its codec"
        said = str(error).partition("\n")[0]
        raise Refusal(f"{where} returned a {type(value).__name__} that cannot be logged: {said}; {advice}") from error
    return data
