"""Searches of many environments into a run folder: recorded as they go, and taken up where an earlier run broke off.

What stands in the folder afterwards is what `solve` and `collect` write: `export`, `view` and `collect --from` read it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from actorcritic.actor import ModelActor
from actorcritic.codec import encode
from actorcritic.critic import ModelCritic
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.errors import InputError
from actorcritic.graphs.resuming import resume_session
from actorcritic.graphs.session import ProblemResult, Session
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, solve_all
from actorcritic.protocols import Critic
from actorcritic.trajectory.events import Event
from actorcritic.trajectory.index import EventIndex
from actorcritic.trajectory.journal import TrajectoryJournal, utc_now
from actorcritic.trajectory.provenance import ModelOrigin, Provenance, provenance_config
from actorcritic.trajectory.reader import read_facts, read_problems
from actorcritic.trajectory.recorder import FileRecorder, create_run
from actorcritic.types import JsonValue, Problem, Role

__all__ = ["OPTIONS", "search_environments"]

OPTIONS = "explore"
"""Field of a run's configuration: the options of the command that made it."""


async def search_environments(
    folder: Path,
    problems: Sequence[Problem],
    actor: EnvironmentActor,
    critic: Critic | None,
    settings: SearchSettings,
    *,
    concurrency: int = 16,
    options: Mapping[str, JsonValue] | None = None,
) -> AsyncIterator[ProblemResult]:
    """Search every problem's environment; the same call again goes on and pays for nothing twice.

    Args:
        folder: The run folder; made where there is none.
        problems: What `problem_in` makes of environments, each under an id of its own.
        actor: Plays.
        critic: Judges; may be None where the strategy needs none.
        settings: How to search.
        concurrency: Problems in flight, >= 1.
        options: What else the folder is to say of how it was made; another call must say the same.

    Yields:
        Results: first those that the folder holds, then the others as they end.

    Raises:
        InputError: the folder holds a run of other problems, or one that was searched in another way.
        RecordError: the folder cannot be read, or another process writes to it.
    """
    config = {**_config(actor, settings), **({} if options is None else {OPTIONS: dict(options)})}
    if not (folder / "run.json").exists():
        create_run(
            folder, run=folder.name, config=config, problems=[(one, None) for one in problems], created=utc_now()
        )
    facts = read_facts(folder)
    if facts.config != config or [known for known, _ in read_problems(folder)] != list(problems):
        raise InputError(f"{folder} holds a run of other problems or settings: choose another folder")
    with EventIndex(folder) as index:
        past = {problem.id: index.events(problem.id) for problem in problems}
    origin = provenance_config(_provenance(actor, critic, settings))
    ended: list[ProblemResult] = []
    with FileRecorder(folder) as recorder:

        def sessions() -> Iterator[Session]:
            for problem in problems:
                events = past[problem.id]
                journal = TrajectoryJournal(recorder, run=facts.run, problem=problem.id, next_seq=len(events))
                session = _open(problem, settings, events, journal)
                if isinstance(session, ProblemResult):
                    ended.append(session)
                else:
                    journal.started(origin)
                    yield session

        fresh = list(sessions())
        for result in ended:
            yield result
        async for result in solve_all(fresh, actor, critic, settings, concurrency=concurrency):
            yield result


def _open(
    problem: Problem, settings: SearchSettings, events: Sequence[Event], journal: TrajectoryJournal
) -> Session | ProblemResult:
    return resume_session(problem, settings, events, journal) if events else new_session(problem, settings, journal)


def _config(actor: EnvironmentActor, settings: SearchSettings) -> dict[str, JsonValue]:
    """Return what the way of searching depends on."""
    return {
        "strategy": str(settings.strategy),
        "environment": actor.info.name,
        "seed": settings.seed,
        "width": settings.width,
        "budget": encode(settings.budget),
    }


def _provenance(actor: EnvironmentActor, critic: Critic | None, settings: SearchSettings) -> Provenance:
    """Return what every trajectory says of its run."""
    players: Iterable[tuple[Role, object]] = (("actor", actor.actor), ("critic", critic))
    return Provenance(
        library=version("actorcritic"),
        strategy=str(settings.strategy),
        seed=settings.seed,
        width=settings.width,
        oracle=settings.oracle(critic),
        models=tuple(
            ModelOrigin(role=role, name=engine.info.name, model=engine.info.model, licence=engine.info.licence)
            for role, player in players
            if isinstance(player, ModelActor | ModelCritic)
            for engine in (player.engine,)
        ),
    )
