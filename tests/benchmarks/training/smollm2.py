"""Measurement 4: SmolLM2-135M with LoRA, one round of actor SFT and one of critic SFT, end to end on the CPU.

What the embedded pair solved and judged becomes chats; the adapters are measured on held-out problems beside the base,
and loaded in transformers and in vLLM, where both share one running model.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actorcritic.cli.improve_runs import Answer, read_answers
from actorcritic.training.bases import find_base
from actorcritic.training.settings import TrainReport
from tests.benchmarks.training.stages import Bench
from tests.benchmarks.training.tables import percent, table

__all__ = ["measure"]

MODEL = "smollm2"
TASK = "countdown-3"
RECIPES: Mapping[str, str] = {"actor": "rft:cap=2", "critic": "critic-sft:soft=off,ratio=1"}
LENGTH = 512
"""Tokens of a row at most."""
NEW_TOKENS = 24
"""Of the text by which a merged model is compared with its adapter."""
COMMAND = "import sys; from actorcritic.cli.app import run; sys.exit(run(sys.argv[1:]))"


def measure(bench: Bench) -> dict[str, Any]:
    """Collect, export, train, measure, load; prints what came of it and returns it."""
    options = bench.options
    searched = ("--task", TASK, "--limit", options.smol_problems, "--strategy", "best-of-n:n=4")
    run = bench.collect("smollm2/run", *searched)
    reports = {role: _train(bench, run, role) for role in RECIPES}
    adapters = {role: _adapter(report) for role, report in reports.items()}
    print(f"\n## SmolLM2-135M, LoRA of rank {options.smol_rank}, on {TASK}\n")
    shown = [
        [role, str(r.rows), str(r.steps), f"{r.first_loss:.3f}", f"{r.last_loss:.3f}", f"{r.seconds:.0f}"]
        for role, r in reports.items()
    ]
    print(table(["SFT of the", "rows", "steps", "first loss", "last loss", "seconds"], shown))
    found = {
        "training": {
            role: {"rows": r.rows, "steps": r.steps, "losses": [r.first_loss, r.last_loss], "seconds": r.seconds}
            for role, r in reports.items()
        },
        "held_out": _held_out(bench, reports) if options.smol_limit else None,
        "transformers": {role: _same_text(adapters[role], report) for role, report in reports.items()},
        "vllm": _in_vllm(bench, adapters),
    }
    print(f"\nadapter over the base writes what the merged model writes: {found['transformers']}")
    print(f"both adapters in one running vLLM: {found['vllm']}")
    return found


def _train(bench: Bench, run: Path, role: str) -> TrainReport:
    options = bench.options
    limits = ("--max-length", LENGTH, "--tokenizer", find_base(MODEL).source)
    data = bench.export(f"smollm2/{role}/rows", run, RECIPES[role], *limits)
    lora = ("--lora-rank", options.smol_rank, "--learning-rate", options.smol_rate, "--batch-size", options.smol_batch)
    recipe = RECIPES[role].partition(":")[0]
    return bench.train(f"smollm2/{role}/out", recipe, data, MODEL, *lora, "--max-steps", options.smol_steps)


def _adapter(report: TrainReport) -> Path:
    assert report.adapter is not None  # it was trained with a rank
    return report.adapter.resolve()


def _held_out(bench: Bench, reports: Mapping[str, TrainReport]) -> dict[str, Any]:
    """Print what base and trained models do on held-out problems."""
    limit = bench.options.smol_limit
    found: dict[str, Any] = {}
    for name, spec in (("base", f"hf:{MODEL}"), ("trained", reports["critic"].spec)):
        judged = bench.judge_critic(
            f"smollm2/critic-{name}-{limit}", spec, task=TASK, split="test", limit=limit, actor="embedded"
        )
        report = judged.report
        read = 1 - report.unscored / max(1, report.problems - report.unfinished)
        found[f"critic, {name}"] = {
            "readable": round(read, 4),
            "verdict agrees": report.discriminability.model_dump(),
            "f1": report.f1.model_dump(),
        }
    for name, spec in (("base", f"hf:{MODEL}"), ("trained", reports["actor"].spec)):
        folder = bench.out / f"smollm2/actor-{name}-{limit}"
        bench.greedy_share(str(folder.relative_to(bench.out)), spec, task=TASK, split="test", limit=limit)
        answers: list[Answer] = [each for lot in read_answers(folder).values() for each in lot]
        answered = sum(one.key is not None for one in answers) / len(answers)
        found[f"actor, {name}"] = {"answered": answered, "right": sum(one.right for one in answers) / len(answers)}
    critics = [
        [name, f"{row['readable']:.2f}", percent(row["verdict agrees"]), percent(row["f1"])]
        for name, row in found.items()
        if name.startswith("critic")
    ]
    print("\n" + table([f"{limit} held-out attempts", "critiques read", "verdict agrees", "F1"], critics))
    actors = [
        [name, f"{row['answered']:.2f}", f"{row['right']:.2f}"]
        for name, row in found.items()
        if name.startswith("actor")
    ]
    print("\n" + table([f"{limit} held-out problems", "in the task's steps", "right"], actors))
    return found


def _same_text(adapter: Path, report: TrainReport) -> bool:
    """Return whether transformers writes the same with the adapter over the base as with the merged model."""
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415 - slow, and of the extra `train`

    tokenizer: Any = AutoTokenizer.from_pretrained(str(report.model))
    chat = [{"role": "user", "content": "Use 7, 13 and 14 to make 15."}]
    asked = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    texts: list[str] = []
    for folder in (adapter, report.model):
        model: Any = AutoModelForCausalLM.from_pretrained(str(folder), dtype="float32")
        made = model.generate(**asked, max_new_tokens=NEW_TOKENS, do_sample=False)
        texts.append(tokenizer.decode(made[0, asked["input_ids"].shape[1] :]))
    return texts[0] == texts[1]


def _in_vllm(bench: Bench, adapters: Mapping[str, Path]) -> dict[str, Any] | None:
    """Return what came of a run with both adapters in vLLM; None where there is no environment with vLLM."""
    python = Path(bench.options.vllm_python)
    if not python.exists():
        print(f"\nno {python}: `make .venv-vllm/stamp` sets it up; the adapters were not tried in vLLM")
        return None
    out = bench.out / "smollm2/vllm.jsonl"

    def work() -> None:
        specs = {role: f"vllm:{MODEL}+lora={folder}+context=1024" for role, folder in adapters.items()}
        asked = ["solve", "--task", TASK, "--limit", str(bench.options.vllm_limit), "--strategy", "best-of-n:n=2"]
        roles = ["--actor", specs["actor"], "--critic", specs["critic"], "--max-tokens", "128", "--json"]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        with out.open("w", encoding="utf-8") as file:
            done = subprocess.run(
                [str(python), "-c", COMMAND, *asked, *roles], stdout=file, env=environment, check=False
            )
        if done.returncode not in (0, 1):
            raise SystemExit(f"vLLM ended with {done.returncode}")

    bench.once("smollm2/vllm", work)
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    judged = [record for record in records if record["critique"] is not None]
    return {
        "problems": len(records),
        "failures": sum(len(record["failures"]) for record in records),
        "answered": sum(record["answer"] is not None for record in records),
        "critiques_read": sum(record["critique"]["verdict"] != "unscored" for record in judged),
        "actor_tokens": sum(record["usage"]["actor"]["completion_tokens"] for record in records),
        "critic_tokens": sum(record["usage"]["critic"]["completion_tokens"] for record in records),
    }
