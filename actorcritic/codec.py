"""Frozen values to JSON and back, exactly: `decode(type(v), encode(v)) == v`.

Reads the dataclasses' own type hints, so a value needs no code here. Empty fields (None, "", an empty list or mapping)
that are empty by default are left out; every other field is written, so that a log can be read without this library.
Knows no file and no event.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from actorcritic.errors import RecordError
from actorcritic.types import JsonValue, TokenLogprob

__all__ = ["decode", "encode"]

T = TypeVar("T")
_Decoder = Callable[[Any], Any]
_Writer = Callable[[Any], JsonValue]

FULL = object()
"""Stands for: this field is always written."""

PLAIN = (NoneType, bool, int, str)
"""Classes whose values are JSON already."""


def encode(value: object) -> JsonValue:
    """Return a value as JSON: dataclasses become objects, tuples become lists, infinities become strings."""
    return _writer(type(value))(value)


def decode(kind: type[T], data: JsonValue) -> T:
    """Return the value of the given class that `encode` wrote.

    Raises:
        RecordError: the data has another shape.
    """
    try:
        return cast("T", _decoder(cast("Hashable", kind))(data))
    except (TypeError, ValueError, KeyError) as error:
        raise RecordError(f"not a {kind.__name__}: {error}") from error


# --- writing -------------------------------------------------------------------------------------------------------


def _make_writer(kind: type) -> _Writer:
    """Return what writes the values of this class."""
    if kind in PLAIN:
        return _write_as_is
    if issubclass(kind, Enum):
        return lambda value: str(value.value)
    if issubclass(kind, bool | int | str):
        return _write_as_is
    if issubclass(kind, float):
        return _write_float
    if issubclass(kind, Mapping):
        return _write_mapping
    if issubclass(kind, Sequence):
        return _encode_items
    return _dataclass_writer(kind)


_writer: Callable[[type], _Writer] = cache(_make_writer)
"""Built once per class, since logs are written while engines wait."""


def _dataclass_writer(kind: type) -> _Writer:
    """Return what writes a dataclass field by field."""
    if not dataclasses.is_dataclass(kind):
        raise TypeError(f"{kind.__name__} is no value that can be written")
    hints = get_type_hints(kind)
    columns = tuple(
        (item.name, _empty_default(item), None if _is_plain(hints[item.name]) else encode)
        for item in dataclasses.fields(kind)
    )

    def write(value: Any) -> JsonValue:
        written: dict[str, JsonValue] = {}
        for name, empty, writer in columns:
            item = getattr(value, name)
            if empty is FULL or (item is not None if empty is None else item):
                written[name] = item if writer is None else writer(item)
        return written

    return write


def _is_plain(hint: Any) -> bool:
    """Return whether every value of this type is written as it is."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return all(type(arg) in PLAIN for arg in args)
    if origin in (Union, UnionType):
        return all(map(_is_plain, args))
    return hint in PLAIN


def _write_as_is(value: Any) -> JsonValue:
    return cast("JsonValue", value)


def _write_float(value: Any) -> JsonValue:
    return cast("float", value) if math.isfinite(value) else repr(value)


def _write_mapping(value: Any) -> JsonValue:
    return {str(key): _writer(type(item))(item) for key, item in value.items()}


def _encode_items(items: Sequence[object]) -> JsonValue:
    """Encode a list; tokens go by columns, since one object per token would be most of a log."""
    if not items:
        return []
    if isinstance(items[0], TokenLogprob):
        return _encode_tokens(cast("Sequence[TokenLogprob]", items))
    kinds = set(map(type, items))
    if kinds == {int}:
        return cast("list[JsonValue]", list(items))
    if kinds == {float}:
        return _encode_floats(cast("Sequence[float]", items))
    return [_writer(type(item))(item) for item in items]


def _encode_floats(items: Sequence[float]) -> list[JsonValue]:
    if all(map(math.isfinite, items)):
        return list(items)
    return [encode(item) for item in items]


