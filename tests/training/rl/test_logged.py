"""Logged groups: what is live, whose advantage it is, and which way a step goes."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from actorcritic.training.encoding import Encoder
from actorcritic.training.rl.logged import collate, logged_loss, with_advantage
from tests.engines.reward_models import SIZES, chat_tokenizer

TOKENIZER = chat_tokenizer()
ENCODER = Encoder(TOKENIZER, "tiny")


def row(text: str, advantage: float, *, refined: bool = False) -> dict[str, Any]:
    """Return a row of the export, encoded."""
    made = with_advantage(
        {
            "prompt": [{"role": "user", "content": "ab?"}],
            "completion": [{"role": "assistant", "content": text}],
            "reward": float(advantage > 0),
            "advantage": advantage,
            "is_refined": refined,
        },
        ENCODER,
    )
    assert isinstance(made, tuple)
    return dict(made[0])


def test_only_what_was_written_after_the_question_is_live() -> None:
    batch = collate([row("abc", -0.5), row("c", 0.5, refined=True)])
    for place, text in enumerate(("abc<|im_end|>\n", "c<|im_end|>\n")):
        live = batch["input_ids"][place][batch["mask"][place].bool()]
        assert cast("Any", TOKENIZER).decode(live) == text
    assert batch["attention_mask"][1].sum() < batch["attention_mask"][0].sum() == batch["input_ids"].shape[1]
    assert batch["advantages"].tolist() == [-0.5, 0.5]
    assert batch["refined"].tolist() == [False, True]


@pytest.mark.parametrize(("advantage", "refined"), [(0.5, True), (0.5, False), (-0.5, True), (-0.5, False)])
def test_a_step_goes_the_way_of_the_advantage(advantage: float, refined: bool) -> None:
    torch.manual_seed(0)
    config = cast("Any", Qwen2Config)(vocab_size=len(TOKENIZER), **{**SIZES, "initializer_range": 0.02})
    model: Any = cast("Any", Qwen2ForCausalLM)(config)
    batch = collate([row("abc", advantage, refined=refined)])

    def likelihood() -> float:
        with torch.no_grad():
            logps = model(input_ids=batch["input_ids"]).logits[:, :-1].log_softmax(-1)
        return float((logps.gather(-1, batch["input_ids"][:, 1:, None])[..., 0] * batch["mask"][:, 1:]).sum())

    before = likelihood()
    logged_loss(model, batch, gamma=0.1, length=8).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert (likelihood() > before) == (advantage > 0)
