"""Every export, loaded with `datasets`, takes one real step of the trainer that its recipe names. Slow: needs TRL."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import pytest

from actorcritic.export.lengths import load_tokenizer, row_length
from actorcritic.export.pipeline import Order, export_run
from actorcritic.export.recipe import Form
from actorcritic.export.recipes import RECIPES
from actorcritic.export.writing import write_export
from actorcritic.training.references import LOGGED, logged_reference
from tests.export.log import setting_of, write_log

pytestmark = pytest.mark.slow

TRAINED = [
    f"{name}:form={form}" if len(recipe.forms) > 1 else name
    for name, recipe in sorted(RECIPES.items())
    for form in recipe.forms
    if not recipe.forms[form].trainer.startswith("none")
]
FORMS = [*TRAINED, "on-policy-dpo:reference=logged"]
COMMON = {
    "per_device_train_batch_size": 2,
    "max_steps": 1,
    "learning_rate": 1e-2,
    "report_to": [],
    "save_strategy": "no",
    "logging_steps": 1,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "disable_tqdm": True,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny random Qwen2 whose tokens are bytes."""
    pytest.importorskip("trl")
    import torch  # noqa: PLC0415 - heavy, and only where TRL is
    from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: PLC0415 - as above

    from tests.engines.reward_models import chat_tokenizer, save  # noqa: PLC0415 - imports torch

    tokenizer = chat_tokenizer()
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = cast("Any", Qwen2Config)(
        vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=4096, eos_token_id=258, **sizes
    )
    return save(tmp_path_factory.mktemp("model"), cast("Any", Qwen2ForCausalLM)(config), tokenizer)


def trainer_of(form: Form, dataset: Any, model: Path, settings: dict[str, Any], out: Path) -> Any:
    """Return a trainer of TRL over a model in a folder."""
    from transformers import AutoTokenizer  # noqa: PLC0415 - heavy

    module, _, name = form.trainer.rpartition(".")
    home: Any = pytest.importorskip(module or "trl")
    config, trainer = getattr(home, name.replace("Trainer", "Config")), getattr(home, name)
    if name == "DPOTrainer":
        trainer = logged_reference(trainer)
    limits: dict[str, Any] = {"max_length": None}
    more: dict[str, Any] = {}
    if form.dataset == "prompt-only":
        # Answers of eight tokens are cut off, all of them, and two equal rewards teach nothing.
        limits = {"max_completion_length": 8, "num_generations": 2}
        settings = {name: value for name, value in settings.items() if name != "mask_truncated_completions"}
        more = {"reward_funcs": lambda completions, **_: [float(place % 2) for place, _ in enumerate(completions)]}
    return trainer(
        model=str(model),
        args=config(output_dir=str(out), **{**COMMON, **settings, **limits}),
        train_dataset=dataset,
        processing_class=cast("Any", AutoTokenizer).from_pretrained(str(model)),
        **more,
    )


@pytest.mark.parametrize("text", FORMS)
def test_one_step(text: str, model: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    recipe, setting = setting_of(text, tokenizer=load_tokenizer(str(model)))
    export = export_run(write_log(tmp_path / "run"), Order(recipe=recipe, setting=setting, share=1.0))
    write_export(export, tmp_path / "out")
    rows = datasets.load_dataset(
        "json", data_files=str(tmp_path / "out" / "train.jsonl"), cache_dir=str(tmp_path / "c")
    )
    form = recipe.forms[setting.form]
    trainer = trainer_of(form, rows["train"], model, dict(export.trainer_settings), tmp_path / "t")
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    loss = trainer.train().training_loss
    assert math.isfinite(loss)
    if LOGGED[0] in rows["train"].column_names:
        for name in LOGGED:
            assert trainer.train_dataset[name] == rows["train"][name], "what is logged is not computed anew"
    assert any(not value.equal(before[name]) for name, value in trainer.model.named_parameters())
    if form.trainer == "SFTTrainer":
        # No row was cut, and every one is as long as it was counted.
        lengths = sorted(row_length(row, setting.tokens) for row in export.rows["train"])
        assert sorted(map(len, trainer.train_dataset["input_ids"])) == lengths