def _encode_tokens(tokens: Sequence[TokenLogprob]) -> JsonValue:
    columns: dict[str, JsonValue] = {
        "token_ids": [token.token_id for token in tokens],
        "texts": [token.text for token in tokens],
        "logprobs": _encode_floats([token.logprob for token in tokens]),
    }
    if any(token.top for token in tokens):
        columns["tops"] = [encode(token.top) for token in tokens]
    return columns


def _empty_default(item: dataclasses.Field[Any]) -> object:
    default = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
    return default if default is None or default in ("", (), {}) else FULL


# --- reading -------------------------------------------------------------------------------------------------------


@cache
def _decoder(hint: Any) -> _Decoder:
    """Return what reads a value of this type; built once per type."""
    origin, args = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _dataclass_decoder(cast("type", hint))
    if origin in (Union, UnionType):
        return _union_decoder(args)
    if origin is tuple:
        return _tuple_decoder(args)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_decoder(args)
    if origin is Literal:
        return _literal_decoder(args)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    if hint is float:
        return _read_float
    return _plain_decoder(hint)


def _dataclass_decoder(kind: type) -> _Decoder:
    hints = get_type_hints(kind)
    readers = {item.name: _decoder(hints[item.name]) for item in dataclasses.fields(kind)}

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            raise TypeError(f"{kind.__name__} is written as an object")
        values = cast("dict[str, Any]", data)
        return kind(**{name: readers[name](item) for name, item in values.items()})

    return read


def _union_decoder(args: tuple[Any, ...]) -> _Decoder:
    # Only a free JSON value allows a bool beside None; everything else is a choice between shapes.
    if NoneType in args and bool in args:
        return _read_as_is
    readers = {_shape(arg): _decoder(arg) for arg in args if arg is not NoneType}
    optional = NoneType in args

    def read(data: Any) -> Any:
        if data is None and optional:
            return None
        reader = readers.get("number" if isinstance(data, int | float) else type(data).__name__)
        return (reader or next(iter(readers.values())))(data)

    return read


def _shape(hint: Any) -> str:
    """Return the JSON shape a type is written in."""
    origin = get_origin(hint)
    if origin is tuple:
        return "list"
    if dataclasses.is_dataclass(hint) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return "dict"
    return "number" if hint in (int, float) else "str"


def _tuple_decoder(args: tuple[Any, ...]) -> _Decoder:
    kind = args[0]
    if kind is TokenLogprob:
        return _read_tokens
    if kind is int:
        return _read_integers
    reader = _decoder(kind)

    def read(data: Any) -> Any:
        if not isinstance(data, list):
            raise TypeError("a list is missing")
        return tuple(map(reader, data))

    return read


def _mapping_decoder(args: tuple[Any, ...]) -> _Decoder:
    reader = _decoder(args[1])

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            raise TypeError("an object is missing")
        return {key: reader(item) for key, item in cast("dict[str, Any]", data).items()}

    return read


def _literal_decoder(args: tuple[Any, ...]) -> _Decoder:
    def read(data: Any) -> Any:
        if data not in args:
            raise ValueError(f"{data!r} is none of {', '.join(map(str, args))}")
        return data

    return read


def _plain_decoder(kind: Any) -> _Decoder:
    def read(data: Any) -> Any:
        if type(data) is not kind:
            raise TypeError(f"{data!r} is no {kind}")
        return data

    return read


def _read_as_is(data: Any) -> Any:
    return data


def _read_float(data: Any) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float | str):
        raise TypeError(f"{data!r} is no number")
    return float(data)


def _read_integers(data: Any) -> tuple[int, ...]:
    if not isinstance(data, list) or any(type(item) is not int for item in data):
        raise TypeError("a list of whole numbers is missing")
    return tuple(data)


def _read_tokens(data: Any) -> tuple[TokenLogprob, ...]:
    if data == []:
        return ()
    columns = cast("dict[str, list[Any]]", data)
    tops: list[dict[str, Any]] = columns.get("tops") or [{} for _ in columns["texts"]]
    return tuple(
        TokenLogprob(
            token_id=token_id,
            text=text,
            logprob=_read_float(logprob),
            top={key: _read_float(item) for key, item in top.items()},
        )
        for token_id, text, logprob, top in zip(
            columns["token_ids"], columns["texts"], columns["logprobs"], tops, strict=True
        )
    )
