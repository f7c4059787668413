"""Options of a strategy: their names, ranges and choices, checked once where a policy is made.

Knows no policy. Text comes in through `parse` (`n=8`), values through `check`; both refuse in one line that says what
is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from actorcritic.errors import InputError

__all__ = ["Option", "OptionValue", "Options", "choice", "flag", "integer", "number", "text"]

OptionValue: TypeAlias = str | int | float | bool | None

FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a strategy."""

    name: str
    kind: Literal["choice", "flag", "integer", "number", "text"]
    help: str
    default: OptionValue
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    """True where `low` itself is refused."""

    @property
    def optional(self) -> bool:
        """Whether `none` is allowed: only where it is the default."""
        return self.default is None

    @property
    def allowed(self) -> str:
        """What the option takes, in words."""
        if self.kind == "choice":
            words = " | ".join(self.choices)
        elif self.kind == "flag":
            words = "true | false"
        elif self.kind == "text":
            words = "a text"
        else:
            words = "a whole number" if self.kind == "integer" else "a number"
            words += self._range()
        return f"{words} | none" if self.optional else words

    def _range(self) -> str:
        words = ""
        if self.low > -math.inf:
            words += f" {'>' if self.open_low else '>='} {self.low:g}"
        if self.high < math.inf:
            words += f"{' and' if words else ''} <= {self.high:g}"
        return words

    def parse(self, text: str) -> OptionValue:
        """Return the value that a person wrote.

        Raises:
            InputError: it is none of the allowed ones.
        """
        value: OptionValue = text
        if self.optional and text == "none":
            value = None
        elif self.kind == "flag":
            value = FLAGS.get(text, text)
        elif self.kind not in ("choice", "text"):
            try:
                value = int(text) if self.kind == "integer" else float(text)
            except ValueError:
                raise InputError(self._refusal(text)) from None
        self.check(value)
        return value

    def check(self, value: OptionValue) -> None:
        """Refuse a value that is not allowed.

        Raises:
            InputError: with the list of what is allowed.
        """
        if not self._allows(value):
            raise InputError(self._refusal(value))

    def _allows(self, value: OptionValue) -> bool:
        if value is None:
            return self.optional
        if self.kind == "choice":
            return value in self.choices
        if self.kind == "flag":
            return isinstance(value, bool)
        if self.kind == "text":
            return isinstance(value, str) and bool(value.strip())
        if isinstance(value, bool | str) or (self.kind == "integer" and not isinstance(value, int)):
            return False
        above = value > self.low if self.open_low else value >= self.low
        return math.isfinite(value) and above and value <= self.high

    def _refusal(self, value: OptionValue) -> str:
        return f"option {self.name}={value} is refused; allowed: {self.allowed}"


class Options(Mapping[str, OptionValue]):
    """The checked values of all options of one strategy, defaults filled in. Immutable."""

    def __init__(self, known: tuple[Option, ...], given: Mapping[str, OptionValue]) -> None:
        names = [option.name for option in known]
        for name in given:
            if name not in names:
                raise InputError(f"there is no option {name!r}; choose from: {', '.join(names) or 'none'}")
        self._values = {option.name: given.get(option.name, option.default) for option in known}
        for option in known:
            option.check(self._values[option.name])

    def __getitem__(self, name: str) -> OptionValue:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, name: str) -> str:
        """Return the value of a choice or of a text."""
        value = self._values[name]
        assert isinstance(value, str)
        return value

    def maybe_text(self, name: str) -> str | None:
        """Return a text, or None where the option is none."""
        return None if self._values[name] is None else self.text(name)

    def on(self, name: str) -> bool:
        """Return the value of a flag."""
        return self._values[name] is True

    def whole(self, name: str) -> int:
        """Return a whole number."""
        value = self._values[name]
        assert isinstance(value, int)
        return value

    def real(self, name: str) -> float:
        """Return a number."""
        value = self._values[name]
        assert isinstance(value, int | float)
        return float(value)

    def maybe_whole(self, name: str) -> int | None:
        """Return a whole number, or None where the option is none."""
        return None if self._values[name] is None else self.whole(name)

    def maybe_real(self, name: str) -> float | None:
        """Return a number, or None where the option is none."""
        return None if self._values[name] is None else self.real(name)


def choice(name: str, choices: tuple[str, ...], help: str) -> Option:
    """Return an option that is one of several words, the first by default."""
    return Option(name=name, kind="choice", choices=choices, default=choices[0], help=help)


def flag(name: str, help: str) -> Option:
    """Return an option that is off by default."""
    return Option(name=name, kind="flag", default=False, help=help)


def integer(name: str, default: int | None, help: str, *, low: int = 1) -> Option:
    """Return an option that is a whole number >= `low`; `none` is allowed where it is the default."""
    return Option(name=name, kind="integer", default=default, low=low, help=help)


def number(
    name: str,
    default: float | None,
    help: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
) -> Option:
    """Return an option that is a number in a range; `none` is allowed where it is the default."""
    return Option(name=name, kind="number", default=default, low=low, high=high, open_low=open_low, help=help)


def text(name: str, default: str | None, help: str) -> Option:
    """Return an option that is any text but an empty one; `none` is allowed where it is the default."""
    return Option(name=name, kind="text", default=default, help=help)
