"""Training, resuming, export and figures of the pair, on models small enough for seconds."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from actorcritic.formats.embedded import PAIR_OF
from actorcritic.formats.lines import words_of
from actorcritic.loading import PACKAGED
from actorcritic.tasks import arithmetic
from actorcritic.training.embedded import __main__ as command
from actorcritic.training.embedded import card, evaluate, figures, simulate, stages
from actorcritic.training.embedded.attempts import FAMILIES
from actorcritic.training.embedded.batches import Mixture, Phase
from actorcritic.training.embedded.data import LABELS, VOCABULARY, encode
from actorcritic.training.embedded.export import export
from actorcritic.training.embedded.loop import Schedule, train
from actorcritic.training.embedded.model import Llama, Shape
from actorcritic.training.embedded.pair import families_of, load
from actorcritic.training.embedded.recipes import RECIPE, RECIPES, Recipe, Runtime, Stage, scaled
from actorcritic.training.embedded.sampling import generate
from actorcritic.training.embedded.stages import build
from actorcritic.types import Solution, Step

SMALL = Shape(len(VOCABULARY), width=32, layers=1, inner=64)
JUDGE = replace(SMALL, layers=2, labels=len(LABELS))
MIXTURE = Mixture("actor", 1, (Phase(0, (0.0, 0.0, 1.0, 0.0)),), rows=8, steps=4)
SCHEDULE = Schedule(8, 1e-2, workers=0)


def tiny_recipe(recipe: Recipe = RECIPE) -> Recipe:
    def tiny(stage: Stage) -> Stage:
        return Stage(replace(stage.mixture, rows=4, steps=2), replace(stage.schedule, chunks=2, rate=1e-2))

    words = recipe.actor_shape.vocabulary
    return replace(
        recipe,
        actor_shape=replace(SMALL, vocabulary=words),
        critic_shape=replace(JUDGE, vocabulary=words),
        actor_stages=tuple(map(tiny, recipe.actor_stages)),
        critic_stages=tuple(map(tiny, recipe.critic_stages)),
        pool_size=40,
    )


def weights(model: Llama) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_loss_falls_and_a_broken_run_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    whole = build(SMALL, 1, "cpu")
    losses = train(whole, MIXTURE, SCHEDULE, tmp_path / "whole.pt")
    assert len(losses) == 8
    assert losses[-1] < 0.6 * losses[0]

    first = build(SMALL, 1, "cpu")
    train(first, MIXTURE, SCHEDULE, tmp_path / "broken.pt", stop_after=4)
    assert not torch.equal(weights(first), weights(whole))
    second = build(SMALL, 2, "cpu")
    assert train(second, MIXTURE, SCHEDULE, tmp_path / "broken.pt") == losses
    assert torch.equal(weights(second), weights(whole))
    assert train(second, MIXTURE, SCHEDULE, tmp_path / "broken.pt") == losses


def test_a_critic_begins_as_the_actor_it_grows_from() -> None:
    actor, critic = build(SMALL, 1, "cpu").eval(), build(JUDGE, 2, "cpu").eval()
    ids, bias = torch.tensor([encode("numbers 7 13 14 =15\n14 / 7 2 ")]), torch.full((1, 1, 9, 9), -1e9).triu(1)
    assert not torch.allclose(actor(ids, bias)[0], critic(ids, bias)[0])
    stages.grow(actor, critic)
    assert torch.allclose(actor(ids, bias)[0], critic(ids, bias)[0])
    with pytest.raises(RuntimeError):
        stages.grow(build(replace(SMALL, width=64), 1, "cpu"), critic)


@pytest.mark.parametrize("families", RECIPES)
def test_all_stages_run_and_a_second_call_changes_nothing(tmp_path: Path, families: str) -> None:
    recipe, runtime = tiny_recipe(RECIPES[families]), Runtime(workers=0)
    stages.train_pair(recipe, runtime, tmp_path)
    made = {role: (tmp_path / role / "model.safetensors").read_bytes() for role in ("actor", "critic")}
    stages.train_pair(recipe, runtime, tmp_path)
    assert made == {role: (tmp_path / role / "model.safetensors").read_bytes() for role in ("actor", "critic")}
    pool = [json.loads(line) for line in (tmp_path / "work" / "attempts.jsonl").read_text().splitlines()]
    assert {family for family, _, _ in pool} <= set(recipe.families) == set(families_of(tmp_path))


def test_scaling_shortens_every_stage() -> None:
    stages_of = [(*recipe.actor_stages, *recipe.critic_stages) for recipe in (scaled(RECIPE, 0.1), RECIPE)]
    for stage, full in zip(*stages_of, strict=True):
        assert stage.schedule.chunks == pytest.approx(full.schedule.chunks / 10, abs=0.51)
        assert all(phase.first < stage.schedule.chunks for phase in stage.mixture.phases)


def test_an_exported_folder_gives_transformers_the_same_model(tmp_path: Path) -> None:
    model = build(SMALL, 3, "cpu").eval()
    export(model, tmp_path, half=False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = "numbers 7 13 14 =15\n14 / 7 2 13 =15\n13 + 2 15 "
    ids = tokenizer(text)["input_ids"]
    assert ids == encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.eos_token_id == 1
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    loaded.train(False)
    bias = torch.full((len(ids), len(ids)), -1e9).triu(1)[None, None]
    with torch.inference_mode():
        theirs, ours = loaded(torch.tensor([ids])).logits, model(torch.tensor([ids]), bias)[0]
        assert torch.allclose(theirs, ours, atol=1e-4)
        assert torch.allclose(load(tmp_path)(torch.tensor([ids]), bias)[0], ours, atol=1e-4)


def test_greedy_sampling_with_the_cache_is_the_argmax_of_whole_passes() -> None:
    model = build(SMALL, 4, "cpu").eval()
    prompts = [encode("numbers 7 13 14 =15\n"), encode("sudoku r1c1=1\nfill\n"), encode("numbers 1 2 3 4 =9\n")]
    for prompt, drawn in zip(prompts, generate(model, prompts, limit=6, temperature=0, seed=0), strict=True):
        ids = list(prompt)
        for token, logprob in zip(drawn.ids, drawn.logprobs, strict=False):
            bias = torch.full((len(ids), len(ids)), -1e9).triu(1)[None, None]
            with torch.inference_mode():
                log_p = model(torch.tensor([ids]), bias)[0][0, -1].log_softmax(-1)
            assert int(log_p.argmax()) == token
            assert float(log_p[token]) == pytest.approx(logprob, abs=1e-4)
            ids.append(token)


def test_samples_depend_on_the_seed_alone() -> None:
    model = build(SMALL, 4, "cpu").eval()
    prompts = [encode("numbers 7 13 14 =15\n")] * 8
    first, again, other = (generate(model, prompts, limit=5, temperature=1.0, seed=s) for s in (1, 1, 2))
    assert first == again != other


def test_held_out_problems_are_different_ones() -> None:
    for family in FAMILIES:
        drawn = figures.held_out(family, "test", 50)
        assert len({puzzle.render() for puzzle in drawn}) == 50


def test_a_ledger_bills_what_is_new() -> None:
    ledger = simulate.Ledger()
    ledger.charge(False, [1, 2, 3], [4, 5])
    assert ledger.tokens == 5
    ledger.charge(False, [1, 2, 3], [4, 5])
    assert ledger.tokens == 7
    ledger.charge(False, [1, 2, 3, 4, 9], [6])
    assert ledger.tokens == 9
    ledger.charge(True, [1, 2, 3], [4])
    assert ledger.tokens == 13


def test_accuracy_reads_the_last_answer_within_the_budget() -> None:
    histories = [[(10, False), (50, True), (90, False)], [], [(200, True)]]
    assert simulate.accuracy_at(histories, 60) == [True, False, False]
    assert simulate.accuracy_at(histories, 200) == [False, False, True]


def test_the_evaluation_prints_a_table_and_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--split", "dev", "--problems", "6", "--loop", "--loop-problems", "2", "--budgets", "60,100"]
    assert evaluate.main(arguments) == 0
    out = capsys.readouterr().out
    result = json.loads(out.splitlines()[-1])
    assert {row["name"] for row in result["figures"]} >= {"greedy", "pass@1", "pass@16", "ProcessBench F1", "AUROC"}
    assert all(row["low"] <= row["high"] for row in result["figures"])
    assert {row["strategy"] for row in result["loop"]["rows"] if "strategy" in row} == set(simulate.STRATEGIES)
    assert "| countdown-3 | greedy |" in out


@pytest.mark.parametrize("spec", PACKAGED)
def test_a_shipped_pair_is_small_and_what_its_recipe_makes(spec: str) -> None:
    folder = PACKAGED[spec]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 5_000_000
    knows = tuple(family for family, pair in PAIR_OF.items() if pair == spec)
    recipe = RECIPES[",".join(knows)]
    assert recipe.knows == knows and recipe.families == families_of(folder)
    for role, shape in (("actor", recipe.actor_shape), ("critic", recipe.critic_shape)):
        assert replace(load(folder / role).shape, labels=shape.labels) == shape
        assert json.loads((folder / role / "tokenizer.json").read_text())["model"]["vocab"] == words_of(knows)


def test_the_command_knows_the_recipes_by_name() -> None:
    assert tuple(RECIPES) == command.FAMILIES


@pytest.mark.parametrize("spec", PACKAGED)
def test_a_shipped_card_begins_as_it_is_written_now_and_holds_the_notes(spec: str) -> None:
    folder = PACKAGED[spec]
    made = card.model_card(families_of(folder), (folder / "TRAINING.md").read_text(), "")
    assert (folder / "MODEL_CARD.md").read_text().startswith(made.rstrip())


def test_a_card_says_how_and_how_well() -> None:
    recipe = scaled(RECIPE, 0.5)
    notes = card.training_notes(recipe, Runtime())
    steps = 20 * recipe.actor_stages[0].schedule.chunks
    assert f"| actor 1 | {steps:,} | {steps * 64 * 96 / 1e6:.1f} M | 0.002 |" in notes
    written = card.model_card(("countdown-3", "sudoku"), notes, "| sudoku | greedy | 0.6 |")
    assert written.startswith("---\nlicense: apache-2.0\n")
    assert notes in written
    assert written.endswith("| sudoku | greedy | 0.6 |\n")
    assert "tags: [actor, critic, countdown, sudoku]" in written and "on two families" in written
    assert "**sudoku**" in written and "**arithmetic**" not in written
    assert "**arithmetic**" in card.model_card(FAMILIES, notes, "")


def test_a_pair_is_measured_on_what_it_has_words_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for role in ("actor", "critic"):
        export(build(SMALL, 1, "cpu"), tmp_path / role)
    assert families_of(tmp_path) == FAMILIES
    arguments = ["--pair", str(tmp_path), "--split", "dev", "--problems", "4", "--card"]
    assert evaluate.main(arguments) == 0
    figures_ = json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]
    names = {row["name"] for row in figures_ if row["family"] == "arithmetic"}
    assert names >= {"greedy", "AUROC", "AUROC of the actor's log-probability", "calculate: ProcessBench F1"}
    assert not [row for row in figures_ if row["family"] == "sudoku" and row["name"].startswith("calculate")]
    assert "**arithmetic**" in (tmp_path / "MODEL_CARD.md").read_text()


def test_the_calculating_critic_sees_wrong_results_only() -> None:
    puzzle = arithmetic.parse("Work out (19 - ((3 + 9) - 4)) + 16")
    assert puzzle is not None
    attempts = (
        ("3 + 9 = 12", "12 - 4 = 8", "19 - 8 = 11", "11 + 16 = 27"),
        ("3 + 9 = 12", "12 - 4 = 9", "19 - 9 = 10", "10 + 16 = 26"),
        ("3 + 9 = 12", "16 - 4 = 12", "19 - 12 = 7", "7 + 16 = 23"),
    )
    solutions = [Solution(steps=tuple(Step(text=text) for text in steps), complete=True) for steps in attempts]
    critiques = asyncio.run(figures._calculated([puzzle] * 3, solutions))
    assert [critique.first_error for critique in critiques] == [None, 1, None]
    assert [figures._first_wrong(puzzle, solution) for solution in solutions] == [None, 1, 1]
    assert [critique.score for critique in critiques] == [1.0, 0.0, 1.0]
