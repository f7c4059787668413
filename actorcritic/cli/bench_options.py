"""The options of a comparison: what competes, on which problems, and the runs that this makes. Runs nothing itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from actorcritic.bench import Contestant, parse_contestants
from actorcritic.budget import Price
from actorcritic.cli.bench_folder import read_options
from actorcritic.cli.runs import RunConfig
from actorcritic.cli.solve import Item, collect
from actorcritic.errors import InputError
from actorcritic.graphs.scaling import is_anytime
from actorcritic.search.strategies import needs_critic, score_source
from actorcritic.tasks.checkers import verify
from actorcritic.tasks.heldout import Split
from actorcritic.tasks.sources import TASK_NAMES, draw_problems
from actorcritic.types import Reference

__all__ = ["BenchConfig", "Leg", "check", "gather", "numbers", "plan", "take_up"]

PROBLEMS = 200
"""How many problems of a task, unless --limit says otherwise."""

SPLITS: dict[str, Split] = {"test": "test", "dev": "dev"}
"""Training problems are none to compare on."""


class BenchConfig(BaseModel):
    """The options of a comparison, as `run.json` keeps them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    split: str | None
    strategies: list[str]
    budgets: list[int]
    seeds: list[int]
    actor: str
    critic: str | None
    width: int
    concurrency: int
    share_samples: bool = False
    temperature: float
    max_tokens: int
    device: str
    dtype: str
    reward_model: str | None = None
    verifier: str | None = None
    budget_money: float | None = None
    prices: dict[str, Price] = {}
    drop_logs: bool = False
    models: list[str] = []
    """Fingerprints of the models, known once they are loaded; rows of other models do not belong together."""

    @property
    def contestants(self) -> tuple[Contestant, ...]:
        """Who competes."""
        return parse_contestants(self.strategies)

    def run(self, leg: Leg) -> RunConfig:
        """Return the options of one contestant's run, as its own folder keeps them."""
        config = self.loading(leg)
        own = leg.contestant.critic
        return config if own is None else config.model_copy(update={"critic": own})

    def loading(self, leg: Leg) -> RunConfig:
        """Return the same options with the models of all contestants, who share them."""
        return RunConfig(
            strategy=str(leg.contestant.spec),
            # Without a word of it no critic is loaded that nobody asks.
            critic=self.critic if any(_asks_model(other) for other in self.contestants) else "none",
            # Nor a reward model; a leg that does not ask leaves it unused.
            reward_model=self.reward_model if any(_asks(other, "reward-model") for other in self.contestants) else None,
            verifier=self.verifier,
            budget_tokens=leg.limit,
            budget_calls=None,
            budget_seconds=None,
            seed=leg.seed,
            budget_money=self.budget_money,
            prices=self.prices,
            **self.model_dump(
                include={"actor", "width", "concurrency", "temperature", "max_tokens", "device", "dtype"}
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One run of a comparison: a contestant under a seed, and the budgets that are read off it."""

    number: int
    """From 1, in the order of the runs."""
    contestant: Contestant
    seed: int
    budgets: tuple[int, ...]

    @property
    def limit(self) -> int:
        """The run's own budget, in logical tokens."""
        return max(self.budgets)

    @property
    def key(self) -> tuple[str, int, int]:
        """What its rows are found by: strategy, seed, token limit."""
        return self.contestant.label, self.seed, self.limit

    @property
    def name(self) -> str:
        """Of its own run folder."""
        label = re.sub(r"[^A-Za-z0-9.=]+", "-", self.contestant.label)
        return f"{self.number:02}-{label}-seed-{self.seed}-tokens-{self.limit}"


def numbers(text: str, option: str, *, low: int) -> list[int]:
    """Read whole numbers separated by commas.

    Raises:
        InputError: one is none, below `low` or given twice.
    """
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < low or len(set(found)) < len(found):
        raise InputError(f"{option} takes different whole numbers >= {low} separated by commas, not {text!r}")
    return found


def gather(task: str | None, problems: Path | None, limit: int | None, split: str | None) -> Sequence[Item]:
    """Return the problems to compare on.

    Raises:
        InputError: there are none, or one of them cannot be told right from wrong.
    """
    if problems is not None:
        if split is not None:
            raise InputError("--split is for tasks: a problem file is taken as it is")
        items = collect(None, problems, limit)
        asyncio.run(_require_gold(items))
        return items
    if task is None:
        raise InputError(f"give --task ({', '.join(TASK_NAMES)}) or --problems")
    if split is not None and split not in SPLITS:
        raise InputError(f"--split must be one of {', '.join(SPLITS)}, not {split!r}")
    drawn = draw_problems(task, SPLITS[split or "test"], PROBLEMS if limit is None else limit)
    return [Item(problem=problem, reference=Reference()) for problem in drawn]


def take_up(folder: Path) -> tuple[BenchConfig, Sequence[Item]]:
    """Return the options and problems of an earlier comparison.

    Raises:
        InputError: the folder holds none.
    """
    options, pairs = read_options(folder)
    try:
        config = BenchConfig.model_validate(options)
    except ValidationError as error:
        raise InputError(f"{folder} holds no comparison that this version can go on with") from error
    return config, [Item(problem=problem, reference=reference) for problem, reference in pairs]


def plan(config: BenchConfig) -> list[Leg]:
    """Return every run of a comparison, strategy by strategy."""
    runs: list[tuple[Contestant, int, tuple[int, ...]]] = []
    for contestant in config.contestants:
        together = is_anytime(contestant.spec)
        groups = [tuple(config.budgets)] if together else [(budget,) for budget in config.budgets]
        runs += [(contestant, seed, group) for seed in config.seeds for group in groups]
    return [
        Leg(number=number, contestant=contestant, seed=seed, budgets=group)
        for number, (contestant, seed, group) in enumerate(runs, start=1)
    ]


def check(config: BenchConfig, legs: Sequence[Leg], items: Sequence[Item]) -> None:
    """Refuse what can be seen to be wrong before a model is loaded.

    Raises:
        InputError: see `RunConfig.check`.
    """
    problems = [item.problem for item in items]
    for leg in legs:
        run = config.run(leg)
        run.check(run.settings(), problems)


async def _require_gold(items: Sequence[Item]) -> None:
    """Refuse problems whose answers nobody can tell right from wrong."""
    for item in items:
        if await verify(item.problem, None, item.reference) is None:
            raise InputError(f"problem {item.problem.id!r} has no answer to compare with, and no rules of its own")


def _asks_model(contestant: Contestant) -> bool:
    """Return whether a contestant asks the comparison's own critic."""
    return contestant.critic is None and needs_critic(contestant.spec)


def _asks(contestant: Contestant, source: str) -> bool:
    """Return whether a contestant goes by the scores of a source."""
    return score_source(contestant.spec) == source
