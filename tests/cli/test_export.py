"""`actorcritic export`: files and a manifest from a run folder, and one clear line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actorcritic.export.recipes import RECIPES
from tests.cli.conftest import Command
from tests.export.log import write_log
from tests.export.test_lengths import saved_tokenizer


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_log(tmp_path / "run")


def test_an_export_is_written(command: Command, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = command("export", run, "--recipe", "rft:cap=1", "--out", out, "--split", "0.5/0.5", "--seed", 1)
    assert (done.code, done.out) == (0, "")
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["options"]["cap"] == 1 and sum(manifest["counts"]["rows"].values()) == 3
    assert "rft: 3 rows" in done.err and "over the cap of its problem" in done.err


def test_prompts_are_those_of_inference_or_plain(command: Command, run: Path, tmp_path: Path) -> None:
    for name, options in (("asked", ()), ("plain", ("--plain",))):
        command("export", run, "--recipe", "rft", "--out", tmp_path / name, "--split", "1/0", *options)
    asked, plain = (
        json.loads((tmp_path / name / "train.jsonl").read_text(encoding="utf-8").splitlines()[0])["prompt"][0][
            "content"
        ]
        for name in ("asked", "plain")
    )
    assert plain == "Ann has 3 bags of 4 apples and eats 2. How many apples are left?"
    assert asked.startswith(plain) and "step by step" in asked


def test_a_dry_run_shows_counts_and_three_rows_and_writes_nothing(command: Command, run: Path, tmp_path: Path) -> None:
    done = command("export", run, "--recipe", "kto", "--dry-run", "--out", tmp_path / "out")
    assert done.code == 0 and not (tmp_path / "out").exists()
    head, _, rest = done.out.partition("{")
    assert head.startswith("kto: ") and "unfinished" in head
    shown, text, decoder = [], "{" + rest, json.JSONDecoder()
    while text:
        value, end = decoder.raw_decode(text)
        shown.append(value)
        text = text[end:].lstrip()
    assert len(shown) == 4 and shown[0]["manifest"]["recipe"] == "kto"
    assert all({"prompt", "completion", "label", "provenance"} == set(row) for row in shown[1:])


def test_long_rows_are_counted_with_a_tokenizer(command: Command, run: Path, tmp_path: Path) -> None:
    tokenizer = saved_tokenizer(tmp_path / "tokenizer")
    done = command(
        "export",
        run,
        "--recipe",
        "rft",
        "--plain",
        "--out",
        tmp_path / "out",
        "--max-length",
        33,
        "--tokenizer",
        tokenizer,
    )
    assert done.code == 0 and "longer than 33 tokens" in done.err


def test_oracle_runs_need_leave(command: Command, tmp_path: Path) -> None:
    run = write_log(tmp_path / "oracle", oracle=True)
    refused = command("export", run, "--recipe", "rft", "--out", tmp_path / "out")
    assert refused.code == 2 and "--allow-oracle" in refused.err and not (tmp_path / "out").exists()
    assert command("export", run, "--recipe", "rft", "--out", tmp_path / "out", "--allow-oracle").code == 0
    assert json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["oracle"] is True


def test_a_benchmark_is_excluded(command: Command, run: Path, problems: Path, tmp_path: Path) -> None:
    bench = tmp_path / "bench.jsonl"
    text = "Ann has 3 bags of 4 apples and eats 2.  How many apples are left"
    bench.write_text(json.dumps({"id": "x", "problem": text}) + "\n", encoding="utf-8")
    done = command(
        "export", run, "--recipe", "rft", "--out", tmp_path / "out", "--exclude", bench, "--exclude", problems
    )
    assert done.code == 0 and "near-duplicate of a problem in bench.jsonl" in done.err
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["excluded"]) == {"bench.jsonl", "problems.jsonl"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a recipe with --recipe: agent-q, cct, cft"),
        (("--recipe", "nonsense", "--dry-run"), "unknown recipe 'nonsense'; choose from: agent-q, cct, cft"),
        (("--recipe", "rft:cap=0", "--dry-run"), "option cap=0 is refused"),
        (("--recipe", "rft:size=1", "--dry-run"), "no option 'size'; choose from: cap"),
        (("--recipe", "rft:cap", "--dry-run"), "write each option once"),
        (("--recipe", "rft"), "--out"),
        (("--recipe", "rft", "--dry-run", "--split", "2/1"), "add up to 1"),
        (("--recipe", "rft", "--dry-run", "--limit", "0"), "--limit must be at least 1"),
        (("--recipe", "rft", "--dry-run", "--max-length", "9"), "--tokenizer"),
        (("--recipe", "prm:form=tokens", "--dry-run"), "give --tokenizer"),
        (("--recipe", "rft", "--dry-run", "--exclude", "nowhere.jsonl"), "cannot read the problem file nowhere.jsonl"),
        (("--recipe", "prm:source=exact", "--dry-run"), "needs problems whose checker labels steps"),
        (("--recipe", "agent-q:theta=1", "--out", "out"), "makes no row of this run"),
    ],
)
def test_a_mistake_is_one_clear_line(command: Command, run: Path, arguments: tuple[str, ...], message: str) -> None:
    done = command("export", run, *arguments)
    assert done.code == 2 and done.out == "" and not Path("out").exists()
    assert done.err.startswith("error: ") and done.err.count("\n") == 1 and message in done.err


def test_a_folder_that_is_no_run_is_refused(command: Command, tmp_path: Path) -> None:
    done = command("export", tmp_path, "--recipe", "rft", "--dry-run")
    assert done.code == 2 and "no run folder" in done.err


def test_the_list_of_recipes_is_in_the_message(command: Command, run: Path) -> None:
    done = command("export", run, "--recipe", "x")
    assert all(name in done.err for name in RECIPES)
