from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.loading import PACKAGED, load_roles
from actorcritic.training.adapters import add_tokens, lora_config
from actorcritic.training.bases import Base, context_of, find_base, load_base, load_tokenizer, save_result
from tests.engines.tiny import save_tiny
from tests.training.exported import ACTOR


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "tiny")


def test_every_way_to_name_a_model(tiny: Path) -> None:
    for name in (str(tiny), f"hf:{tiny}"):
        assert find_base(name) == Base(source=str(tiny))
    assert find_base("embedded-actor") == find_base(str(ACTOR)) == Base(source=str(ACTOR), role="actor")
    assert find_base("embedded-critic").role == "critic"
    small = PACKAGED["embedded:arithmetic"]
    for role in ("actor", "critic"):
        assert find_base(f"embedded-arithmetic-{role}") == Base(source=str(small / role), role=role)
    assert find_base("owner/name") == Base(source="owner/name")
    assert find_base("owner/name").folder is None


def test_what_cannot_be_trained_is_refused_in_a_line(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, words in {
        str(tmp_path / "nowhere"): "no model folder",
        "openai:gpt@http://x": "no model folder",
        str(tmp_path / "empty"): "there is no config.json",
        str(ACTOR.parent): r"is a pair: name one of its models, .*actor or .*critic",
        "embedded": "is a pair: name one of its models, embedded-actor or embedded-critic",
        "embedded:arithmetic": "is a pair: .*, embedded-arithmetic-actor or embedded-arithmetic-critic",
        "embedded:mine": "is a pair: name one of its models, mine/actor or mine/critic",
    }.items():
        with pytest.raises(InputError, match=words):
            find_base(name)
    (tiny / "adapter_config.json").touch()
    with pytest.raises(InputError, match="is an adapter"):
        find_base(str(tiny))


def test_a_model_that_lacks_weights_is_refused_and_never_filled_up_at_random(tiny: Path) -> None:
    path = tiny / "model.safetensors"
    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(EngineUnavailable, match=r"lack weights, which would be random: model\.layers\.1\.mlp"):
        load_base(find_base(str(tiny)))


def test_weights_are_loaded_in_float32_whatever_they_are_stored_in() -> None:
    model = load_base(find_base("embedded-actor"))
    stored = load_file(ACTOR / "model.safetensors")
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert {weight.dtype for weight in stored.values()} == {torch.float16}


def test_a_head_may_be_new_where_it_is_named(tiny: Path) -> None:
    base = find_base(str(tiny))
    model = load_base(base, "AutoModelForSequenceClassification", fresh=("score.",), num_labels=1)
    assert model.score.weight.shape == (1, 128)
    with pytest.raises(EngineUnavailable, match="score"):
        load_base(base, "AutoModelForSequenceClassification", num_labels=1)


def test_the_context_is_the_models_own(tiny: Path) -> None:
    assert context_of(find_base(str(tiny))) == 512
    assert context_of(find_base("embedded-actor")) == 256
    (tiny / "config.json").write_text("{}")
    with pytest.raises(EngineUnavailable, match="cannot load the model"):
        context_of(find_base(str(tiny)))


def test_a_model_of_a_pair_is_saved_as_a_pair_that_solves(tmp_path: Path) -> None:
    base = find_base("embedded-critic")
    folder, spec = save_result(base, load_base(base), load_tokenizer(base), tmp_path / "model")
    assert (folder, spec) == (tmp_path / "model" / "critic", f"embedded:{tmp_path / 'model'}")
    assert json.loads((folder / "actorcritic.json").read_text())["licence"] == "Apache-2.0"
    roles = load_roles(spec)
    assert roles.critic is not None and len(roles.engines) == 2
    for role in ("actor", "critic"):
        one, other = (load_file(pair / role / "model.safetensors") for pair in (tmp_path / "model", ACTOR.parent))
        assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_model_of_its_own_is_saved_with_what_it_needs(tiny: Path, tmp_path: Path) -> None:
    base = find_base(str(tiny))
    folder, spec = save_result(base, load_base(base), load_tokenizer(base), tmp_path / "model")
    assert spec == f"hf:{folder}" == f"hf:{tmp_path / 'model'}"
    load_roles(spec)
    _, other = save_result(base, load_base(base), load_tokenizer(base), tmp_path / "reward", "hf-orm")
    assert other == f"hf-orm:{tmp_path / 'reward'}"


def test_a_copy_of_a_pairs_model_alone_is_no_pair(tmp_path: Path) -> None:
    shutil.copytree(ACTOR, tmp_path / "actor")
    assert find_base(str(tmp_path / "actor")).role is None


# --- new tokens ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_new_tokens_get_rows_of_their_own_at_the_mean(tied: bool, tiny: Path) -> None:
    base = find_base(str(tiny))
    model, tokenizer = load_base(base, tie_word_embeddings=tied), load_tokenizer(base)
    before: Any = model.get_input_embeddings().weight.detach().clone()
    ids = add_tokens(model, tokenizer, ["<|good|>", "w1", "<|bad|>", "<|good|>"])
    assert ids == [192, 193]
    assert tokenizer("<|good|>w1<|bad|>", add_special_tokens=False)["input_ids"] == [192, tokenizer.vocab["w1"], 193]
    after = model.get_input_embeddings().weight
    assert after.shape[0] == model.config.vocab_size == 194
    assert torch.equal(after[:192], before)
    assert torch.allclose(after[192], before.mean(0), atol=1e-6)
    head = model.get_output_embeddings().weight
    assert head.shape[0] == 194 and torch.allclose(head[193], head[:192].mean(0), atol=1e-6)
    assert (head is after) == tied
    assert add_tokens(model, tokenizer, ["<|bad|>"]) == []


def test_without_a_rank_there_is_no_adapter(tiny: Path) -> None:
    assert lora_config(load_base(find_base(str(tiny))), 0) is None
