"""What an exploration depends on: its options as `run.json` keeps them, and who plays and judges by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, ValidationError

from actorcritic.actor import ModelActor
from actorcritic.budget import Budget
from actorcritic.critic import ModelCritic
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.environments.named import NamedEnvironment, environment_named
from actorcritic.errors import InputError
from actorcritic.formats.environment import EnvironmentActorFormat, EnvironmentCriticFormat
from actorcritic.graphs.environment_runs import OPTIONS
from actorcritic.graphs.environment_search import AGENT_Q, LATS, ROLLOUTS, environment_settings
from actorcritic.graphs.settings import SearchSettings, check_roles
from actorcritic.loading import MODEL_FREE_CRITICS, LoadOptions, Roles, load_roles
from actorcritic.protocols import Critic, Engine
from actorcritic.search.strategies import needs_critic
from actorcritic.trajectory.reader import read_facts
from actorcritic.types import Sampling

__all__ = ["NONE", "SCRIPTED", "SHORT", "ExploreConfig", "Players", "read_config"]

SCRIPTED, NONE = "scripted", "none"
SHORT: Mapping[str, str] = MappingProxyType({"agent-q": AGENT_Q, "lats": LATS, "rollouts": ROLLOUTS})
"""Strategies of papers by a name of their own."""


class ExploreConfig(BaseModel):
    """The options of an exploration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    environment: str
    actor: str
    critic: str | None
    strategy: str
    budget_steps: int | None
    budget_tokens: int | None
    width: int
    temperature: float
    max_tokens: int
    device: str
    dtype: str
    seed: int

    @property
    def judge(self) -> str:
        """Who judges: unless another is named, whoever plays."""
        return self.actor if self.critic is None else self.critic

    def settings(self, place: NamedEnvironment) -> SearchSettings:
        """Return how to search.

        Raises:
            InputError: the strategy, a limit or the width makes no sense, or it needs a critic and there is none.
        """
        if not self.temperature >= 0:
            raise InputError(f"--temperature must be at least 0, not {self.temperature}")
        budget = Budget(steps=self.budget_steps, tokens=self.budget_tokens)
        strategy = SHORT.get(self.strategy, self.strategy)
        how = environment_settings(
            strategy, place.info, budget=budget, width=self.width, seed=self.seed, partial=place.partial
        )
        if self.judge == NONE and needs_critic(how.strategy):
            raise InputError(f"the strategy {how.strategy} needs a critic: leave out --critic none")
        return how

    def load(self, place: NamedEnvironment) -> Players:
        """Load whoever plays and judges.

        Raises:
            InputError: a model is missing, or takes no chat.
        """
        if self.judge in MODEL_FREE_CRITICS and self.judge != NONE:
            raise InputError(f"in an environment a model judges, or nobody: give a model, {SCRIPTED} or {NONE}")
        specs = [spec for spec in (self.actor, self.judge) if spec not in (SCRIPTED, NONE)]
        options = LoadOptions(device=self.device, dtype=self.dtype)
        roles = load_roles(specs[0], specs[-1], options) if specs else None
        sampling = Sampling(temperature=self.temperature)
        if self.actor == SCRIPTED:
            player = place.player()
            player = ModelActor(player.engine, player.format, sampling=sampling, max_tokens=player.max_tokens)
        else:
            assert roles is not None  # it was named
            player = ModelActor(
                _chat(roles.actor.engine), EnvironmentActorFormat(), sampling=sampling, max_tokens=self.max_tokens
            )
        judge = None if self.judge == NONE else place.judge() if self.judge == SCRIPTED else _judge(roles)
        engines = [player.engine, *([] if judge is None else [judge.engine])]
        return Players(EnvironmentActor(player, place.open, place.info), judge, engines, roles)


@dataclass(frozen=True, slots=True)
class Players:
    """Who plays and who judges."""

    actor: EnvironmentActor
    critic: Critic | None
    engines: Sequence[Engine]
    roles: Roles | None
    """The models that were loaded; None = nobody but doubles plays."""

    def fit(self, settings: SearchSettings) -> SearchSettings:
        """Return how to search with just these: a budget of tokens is hard where every engine counts exactly.

        Raises:
            InputError: the strategy needs somebody else.
        """
        check_roles(settings.strategy, self.critic, settings.scorers)
        return replace(settings, exact=all(engine.info.capabilities.exact_counts for engine in self.engines))

    async def aclose(self) -> None:
        """Free the models."""
        for engine in self.engines if self.roles is None else self.roles.engines:
            await engine.aclose()


def read_config(folder: Path) -> tuple[ExploreConfig, NamedEnvironment] | None:
    """Return the options of an exploration and its environment; None where the run is of another command.

    Raises:
        InputError: another version wrote them, or the environment's extra is missing.
        RecordError: this is no run folder.
    """
    options = read_facts(folder).config.get(OPTIONS)
    if options is None:
        return None
    try:
        config = ExploreConfig.model_validate(options)
    except ValidationError as error:
        raise InputError(f"{folder} is of a run that this version cannot go on with") from error
    return config, environment_named(config.environment)


def _judge(roles: Roles | None) -> ModelCritic:
    """Return a loaded model as a judge of play."""
    assert roles is not None and isinstance(roles.critic, ModelCritic)  # a model was named
    return ModelCritic(_chat(roles.critic.engine), EnvironmentCriticFormat())


def _chat(engine: Engine) -> Engine:
    """Return an engine that takes chats.

    Raises:
        InputError: it takes none.
    """
    if not engine.info.capabilities.chat:
        raise InputError(f"{engine.info.name} takes no chats: give a chat model, or {SCRIPTED}")
    return engine
