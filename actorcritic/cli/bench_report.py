"""What `bench` shows a person: a table per budget, who won, and a picture of the scaling curves."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from actorcritic.bench import BenchReport, BenchRow

__all__ = ["draw_curves", "print_report"]

WIDTH = 120
"""Columns where stdout is no terminal."""


def print_report(report: BenchReport) -> None:
    """Print the strategies of each budget from best to worst, and who won."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    split = f" ({report.split})" if report.split else ""
    seeds = f"{len(report.seeds)} seed{'s' if len(report.seeds) > 1 else ''}"
    title = f"{report.task}{split}: {report.problems} problems, {seeds}, 95% intervals, {report.budget} budgets"
    table = Table(title=title, title_justify="left")
    table.add_column("budget", justify="right")
    table.add_column("strategy", overflow="fold")
    rewarded = any(row.mean_reward_model_tokens for row in report.rows)
    paid = any(row.mean_money for row in report.rows)
    for name in (
        "accuracy",
        "interval",
        "actor tokens",
        "critic tokens",
        *(("reward tokens",) if rewarded else ()),
        *(("money",) if paid else ()),
        "s/problem",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for budget in report.budgets:
        rows = sorted((row for row in report.rows if row.budget_tokens == budget), key=lambda row: -row.accuracy)
        for at, row in enumerate(rows):
            table.add_row(
                "" if at else str(budget), *_cells(row, rewarded=rewarded, paid=paid), end_section=at == len(rows) - 1
            )
    if report.rows:
        console.print(table)
    if any(row.oracle for row in report.rows):
        console.print("† oracle: the critic or verifier is the task's own checker. A ceiling, not a competitor.")
    for duel in report.paired:
        console.print(duel.summary, markup=False)


def _cells(row: BenchRow, *, rewarded: bool, paid: bool) -> tuple[str, ...]:
    """Return a line of the table; with a reward model's tokens and with money where the comparison has them."""
    failures = f" ({row.failures} failures)" if row.failures else ""
    return (
        f"{row.strategy}{' †' if row.oracle else ''}{failures}",
        f"{row.accuracy:.1%}",
        f"{row.ci_low:.1%} – {row.ci_high:.1%}",
        f"{row.mean_actor_tokens:.1f}",
        f"{row.mean_critic_tokens:.1f}",
        *((f"{row.mean_reward_model_tokens:.1f}",) if rewarded else ()),
        *((f"{row.mean_money:.6f}",) if paid else ()),
        f"{row.seconds:.3f}",
    )


def draw_curves(report: BenchReport, path: Path) -> bool:
    """Draw accuracy over budget, one curve per strategy; False where matplotlib is not installed."""
    try:
        # By name, since the extra may be missing; and without pyplot, which keeps figures of its own.
        figures = importlib.import_module("matplotlib.figure")
    except ImportError:
        return False
    figure = figures.Figure(figsize=(10, 5), layout="constrained")
    axes = figure.add_subplot()
    for at, strategy in enumerate(report.strategies):
        rows = [row for row in report.rows if row.strategy == strategy]
        # Each curve a little to the right of the one before, so that their intervals do not hide one another.
        shift = 2 ** (0.02 * (at - (len(report.strategies) - 1) / 2))
        if rows:
            axes.errorbar(
                [row.budget_tokens * shift for row in rows],
                [row.accuracy for row in rows],
                yerr=_bars(rows),
                label=strategy,
                capsize=2,
                marker="o",
                linestyle="--" if rows[0].oracle else "-",
            )
    axes.set_xscale("log", base=2)
    axes.set_xticks(report.budgets, labels=[str(budget) for budget in report.budgets])
    axes.set_xlabel("token budget per problem, actor and critic together")
    axes.set_ylabel(f"accuracy on {report.problems} problems, 95% intervals")
    axes.set_title(report.task)
    axes.grid(visible=True, alpha=0.3)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=150)
    return True


def _bars(rows: Sequence[BenchRow]) -> tuple[list[float], list[float]]:
    """Return how far the intervals reach below and above; never negative, whatever rounding did."""
    below = [max(0.0, row.accuracy - row.ci_low) for row in rows]
    return below, [max(0.0, row.ci_high - row.accuracy) for row in rows]
