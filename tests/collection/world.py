"""A run folder with the log of six problems, scripted chat models, and what a step appended, held to its contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from actorcritic.actor import ModelActor
from actorcritic.collection.running import Progressed, collect_step
from actorcritic.collection.step import CollectionStep, Work
from actorcritic.collection.steps import parse_step
from actorcritic.critic import ModelCritic
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.export.needs import COLLECTED
from actorcritic.formats.chat import ChatActorFormat, ChatCriticFormat
from actorcritic.protocols import Critic
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.types import GenerateRequest

Script = Callable[[GenerateRequest], str] | str | Mapping[str, str]
"""What a model says: always the same, by a phrase of the request, or by a function of it."""

ADDED = {"job", "spend"}
"""What the runner puts beside the fields that a step documents."""


def asked(request: GenerateRequest) -> str:
    """Return the last message of a request."""
    content = request.prompt.content
    return content if isinstance(content, str) else content[-1].content


def engine_of(script: Script, name: str, **more: Any) -> ScriptedEngine:
    """Return an engine that follows a script; a request that no phrase knows gets a text that nobody can read."""

    def reply(request: GenerateRequest) -> str:
        if callable(script):
            return script(request)
        if isinstance(script, str):
            return script
        return next((said for phrase, said in script.items() if phrase in asked(request)), "(nothing to say)")

    return ScriptedEngine(reply, name=name, **more)


class Players(NamedTuple):
    actor: ModelActor
    critic: Critic | None


def players(actor: Script = "So 1 + 1 = 2.\n\nThe answer is \\boxed{2}.", critic: Script | None = None) -> Players:
    """Return scripted players in the chat format."""
    writer = ModelActor(engine_of(actor, "stub-actor"), ChatActorFormat())
    judge = None if critic is None else ModelCritic(engine_of(critic, "teacher"), ChatCriticFormat())
    return Players(writer, judge)


def ordered(text: str, who: Players, seed: int = 0) -> tuple[CollectionStep, Work]:
    """Return a step and what it works with."""
    step, options = parse_step(text)
    return step, Work(options=options, actor=who.actor, critic=who.critic, seed=seed)


def collect(folder: Path, text: str, who: Players, *, seed: int = 0, **more: Any) -> dict[str, Progressed]:
    """Do a step; returns what each problem brought."""
    heard: dict[str, Progressed] = {}
    step, work = ordered(text, who, seed)

    def hear(done: Progressed) -> None:
        heard[done.problem] = done

    asyncio.run(collect_step(folder, step, work, hear=hear, **more))
    return heard


def episode_of(folder: Path, problem: str) -> Episode:
    """Return one problem's episode."""
    return next(episode for episode in read_episodes(folder) if episode.problem.id == problem)


def made(folder: Path, step: str, problem: str) -> list[tuple[int | None, dict[str, Any]]]:
    """Return what collections appended to a problem, those of the log itself left out, held to the contract."""
    found = [one for one in episode_of(folder, problem).derived if one.step == step and "job" in one.payload]
    for one in found:
        assert set(one.payload) == set(COLLECTED[step].payload) | ADDED
        assert (one.trial is None) <= (COLLECTED[step].of != "attempt")
    return [(one.trial, {name: value for name, value in one.payload.items() if name not in ADDED}) for one in found]
