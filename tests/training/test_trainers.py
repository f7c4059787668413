"""Every trainer of TRL as it is built here: what it learns from and is compared with, and one step of each. Slow."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from actorcritic.engines.load_reward import load_reward_engine
from actorcritic.errors import InputError
from actorcritic.export.lengths import load_tokenizer
from actorcritic.export.pipeline import Order, export_run
from actorcritic.export.recipes import RECIPES
from actorcritic.export.writing import write_export
from actorcritic.training.bases import find_base, load_base
from actorcritic.training.presets import PRESETS
from tests.engines.reward_models import chat_tokenizer, save
from tests.export.log import setting_of, write_log
from tests.training.exported import SOLVED, paired_rows, solved_rows
from tests.training.trained import Runs, weights

pytestmark = pytest.mark.slow
pytest.importorskip("trl")

OFFLINE = ("sft", "dpo", "kto", "simpo", "tpo", "sdpo")
FORMS = [
    f"{name}:form={form}" if len(RECIPES[name].forms) > 1 else name
    for name, forms in PRESETS.items()
    for form, preset in forms.items()
    if preset.method in OFFLINE
]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny random Qwen2 whose tokens are bytes."""
    from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: PLC0415 - heavy

    tokenizer = chat_tokenizer()
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = cast("Any", Qwen2Config)(
        vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=4096, eos_token_id=258, **sizes
    )
    return save(tmp_path_factory.mktemp("model"), cast("Any", Qwen2ForCausalLM)(config), tokenizer)


def logps(prompt: list[int], completion: list[int]) -> float:
    """Return the log-probability of a completion under the packaged actor."""
    model = load_base(find_base("embedded-actor"))
    with torch.no_grad():
        logs = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
    places = range(len(prompt) - 1, len(prompt) + len(completion) - 1)
    return sum(float(logs[place, token]) for place, token in zip(places, completion, strict=True))


@pytest.mark.parametrize("text", FORMS)
def test_every_recipe_trains_on_what_it_exports(text: str, chat_model: Path, runs: Runs) -> None:
    recipe, setting = setting_of(text, tokenizer=load_tokenizer(str(chat_model)))
    write_export(
        export_run(write_log(runs.folder / "log"), Order(recipe=recipe, setting=setting, share=1.0)), runs.folder / "e"
    )
    few: dict[str, Any] = {"generations": 2, "new_tokens": 8} if "sdpo" in text else {}
    report = runs.train(
        recipe.name, runs.folder / "e", model=str(chat_model), max_steps=1, learning_rate=1e-2, options=few
    )
    assert report.steps == 1 and report.rows > 0 and not report.dropped
    assert report.first_loss is not None and math.isfinite(report.first_loss)
    assert report.spec == f"hf:{report.model}"
    before = load_base(find_base(str(chat_model))).state_dict()
    assert any(not torch.equal(weight, before[name]) for name, weight in weights(report).items())


# --- DPO -------------------------------------------------------------------------------------------------------------


def test_logged_likelihoods_are_the_reference(runs: Runs) -> None:
    rows = paired_rows(ref_chosen_logps=-3.0, ref_rejected_logps=-5.0)[:1]
    _, built = runs.build("agent-q", rows, facts={"trainer_settings": {"beta": 0.1}})
    trainer = built.trainer
    assert trainer.ref_model is None
    row = trainer.train_dataset[0]
    assert (row["ref_chosen_logps"], row["ref_rejected_logps"]) == (-3.0, -5.0)
    chosen, rejected = (logps(row["prompt_ids"], row[f"{side}_ids"]) for side in ("chosen", "rejected"))
    expected = -math.log(1 / (1 + math.exp(-0.1 * ((chosen + 3.0) - (rejected + 5.0)))))
    report = runs.train("agent-q", rows, max_steps=1, facts={"trainer_settings": {"beta": 0.1}})
    assert report.first_loss == pytest.approx(expected, abs=1e-4)


def test_without_them_the_reference_is_the_model_before_its_first_step(runs: Runs) -> None:
    _, built = runs.build("on-policy-dpo", paired_rows())
    assert built.trainer.ref_model is None
    row = built.trainer.train_dataset[2]
    for side in ("chosen", "rejected"):
        assert row[f"ref_{side}_logps"] == pytest.approx(logps(row["prompt_ids"], row[f"{side}_ids"]), abs=1e-3)
    report = runs.train("on-policy-dpo", paired_rows(), epochs=4)
    assert report.first_loss == pytest.approx(math.log(2), abs=1e-5)
    assert report.last_loss is not None and report.last_loss < 0.6


def test_logged_likelihoods_that_are_the_models_own_change_nothing(runs: Runs) -> None:
    _, built = runs.build("on-policy-dpo", paired_rows())
    own = [
        {**row, **{name: made[name] for name in ("ref_chosen_logps", "ref_rejected_logps")}}
        for row, made in zip(paired_rows(), built.trainer.train_dataset, strict=True)
    ]
    plain = runs.train("on-policy-dpo", paired_rows(), epochs=2)
    logged = runs.train("on-policy-dpo", own, epochs=2)
    assert plain.last_loss == pytest.approx(logged.last_loss, abs=1e-5)


