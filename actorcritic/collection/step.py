"""What a collection step is: jobs of an episode, each of which brings the payload of one event.

Knows no file and no command. What a step appends is documented by its name in `export/needs.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from actorcritic.actor import ModelActor
from actorcritic.critic import ModelCritic
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.errors import ActorCriticError, InputError
from actorcritic.metering import CallMeter, derive_seed
from actorcritic.protocols import Critic, Engine
from actorcritic.search.options import Option, Options, choice, number
from actorcritic.tasks.checkers import FAMILIES, checker_of, verify
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.trajectory.events import Kind
from actorcritic.types import Action, JsonValue, Reference, Solution

__all__ = [
    "PASS_RATE",
    "Asks",
    "CollectionStep",
    "Job",
    "Made",
    "Unreadable",
    "Work",
    "attempts_option",
    "chosen",
    "gold_answer",
    "gold_solution",
    "is_right",
]

Made: TypeAlias = Mapping[str, JsonValue]
"""The payload of an event, without the name of its step."""

Asks: TypeAlias = Literal["actor", "chat-actor", "critic", "chat-critic"]
"""Who is asked: an actor or critic in whatever format it knows, or its model in free text (a chat model)."""

SELECTING = frozenset({"attempts", "pass_rate", "samples"})
"""Options that say how much is made, not what: a second collection with other values pays for the difference alone."""

PASS_RATE = number(
    "pass_rate",
    None,
    "Only problems of which at most this share of the first attempts is right; 0 = those that failed altogether.",
    low=0.0,
    high=1.0,
)
"""Difficulty-aware exploration (arXiv 2411.16579): compute goes to the problems that the actor fails."""


class Unreadable(ActorCriticError):
    """A model's text is not what it was asked for; asked again with the same seed it would say the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be made of one attempt, or of a problem as a whole: at most one event."""

    trial: int | None
    """The trial that the event names; None = the problem."""
    work: Callable[[CallMeter], Awaitable[Made | None]]
    """Makes the calls, one after the other; None = there is nothing to say, and nothing is appended.

    Raises `Unreadable` or `EngineError` for what becomes a failure.
    """
    key: str = ""
    """What tells this job from others of the same step and trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a step works with."""

    options: Options
    actor: ModelActor | EnvironmentActor
    """An actor that plays makes new episodes where the problem is set by an environment."""
    critic: Critic | None = None
    seed: int = 0
    survey: JsonValue = None
    """What the step's `survey` found in the whole run."""

    @property
    def actor_model(self) -> str:
        """The actor's model, as its calls log it."""
        return self.actor.engine.info.model

    @property
    def critic_model(self) -> str:
        """The critic's model, as its calls log it; the critic's kind where it is none."""
        return self.critic.engine.info.model if isinstance(self.critic, ModelCritic) else type(self.critic).__name__

    @property
    def teacher(self) -> Engine:
        """The critic's model, for a step that asks it in free text."""
        assert isinstance(self.critic, ModelCritic)  # `check` has seen to it
        return self.critic.engine

    def draw(self, *parts: str | int) -> int:
        """Return a number in [0, 2**63) that depends on the seed and these parts."""
        return derive_seed(self.seed, *parts)


def _nothing(episodes: Iterable[Episode]) -> JsonValue:
    """Look at nothing."""
    del episodes
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionStep:
    """One way to add to a run. A module in `steps/` holds one or more."""

    name: str
    summary: str
    """One line for the list of steps; names the paper."""
    jobs: Callable[[Episode, Work], Iterable[Job]]
    """Pure: the same episode and work give the same jobs in the same order."""
    asks: frozenset[Asks] = frozenset()
    asks_when: Mapping[tuple[str, str], Asks] = field(default_factory=dict[tuple[str, str], Asks])
    """Who else is asked, by an option and its value."""
    options: tuple[Option, ...] = ()
    kind: Kind = Kind.DERIVED
    needs: Callable[[Work], None] | None = None
    """Raises `InputError` where the players lack what else the step needs of them."""
    survey: Callable[[Iterable[Episode]], JsonValue] = field(default=_nothing)
    """Looks through the whole run before the first job."""

    def asked(self, options: Options) -> frozenset[Asks]:
        """Return who is asked under these options."""
        also: set[Asks] = {who for (name, value), who in self.asks_when.items() if options[name] == value}
        return self.asks | also

    def check(self, work: Work) -> None:
        """Refuse players who cannot do what this step asks of them.

        Raises:
            InputError: says whom to name instead.
        """
        critic, asks = work.critic, self.asked(work.options)
        if asks & {"critic", "chat-critic"} and critic is None:
            raise InputError(f"the step {self.name} needs a critic: name one with --critic")
        if critic is not None and critic.oracle and asks & {"critic", "chat-critic"}:
            raise InputError(f"the step {self.name} takes no oracle for a critic: name a model with --critic")
        if "chat-critic" in asks and not (isinstance(critic, ModelCritic) and _chats(critic.engine)):
            raise InputError(f"the step {self.name} asks in free text: name a chat model with --critic")
        if "chat-actor" in asks and not _chats(work.actor.engine):
            raise InputError(f"the step {self.name} asks in free text: name a chat model with --actor")
        if self.needs is not None:
            self.needs(work)

    def job_id(self, work: Work, problem: str, job: Job) -> str:
        """Return what names a job for ever: the same one is not done twice."""
        options = [f"{name}={value}" for name, value in sorted(work.options.items()) if name not in SELECTING]
        asks = self.asked(work.options)
        actor = work.actor_model if asks & {"actor", "chat-actor"} else ""
        critic = work.critic_model if asks & {"critic", "chat-critic"} else ""
        trial = "" if job.trial is None else job.trial
        return f"{work.draw('job', self.name, *options, actor, critic, problem, trial, job.key):016x}"


def _chats(engine: Engine) -> bool:
    return engine.info.capabilities.chat


def attempts_option(first: str, *others: str) -> Option:
    """Return the option that chooses attempts, out of `all`, `right`, `wrong`; the first is the default."""
    return choice("attempts", (first, *others), "Which complete attempts.")


def chosen(episode: Episode, options: Options) -> Iterator[EpisodeAttempt]:
    """Yield the complete attempts that the options `attempts` and `pass_rate` choose, judging trials left out."""
    limit = options.maybe_real("pass_rate") if "pass_rate" in options else None
    if limit is not None and not _is_hard(episode, limit):
        return
    wanted = options.text("attempts")
    for attempt in episode.attempts:
        if attempt.complete and attempt.action is not Action.JUDGE:
            if wanted == "all" or (attempt.correct is not None and attempt.correct == (wanted == "right")):
                yield attempt


def _is_hard(episode: Episode, limit: float) -> bool:
    """Whether at most this share of the first attempts is right; False where nobody knows."""
    first = [attempt.correct for attempt in episode.children(None) if attempt.correct is not None]
    return bool(first) and sum(first) <= limit * len(first)


def gold_answer(episode: Episode) -> str | None:
    """Return the answer that is right, None where the problem has none of its own or many."""
    if episode.gold is not None and episode.gold.answer is not None:
        return episode.gold.answer
    name = checker_of(episode.problem)
    return FAMILIES[name].value(episode.problem.text) if name in FAMILIES else None


def gold_solution(episode: Episode) -> str | None:
    """Return the worked solution of the problem file, None where there is none."""
    return None if episode.gold is None else episode.gold.solution


async def is_right(episode: Episode, solution: Solution) -> bool | None:
    """Return what the task's checker says of a solution; None where nobody knows."""
    return await verify(episode.problem, solution, episode.gold or Reference())
