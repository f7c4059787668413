"""Runs what a comparison is made of: each leg is a run folder of its own, so that its log holds all that was paid for.

A leg that broke off goes on from its log, and no call that had finished is made again. The gold side stands apart: it
judges a problem when its search has ended.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from actorcritic.bench import ProblemRow, ReadingRecord
from actorcritic.cli.bench_folder import BenchFolder
from actorcritic.cli.bench_options import BenchConfig, Leg
from actorcritic.cli.progress import Progress
from actorcritic.cli.runs import Run
from actorcritic.cli.solve import Item, check_budget
from actorcritic.critic import CalculationCritic
from actorcritic.engines.memo import MemoEngine
from actorcritic.graphs.scaling import Reading, ScaledResult, search_budgets
from actorcritic.graphs.settings import SearchSettings, check_roles
from actorcritic.loading import Roles
from actorcritic.protocols import Critic
from actorcritic.search.strategies import needs_critic
from actorcritic.tasks.checkers import verify
from actorcritic.tasks.oracle import OracleCritic
from actorcritic.trajectory.events import Kind, read_call
from actorcritic.trajectory.reader import read_events
from actorcritic.types import Role

__all__ = ["Comparing", "settings_of"]

ROLES: tuple[Role, ...] = ("actor", "critic", "reward_model")


def _roles_of(leg: Leg, roles: Roles) -> Roles:
    """Return who plays in a run: the comparison's roles, or the contestant's own critic."""
    if leg.contestant.critic is None:
        return roles
    critic: Critic = OracleCritic() if leg.contestant.critic == "oracle" else CalculationCritic()
    return replace(roles, critic=critic)


def settings_of(config: BenchConfig, leg: Leg, roles: Roles, items: Sequence[Item]) -> SearchSettings:
    """Return how a run searches.

    Raises:
        InputError: the strategy lacks its critic, a model its price, or the smallest budget cannot pay for one step of
            some problem.
    """
    players = _roles_of(leg, roles)
    run = config.run(leg)
    settings = replace(
        run.settings(),
        scorers=run.scorers(players, [(item.problem, item.reference) for item in items]),
        exact=players.exact,
        prices=run.prices_of(players),
        trial_tokens=players.trial_tokens([item.problem for item in items]),
    )
    check_roles(settings.strategy, players.critic, scorers=settings.scorers)
    check_budget(players, replace(settings, budget=replace(settings.budget, tokens=min(leg.budgets))), items)
    return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """A comparison at work: what is to be run, by whom, and where it goes."""

    config: BenchConfig
    legs: Sequence[Leg]
    settings: Sequence[SearchSettings]
    """Of the legs."""
    items: Sequence[Item]
    roles: Roles
    folder: BenchFolder

    async def work(self) -> None:
        """Run one leg after the other, every problem that has no row yet; frees the models in the end."""
        try:
            remembering = self.config.share_samples
            for number, (leg, settings) in enumerate(zip(self.legs, self.settings, strict=True), start=1):
                left = [item for item in self.items if not self.folder.has(leg.key, item.problem.id)]
                if not left:
                    continue
                if remembering:
                    self._remember()
                    remembering = False
                sys.stderr.write(
                    f"{number} of {len(self.legs)}: {leg.contestant.label}, seed {leg.seed}, {leg.limit} tokens\n"
                )
                await self._run(leg, settings, left)
                if self.config.drop_logs:
                    shutil.rmtree(self.folder.place(leg.name))
        finally:
            await self.roles.aclose()

    async def _run(self, leg: Leg, settings: SearchSettings, left: Sequence[Item]) -> None:
        """Run one leg: the problems that are left, from where each of them stands."""
        players = _roles_of(leg, self.roles)
        oracle = settings.scorers.oracle(settings.strategy) or (
            needs_critic(settings.strategy) and players.critic is not None and players.critic.oracle
        )
        by_id = {item.problem.id: item for item in left}
        with self._open(leg, players) as run, Progress(len(left)) as progress:
            searching = search_budgets(
                [item.problem for item in left],
                players.actor,
                players.critic,
                settings,
                leg.budgets,
                concurrency=self.config.concurrency,
                open_session=run.session,
            )
            try:
                async for scaled in searching:
                    problem = scaled.result.problem.id
                    run.done(problem)
                    row = await _judge(by_id[problem], scaled, leg, oracle=oracle)
                    self.folder.add(row)
                    progress.advance(scaled.result.spend.total.logical_tokens, row.readings[-1].correct)
            except asyncio.CancelledError:
                run.interrupted()
                raise

    def _open(self, leg: Leg, players: Roles) -> Run:
        """Begin a leg's own run folder, or go on with it."""
        config, place = self.config.run(leg), self.folder.place(leg.name)
        pairs = [(item.problem, item.reference) for item in self.items]
        begun = (place / "run.json").exists()
        return Run.open(
            config,
            pairs,
            provenance=config.provenance(players),
            create=None if begun else place,
            resume=place if begun else None,
        )

    def _remember(self) -> None:
        """Tell the engines that share samples what earlier lives of this comparison have drawn."""
        engines = {engine.info.model: engine for engine in self.roles.engines if isinstance(engine, MemoEngine)}
        for leg in self.legs:
            for event in read_events(self.folder.place(leg.name)):
                if event.kind is Kind.CALLED:
                    call = read_call(event.payload)
                    if call.generation is not None and call.model in engines:
                        engines[call.model].remember(call.request, call.generation)


async def _judge(item: Item, scaled: ScaledResult, leg: Leg, *, oracle: bool) -> ProblemRow:
    """Compare what a problem brought at every budget with the gold side, which nothing in the run has seen."""

    async def read(reading: Reading) -> ReadingRecord:
        solution = None if reading.attempt is None else reading.attempt.solution
        usage = reading.spend.usage
        actor, critic, rewarding = (usage.get(role) for role in ROLES)
        return ReadingRecord(
            budget_tokens=reading.budget,
            correct=bool(await verify(item.problem, solution, item.reference)),
            total_tokens=reading.spend.total.logical_tokens,
            actor_tokens=actor.logical_tokens if actor else 0,
            critic_tokens=critic.logical_tokens if critic else 0,
            reward_model_tokens=rewarding.logical_tokens if rewarding else 0,
            seconds=round(reading.seconds, 4),
            money=reading.spend.money,
            trials=reading.trials,
            failures=reading.failures,
        )

    return ProblemRow(
        strategy=leg.contestant.label,
        oracle=oracle,
        seed=leg.seed,
        limit=leg.limit,
        problem=item.problem.id,
        stopped_by=scaled.result.stopped_by,
        readings=[await read(reading) for reading in scaled.readings],
    )
