"""Reinforcement and process reward models through TRL and transformers on the packaged pair. Slow: needs TRL."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

import pytest
from transformers import Qwen2Config, Qwen2ForCausalLM

from actorcritic.engines.load_reward import load_reward_engine
from actorcritic.errors import InputError
from actorcritic.loading import load_roles
from actorcritic.training.settings import TrainReport
from tests.engines.reward_models import chat_tokenizer, save
from tests.training.trained import Runs, same_weights

pytestmark = pytest.mark.slow
pytest.importorskip("trl")

PROBLEM, QUESTION = "Use 7, 13 and 14 to make 15.", "numbers 7 13 14 =15\n"
RIGHT, WRONG = ("14 / 7 = 2", "13 + 2 = 15"), ("14 - 7 = 7", "13 + 7 = 20")
LINES = {RIGHT: "14 / 7 2 13 =15\n13 + 2 15 ", WRONG: "14 - 7 7 13 =15\n13 + 7 20 "}
GOLD = {"problem": PROBLEM, "answer": "", "checker": "countdown"}
ASKED = {**GOLD, "prompt": QUESTION}
FEW: dict[str, Any] = {"max_steps": 2, "batch_size": 2, "learning_rate": 1e-4}


def judged(**more: Any) -> list[dict[str, Any]]:
    """Return a right and a wrong attempt for the critic."""
    return [
        {
            **GOLD,
            "prompt": f"{QUESTION}{LINES[steps]}judge\n",
            "attempt": "\n".join(steps),
            "attempt_correct": steps == RIGHT,
            **more,
        }
        for steps in (RIGHT, WRONG)
    ]


def two_turned(stage: int) -> list[dict[str, Any]]:
    """Return a question for two turns, twice."""
    row = {**ASKED, "correction": "Again.", "stage": stage, "turn": 1, "first_reward": 0.0}
    return [row, dict(row)]


CASES: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any]]] = {
    "stage 1": ("critique-rl", judged(stage=1, reward="verdict"), {"model": "embedded-critic"}),
    "stage 2": ("critique-rl", judged(stage=2, reward="correct"), {"model": "embedded-critic"}),
    "dual": ("refcritic", judged(), {"model": "embedded-critic", "options": {"k": 2, "generations": 2}}),
    "grpo": (
        "critique-rl",
        judged(stage=1, reward="verdict"),
        {"model": "embedded-critic", "options": {"method": "grpo"}},
    ),
    "mixed": ("critique-grpo", [{**ASKED, "critique": "text"}] * 2, {"options": {"generations": 4}}),
    "mixed lora": (
        "critique-grpo",
        [{**ASKED, "critique": "simple"}] * 2,
        {"lora_rank": 2, "options": {"generations": 2}},
    ),
    "turns 1": ("score", two_turned(1), {"options": {"generations": 2, "new_tokens": 32}}),
    "turns 2": (
        "score",
        two_turned(2),
        {"options": {"generations": 2, "new_tokens": 32, "reference": "embedded-actor"}},
    ),
}
REWARDS = {"verdict", "refinement", "verdict_and_refinements", "solution", "first_turn", "second_turn"}


def rewards(report: TrainReport) -> list[dict[str, float]]:
    """Return what a run logged of its rewards."""
    out = next(parent for parent in report.model.parents if (parent / "rewards.jsonl").exists())
    return [json.loads(line) for line in (out / "rewards.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES)
def test_two_steps_of_every_method(case: str, tmp_path: Path) -> None:
    recipe, rows, more = CASES[case]
    report = Runs(tmp_path).train(recipe, rows, **{**FEW, **more})
    assert report.steps == 2 and report.tokens > 0
    assert report.first_reward is not None and report.last_reward is not None
    assert report.last_loss is not None and math.isfinite(report.last_loss)
    told = rewards(report)
    assert told and {name.split("/")[1] for name in told[0] if name.startswith("rewards/")} <= REWARDS
    assert load_roles(report.spec).actor is not None


CHAT = [{"role": "user", "content": "2+2?"}]
SPOKEN = {"prompt": CHAT, "problem": "2+2?", "answer": "4", "checker": "exact"}
CHATS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "both tasks": ("crl", [{**SPOKEN, "task": "gen", "label": ""}, {**SPOKEN, "task": "crl", "label": "True"}]),
    "first error": ("deepcritic", [{"prompt": CHAT, "label": -1}] * 2),
    "mixed": ("critique-grpo", [{**SPOKEN, "critique": "simple-gt"}] * 2),
    "turns": ("score", [{**SPOKEN, "correction": "Again.", "stage": 1, "turn": 1}] * 2),
}


@pytest.mark.parametrize("case", CHATS)
def test_two_steps_of_a_chat_model(case: str, tmp_path: Path) -> None:
    recipe, rows = CHATS[case]
    tokenizer = chat_tokenizer()
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = cast("Any", Qwen2Config)(
        vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=512, eos_token_id=258, **sizes
    )
    model = save(tmp_path / "tiny", cast("Any", Qwen2ForCausalLM)(config), tokenizer)
    facts = {"form": "grpo"}
    options = {"generations": 2, "new_tokens": 12}
    report = Runs(tmp_path).train(recipe, rows, **FEW, model=str(model), options=options, facts=facts)
    # A random model says nothing that is right, and nothing of this may be taken for an error of its own.
    assert report.steps == 2 and report.first_reward == 0 and report.alike == 1


@pytest.mark.parametrize("case", ["mixed", "turns 1"])
def test_a_broken_run_samples_what_an_unbroken_one_does(case: str, tmp_path: Path) -> None:
    recipe, rows, more = CASES[case]
    runs = Runs(tmp_path)
    settings = runs.settings(recipe, rows, **{**FEW, "max_steps": 3, **more})
    other = runs.broken(settings, 1)
    whole = runs.train(recipe, settings.data, **{**FEW, "max_steps": 3, **more})
    assert [line["reward"] for line in rewards(other)] == [line["reward"] for line in rewards(whole)]
    assert same_weights(whole, other)


def test_a_logged_group_is_learnt_from(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": QUESTION,
            "completion": LINES[steps],
            "reward": reward,
            "advantage": reward - 0.5,
            "is_refined": flag,
        }
        for steps, reward, flag in ((WRONG, 0.0, False), (RIGHT, 1.0, True))
    ]
    report = Runs(tmp_path).train("critique-grpo", rows, **FEW, facts={"form": "logged"})
    assert report.method == "critique-grpo" and report.rows == 2
    assert report.first_loss is not None and report.last_loss is not None and report.last_loss != report.first_loss


@pytest.mark.parametrize(("rank", "count"), [(0, 20), (4, 60)])
async def test_steps_are_judged_by_a_model_that_loads(rank: int, count: int, tmp_path: Path) -> None:
    rows = [
        {"prompt": PROBLEM, "completions": list(steps), "labels": [steps == RIGHT, steps == RIGHT]}
        for steps in (RIGHT, WRONG)
    ]
    runs = Runs(tmp_path)
    report = runs.train("prm", rows, model="embedded-critic", max_steps=count, batch_size=2, lora_rank=rank)
    assert report.last_loss is not None and report.last_loss < 0.1
    assert report.spec == f"hf-prm:{report.model}?format=embedded"
    engine = load_reward_engine(report.spec, device="cpu")
    await engine.aclose()


def test_the_second_stage_needs_to_know_its_reference(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--option reference=MODEL"):
        Runs(tmp_path).train("score", two_turned(2), **FEW)
