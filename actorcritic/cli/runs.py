"""A run of the command line: its options, its folder, its sessions, new or taken up again."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from actorcritic.actor import ModelActor
from actorcritic.budget import Budget, Price
from actorcritic.cli.notes import say_torn
from actorcritic.critic import ModelCritic
from actorcritic.engines.load_reward import parse_reward_spec
from actorcritic.engines.prices import price_engines
from actorcritic.errors import InputError, RecordError
from actorcritic.graphs.resuming import resume_session
from actorcritic.graphs.scoring import Scorers, check_named
from actorcritic.graphs.session import ProblemResult, Session, Watch
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session
from actorcritic.loading import VERIFIERS, LoadOptions, Roles, fitting_pair, load_roles, load_verifier
from actorcritic.reward_model import EngineRewardModel
from actorcritic.search.strategies import needs_critic, needs_oracle, parse_strategy, score_source
from actorcritic.tasks.checkers import checker_of
from actorcritic.trajectory.events import Event
from actorcritic.trajectory.index import EventIndex
from actorcritic.trajectory.journal import TrajectoryJournal, record_run_started, utc_now
from actorcritic.trajectory.provenance import ModelOrigin, Provenance, provenance_config
from actorcritic.trajectory.reader import read_facts, read_head
from actorcritic.trajectory.recorder import RUN, NullRecorder, Recorder, create_run
from actorcritic.trajectory.redaction import RedactingRecorder, withhold_prompt
from actorcritic.trajectory.shards import WHOLE, Shard, open_shard
from actorcritic.types import JsonValue, Problem, Reference, Role

__all__ = ["Run", "RunConfig", "fit_pair"]

_Config = TypeVar("_Config", bound=BaseModel)


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
    reward_model: str | None = None
    verifier: str | None = None
    budget_money: float | None = None
    prices: dict[str, Price] = {}
    """By model spec or name; the file itself may have changed when a run is resumed."""
    prompts: bool = True
    """Whether the log keeps problems' texts and prompts; without them a run cannot be gone on with."""

    @property
    def options(self) -> dict[str, JsonValue]:
        """As JSON."""
        return self.model_dump(mode="json")

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
            budget=Budget(
                tokens=self.budget_tokens,
                calls=self.budget_calls,
                seconds=self.budget_seconds,
                money=self.budget_money,
            ),
            width=self.width,
            seed=self.seed,
        )

    def check(self, settings: SearchSettings, problems: Sequence[Problem]) -> None:
        """Refuse what can be seen to be wrong before a model is loaded.

        Raises:
            InputError: a strategy without the critic or the scorer that it needs, an unknown scorer, or a problem with
                an unknown checker.
        """
        if self.reward_model is not None:
            parse_reward_spec(self.reward_model)
        if self.verifier not in (None, *VERIFIERS):
            raise InputError(f"unknown verifier {self.verifier!r}; choose from: {', '.join(VERIFIERS)}")
        check_named(settings.strategy, reward_model=self.reward_model is not None, verifier=self.verifier is not None)
        if self.critic == "none" and needs_critic(settings.strategy):
            raise InputError(f"the strategy {settings.strategy} needs a critic: leave out --critic none")
        for problem in problems:
            checker_of(problem)

    def check_used(self, settings: SearchSettings) -> None:
        """Refuse a scorer that nobody would ask.

        Raises:
            InputError: says what to leave out.
        """
        source = score_source(settings.strategy)
        for given, wanted in ((self.reward_model, "reward-model"), (self.verifier, "verifier")):
            asked = source == wanted or (wanted == "verifier" and needs_oracle(settings.strategy))
            if given is not None and not asked:
                raise InputError(
                    f"the strategy {settings.strategy} goes by score={source}: leave out --{wanted}, or choose "
                    f"score={wanted}"
                )

    def load(self) -> Roles:
        """Load the models."""
        options = LoadOptions(
            device=self.device, dtype=self.dtype, temperature=self.temperature, max_tokens=self.max_tokens
        )
        return load_roles(self.actor, self.critic, options, reward_model=self.reward_model)

    def prices_of(self, roles: Roles) -> dict[str, Price]:
        """Return the prices by model fingerprint.

        Raises:
            InputError: money is limited and a model has no price.
        """
        return price_engines(self.prices, roles.engines, needed=self.budget_money is not None)

    def scorers(self, roles: Roles, pairs: Iterable[tuple[Problem, Reference]]) -> Scorers:
        """Return who scores beside the critic; only an oracle sees the gold side.

        Raises:
            InputError: there is no oracle for some problem.
        """
        verifier = None if self.verifier is None else load_verifier(self.verifier, pairs)
        return Scorers(reward_model=roles.reward_model, verifier=verifier)

    @property
    def _verified_by_oracle(self) -> bool:
        spec = parse_strategy(self.strategy)
        return self.verifier == "oracle" and (needs_oracle(spec) or score_source(spec) == "verifier")

    def provenance(self, roles: Roles) -> Provenance:
        """Return what every trajectory of this run says of it."""
        players: tuple[tuple[Role, object], ...] = (
            ("actor", roles.actor),
            ("critic", roles.critic),
            ("reward_model", roles.reward_model),
        )
        origins = tuple(
            ModelOrigin(role=role, name=engine.info.name, model=engine.info.model, licence=engine.info.licence)
            for role, player in players
            if isinstance(player, ModelActor | ModelCritic | EngineRewardModel)
            for engine in (player.engine,)
        )
        return Provenance(
            library=version("actorcritic"),
            strategy=self.strategy,
            seed=self.seed,
            width=self.width,
            oracle=(roles.critic is not None and roles.critic.oracle) or self._verified_by_oracle,
            models=origins,
        )


