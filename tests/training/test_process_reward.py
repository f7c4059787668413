"""Process reward models: live labels, the loss, figures, and a tiny model that learns what can be learnt."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen2Config, Qwen2ForTokenClassification, TrainingArguments

from actorcritic.engines.load_reward import load_reward_engine
from actorcritic.engines.reward_formats import QwenPrm
from actorcritic.errors import InputError
from actorcritic.export.masking import IGNORED
from actorcritic.metering import free_meter
from actorcritic.reward_model import EngineRewardModel
from actorcritic.training.process_reward import collate, figures, laid_out, make_trainer, step_loss
from actorcritic.types import Problem, Solution, Step
from tests.engines.reward_models import SIZES, chat_tokenizer, save

ROW: dict[str, Any] = {"prompt": "1+1?", "completions": ["It is", "2."], "labels": [True, False]}


# --- rows and the loss ---------------------------------------------------------------------------------------------


def test_exactly_one_live_label_per_step_and_each_where_it_is_scored() -> None:
    tokenizer = chat_tokenizer()
    soft: dict[str, Any] = {**ROW, "labels": [0.75, 0.0]}
    hard_row, soft_row = laid_out([ROW, soft], tokenizer, QwenPrm(), 500).rows
    marks = QwenPrm().lay_out(tokenizer, "1+1?", ["It is", "2."]).marks
    assert [place for place, label in enumerate(hard_row["labels"]) if label != IGNORED] == list(marks)
    assert [hard_row["labels"][mark] for mark in marks] == [1.0, 0.0]
    assert [soft_row["labels"][mark] for mark in marks] == [0.75, 0.0]
    assert len(hard_row["labels"]) == len(hard_row["input_ids"])


def test_a_long_row_is_dropped_and_never_cut() -> None:
    tokenizer = chat_tokenizer()
    long: dict[str, Any] = {**ROW, "completions": ["x" * 300, "2."]}
    empty: dict[str, Any] = {**ROW, "completions": [], "labels": []}
    encoded = laid_out([ROW, long, empty], tokenizer, QwenPrm(), 300)
    assert len(encoded.rows) == 1
    assert encoded.dropped == {"longer than 300 tokens": 1, "no step": 1}


@pytest.mark.parametrize("labels", [[True], [True, 1.5], [0.5, -0.1]])
def test_labels_that_do_not_fit_are_refused(labels: list[Any]) -> None:
    with pytest.raises(InputError, match="one label in \\[0, 1\\] for each of its steps"):
        laid_out([{**ROW, "labels": labels}], chat_tokenizer(), QwenPrm(), 500)


def test_the_loss_is_the_cross_entropy_at_live_labels() -> None:
    logits = torch.tensor([[[0.0, 0.0], [9.0, -9.0], [1.0, 0.0]]])
    labels = torch.tensor([[1.0, IGNORED, 0.25]])
    right = [0.5, 1 / (1 + math.e)]
    wanted = -(math.log(right[0]) + 0.25 * math.log(right[1]) + 0.75 * math.log(1 - right[1])) / 2
    assert step_loss(logits, labels).item() == pytest.approx(wanted)


def test_padding_has_no_label_and_is_not_seen() -> None:
    batch = collate([{"input_ids": [5, 6, 7], "labels": [-100.0, 1.0, 0.0]}, {"input_ids": [8], "labels": [0.5]}])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 1, 0], [0.5, -100, -100]]


# --- figures -------------------------------------------------------------------------------------------------------


def test_the_first_wrong_step_counts_and_nothing_after_it() -> None:
    found = figures([[0.9, 0.2, 0.9], [0.9, 0.8], [0.3, 0.2], [0.6]], [[1, 0, 0], [1, 1], [1, 0], [0]])
    assert (found.solutions, found.steps) == (4, 8)
    assert found.accuracy == 5 / 8
    assert found.first_error_found == pytest.approx(1 / 3)
    assert found.right_accepted == 1.0
    assert found.first_error_f1 == pytest.approx(0.5)
    assert found.auroc is not None and 0.5 < found.auroc < 1


@given(st.lists(st.lists(st.sampled_from([0.0, 0.2, 0.8, 1.0]), min_size=1, max_size=4), max_size=5))
def test_perfect_scores_have_perfect_figures(labels: list[list[float]]) -> None:
    found = figures(labels, labels)
    assert found.accuracy in (1.0, 0.0) and (found.accuracy == 1.0) == bool(labels)
    assert found.first_error_found in (0.0, 1.0) and found.right_accepted in (0.0, 1.0)


# --- learning ------------------------------------------------------------------------------------------------------


def solutions(count: int, seed: int) -> list[dict[str, Any]]:
    """Return solutions that go on until a step holds an `x`, which is what is wrong with it."""
    draw = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for _ in range(count):
        steps = ["".join(draw.choices("abc", k=3)) for _ in range(draw.randint(1, 3))]
        if draw.random() < 0.5:
            steps[-1] = steps[-1][:1] + "x" + steps[-1][2:]
        rows.append({"prompt": "?", "completions": steps, "labels": ["x" not in step for step in steps]})
    return rows


async def test_what_can_be_learnt_is_learnt_and_the_result_scores_as_an_engine(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")  # of the extra train, as the trainer
    tokenizer = chat_tokenizer()
    # Of the chat's own words only little, so that the model is trained in seconds.
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}{% endif %}{% endfor %}"
    )
    sizes = {**SIZES, "hidden_size": 32, "intermediate_size": 64, "initializer_range": 0.1}
    torch.manual_seed(0)
    config = cast("Any", Qwen2Config)(vocab_size=len(tokenizer), num_labels=2, **sizes)
    model: Any = cast("Any", Qwen2ForTokenClassification)(config)
    rows = laid_out(solutions(128, 1), tokenizer, QwenPrm(), 100).rows
    held_out = laid_out(solutions(64, 2), tokenizer, QwenPrm(), 100).rows
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "c"),
        per_device_train_batch_size=32,
        learning_rate=1e-2,
        max_steps=40,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
    )
    make_trainer(model, arguments, list(rows), held_out, tmp_path / "evaluation.json").train()
    found = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert found["solutions"] == 64
    assert found["accuracy"] > 0.95 and found["first_error_f1"] > 0.9 and found["auroc"] > 0.97

    save(tmp_path / "model", model, tokenizer)
    engine = load_reward_engine(f"hf-prm:{tmp_path / 'model'}?format=qwen", device="cpu")
    solution = Solution(steps=tuple(Step(text=text, raw=text) for text in ("abc", "bxa")))
    reward = await EngineRewardModel(engine).score(Problem(id="p", prompt="?"), solution, meter=free_meter())
    await engine.aclose()
    first, second = (score or 0.0 for score in reward.steps)
    assert first > 0.8 and second < 0.2 and reward.score == pytest.approx(first * second)
