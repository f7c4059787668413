"""Every strategy, the baselines and two other libraries at equal total tokens, on held-out problems of every family.

    python -m tests.benchmarks.accuracy --out FOLDER [--tasks countdown-4] [--parts all,best,peers] [--report]

Per family, through `actorcritic bench` and the peers' adapters, nothing simulated: `all` = every strategy (200
problems, 3 budgets, 1 seed); on 500 problems, 4 budgets, 3 seeds `best` = two of five that were chosen on the
development split, baselines and ceiling, `revising` = the other three, `first` = some with a greedy first sample;
`peers` = its_hub and TreeQuest on the same 500. What FOLDER holds is not run again; `--report` only adds up. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from actorcritic.bench import BenchReport, ProblemRow
from actorcritic.cli.app import run
from actorcritic.loading import load_roles
from actorcritic.metering import free_meter
from actorcritic.metrics import mean_interval, paired_difference
from actorcritic.search.strategies import STRATEGIES
from actorcritic.tasks.checkers import verify
from actorcritic.tasks.sources import draw_problems
from actorcritic.types import Problem, Reference

TASKS = ("countdown-3", "countdown-4", "sudoku")
ALL_BUDGETS = "128,256,512"
BUDGETS = (64, 128, 256, 512)
THRICE = {64: 192, 128: 384}
"""Three times a budget, to compare critique with sampling that may spend as much again and again."""
SEEDS = (1, 2, 3)
NO_CRITIC = ("greedy", "majority", "best-of-n:score=logprob", "revise:locate=least-confident")
CEILING = "revise@oracle"
REVISING = ("revise", "auto", "mcts")
BEST = ("best-of-n", "ab-mcts", *REVISING)
"""Of what was tried on 200 problems of the development split; ab-mcts stands for what a peer has too."""
FIRST = ("best-of-n:first=greedy", "revise:first=greedy", "auto:first=greedy", "mcts:first=greedy")
"""The same with a first sample at temperature 0, which is the likeliest to be right alone."""
WHOLE = {"best": ("best-of-n", "ab-mcts", *NO_CRITIC, CEILING), "revising": REVISING, "first": FIRST}
"""By part, what runs on all problems, at all budgets, under all seeds."""
PARTS = ("all", *WHOLE, "peers")
TREES = ("mcts", "ab-mcts")
SAMPLES = 16
"""Of the actor per problem, to tell hard problems from easy ones; under a seed that no run has."""


# --- running -------------------------------------------------------------------------------------------------------


def bench(folder: Path, arguments: Sequence[str]) -> int:
    """Run a comparison, or go on with it; nothing where it has ended."""
    if _ended(folder):
        return 0
    if (folder / "run.json").exists():
        return run(["bench", "--resume", str(folder)])
    return run(["bench", *arguments, "--share-samples", "--out", str(folder)])


def run_part(part: str, task: str, options: argparse.Namespace) -> int:
    """Run one part of a family and return the exit code."""
    common = ["--task", task, "--concurrency", str(options.concurrency)]
    if part == "all":
        common += ["--strategies", ";".join(STRATEGIES)]
        common += ["--limit", str(options.all_limit), "--budgets", ALL_BUDGETS]
        return bench(options.out / f"all-{task}", common)
    if part in WHOLE:
        common += ["--strategies", ";".join(WHOLE[part]), "--limit", str(options.limit)]
        common += ["--budgets", ",".join(map(str, sorted({*BUDGETS, *THRICE.values()})))]
        # A folder per seed: seeds share no samples, and one that has ended counts whatever becomes of the next.
        return max(
            bench(options.out / f"{part}-{task}-{seed}", [*common, "--seeds", str(seed)]) for seed in options.seeds
        )
    from tests.benchmarks.peers.__main__ import find_peers  # noqa: PLC0415 - of the extra `peers`
    from tests.benchmarks.peers.__main__ import main as run_peers  # noqa: PLC0415 - likewise

    whole = options.limit * len(find_peers(None))
    for seed in options.seeds:
        rows = options.out / f"peers-{task}-{seed}.jsonl"
        if rows.exists() and len(read_rows(rows)) == whole:
            continue
        rows.unlink(missing_ok=True)
        arguments = ["--task", task, "--limit", str(options.limit), "--budgets", ",".join(map(str, BUDGETS))]
        code = run_peers([*arguments, "--seeds", str(seed), "--concurrency", "64", "--out", str(rows)])
        if code:
            return code
    return 0


async def sample_rates(problems: Sequence[Problem], seed: int = 1000) -> dict[str, float]:
    """Return by problem the share of right answers among samples of the actor alone."""
    roles = load_roles("embedded")
    room = asyncio.Semaphore(64)

    async def rate(problem: Problem) -> float:
        async with room:
            right = [
                bool(
                    await verify(problem, await roles.actor.propose(problem, meter=free_meter(seed + at)), Reference())
                )
                for at in range(SAMPLES)
            ]
        return fmean(right)

    rates = await asyncio.gather(*map(rate, problems))
    await roles.aclose()
    return {problem.id: found for problem, found in zip(problems, rates, strict=True)}


def rates_of(task: str, options: argparse.Namespace) -> dict[str, float]:
    """Return the sampled rates of a family's problems, kept in a file."""
    path: Path = options.out / f"rates-{task}.json"
    if not path.exists():
        rates = asyncio.run(sample_rates(draw_problems(task, "test", options.limit)))
        path.write_text(json.dumps(rates), encoding="utf-8")
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return found


