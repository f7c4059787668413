"""What the parts print: Markdown tables in per cent with 95% intervals. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from actorcritic.training.improve.outcomes import SAMPLES, Outcome
from tests.benchmarks.training.stages import difference, share

__all__ = ["COLUMNS", "actor_rows", "percent", "signed", "table"]

COLUMNS: Mapping[str, tuple[str, Callable[[Outcome], float], int]] = {
    "accuracy": ("accuracy", lambda one: float(one.alone.right), 1),
    "accuracy_critic": ("with critic", lambda one: float(one.critic.right), 1),
    "pass_1": ("pass@1", lambda one: fmean(one.alone.samples), SAMPLES),
    "pass_5": (f"pass@{SAMPLES}", lambda one: float(any(one.alone.samples)), 1),
    "pass_5_critic": ("with critic", lambda one: float(any(one.critic.samples)), 1),
    "majority_5": (f"majority@{SAMPLES}", lambda one: float(one.alone.majority), 1),
    "majority_5_critic": ("with critic", lambda one: float(one.critic.majority), 1),
}
"""By name: the heading, what a problem gets, and how many draws that is the mean of; greedy but for the samples."""


def percent(figure: Mapping[str, Any]) -> str:
    """Return a share with half the width of its interval."""
    if figure.get("value") is None:
        return "–"
    return f"{100 * figure['value']:.1f} ± {50 * (figure['high'] - figure['low']):.1f}"


def signed(figure: Mapping[str, Any]) -> str:
    """Return a difference in points with its interval."""
    return f"{100 * figure['value']:+.1f} ({100 * figure['low']:+.1f} to {100 * figure['high']:+.1f})"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are figures."""
    lines = [f"| {' | '.join(headings)} |", f"|---|{'---:|' * (len(headings) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def actor_rows(
    measured: Mapping[str, Sequence[Outcome]], names: Sequence[str], base: str = "base"
) -> tuple[list[dict[str, Any]], str]:
    """Return the rows of a train x test table with the differences to the base, and the table.

    Args:
        measured: By model, on the same problems in the same order.
        names: Of `COLUMNS`.
        base: The model that the others are compared with.
    """
    rows: list[dict[str, Any]] = []
    for model, outcomes in measured.items():
        row: dict[str, Any] = {"model": model, "problems": len(outcomes)}
        for name in names:
            _, rate, repeats = COLUMNS[name]
            rates = [rate(one) for one in outcomes]
            row[name] = share(rates, repeats)
            if model != base:
                row[f"{name}_gain"] = difference(rates, [rate(one) for one in measured[base]])
        rows.append(row)
    shown = [[f"`{row['model']}`", *(percent(row[name]) for name in names)] for row in rows]
    gains = [
        [f"`{row['model']}` - `{base}`", *(signed(row[f"{name}_gain"]) for name in names)]
        for row in rows
        if row["model"] != base
    ]
    return rows, table(["trained by", *(COLUMNS[name][0] for name in names)], [*shown, *gains])
