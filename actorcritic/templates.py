"""Prompts as data: packaged text files with named fields, filled by exact replacement.

A field stands in a file as `{{name}}`. Filling looks at the file once, so that a brace in a question cannot raise and
a value that holds another field's placeholder is never expanded. Knows nothing of models, roles or what a prompt says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from actorcritic.errors import InputError

__all__ = ["Template", "load_template", "quote"]

_FIELD = re.compile(r"\{\{([a-z][a-z0-9_]*)\}\}")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_BACKTICKS = re.compile(r"`+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A prompt with named fields."""

    name: str
    text: str

    @property
    def fields(self) -> frozenset[str]:
        """The names of the fields in the text."""
        return frozenset(_FIELD.findall(self.text))

    def fill(self, **values: str) -> str:
        """Return the text with every field replaced by its value, exactly as given.

        Raises:
            InputError: a field has no value, or a value has no field.
        """
        missing = self.fields - values.keys()
        unknown = values.keys() - self.fields
        if missing or unknown:
            problems = [f"{what}: {', '.join(sorted(names))}" for what, names in _named(missing, unknown) if names]
            raise InputError(f"prompt {self.name!r} has {'; '.join(problems)}")
        return _FIELD.sub(lambda match: values[match[1]], self.text)


def _named(missing: frozenset[str], unknown: set[str]) -> list[tuple[str, set[str] | frozenset[str]]]:
    return [("fields without a value", missing), ("no such fields", unknown)]


@cache
def load_template(name: str) -> Template:
    """Read the packaged prompt `prompts/<name>.md`; the newline that ends the file is not part of it.

    Raises:
        InputError: there is no such prompt.
    """
    path = resources.files("actorcritic").joinpath("prompts", f"{name}.md")
    if not _NAME.fullmatch(name) or not path.is_file():
        raise InputError(f"there is no prompt named {name!r}")
    return Template(name=name, text=path.read_text(encoding="utf-8").removesuffix("\n"))


def quote(text: str, label: str = "") -> str:
    """Return text from a model between two fences that do not occur in it.

    Whatever the text says, a reader can tell where it ends: the fence is one backtick longer than any run inside.

    Args:
        text: what is quoted, kept exactly.
        label: a word after the opening fence that says what is quoted.
    """
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{label}\n{text}\n{fence}"
