"""The libraries of the extra `train`, loaded on demand: importing any module of this package needs none of them."""

from __future__ import annotations

import importlib
import warnings
from importlib.util import find_spec
from typing import Any

from actorcritic.errors import InputError

__all__ = ["require", "require_all"]

TRAIN = ("torch", "transformers", "accelerate", "datasets", "peft", "trl")


def require(name: str) -> Any:
    """Import a module of one of the libraries, such as `trl.experimental.cpo`.

    Raises:
        InputError: the extra is not installed.
    """
    require_all()
    with warnings.catch_warnings():
        # That parts of TRL are experimental is known here: its versions are pinned, and tests run all of them.
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


def require_all() -> None:
    """See that every library is there.

    Raises:
        InputError: the extra is not installed.
    """
    missing = [name for name in TRAIN if find_spec(name) is None]
    if missing:
        raise InputError(f"training needs {', '.join(missing)}: pip install 'actorcritic[train]'")
