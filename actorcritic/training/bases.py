"""The model that training begins with: where it is, how it is loaded, and how the result is saved beside what it needs.

A model of an embedded pair is saved as a pair again, its other role copied, so that `embedded:FOLDER` names it. Knows
no method and no rows.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from actorcritic.engines.local_models import resolve_model
from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.formats.lines import known_families
from actorcritic.loading import PACKAGED

__all__ = [
    "ROLES",
    "Base",
    "Role",
    "context_of",
    "find_base",
    "load_base",
    "load_tokenizer",
    "names_in_pair",
    "save_adapter",
    "save_result",
]

Role: TypeAlias = Literal["actor", "critic"]
"""Of a pair."""
ROLES: tuple[Role, ...] = ("actor", "critic")
_PACKAGED = {f"{folder.name}-{role}": folder / role for folder in PACKAGED.values() for role in ROLES}
"""The models of the packaged pairs, each of which has a name of its own."""
UNLIMITED = 2**31
EXTRA = ("generation_config.json", "actorcritic.json", "chat_template.jinja")
"""Files of a model that neither the weights nor the tokenizer bring along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model to begin with."""

    source: str
    """A folder or a hub id."""
    role: Role | None = None
    """Of an embedded pair; None = any other model."""

    @property
    def folder(self) -> Path | None:
        """Its folder, None for a model of the hub."""
        return Path(self.source) if Path(self.source).is_dir() else None


def names_in_pair(spec: str) -> Mapping[Role, str]:
    """Return by role how `find_base` calls the models of a pair, such as `embedded` or `embedded:FOLDER`."""
    if spec in PACKAGED:
        return {role: f"{PACKAGED[spec].name}-{role}" for role in ROLES}
    return {role: str(Path(spec.partition(":")[2]) / role) for role in ROLES}


def find_base(name: str) -> Base:
    """Return the model that a person named.

    Raises:
        InputError: there is no such folder, or it holds no model that can be trained.
    """
    plain = name.removeprefix("hf:")
    plain = str(_PACKAGED.get(plain, plain))
    if plain.partition(":")[0] == "embedded":
        raise InputError(f"{name} is a pair: name one of its models, {' or '.join(names_in_pair(plain).values())}")
    source = resolve_model(plain)
    path = Path(source)
    if not path.is_dir():
        if source.startswith((".", "/", "~")) or source.count("/") > 1 or ":" in source:
            raise InputError(f"no model folder {name}: check the path, or name a model of the hub as OWNER/NAME")
        return Base(source=source)
    if all((path / role / "config.json").is_file() for role in ROLES):
        raise InputError(f"{name} is a pair: name one of its models, {path / 'actor'} or {path / 'critic'}")
    if (path / "adapter_config.json").is_file():
        raise InputError(f"{name} is an adapter: name the model that it was merged into")
    if not (path / "config.json").is_file():
        raise InputError(f"{name} holds no model in Hugging Face's form: there is no config.json")
    return Base(source=source, role=_role(path))


def _role(path: Path) -> Role | None:
    """Return which role of an embedded pair a folder is."""
    try:
        words = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if not isinstance(words, dict) or not known_families(cast("dict[str, int]", words)):
        return None
    resolved = path.resolve()
    siblings = all((resolved.parent / role / "config.json").is_file() for role in ROLES)
    return next((role for role in ROLES if role == resolved.name), None) if siblings else None


def load_tokenizer(base: Base) -> Any:
    """Load the tokenizer; one without a padding token pads with its end token.

    Raises:
        EngineUnavailable: there is none.
    """
    # Heavy, and not needed to refuse bad settings.
    from transformers import AutoTokenizer  # noqa: PLC0415 - see above

    try:
        tokenizer: Any = cast("Any", AutoTokenizer).from_pretrained(base.source)
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"cannot load the tokenizer of {base.source}: {_first_line(error)}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(base: Base, kind: str = "AutoModelForCausalLM", fresh: Sequence[str] = (), **options: Any) -> Any:
    """Load a model's weights in float32, to be trained.

    Args:
        base: Which.
        kind: The class of transformers to load it with.
        fresh: Beginnings of the names of weights that may be new, such as a head's; any other must be in the files.
        options: Of `from_pretrained`.

    Raises:
        EngineUnavailable: it cannot be loaded, or weights are missing, which would be drawn at random.
    """
    # Heavy, and not needed to refuse bad settings.
    import torch  # noqa: PLC0415 - see above
    import transformers  # noqa: PLC0415 - see above

    from actorcritic.engines.transformers.model import quiet_loading  # noqa: PLC0415 - see above

    home: Any = getattr(transformers, kind)
    try:
        with quiet_loading():
            model, facts = home.from_pretrained(base.source, dtype=torch.float32, output_loading_info=True, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise EngineUnavailable(f"cannot load the model {base.source}: {_first_line(error)}") from error
    missing = sorted(name for name in facts["missing_keys"] if not name.startswith(tuple(fresh)))
    if missing:
        raise EngineUnavailable(
            f"the files of {base.source} lack weights, which would be random: {', '.join(missing[:3])}"
        )
    return model


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def context_of(base: Base) -> int:
    """Return how many tokens the model reads at most.

    Raises:
        EngineUnavailable: its configuration cannot be read.
    """
    # Heavy, and not needed to refuse bad settings.
    from transformers import AutoConfig  # noqa: PLC0415 - see above

    try:
        config: Any = cast("Any", AutoConfig).from_pretrained(base.source)
    except (OSError, ValueError, KeyError) as error:
        raise EngineUnavailable(f"cannot load the model {base.source}: {_first_line(error)}") from error
    limit: object = getattr(config.get_text_config(), "max_position_embeddings", None)
    return limit if isinstance(limit, int) else UNLIMITED


def _stored_dtype(base: Base) -> Any:
    """Return the number format in which the base is stored; float32 if unknown."""
    import torch  # noqa: PLC0415 - heavy, and not needed to refuse bad settings
    from transformers import AutoConfig  # noqa: PLC0415 - as above

    found: object = getattr(cast("Any", AutoConfig).from_pretrained(base.source), "dtype", None)
    return found if isinstance(found, torch.dtype) else torch.float32


def save_adapter(base: Base, model: Any, tokenizer: Any, folder: Path) -> Path:
    """Save an adapter in PEFT's form, its tokenizer beside it."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = base.source if base.folder is None else str(base.folder.resolve())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_result(base: Base, model: Any, tokenizer: Any, out: Path, scheme: str = "hf") -> tuple[Path, str]:
    """Save a trained model so that it loads where its base did, in the number format of the base.

    Args:
        base: What training began with.
        model: One of transformers.
        tokenizer: Its own.
        out: New folder.
        scheme: What names the result where it is a model of another kind than its base, such as `hf-orm`; `hf` = of
            the same.

    Returns:
        The folder of the weights and the spec of the model.
    """
    if scheme != "hf":
        base = Base(source=base.source)
    folder = out if base.role is None else out / base.role
    folder.mkdir(parents=True, exist_ok=True)
    model.to(_stored_dtype(base)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    home = base.folder
    for name in EXTRA if home is not None else ():
        if home is not None and (home / name).is_file():
            shutil.copyfile(home / name, folder / name)
    if base.role is None or home is None:
        return folder, f"{scheme}:{folder}"
    other = ROLES[1 - ROLES.index(base.role)]
    if not (out / other).exists():
        shutil.copytree(home.resolve().parent / other, out / other)
    return folder, f"embedded:{out}"