def fit_pair(config: _Config, problems: Iterable[Problem]) -> _Config:
    """Return options in which the actor or critic `embedded` is the packaged pair that knows the problems."""
    asked, specs = tuple(problems), config.model_dump(include={"actor", "critic"}, exclude_none=True)
    return config.model_copy(update={role: fitting_pair(spec, asked) for role, spec in specs.items()})


class Run:
    """An open run. It writes its folder, if it has one, until it is closed."""

    def __init__(
        self,
        run: str,
        folder: Path | None,
        recorder: Recorder,
        past: EventIndex | None,
        start: Mapping[str, JsonValue],
    ) -> None:
        self.id = run
        self.folder = folder
        self._recorder = recorder
        self._past = past
        self._start = start
        self._at_work: dict[str, TrajectoryJournal] = {}

    @classmethod
    def open(
        cls,
        config: RunConfig,
        problems: Sequence[tuple[Problem, Reference]],
        *,
        provenance: Provenance | None = None,
        create: Path | None = None,
        resume: Path | None = None,
        shard: Shard = WHOLE,
    ) -> Run:
        """Begin a run in a new folder, go on with an earlier one, or run without a folder.

        Args:
            config: The run's options.
            problems: All problems of the run, those of other shards too.
            provenance: Written with every problem's start.
            create: A new folder; one shard of several also joins the run that another has begun there.
            resume: The folder of an earlier run.
            shard: Which problems this process works on.

        Raises:
            InputError: the folder holds a run already, is none, or is in use.
        """
        start = {} if provenance is None else provenance_config(provenance)
        try:
            if resume is not None:
                return cls._go_on(resume, shard, start)
            run = uuid.uuid4().hex[:12]
            if create is None:
                return cls(run, None, NullRecorder(), None, start)
            kept = problems if config.prompts else [withhold_prompt(*pair) for pair in problems]
            try:
                create_run(create, run=run, config=config.options, problems=kept, created=utc_now())
            except RecordError:
                if shard.count == 1 or not (create / RUN).exists():
                    raise
                _check_same(create, config, problems)
                return cls._go_on(create, shard, start)
            recorder: Recorder = open_shard(create, shard)
            if not config.prompts:
                recorder = RedactingRecorder(recorder, prompts=False)
            record_run_started(recorder, run=run, config=config.options)
            return cls(run, create, recorder, None, start)
        except RecordError as error:
            raise InputError(str(error)) from error

    @classmethod
    def _go_on(cls, folder: Path, shard: Shard, start: Mapping[str, JsonValue]) -> Run:
        """Open the folder of an earlier run, or of one that other shards work on."""
        # Opening the file cuts off what a crash has torn.
        say_torn(folder)
        recorder = open_shard(folder, shard)
        return cls(read_facts(folder).run, folder, recorder, EventIndex(folder), start)

    @staticmethod
    def create(folder: Path, config: RunConfig, problems: Sequence[tuple[Problem, Reference]]) -> None:
        """Make the folder of a run that other processes will work on.

        Raises:
            InputError: the folder holds a run already, or cannot be written.
        """
        try:
            create_run(folder, run=uuid.uuid4().hex[:12], config=config.options, problems=problems, created=utc_now())
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
        if not config.prompts:
            raise InputError(f"{folder} was written without prompts, so nobody can go on with it: begin a new run")
        return config, [(problem, head.references.get(problem.id, Reference())) for problem in head.problems]

    def events(self, problem: str) -> tuple[Event, ...]:
        """Return what an earlier run has logged of a problem, in order."""
        return () if self._past is None else self._past.events(problem)

    def session(
        self, problem: Problem, settings: SearchSettings, watch: Watch | None = None
    ) -> Session | ProblemResult:
        """Open a problem: at its beginning, where it broke off, or with the result that it has already.

        Args:
            problem: One of the run's.
            settings: How to search.
            watch: Who follows the search beside the log.
        """
        events = self.events(problem.id)
        journal = self.journal(problem.id, len(events))
        if not events:
            session: Session | ProblemResult = new_session(problem, settings, journal, watch)
        else:
            session = resume_session(problem, settings, events, journal, watch)
        if isinstance(session, Session):
            journal.started(self._start)
            self._at_work[problem.id] = journal
        return session

    def journal(self, problem: str, next_seq: int = 0) -> TrajectoryJournal:
        """Return the journal of a problem at work, or one that goes on after so many events."""
        journal = self._at_work.get(problem)
        if journal is not None:
            return journal
        return TrajectoryJournal(self._recorder, run=self.id, problem=problem, next_seq=next_seq)

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
        if self._past is not None:
            self._past.close()


def _check_same(folder: Path, config: RunConfig, problems: Sequence[tuple[Problem, Reference]]) -> None:
    """Refuse to join a run of other options or problems; how many problems are in flight is each process's own.

    Raises:
        InputError: they differ.
    """
    theirs, pairs = Run.read(folder)
    if theirs.model_copy(update={"concurrency": config.concurrency}) != config or pairs != list(problems):
        raise InputError(f"{folder} holds a run with other options or problems: choose another folder")