def test_the_likelihood_of_the_chosen_side_can_be_added(runs: Runs) -> None:
    plain = runs.train("on-policy-dpo", paired_rows(), max_steps=1)
    added = runs.train("on-policy-dpo", paired_rows(), max_steps=1, options={"sft_weight": 1.0})
    other = runs.train("on-policy-dpo", paired_rows(), max_steps=1, options={"loss": "ipo"})
    assert plain.first_loss is not None and added.first_loss is not None
    assert added.first_loss > plain.first_loss + 0.01 and other.first_loss != plain.first_loss


# --- the others ------------------------------------------------------------------------------------------------------


def test_kto_compares_with_the_model_before_its_first_step(runs: Runs) -> None:
    rows = [{**row, "label": number % 2 == 0} for number, row in enumerate(solved_rows())]
    _, built = runs.build("kto", rows, options={"micro_batch": 2})
    assert built.trainer.ref_model is None
    first, second = built.trainer.train_dataset[0], built.trainer.train_dataset[1]
    assert first["ref_logps"] == pytest.approx(logps(first["prompt_ids"], first["completion_ids"]), abs=1e-3)
    assert second["KL_completion_ids"] == first["completion_ids"]
    batch = next(iter(built.trainer.get_train_dataloader()))
    assert batch["label"].tolist() == [True, False]


async def test_a_reward_model_loads_as_one(runs: Runs, chat_model: Path) -> None:
    rows = [
        {
            "prompt": [{"role": "user", "content": f"What is {n}?"}],
            "chosen": [{"role": "assistant", "content": "right"}],
            "rejected": [{"role": "assistant", "content": "wrong"}],
        }
        for n in range(8)
    ]
    report = runs.train(
        "on-policy-dpo", rows, model=str(chat_model), epochs=10, learning_rate=1e-2, options={"method": "reward"}
    )
    assert report.spec == f"hf-orm:{report.model}"
    assert report.first_loss is not None and report.last_loss is not None and report.last_loss < report.first_loss / 2
    engine = load_reward_engine(report.spec, device="cpu")
    await engine.aclose()


def test_marks_become_tokens_that_are_learnt(runs: Runs) -> None:
    marks = ["<|good|>", "<|bad|>"]
    rows = [{"text": f"{marks[n % 2]}{prompt}{answer}"} for n, (prompt, answer) in enumerate(SOLVED)]
    facts = {"conditions": {"special_tokens": marks}}
    stored = weights(runs.train("rft", solved_rows(), max_steps=1))["model.embed_tokens.weight"].shape[0]
    for rank in (0, 4):
        report = runs.train("leti", rows, epochs=4, lora_rank=rank, facts=facts)
        table = weights(report)["model.embed_tokens.weight"].float()
        assert table.shape[0] == stored + 2
        # Each has gone its own way from the mean at which both began.
        assert not torch.allclose(table[-1], table[-2], atol=1e-3)
        tokenizer = load_tokenizer(str(report.model))
        assert tokenizer.encode(f"{marks[0]}{marks[1]}") == [stored, stored + 1]
        assert report.last_loss is not None and report.first_loss is not None
        assert report.last_loss < report.first_loss


def test_a_row_counts_by_its_weight(runs: Runs) -> None:
    rows = solved_rows()
    even = [{**row, "weight": 0.5} for row in rows]
    first, second = (
        [{**row, "weight": float((number < 3) == half)} for number, row in enumerate(rows)] for half in (True, False)
    )
    plain, same, one, other = (
        runs.train("morepair", part, max_steps=1, batch_size=6, options={"micro_batch": 3}).first_loss
        for part in (rows, even, first, second)
    )
    assert plain is not None and one is not None and other is not None
    assert plain == same and one != other
    # Weights are taken with a mean of 1, so that both halves together are the whole.
    assert (one + other) / 2 == pytest.approx(plain, rel=1e-4)
    with pytest.raises(InputError, match="leave out --option loss"):
        runs.train("morepair", first, max_steps=1, options={"loss": "asft"})


def test_a_teacher_that_cannot_be_resumed_is_refused(runs: Runs, chat_model: Path) -> None:
    question = [{"role": "user", "content": "What is 2 + 2?"}]
    rows = [{"prompt": question, "privileged_context": "no", "problem": "2 + 2", "answer": "4", "checker": "exact"}]
    with pytest.raises(InputError, match="add --option teacher=base"):
        runs.train("critique-grpo", rows, model=str(chat_model), lora_rank=2, facts={"form": "sdpo"})
    few: dict[str, Any] = {"generations": 2, "new_tokens": 8, "teacher": "base"}
    report = runs.train(
        "critique-grpo", rows, model=str(chat_model), lora_rank=2, max_steps=1, options=few, facts={"form": "sdpo"}
    )
    assert (report.method, report.steps) == ("sdpo", 1)
