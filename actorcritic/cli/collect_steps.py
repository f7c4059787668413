"""`actorcritic collect --from RUN --step NAME`: what exports need of a run that is done, made by models, appended."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from actorcritic.cli.cluster import run_on_cluster
from actorcritic.cli.exploring import Players, read_config
from actorcritic.cli.fleet import pass_on_once, run_processes
from actorcritic.cli.notes import say_torn
from actorcritic.cli.progress import Progress
from actorcritic.codec import encode
from actorcritic.collection.running import Progressed, collect_step
from actorcritic.collection.step import Work
from actorcritic.collection.steps import parse_step
from actorcritic.errors import InputError
from actorcritic.loading import LoadOptions, Roles, load_roles
from actorcritic.trajectory.reader import read_facts, read_problems
from actorcritic.trajectory.shards import WHOLE, Shard

__all__ = ["StepOrder", "StepReport", "collect_step_part", "run_step"]


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
    shard: Shard = WHOLE
    """The part that this process does itself."""
    processes: int | None = None
    """Into how many it is divided; None = one process here, or one task per CPU of a cluster."""
    ray: str | None = None
    """Address of a Ray cluster."""
    report: bool = False
    """Whether it works for another process, which it tells of each problem."""


def run_step(order: StepOrder) -> int:
    """Do a collection step and print what it brought; returns the exit code.

    Raises:
        InputError: an option makes no sense, or the models cannot do what the step asks of them.
        RecordError: this is no run folder, or somebody collects the same step.
    """
    step, _ = parse_step(order.step)
    total = _count(order)
    if order.report:
        collect_step_part(order, order.shard, _print_line)
        return 0
    say_torn(order.folder)
    report = StepReport(run=str(order.folder), step=step.name)
    interrupted = False
    with Progress(total, what=step.name) as progress:

        def hear(done: Progressed) -> None:
            nonlocal report
            report = _add(report, done)
            progress.advance(done.tokens, None, before=not done.made and not done.failed)

        try:
            _work(order, hear)
        except KeyboardInterrupt:
            interrupted = True
    _print(report, as_json=order.as_json)
    if interrupted:
        sys.stderr.write("interrupted; go on with the same command: what was made is not paid for again\n")
        return 130
    return 1 if report.failed else 0


def collect_step_part(order: StepOrder, shard: Shard, tell: Callable[[str], None]) -> None:
    """Do one shard of a collection step; tell of each problem in one line of JSON, a `Progressed`.

    Raises:
        InputError: see `run_step`.
        RecordError: see `run_step`.
    """
    _collect(order, shard, lambda done: tell(json.dumps(encode(done))))


def _work(order: StepOrder, hear: Callable[[Progressed], None]) -> None:
    """Collect in this process, in several, or on a cluster."""
    if order.ray is None and order.processes in (None, 1):
        _collect(order, order.shard, hear)
        return
    once, go_on = pass_on_once(hear), "the same command goes on: what was made is not paid for again"

    def read(line: str) -> None:
        once(TypeAdapter(Progressed).validate_json(line))

    if order.ray is not None:
        part = partial(collect_step_part, replace(order, folder=order.folder.resolve()))
        run_on_cluster(part, order.ray, order.processes, read, go_on=go_on)
    else:
        run_processes(_arguments(order), order.processes or 1, read, go_on=go_on)


def _arguments(order: StepOrder) -> list[str]:
    """Return the command line of an order, without what says how it is divided and shown."""
    given: dict[str, object] = {
        "from": order.folder,
        "step": order.step,
        "actor": order.actor,
        "critic": order.critic,
        "device": order.options.device,
        "dtype": order.options.dtype,
        "temperature": order.options.temperature,
        "max-tokens": None if order.own_max_tokens else order.options.max_tokens,
        "seed": order.seed,
        "concurrency": order.concurrency,
        "limit": order.limit,
    }
    return [
        "collect",
        *(word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))),
    ]


def _collect(order: StepOrder, shard: Shard, hear: Callable[[Progressed], None]) -> None:
    """Load the models and do one shard in this process."""
    step, options = parse_step(order.step)
    roles = _roles(order, read_facts(order.folder).config)
    work = Work(options=options, actor=roles.actor, critic=roles.critic, seed=order.seed)

    async def collect() -> None:
        try:
            await collect_step(
                order.folder, step, work, concurrency=order.concurrency, limit=order.limit, shard=shard, hear=hear
            )
        finally:
            await roles.aclose()

    asyncio.run(collect())


def _count(order: StepOrder) -> int:
    """Return how many problems there are to look through.

    Raises:
        InputError: the limit leaves none.
        RecordError: this is no run folder.
    """
    if order.limit is not None and order.limit < 1:
        raise InputError(f"--limit must be at least 1, not {order.limit}")
    if order.limit is None and order.shard == WHOLE:
        return read_facts(order.folder).problems
    return sum(order.shard.holds(problem.id) for problem, _ in islice(read_problems(order.folder), order.limit))


def _print_line(line: str) -> None:
    """Say that a problem is done to the process that this one works for."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


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
