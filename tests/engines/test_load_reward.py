"""Specs of reward models: what they name, and one clear line for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorcritic.engines.load_reward import load_reward_engine, parse_reward_spec
from actorcritic.errors import InputError
from tests.engines.reward_models import save_skywork


def test_a_spec_names_model_format_and_options() -> None:
    spec = parse_reward_spec("hf-prm:org/model?format=qwen&reduce=last&batch=4")
    assert (spec.source, spec.format.name, spec.reduce, spec.batch) == ("org/model", "qwen", "last", 4)
    plain = parse_reward_spec("hf-prm:/a/b?format=shepherd")
    assert (plain.source, plain.reduce, plain.batch) == ("/a/b", None, 16)
    assert parse_reward_spec("hf-orm:org/model").format.name == "outcome"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("qwen", "use hf-prm:PATH_OR_ID?format=NAME or hf-orm:PATH_OR_ID"),
        ("hf:org/model", "unknown reward model"),
        ("hf-prm:", "unknown reward model"),
        ("hf-prm:org/model", "add ?format= and one of shepherd, qwen, skywork"),
        ("hf-prm:org/model?format=gpt", "choose from: shepherd, qwen, skywork"),
        ("hf-prm:org/model?format=qwen&aggregate=min", "choose from: format, reduce, batch"),
        ("hf-prm:org/model?format=qwen&reduce=max", "min | product | last | mean"),
        ("hf-prm:org/model?format=qwen&batch=0", "a whole number >= 1"),
        ("hf-orm:org/model?format=qwen", "choose from: batch"),
    ],
)
def test_a_mistake_is_answered_in_one_line(spec: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_reward_spec(spec)
    assert says in str(refused.value) and "\n" not in str(refused.value)


async def test_a_spec_becomes_an_engine(tmp_path: Path) -> None:
    spec = f"hf-prm:{save_skywork(tmp_path)}?format=skywork&batch=2"
    engine = load_reward_engine(spec)
    assert engine.info.name == spec and engine.info.capabilities.exact_counts
    await engine.aclose()
    with pytest.raises(InputError, match="no model folder"):
        load_reward_engine(f"hf-prm:{tmp_path}/none?format=skywork")
