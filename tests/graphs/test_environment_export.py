"""What a search in an environment logs is training data: Agent Q's pairs, iTool's, EEF's segments, FAFT's feedback."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actorcritic.collection.running import collect_step
from actorcritic.collection.step import Work
from actorcritic.collection.steps import parse_step
from actorcritic.environments.shop import start
from actorcritic.environments.shop_players import choice_weights
from actorcritic.environments.web_shop import shop_problem
from actorcritic.errors import InputError
from actorcritic.export.masking import IGNORED
from actorcritic.export.pipeline import Export
from actorcritic.graphs.environment_search import AGENT_Q
from actorcritic.metering import free_meter
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.recorder import FileRecorder, create_run
from actorcritic.types import JsonValue
from tests.environments.world import CountedShop, DriftingShop, opener, player, search, settings
from tests.export.log import Words, content, exported, rows_of

SHOPS = (4, 7)
"""In these one episode in ten is a success."""


async def recorded(folder: Path, strategy: str, steps: int | None) -> list[Episode]:
    """Search two shops into a run folder and read it."""
    problems = [await shop_problem(shop) for shop in SHOPS]
    create_run(folder, run="r", config={"strategy": strategy}, problems=[(one, None) for one in problems], created="t")
    with FileRecorder(folder) as recorder:
        for problem in problems:
            journal = TrajectoryJournal(recorder, run="r", problem=problem.id)
            journal.started({"strategy": strategy})
            await search(settings(strategy, steps=steps), problem, journal=journal)
    return list(read_episodes(folder))


def told(text: str, *episodes: Episode, **options: Any) -> Export:
    """Return what a recipe makes of runs that went by the environment's reward."""
    return exported(text, *episodes, allow_oracle=True, **options)


def roles(chat: JsonValue) -> list[str]:
    assert isinstance(chat, list)
    return [str(message["role"]) for message in chat if isinstance(message, dict)]


