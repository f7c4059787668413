"""A run of the command line: its options, its folder, its sessions, new or taken up again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from actorcritic.budget import Budget
from actorcritic.errors import InputError, RecordError
from actorcritic.graphs.resuming import resume_session
from actorcritic.graphs.session import ProblemResult, Session
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session
from actorcritic.loading import LoadOptions, Roles, load_roles
from actorcritic.search.strategies import needs_critic, parse_strategy
from actorcritic.tasks.checkers import checker_of
from actorcritic.trajectory.events import Event
from actorcritic.trajectory.journal import TrajectoryJournal, record_run_started, utc_now
from actorcritic.trajectory.reader import read_head, read_run
from actorcritic.trajectory.recorder import FileRecorder, NullRecorder, Recorder, create_run
from actorcritic.types import JsonValue, Problem, Reference

__all__ = ["Run", "RunConfig"]


class RunConfig(BaseModel):
    """The options of a run, as `run.json` keeps them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: str
    actor: str
    critic: str | None
    budget_tokens: int | None
    budget_calls: int | None
    budget_seconds: float | None
    width: int
    concurrency: int
    temperature: float
    max_tokens: int
    device: str
    dtype: str
    seed: int

    def settings(self) -> SearchSettings:
        """Return how to search.

        Raises:
            InputError: the strategy, a limit or the width makes no sense.
        """
        if self.concurrency < 1:
            raise InputError(f"--concurrency must be at least 1, not {self.concurrency}")
        if not self.temperature >= 0:
            raise InputError(f"--temperature must be at least 0, not {self.temperature}")
        return SearchSettings(
            strategy=parse_strategy(self.strategy),
            budget=Budget(tokens=self.budget_tokens, calls=self.budget_calls, seconds=self.budget_seconds),
            width=self.width,
            seed=self.seed,
        )

    def check(self, settings: SearchSettings, problems: Sequence[Problem]) -> None:
        """Refuse what can be seen to be wrong before a model is loaded.

        Raises:
            InputError: a strategy without the critic that it needs, or a problem with an unknown checker.
        """
        if self.critic == "none" and needs_critic(settings.strategy):
            raise InputError(f"the strategy {settings.strategy} needs a critic: leave out --critic none")
        for problem in problems:
            checker_of(problem)

    def load(self) -> Roles:
        """Load the models."""
        options = LoadOptions(
            device=self.device, dtype=self.dtype, temperature=self.temperature, max_tokens=self.max_tokens
        )
        return load_roles(self.actor, self.critic, options)


class Run:
    """An open run. It writes its folder, if it has one, until it is closed."""

    def __init__(
        self, run: str, folder: Path | None, recorder: Recorder, past: Mapping[str | None, tuple[Event, ...]]
    ) -> None:
        self.id = run
        self.folder = folder
        self._recorder = recorder
        self._past = past
        self._at_work: dict[str, TrajectoryJournal] = {}

    @classmethod
    def open(
        cls,
        config: RunConfig,
        problems: Sequence[tuple[Problem, Reference]],
        *,
        create: Path | None = None,
        resume: Path | None = None,
    ) -> Run:
        """Begin a run in a new folder, go on with an earlier one, or run without a folder.

        Raises:
            InputError: the folder holds a run already, is none, or is in use.
        """
        try:
            if resume is not None:
                recorder = FileRecorder(resume)
                record = read_run(resume)
                return cls(record.head.run, resume, recorder, record.events)
            run = uuid.uuid4().hex[:12]
            if create is None:
                return cls(run, None, NullRecorder(), {})
            options: dict[str, JsonValue] = config.model_dump(mode="json")
            create_run(create, run=run, config=options, problems=problems, created=utc_now())
            recorder = FileRecorder(create)
            record_run_started(recorder, run=run, config=options)
            return cls(run, create, recorder, {})
        except RecordError as error:
            raise InputError(str(error)) from error

    @staticmethod
    def read(folder: Path) -> tuple[RunConfig, list[tuple[Problem, Reference]]]:
        """Return the options and problems of an earlier run.

        Raises:
            InputError: this is no run folder, or one of another version.
        """
        try:
            head = read_head(folder)
            config = RunConfig.model_validate(head.config)
        except RecordError as error:
            raise InputError(str(error)) from error
        except ValidationError as error:
            raise InputError(f"{folder} is of a run that this version cannot go on with") from error
        return config, [(problem, head.references.get(problem.id, Reference())) for problem in head.problems]

    def session(self, problem: Problem, settings: SearchSettings) -> Session | ProblemResult:
        """Open a problem: at its beginning, where it broke off, or with the result that it has already."""
        events = self._past.get(problem.id, ())
        journal = TrajectoryJournal(self._recorder, run=self.id, problem=problem.id, next_seq=len(events))
        if not events:
            session: Session | ProblemResult = new_session(problem, settings, journal)
        else:
            session = resume_session(problem, settings, events, journal)
        if isinstance(session, Session):
            journal.started()
            self._at_work[problem.id] = journal
        return session

    def done(self, problem: str) -> None:
        """Hear that a problem is done."""
        self._at_work.pop(problem, None)

    def interrupted(self) -> None:
        """Note in every problem at work that it broke off."""
        for journal in self._at_work.values():
            journal.interrupted("the run was stopped")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recorder.close()
