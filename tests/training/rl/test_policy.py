"""The model in training as an engine: it answers with the weights of the moment, an adapter's included."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from actorcritic.training.rl.background import Background
from actorcritic.training.rl.policy import PolicyEngine, plain_weights
from actorcritic.types import GenerateRequest, Prompt, Sampling
from tests.engines.reward_models import SIZES, sentence_tokenizer

TOKENIZER = sentence_tokenizer()


def model(seed: int) -> Any:
    """Return a tiny random model."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = cast("Any", LlamaConfig)(vocab_size=len(TOKENIZER), eos_token_id=2, **SIZES)
        return cast("Any", LlamaForCausalLM)(config)


def answer(policy: PolicyEngine, background: Background) -> tuple[int, ...]:
    """Return what the policy says to one prompt, greedily."""
    request = GenerateRequest(prompt=Prompt(content="w1 w2"), max_tokens=8, sampling=Sampling(temperature=0))
    return background.run(policy.engine.generate(request)).token_ids


def test_an_update_changes_the_answer_and_nothing_in_training() -> None:
    background = Background()
    one, other = model(1), model(2)
    policy, twin = (PolicyEngine(each, TOKENIZER, frozenset({2})) for each in (one, other))
    first, second = answer(policy, background), answer(twin, background)
    assert first != second
    policy.update(other)
    assert answer(policy, background) == second
    # The engine's way of attention is its own: the model in training goes on with the library's.
    assert one.config._attn_implementation == other.config._attn_implementation == "sdpa"
    logits = one(torch.tensor([[4, 5, 6]])).logits
    assert torch.isfinite(logits).all() and logits.requires_grad
    for each in (policy, twin):
        background.run(each.engine.aclose())
    background.close()
    background.close()


def test_an_adapter_is_added_in_the_copy_alone() -> None:
    peft = pytest.importorskip("peft")
    base = model(1)
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    weights = plain_weights(adapted)
    assert weights.keys() >= before.keys()
    changed = {name for name, weight in before.items() if not torch.equal(weights[name], weight)}
    assert changed and all("_proj" in name for name in changed)
    merged = adapted.merge_and_unload().state_dict()
    for name, weight in merged.items():
        assert torch.allclose(weights[name], weight, atol=1e-5), name


def test_background_work_returns_or_raises() -> None:
    background = Background()

    async def seven() -> int:
        return 7

    async def broken() -> int:
        raise ValueError("no")

    assert background.run(seven()) == 7
    with pytest.raises(ValueError, match="no"):
        background.run(broken())
    background.close()
