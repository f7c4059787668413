"""`actorcritic collect --from RUN --step NAME`: what exports need of a run that is done, made by models, appended."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from actorcritic.cli.exploring import Players, read_config
from actorcritic.cli.notes import say_torn
from actorcritic.cli.progress import Progress
from actorcritic.collection.running import Progressed, collect_step
from actorcritic.collection.step import Work
from actorcritic.collection.steps import parse_step
from actorcritic.errors import InputError
from actorcritic.loading import LoadOptions, Roles, load_roles
from actorcritic.trajectory.reader import read_facts

__all__ = ["StepOrder", "StepReport", "run_step"]


class StepReport(BaseModel):
    """What `collect --step --json` prints."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    """The run folder."""
    step: str
    problems: int = 0
    """Looked through."""
    made: int = 0
    """Events appended now."""
    before: int = 0
    """Jobs that an earlier collection had done."""
    failed: int = 0
    """Jobs that failed now; what a model wrote that could not be read is not tried again."""
    tokens: int = 0
    """Logical tokens spent now, all roles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOrder:
    """What is asked for on the command line."""

    folder: Path
    step: str
    actor: str | None
    """None = the run's own."""
    critic: str | None
    """None = the run's own, unless an actor is named: then the actor's."""
    options: LoadOptions
    own_max_tokens: bool
    """Whether the limit of an action is the run's own, where somebody plays."""
    seed: int
    concurrency: int
    limit: int | None
    as_json: bool


def run_step(order: StepOrder) -> int:
    """Do a collection step and print what it brought; returns the exit code.

    Raises:
        InputError: an option makes no sense, or the models cannot do what the step asks of them.
        RecordError: this is no run folder, or somebody collects the same step.
    """
    step, options = parse_step(order.step)
    facts = read_facts(order.folder)
    say_torn(order.folder)
    total = facts.problems if order.limit is None else min(order.limit, facts.problems)
    roles = _roles(order, facts.config)
    work = Work(options=options, actor=roles.actor, critic=roles.critic, seed=order.seed)
    report = StepReport(run=str(order.folder), step=step.name)
    interrupted = False

    async def collect() -> None:
        try:
            await collect_step(order.folder, step, work, concurrency=order.concurrency, limit=order.limit, hear=hear)
        finally:
            await roles.aclose()

    with Progress(total, what=step.name) as progress:

        def hear(done: Progressed) -> None:
            nonlocal report
            report = _add(report, done)
            progress.advance(done.tokens, None, before=not done.made and not done.failed)

        try:
            asyncio.run(collect())
        except KeyboardInterrupt:
            interrupted = True
    _print(report, as_json=order.as_json)
    if interrupted:
        sys.stderr.write("interrupted; go on with the same command: what was made is not paid for again\n")
        return 130
    return 1 if report.failed else 0


def _roles(order: StepOrder, config: object) -> Roles | Players:
    """Return who writes or plays, and who judges."""
    explored = read_config(order.folder)
    if explored is None:
        return load_roles(*_players(order, config), order.options)
    known, place = explored
    named = {"actor": order.actor, "critic": order.critic}
    own = {} if order.own_max_tokens else {"max_tokens": order.options.max_tokens}
    how = {
        **own,
        "temperature": order.options.temperature,
        "device": order.options.device,
        "dtype": order.options.dtype,
    }
    chosen = known.model_copy(update={**how, **{role: spec for role, spec in named.items() if spec is not None}})
    return chosen.load(place)


def _players(order: StepOrder, config: object) -> tuple[str, str | None]:
    """Return the specs of actor and critic; what is not named is the run's own.

    Raises:
        InputError: the run does not say who played.
    """
    known = config if isinstance(config, dict) else {}
    if order.actor is not None:
        return order.actor, order.critic
    actor, critic = known.get("actor"), known.get("critic")
    if not isinstance(actor, str):
        raise InputError(f"{order.folder} does not say which model its actor was: give --actor")
    if order.critic is not None:
        return actor, order.critic
    # An oracle played in the search; in training data it would pass for a model.
    return actor, critic if isinstance(critic, str) and critic != "oracle" else None


def _add(report: StepReport, done: Progressed) -> StepReport:
    """Return a report with one more problem in it."""
    return report.model_copy(
        update={
            "problems": report.problems + 1,
            "made": report.made + done.made,
            "before": report.before + done.before,
            "failed": report.failed + done.failed,
            "tokens": report.tokens + done.tokens,
        }
    )


def _print(report: StepReport, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(f"{report.model_dump_json()}\n")
        return
    failed = f", {report.failed} failed" if report.failed else ""
    sys.stdout.write(
        f"{report.step}: {report.problems} problems, {report.made} events appended{failed}, "
        f"{report.before} done before, {report.tokens} tokens\n"
    )
