"""What `improve` shows a person: a table of all rounds, gains by difficulty, and a picture of both."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from actorcritic.training.improve.plan import BASE
from actorcritic.training.improve.report import Comparison, ImproveReport, ImproveRow

__all__ = ["draw_rounds", "print_report"]

WIDTH = 130
"""Columns where stdout is no terminal."""


def print_report(report: ImproveReport) -> None:
    """Print every round, what it cost, and at the end which method is ahead of which, and on which problems."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    seeds = f"{len(report.seeds)} seed{'s' if len(report.seeds) > 1 else ''} of the last round"
    title = f"{report.task}: {report.problems} held-out problems, 95% intervals, {seeds}"
    table = Table(title=title, title_justify="left")
    table.add_column("method")
    table.add_column("round", justify="right")
    table.add_column("critic")
    for name in ("accuracy", "interval", "pass@5", "majority@5", "easy 1  2  3  4  5 hard", "tokens", "explored"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.rows:
        table.add_row(*_cells(row), end_section=row.with_critic)
    console.print(table)
    worse = [row for row in report.rows if not row.promoted and not row.with_critic]
    for row in worse:
        console.print(
            f"{row.method}, round {row.round}: worse than before on the development problems "
            f"({row.development:.1%}), so not promoted."
        )
    for name, dropped in report.without_rows.items():
        said = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        console.print(f"{name}: no row to learn from, so nothing was trained; dropped: {said or 'nothing'}.")
    for pair in _worth_saying(report.paired):
        console.print(_sentence(pair), markup=False)


def _worth_saying(pairs: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons between methods; with the base those of a method that is compared with nothing else."""
    between = {pair.first for pair in pairs if pair.second != BASE}
    return [pair for pair in pairs if pair.second != BASE or pair.first not in between]


def _cells(row: ImproveRow) -> tuple[str, ...]:
    fifths = " ".join(f"{100 * each.accuracy:3.0f}" for each in row.by_quintile)
    return (
        "" if row.with_critic else row.method,
        "" if row.with_critic else f"{row.round}{'' if row.promoted else ' ✗'}",
        "with" if row.with_critic else "alone",
        f"{row.accuracy:.1%}",
        f"{row.ci_low:.1%} – {row.ci_high:.1%}",
        f"{row.pass_at_5:.1%}",
        f"{row.majority_at_5:.1%}",
        fifths,
        f"{row.tokens:.1f}",
        "" if row.with_critic else f"{row.cost.explore_tokens:,}",
    )


def _sentence(pair: Comparison) -> str:
    """Say how far apart two methods are, and where."""
    side = "with the critic" if pair.with_critic else "alone"
    beyond = "beyond the noise" if pair.ci_low > 0 or pair.ci_high < 0 else "within the noise"
    fifths = " ".join(f"{100 * value:+.1f}" for value in pair.by_quintile)
    return (
        f"{pair.first} against {pair.second}, {side}: {100 * pair.difference:+.1f} points "
        f"({100 * pair.ci_low:+.1f} to {100 * pair.ci_high:+.1f}), {beyond}; by fifth from easy to hard {fifths}."
    )


def draw_rounds(report: ImproveReport, path: Path) -> bool:
    """Draw accuracy over rounds and by difficulty, dashed alone and drawn through with the critic.

    Returns:
        False where matplotlib is not installed.
    """
    try:
        # By name, since the extra may be missing; and without pyplot, which keeps figures of its own.
        figures = importlib.import_module("matplotlib.figure")
    except ImportError:
        return False
    figure = figures.Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, method in enumerate((BASE, *report.methods)):
        for with_critic in (False, True):
            rows = [row for row in report.rows if (row.method, row.with_critic) == (method, with_critic)]
            if rows:
                colour, style = f"C{place}", "-" if with_critic else "--"
                label = f"{method}, {'with the critic' if with_critic else 'alone'}"
                _draw_method(left, right, rows, color=colour, linestyle=style, label=label, shift=0.04 * place)
    for axes, words, ticks in ((left, "round", report.rounds), (right, "difficulty: easiest to hardest fifth", 5)):
        axes.set_xlabel(words)
        axes.set_xticks(range(1, ticks + 1))
        axes.set_xlim(0.7, ticks + 0.3)
        axes.set_ylabel("accuracy of greedy answers")
        axes.grid(visible=True, alpha=0.3)
    figure.suptitle(f"{report.task}: {report.problems} held-out problems, 95% intervals")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=150)
    return True


def _draw_method(
    left: Any, right: Any, rows: Sequence[ImproveRow], *, color: str, linestyle: str, label: str, shift: float
) -> None:
    """Draw a method on one side: its rounds, or a level where it has none, and the fifths of its last round."""
    if rows[-1].round == 0:
        left.axhline(rows[-1].accuracy, color=color, linestyle=linestyle, linewidth=1)
    else:
        # Each method a little to the right of the one before, so that their intervals do not hide one another.
        left.errorbar(
            [row.round + shift for row in rows],
            [row.accuracy for row in rows],
            yerr=_bars(rows),
            color=color,
            linestyle=linestyle,
            marker="o",
            capsize=2,
        )
    fifths = rows[-1].by_quintile
    right.plot(
        [each.quintile for each in fifths],
        [each.accuracy for each in fifths],
        color=color,
        linestyle=linestyle,
        marker="o",
        label=label,
    )


def _bars(rows: Sequence[ImproveRow]) -> tuple[list[float], list[float]]:
    """Return how far the intervals reach below and above; never negative, whatever rounding did."""
    below = [max(0.0, row.accuracy - row.ci_low) for row in rows]
    return below, [max(0.0, row.ci_high - row.accuracy) for row in rows]