async def test_agent_q_pairs(tmp_path: Path) -> None:
    """Both actions of a pair were explored from the prompt's very state, and their values lie apart."""
    episodes = await recorded(tmp_path / "run", f"{AGENT_Q},expand=3", 110)
    export = told("agent-q:theta=0.1,cap=100", *episodes)
    rows = rows_of(export)
    assert len(rows) >= 5
    for row in rows:
        assert roles(row["prompt"])[::2] == ["user"] * (1 + len(roles(row["prompt"])) // 2)
        for side in ("chosen", "rejected"):
            assert content(row[side]).startswith("Action: ") and "\n" not in content(row[side])
        assert float(str(row["score_chosen"])) - float(str(row["score_rejected"])) > 0.1
    assert {len(roles(row["prompt"])) for row in rows} >= {1, 3}, "pairs in the first state and in a later one"
    assert export.trainer_settings["precompute_ref_log_probs"] is True


async def test_the_reference_is_what_the_actor_itself_thought(tmp_path: Path) -> None:
    episodes = await recorded(tmp_path / "run", f"{AGENT_Q},expand=3", 60)
    first = [row for row in rows_of(told("agent-q:theta=0", *episodes)) if len(roles(row["prompt"])) == 1]
    assert first
    for row in first:
        shop = next(shop for shop in SHOPS if f"Shop {shop}." in str(row["prompt"]))
        weights = choice_weights(shop, start(), error=0.25, spread=0.1)
        for side in ("chosen", "rejected"):
            action = content(row[side]).removeprefix("Action: ")
            assert math.isclose(float(str(row[f"ref_{side}_logps"])), math.log(weights[action]), abs_tol=1e-9)


async def test_the_prompt_is_what_the_actor_was_sent(tmp_path: Path) -> None:
    (episode, _) = await recorded(tmp_path / "run", f"{AGENT_Q},expand=3", 60)
    for row in rows_of(told("agent-q:theta=0", episode, plain=False)):
        sent = [attempt.prompt for attempt in episode.attempts if attempt.prompt is not None]
        chats = [
            [{"role": m.role, "content": m.content} for m in prompt.content if not isinstance(m, str)]
            for prompt in sent
        ]
        assert row["prompt"] in chats


async def test_itool_pairs_come_of_the_same_search(tmp_path: Path) -> None:
    episodes = await recorded(tmp_path / "run", f"{AGENT_Q},expand=3", 60)
    rows = rows_of(told("itool:complexity=logged,share=1", *episodes))
    assert rows and all(content(row["chosen"]) != content(row["rejected"]) for row in rows)


def states_of(payload: Mapping[str, JsonValue]) -> Any:
    """Return the states of an event of the step `resimulate`."""
    return payload["states"]


async def added(episode: Episode, text: str) -> Episode:
    """Return an episode with what a collection step makes of it."""
    step, options = parse_step(text)
    actor = player()
    work = Work(options=options, actor=actor, seed=3)
    step.check(work)
    made: list[Derived] = []
    for job in step.jobs(episode, work):
        payload = await job.work(free_meter(7))
        assert payload is not None
        made.append(Derived(step=step.name, trial=job.trial, payload=payload))
    await actor.leave(episode.problem)
    return replace(episode, derived=(*episode.derived, *made))


async def test_a_student_goes_on_from_the_states_of_a_failed_episode(tmp_path: Path) -> None:
    """EEF: actions of the expert after which the student succeeds are learnt, with what was shown between them."""
    episodes = await recorded(tmp_path / "run", "best-of-n:score=verifier,n=7", None)
    explored = [await added(episode, "resimulate:every=2,m=2") for episode in episodes]
    states = [state for episode in explored for made in episode.derived for state in states_of(made.payload)]
    assert states and all(state["faithful"] for state in states)
    words = Words()
    tokens = rows_of(told("eef:cap=50", *explored, tokenizer=words))
    rows = rows_of(told("eef:form=turns,cap=50", *explored))
    assert {str(row["kind"]) for row in rows} >= {"segment", "continuation"}
    for row in rows:
        said = roles(row["messages"])
        turns = row["train_turns"]
        assert said[::2] == ["user"] * len(said[::2]) and said[1::2] == ["assistant"] * len(said[1::2])
        assert isinstance(turns, list) and len(turns) == len(said[1::2]) and any(turns)
    names = {ident: word for word, ident in words.ids.items()}
    for row, shown in zip(tokens, rows, strict=True):
        labels: Any = row["labels"]
        chat: Any = shown["messages"]
        flags: Any = shown["train_turns"]
        learnt = " ".join(names[label] for label in labels if label != IGNORED)
        wanted = [message["content"] for message, live in zip(chat[1::2], flags, strict=True) if live]
        assert learnt.replace(" <end>", "") == " ".join(wanted), "of the marked actions alone"


async def test_a_state_that_replay_does_not_reach_counts_for_nothing(tmp_path: Path) -> None:
    (episode, _) = await recorded(tmp_path / "run", "best-of-n:score=verifier,n=3", None)
    step, options = parse_step("resimulate:every=2,m=2")
    work = Work(options=options, actor=player(opener(DriftingShop)), seed=3)
    payloads = [await job.work(free_meter(7)) for job in step.jobs(episode, work)]
    states = [state for payload in payloads if payload is not None for state in states_of(payload)]
    assert {state["faithful"] for state in states if state["at"]} == {False}


async def test_a_collection_closes_the_worlds_that_it_played_in(tmp_path: Path) -> None:
    await recorded(tmp_path / "run", "best-of-n:score=verifier,n=3", None)
    books: list[str] = []
    actor = player(opener(lambda seed: CountedShop(seed, books)))
    for text in ("score", "resimulate:every=4,m=1"):
        step, options = parse_step(text)
        await collect_step(tmp_path / "run", step, Work(options=options, actor=actor, seed=3))
    assert books.count("opened") == books.count("closed") > 0


@pytest.mark.parametrize("source", ["critique", "feedback"])
async def test_faft_rows_hold_the_whole_episode_after_its_feedback(tmp_path: Path, source: str) -> None:
    episodes = await recorded(tmp_path / "run", "best-of-n:score=critic,n=12", None)
    judged = [await added(episode, "feedback") for episode in episodes]
    rows = rows_of(exported(f"faft:source={source},ratio=9", *judged))
    assert {str(row["polarity"]) for row in rows} == {"positive", "negative"}
    for row in rows:
        assert roles(row["prompt"]) == ["user"] and roles(row["completion"])[::2] == ["assistant"] * len(
            roles(row["completion"])[::2]
        )
        assert len(roles(row["completion"])) >= 9, "an order takes five actions, with what was shown between them"


async def test_a_search_by_the_environments_reward_is_an_oracle_run_and_by_the_critic_is_none(tmp_path: Path) -> None:
    by_reward = await recorded(tmp_path / "reward", "best-of-n:score=verifier,n=2", None)
    by_critic = await recorded(tmp_path / "critic", "best-of-n:score=critic,n=2", None)
    assert [episode.oracle for episode in (*by_reward, *by_critic)] == [True, True, False, False]
    with pytest.raises(InputError, match="oracle run"):
        exported("agent-q", *by_reward)
