"""rescore and perplexity, on scripted engines and on the embedded pair, which scores what it wrote as it wrote it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from actorcritic.actor import ModelActor
from actorcritic.cli.app import run as command
from actorcritic.engines.scripted import ALL_CAPABILITIES, ScriptedEngine
from actorcritic.errors import InputError
from actorcritic.formats.chat import ChatActorFormat
from actorcritic.likelihood import perplexity_of, score_text
from actorcritic.metering import free_meter
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.types import Prompt
from tests.collection.world import Players, collect, episode_of, made, players


def test_a_text_is_scored_after_whatever_goes_before() -> None:
    engine = ScriptedEngine([])
    begun = Prompt(content="Count.", prefill="one two")
    ids = engine.encode(Prompt(content=" three four"))

    async def score() -> list[Sequence[str]]:
        meter = free_meter()
        by_text = await score_text(engine, begun, " three four", meter=meter)
        by_ids = await score_text(engine, begun, " three four", ids, meter=meter)
        assert by_text == by_ids and perplexity_of(by_text) >= 1
        assert [call.usage.logical_tokens for call in meter.calls] == [len(engine.encode(begun)) + 4, 0]
        return [[token.text for token in by_text]]

    assert asyncio.run(score()) == [[" ", "three", " ", "four"]]


def test_gold_solutions_and_right_attempts(run: Path) -> None:
    collect(run, "perplexity", players())
    ((trial, payload),) = made(run, "perplexity", "apples")
    gold = episode_of(run, "apples").gold
    assert gold is not None and gold.solution is not None
    assert trial is None and payload["model"] == "scripted:stub-actor"
    assert payload["tokens"] == len(ScriptedEngine([]).encode(Prompt(content=gold.solution)))
    assert payload["perplexity"] > 1
    ((trial, _),) = made(run, "perplexity", "desk")
    assert trial == 0, "no worked solution: the first right attempt"
    assert not made(run, "perplexity", "coins"), "nothing is right there"


def test_only_one_kind_of_gold(run: Path) -> None:
    collect(run, "perplexity:gold=attempt", players())
    assert {trial for name in ("apples", "desk") for trial, _ in made(run, "perplexity", name)} == {0}
    before = len(made(run, "perplexity", "desk"))
    collect(run, "perplexity:gold=solution", players())
    assert [trial for trial, _ in made(run, "perplexity", "apples")] == [0, None]
    assert len(made(run, "perplexity", "desk")) == before


@pytest.mark.parametrize("step", ["rescore", "perplexity"])
def test_an_engine_that_scores_no_text_is_refused(run: Path, step: str) -> None:
    deaf = ScriptedEngine([], capabilities=replace(ALL_CAPABILITIES, scores_text=False), name="deaf")
    with pytest.raises(InputError, match="deaf does not give the log-probabilities of a given text"):
        collect(run, step, Players(ModelActor(deaf, ChatActorFormat()), None))


def test_attempts_without_calls_in_the_log_are_left_out(run: Path) -> None:
    heard = collect(run, "rescore", players())
    assert not any(done.made or done.failed for done in heard.values())


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the embedded pair: proposals, steps and revisions."""
    folder = tmp_path_factory.mktemp("solved") / "run"
    options = ["--task", "countdown", "--split", "dev", "--limit", "6", "--critic", "embedded"]
    assert command(["collect", "--out", str(folder), "--strategy", "revise", "--samples", "3", *options]) == 0
    return folder


def test_the_embedded_actor_says_of_its_own_attempts_what_it_said_then(solved: Path) -> None:
    assert command(["collect", "--from", str(solved), "--step", "rescore"]) == 0
    compared = 0
    for episode in read_episodes(solved):
        for one in (one for one in episode.derived if one.step == "rescore"):
            assert one.trial is not None
            attempt, now = episode.attempt(one.trial), one.payload["logprobs"]
            assert isinstance(now, list) and now == pytest.approx(attempt.logprobs, abs=1e-4)
            assert one.payload["model"] == attempt.calls[0].model
            compared += 1
    assert compared >= 6


def test_its_perplexity_is_that_of_its_right_attempts(solved: Path) -> None:
    assert command(["collect", "--from", str(solved), "--step", "perplexity"]) == 0
    found = 0
    for episode in read_episodes(solved):
        for one in (one for one in episode.derived if one.step == "perplexity"):
            assert one.trial is not None
            logged = episode.attempt(one.trial).logprobs
            assert one.payload["tokens"] == len(logged)
            assert one.payload["perplexity"] == pytest.approx(math.exp(-sum(logged) / len(logged)), rel=1e-4)
            found += 1
    assert found > 0
