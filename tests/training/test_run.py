"""Whole training runs through TRL on the packaged pair: they learn, go on as if unbroken, and load again. Slow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file

from actorcritic.errors import InputError
from actorcritic.export.masking import IGNORED
from actorcritic.loading import load_roles
from actorcritic.training.run import resume, train
from actorcritic.training.settings import Progress
from tests.house.source import ROOT
from tests.training.exported import ACTOR, SOLVED, paired_rows, solved_rows
from tests.training.trained import Runs, same_weights, weights

pytestmark = pytest.mark.slow
pytest.importorskip("trl")


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_an_actor_learns_and_solves(runs: Runs) -> None:
    report = runs.train("rft", solved_rows(), epochs=10)
    assert report.first_loss is not None and report.last_loss is not None
    assert report.last_loss < report.first_loss / 2
    assert (report.method, report.rows, report.steps, dict(report.dropped)) == ("sft", 6, 20, {})
    assert report.tokens == 10 * sum(len((p + c).split()) + 1 for p, c in SOLVED)
    assert report.model == runs.folder / "out1" / "model" / "actor" and report.spec.startswith("embedded:")
    assert {path.name for path in (runs.folder / "out1").iterdir()} == {
        "log.jsonl",
        "model",
        "report.json",
        "train.json",
    }
    stored = load_file(ACTOR / "model.safetensors")
    assert {name: weight.dtype for name, weight in weights(report).items()} == {
        name: weight.dtype for name, weight in stored.items()
    }
    assert load_roles(report.spec).actor is not None
    assert resume(runs.folder / "out1") == report


VARIANTS: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any]]] = {
    "sft": ("rft", solved_rows(2), {}),
    "masked": ("rft", solved_rows(2), {"mask": 0.4, "mask_warmup": 2}),
    "anchored": ("rft", solved_rows(2), {"loss": "asft"}),
    "chosen": ("rft", solved_rows(2), {"keep": 1, "micro_batch": 2}),
    "adapter": ("rft", solved_rows(2), {"lora_rank": 4}),
    "dpo": ("on-policy-dpo", paired_rows() * 2, {}),
    "simpo": ("on-policy-dpo", paired_rows() * 2, {"method": "simpo"}),
    "reward": ("on-policy-dpo", paired_rows() * 2, {"method": "reward"}),
    "kto": ("kto", [{**row, "label": i % 2 == 0} for i, row in enumerate(solved_rows(2))], {}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_that_was_stopped_ends_as_an_unbroken_one(variant: str, runs: Runs) -> None:
    recipe, rows, options = VARIANTS[variant]
    options = dict(options)
    settings = runs.settings(recipe, rows, epochs=2, lora_rank=options.pop("lora_rank", 0), options=options)
    unbroken, broken = train(settings), runs.broken(settings, after=2)
    assert unbroken.steps == broken.steps == 6
    assert (unbroken.first_loss, unbroken.last_loss) == (broken.first_loss, broken.last_loss)
    assert (unbroken.tokens, unbroken.rows) == (broken.tokens, broken.rows)
    assert unbroken.tokens > 0
    assert same_weights(unbroken, broken)


def test_a_kill_loses_at_most_one_interval(runs: Runs) -> None:
    settings = runs.settings("rft", solved_rows(8), epochs=4, options={"save_seconds": 0.0})
    unbroken = train(settings)
    program = (
        "import sys; from pathlib import Path; from actorcritic.training.run import train;"
        "from actorcritic.training.settings import TrainSettings as S;"
        "train(S(recipe='rft', data=Path(sys.argv[1]), model='embedded-actor', out=Path(sys.argv[2]), device='cpu',"
        " learning_rate=1e-3, batch_size=4, lora_rank=0, epochs=4, options={'save_seconds': 0.0}),"
        " hear=lambda told: print(told.step, flush=True))"
    )
    out = runs.folder / "killed"
    command = [sys.executable, "-c", program, str(settings.data), str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout is not None
        step = next(int(line) for line in process.stdout if int(line) >= 7)
        process.send_signal(signal.SIGKILL)
    told: list[Progress] = []
    killed = resume(out, hear=told.append)
    # What was done when the signal came stands in a checkpoint, but for one step.
    assert told[0].step >= step
    assert same_weights(unbroken, killed)


def test_rows_over_the_length_are_dropped_and_counted_and_none_is_cut(runs: Runs) -> None:
    lengths = [len((prompt + answer).split()) + 1 for prompt, answer in SOLVED]
    long = {"prompt": "numbers 2 3 7 9 =32\n", "completion": "7 * 3 21 2 9 =32\n21 + 2 23 9 =32\n23 + 9 32 "}
    work, built = runs.build("rft", [*solved_rows(), long], max_length=max(lengths))
    assert dict(built.dropped) == {f"longer than {max(lengths)} tokens": 1}
    rows = built.trainer.train_dataset
    assert list(map(len, rows["input_ids"])) == lengths
    end = work.tokenizer.eos_token_id
    for row, (prompt, answer) in zip(rows, SOLVED, strict=True):
        assert work.tokenizer.decode(row["input_ids"]) == prompt + answer + "<eos>"
        learnt = [token for token in row["labels"] if token != IGNORED]
        assert work.tokenizer.decode(learnt) == answer + "<eos>" and learnt[-1] == end
    batch = next(iter(built.trainer.get_train_dataloader()))
    assert int(batch["attention_mask"].sum(1).max()) == max(len(ids) for ids in rows["input_ids"])
    with pytest.raises(InputError, match="no row is left to train on; dropped: 6 longer than 3 tokens"):
        runs.build("rft", solved_rows(), max_length=3)


def test_a_recipes_own_mask_is_taken_as_it_is(runs: Runs) -> None:
    rows = [{"input_ids": [3, 20, 21, 1], "labels": [-100, -100, 21, 1]}, {"input_ids": [3, 4], "labels": [-100, -100]}]
    _, built = runs.build("lemma", rows, facts={"form": "tokens"})
    assert [dict(row) for row in built.trainer.train_dataset] == [rows[0]]
    assert dict(built.dropped) == {"nothing to learn": 1}


def test_an_adapter_is_saved_and_merged(runs: Runs) -> None:
    peft: Any = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 - heavy

    report = runs.train("rft", solved_rows(), epochs=3, lora_rank=4)
    assert report.adapter == runs.folder / "out1" / "adapter" and report.spec.startswith("embedded:")
    ids = torch.tensor([[3, 20, 21, 22]])
    home = cast("Any", AutoModelForCausalLM)
    base = home.from_pretrained(ACTOR, dtype=torch.float32)
    plain = base(ids).logits
    adapted = peft.PeftModel.from_pretrained(base, report.adapter)(ids).logits
    # Transformers finds the base through the adapter's own configuration.
    direct = home.from_pretrained(report.adapter, dtype=torch.float32)(ids).logits
    merged = home.from_pretrained(report.model, dtype=torch.float32)(ids).logits
    assert torch.equal(adapted, direct)
    assert torch.allclose(adapted, merged, atol=2e-2) and not torch.allclose(plain, merged, atol=2e-2)
    alone = runs.train("rft", solved_rows(), max_steps=1, lora_rank=4, options={"merge": "no"})
    assert alone.model == alone.adapter and not (runs.folder / "out2" / "model").exists()


def test_data_that_changed_is_not_gone_on_with(runs: Runs) -> None:
    settings = runs.settings("rft", solved_rows(2), epochs=2)
    told: list[Progress] = []
    train(settings, hear=told.append, stopped=lambda: bool(told))
    manifest = settings.data / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "seed": 1}))
    with pytest.raises(InputError, match="is not the export that the run began with"):
        resume(settings.out)


def test_wrong_columns_and_options_are_refused_before_anything_is_written(runs: Runs) -> None:
    for rows, options, words in (
        ([{"prompt": "a"}], {}, "has no column labels or text or completion, which the method sft needs"),
        (solved_rows(), {"nothing": "1"}, "there is no option 'nothing'; choose from: loss, "),
        (solved_rows(), {"mask": "2"}, "option mask=2.0 is refused; allowed: a number >= 0 and <= 1"),
        (solved_rows(), {"method": "dpo"}, "the method dpo does not train on rows of the type prompt-completion"),
    ):
        settings = runs.settings("rft", rows, options=options)
        with pytest.raises(InputError, match=words):
            train(settings)
        assert not settings.out.exists()


def test_two_runs_of_one_seed_are_the_same_and_of_another_not(runs: Runs) -> None:
    one, same, other = (runs.train("rft", solved_rows(2), epochs=1, seed=seed) for seed in (1, 1, 2))
    assert same_weights(one, same) and not same_weights(one, other)


def test_a_full_disk_is_one_line(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = runs.settings("rft", solved_rows(2), epochs=2, options={"save_seconds": 0.0})

    def full(*arguments: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match=rf"no room left on the disk .* --resume {settings.out}"):
        train(settings)
    monkeypatch.undo()
    assert resume(settings.out).steps == 6
