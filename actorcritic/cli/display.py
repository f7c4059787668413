"""What `solve` shows a person: each attempt with the critic's verdict beside every step, and a table at the end.

Text from models and problems is shown as text: terminal control characters and markup in it do nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from actorcritic.budget import Spend
from actorcritic.graphs.session import ProblemResult
from actorcritic.metering import Call, EnvironmentStep
from actorcritic.types import Action, Critique, Failure, Outcome, Payload, Reward, Solution, Trial, Verdict

__all__ = ["Judged", "Transcript", "print_summary", "printable"]

MARKS = {
    Verdict.CORRECT: ("✓", "green"),
    Verdict.INCORRECT: ("✗", "red"),
    Verdict.UNSCORED: ("?", "yellow"),
}
STEP_WIDTH = 28


def printable(text: str) -> str:
    """Return text with control characters made visible, so that no model can write to the terminal behind our back."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A result, and what the gold side says of it before and after critique; None = nothing to compare with."""

    result: ProblemResult
    before: bool | None
    after: bool | None


@dataclass(slots=True)
class Transcript:
    """A journal that keeps one problem's attempts and prints them when the problem is done."""

    solutions: dict[int, Solution] = field(default_factory=dict[int, Solution])
    critiques: dict[int, Critique] = field(default_factory=dict[int, Critique])
    rewards: dict[int, Reward] = field(default_factory=dict[int, Reward])
    failures: dict[int, list[Failure]] = field(default_factory=dict[int, list[Failure]])
    trials: dict[int, Trial] = field(default_factory=dict[int, Trial])

    def asked(self, trial: Trial) -> None:
        """See `Journal.asked`."""
        self.trials[trial.id] = trial

    def called(self, trial: Trial, call: Call) -> None:
        """See `Journal.called`; a transcript shows no single calls."""

    def stepped(self, trial: Trial, step: EnvironmentStep) -> None:
        """See `Journal.stepped`; a transcript shows no single steps."""

    def brought(self, trial: Trial, payload: Payload) -> None:
        """See `Journal.brought`."""
        if isinstance(payload, Solution):
            self.solutions[trial.id] = payload
        elif isinstance(payload, Critique):
            self.critiques[trial.id] = payload
        elif isinstance(payload, Reward):
            self.rewards[trial.id] = payload
        else:
            self.failures.setdefault(trial.id, []).append(payload)

    def committed(self, trial: Trial, result: Outcome | Failure | None, spend: Spend) -> None:
        """See `Journal.committed`."""

    def finished(self, result: ProblemResult) -> None:
        """See `Journal.finished`."""

    def print(self, console: Console, judged: Judged) -> None:
        """Print the problem, every attempt with its critique, and the answer."""
        result = judged.result
        console.print(Text(printable(result.problem.text), style="bold"))
        for trial in self.trials.values():
            solution = self.solutions.get(trial.id)
            if solution is not None:
                chosen = trial.id == result.best
                self._print_attempt(console, trial, solution, chosen)
            for failure in self.failures.get(trial.id, []):
                console.print(Text(f"  {failure.where} failed: {printable(failure.message)}", style="red"))
        console.print(self._verdict(judged))
        console.print()

    def _print_attempt(self, console: Console, trial: Trial, solution: Solution, chosen: bool) -> None:
        """Print one attempt, its kept steps dimmed, the first wrong one marked."""
        console.print(Text(f"  {_title(trial, solution)}", style="cyan"))
        critique = self.critiques.get(trial.id)
        width = min(STEP_WIDTH, max((len(step.text) for step in solution.steps), default=0))
        for index, step in enumerate(solution.steps):
            line = Text(f"    {index + 1:>2}  ", style="dim")
            line.append(f"{printable(step.text):<{width}}", style="dim" if index < solution.kept else "not dim")
            if critique is not None and index < len(critique.steps):
                said = critique.steps[index]
                mark, style = MARKS[said.verdict]
                line.append(f"  {mark} ", style=f"not dim {style}")
                if index == critique.first_error:
                    line.append("first wrong step: ", style="not dim bold red")
                line.append(printable(said.explanation or said.verdict.value), style=f"not dim {style}")
            console.print(line, soft_wrap=True)
        notes = [] if solution.complete else ["cut off"]
        if critique is not None and critique.score is not None:
            notes.append(f"score {critique.score:.2f}")
        reward = self.rewards.get(trial.id)
        if reward is not None:
            notes.append(f"{printable(reward.by)}: {'unscored' if reward.score is None else f'{reward.score:.2f}'}")
        if chosen:
            notes.append("chosen")
        if notes:
            console.print(Text(f"        {', '.join(notes)}", style="dim"))

    def _verdict(self, judged: Judged) -> Text:
        """Return the closing line of a problem."""
        result = judged.result
        tokens = result.spend.total.logical_tokens
        line = Text("  ")
        if judged.after is not None:
            line.append("right" if judged.after else "wrong", style="green" if judged.after else "red")
            line.append(": ")
        line.append(printable(result.answer) if result.answer is not None else "no answer", style="bold")
        line.append(f"  ({result.stopped_by}, {result.attempts} attempts, {tokens} tokens)", style="dim")
        return line


def _title(trial: Trial, solution: Solution) -> str:
    """Return what an attempt did, in words."""
    if trial.action is Action.REVISE:
        return f"attempt {trial.id + 1}: revises attempt {_number(trial.parent)} from step {solution.kept + 1}"
    if trial.action is Action.REFINE:
        return f"attempt {trial.id + 1}: rewrites attempt {_number(trial.parent)}"
    if trial.action is Action.EXTEND:
        return f"attempt {trial.id + 1}: extends attempt {_number(trial.parent)}"
    if trial.action is Action.JUDGE:
        return f"attempt {trial.id + 1}: judges attempt {_number(trial.parent)}"
    return f"attempt {trial.id + 1}: from the start"


def _number(trial: int | None) -> str:
    return "?" if trial is None else str(trial + 1)


def print_summary(console: Console, results: Sequence[Judged], seconds: float) -> None:
    """Print the table at the end: accuracy before and after critique, tokens of actor and critic, seconds."""
    table = Table(title="1 problem" if len(results) == 1 else f"{len(results)} problems", title_justify="left")
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_row("accuracy of the first attempts", _share(r.before for r in results))
    table.add_row("accuracy of the answers", _share(r.after for r in results))
    for role in ("actor", "critic"):
        usages = [r.result.spend.usage.get(role) for r in results]
        table.add_row(f"{role} tokens", str(sum(usage.logical_tokens for usage in usages if usage)))
    table.add_row("seconds", f"{seconds:.1f}")
    console.print(table)


def _share(flags: Iterable[bool | None]) -> str:
    """Return how many of the known flags are true, in words."""
    known = [flag for flag in flags if flag is not None]
    if not known:
        return "unknown (no gold answers)"
    return f"{sum(known)} of {len(known)} ({sum(known) / len(known):.0%})"