# --- adding up -----------------------------------------------------------------------------------------------------


Cells = dict[tuple[str, int], dict[str, float]]
"""By strategy and budget: the share of right answers over the seeds, per problem."""


def read_rows(path: Path) -> list[ProblemRow]:
    """Return the rows of a file."""
    return [ProblemRow.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


def cells_of(rows: Sequence[ProblemRow]) -> Cells:
    """Sort the readings of rows into cells."""
    found: dict[tuple[str, int], dict[str, list[bool]]] = {}
    for row in rows:
        for reading in row.readings:
            cell = found.setdefault((row.strategy, reading.budget_tokens), {})
            cell.setdefault(row.problem, []).append(reading.correct)
    return {key: {problem: fmean(flags) for problem, flags in cell.items()} for key, cell in found.items()}


def hardest_half(rates: dict[str, float]) -> set[str]:
    """Return the half of the problems with the lowest rates; of equals the first by id."""
    ranked = sorted(rates, key=lambda problem: (rates[problem], problem))
    return set(ranked[: len(ranked) // 2])


def compare(
    cells: Cells, first: tuple[str, int], second: tuple[str, int], among: set[str] | None = None
) -> dict[str, Any] | None:
    """Return the paired difference of two cells, over some of the problems; None where one of them was not run."""
    ours, theirs = cells.get(first), cells.get(second)
    if ours is None or theirs is None:
        return None
    problems = sorted(ours.keys() & theirs.keys() if among is None else ours.keys() & theirs.keys() & among)
    found = paired_difference([ours[p] for p in problems], [theirs[p] for p in problems])
    return {
        "first": first,
        "second": second,
        "problems": len(problems),
        "accuracies": [round(fmean(cell[p] for p in problems), 4) for cell in (ours, theirs)],
        "difference": round(found.value, 4),
        "interval": [round(found.low, 4), round(found.high, 4)],
    }


def best_at(cells: Cells, budget: int, among: Sequence[str], problems: set[str] | None = None) -> str | None:
    """Return the strategy of some with the highest accuracy at a budget."""

    def accuracy(strategy: str) -> float:
        cell = cells[strategy, budget]
        return fmean(rate for problem, rate in cell.items() if problems is None or problem in problems)

    return max((name for name in among if (name, budget) in cells), key=accuracy, default=None)


def questions(task: str, cells: Cells, peers: Sequence[str], hard: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what the issue asks of a family's figures, each with its paired difference."""
    for budget in BUDGETS:
        best, peer = best_at(cells, budget, (*BEST, *FIRST, *NO_CRITIC)), best_at(cells, budget, peers)
        if best and peer and (found := compare(cells, (best, budget), (peer, budget))):
            yield "our best above the best peer", found
    for budget, more in THRICE.items():
        best, plain = best_at(cells, budget, (*BEST, *FIRST), hard), best_at(cells, more, NO_CRITIC, hard)
        if best and plain and (found := compare(cells, (best, budget), (plain, more), hard)):
            yield "critique at k above no critique at 3k, hardest half", found
    for budget in BUDGETS:
        if task == "sudoku" and (found := compare(cells, ("revise", budget), ("best-of-n", budget))):
            yield "revise above best-of-n", found
        tree = best_at(cells, budget, TREES)
        if task == "countdown-4" and tree and (found := compare(cells, (tree, budget), ("best-of-n", budget))):
            yield "tree search above best-of-n", found


def table(cells: Cells, strategies: Sequence[str], budgets: Sequence[int], seeds: int) -> Iterator[str]:
    """Yield a Markdown table: accuracy in per cent with the half width of its 95% interval."""
    yield f"| strategy | {' | '.join(map(str, budgets))} |"
    yield f"|---|{'---:|' * len(budgets)}"

    def cell(name: str, budget: int) -> str:
        rates = list(cells.get((name, budget), {}).values())
        if not rates:
            return "–"
        low, high = mean_interval(rates, seeds)
        return f"{100 * fmean(rates):.1f} ± {50 * (high - low):.1f}"

    known = [name for name in strategies if (name, budgets[-1]) in cells]
    for name in sorted(known, key=lambda name: -fmean(cells[name, budgets[-1]].values())):
        yield f"| `{name}` | {' | '.join(cell(name, budget) for budget in budgets)} |"


def measured(task: str, out: Path) -> tuple[Cells, int]:
    """Return what the whole runs of a family brought, and under how many seeds; nothing before one of `best` ended."""
    runs = {part: [folder for folder in sorted(out.glob(f"{part}-{task}-*")) if _ended(folder)] for part in WHOLE}
    rows = [(part, row) for part in WHOLE for folder in runs[part] for row in read_rows(folder / "rows.jsonl")]
    seeds = len(runs["best"])
    return cells_of([row for part, row in rows if seeds and row.strategy in WHOLE[part]]), seeds


def summary(tasks: Sequence[str], out: Path) -> Iterator[str]:
    """Yield one table of all families at the largest budget: accuracy in per cent with its 95% interval."""
    found = {task: measured(task, out) for task in tasks}
    yield f"| strategy | {' | '.join(tasks)} |"
    yield f"|---|{'---|' * len(tasks)}"
    for name in (*NO_CRITIC, *BEST, CEILING):
        row: list[str] = []
        for cells, seeds in found.values():
            rates = list(cells.get((name, BUDGETS[-1]), {}).values())
            low, high = mean_interval(rates, seeds) if rates else (0.0, 0.0)
            row.append(f"{100 * fmean(rates):.1f} ({100 * low:.1f}–{100 * high:.1f})" if rates else "–")
        yield f"| `{name}` | {' | '.join(row)} |"


def report_task(task: str, options: argparse.Namespace) -> dict[str, Any]:
    """Print a family's tables and answers, and return them."""
    out: Path = options.out
    found: dict[str, Any] = {}
    if (out / f"all-{task}" / "bench.json").exists():
        report = _report_in(out / f"all-{task}")
        cells = cells_of(read_rows(out / f"all-{task}" / "rows.jsonl"))
        print(f"\n{task}: every strategy, {report.problems} held-out problems, 1 seed\n")
        print("\n".join(table(cells, report.strategies, report.budgets, 1)))
        found["all"] = [row.model_dump() for row in report.rows]
    cells, seeds = measured(task, out)
    if not cells:
        return found
    files = sorted(out.glob(f"peers-{task}-*.jsonl"))
    theirs = cells_of([row for file in files for row in read_rows(file)])
    peers = list(dict.fromkeys(name for name, _ in theirs))
    problems = len(cells[BEST[0], BUDGETS[0]])
    print(f"\n{task}: {problems} held-out problems, {seeds} seeds (peers: {len(files)})\n")
    print("\n".join(table(cells, [*BEST, *FIRST, *NO_CRITIC, CEILING], BUDGETS, seeds)))
    if peers:
        print("\n".join(list(table(theirs, peers, BUDGETS, len(files)))[2:]))
    found |= {"problems": problems, "seeds": seeds, "peer_seeds": len(files), "answers": []}
    found["accuracies"] = {
        f"{name}@{budget}": round(fmean(cell.values()), 4) for (name, budget), cell in {**cells, **theirs}.items()
    }
    for question, answer in questions(task, {**cells, **theirs}, peers, hardest_half(rates_of(task, options))):
        (first, budget), (second, other) = answer["first"], answer["second"]
        low, high = answer["interval"]
        verdict = "yes" if low > 0 else "no" if high < 0 else "within the noise"
        one, two = (f"{100 * accuracy:.1f}" for accuracy in answer["accuracies"])
        print(
            f"{question}: {verdict}. {first} at {budget} {one}, {second} at {other} {two}: "
            f"{100 * answer['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        )
        found["answers"].append({"question": question, "verdict": verdict, **answer})
    return found


def _report_in(folder: Path) -> BenchReport:
    return BenchReport.model_validate_json((folder / "bench.json").read_text(encoding="utf-8"))


def _ended(folder: Path) -> bool:
    return (folder / "bench.json").exists() and _report_in(folder).complete


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; what it holds is not run again")
    parser.add_argument("--tasks", type=lambda text: text.split(","), default=TASKS, help=f"default {','.join(TASKS)}")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS, help=f"default {','.join(PARTS)}")
    parser.add_argument("--limit", type=int, default=500, help="problems of best and peers (default 500)")
    parser.add_argument("--all-limit", type=int, default=200, help="problems of all (default 200)")
    parser.add_argument(
        "--seeds", type=lambda text: [int(part) for part in text.split(",")], default=SEEDS, help="of best and peers"
    )
    parser.add_argument("--concurrency", type=int, default=128, help="problems in flight (default 128)")
    parser.add_argument("--report", action="store_true", help="run nothing, only add up what is there")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for task in options.tasks:
        for part in () if options.report else options.parts:
            code = run_part(part, task, options)
            if code > 1:
                return code
    found = {task: report_task(task, options) for task in options.tasks}
    print(f"\nAll families at {BUDGETS[-1]} tokens\n")
    print("\n".join(summary(options.tasks, options.out)))
    print(json.dumps({"bench": "accuracy", **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
