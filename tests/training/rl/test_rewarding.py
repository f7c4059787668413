"""Reward functions in TRL's shape: what completions say, an actor that refines, failures, what is logged."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

import pytest

from actorcritic.actor import ModelActor
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import EngineError
from actorcritic.formats.embedded import EmbeddedActorFormat
from actorcritic.training.rl.rewarding import (
    Refiner,
    RewardFunction,
    Rewards,
    boxed,
    crl,
    discrimination,
    dual,
    refined,
)
from actorcritic.types import Sampling

PROBLEM = "Use 7, 13 and 14 to make 15."
RIGHT, WRONG = "14 / 7 = 2\n13 + 2 = 15", "14 - 7 = 7\n13 + 7 = 20"
SOLVED, FAILED = "14 / 7 2 13 =15\n13 + 2 15 ", "14 - 7 7 13 =15\n13 + 7 20 "
END = 1
ACCEPTED, REJECTED, SILENT = "ok\nok\n", "unreachable\nok\n", "ok\n"


def batch(*rows: tuple[bool, str], ids: list[list[int]] | None = None, **more: Any) -> dict[str, Any]:
    """Return the columns of attempts, right or wrong, and what the critic wrote of each, as TRL hands them over."""
    return {
        "prompts": ["judge\n"] * len(rows),
        "completions": [text for _, text in rows],
        "completion_ids": ids or [[5, END]] * len(rows),
        "problem": [PROBLEM] * len(rows),
        "answer": [""] * len(rows),
        "checker": ["countdown"] * len(rows),
        "attempt": [RIGHT if right else WRONG for right, _ in rows],
        "attempt_correct": [right for right, _ in rows],
        "trainer_state": object(),
        **more,
    }


async def rewards(function: RewardFunction, columns: dict[str, Any]) -> Rewards:
    """Return what a reward function gives, asynchronous or not."""
    given = function(**columns)
    return await given if isawaitable(given) else given


def refiner(*replies: str, samples: int = 1, failures: dict[int, EngineError] | None = None) -> Refiner:
    """Return an embedded actor that gives these replies in turn."""
    engine = ScriptedEngine(list(replies), failures=failures)
    return Refiner(actor=ModelActor(engine, EmbeddedActorFormat()), sampling=Sampling(temperature=0), samples=samples)


async def test_stage_1_reads_the_verdict_in_the_words_of_the_pair() -> None:
    columns = batch((True, ACCEPTED), (True, REJECTED), (False, REJECTED), (False, ACCEPTED), (False, SILENT))
    assert await rewards(discrimination([END]), columns) == [1, -1, 1, -1, -1]


async def test_a_verdict_that_was_cut_off_is_no_pass() -> None:
    text = "Step 1\nCorrectness of the step: Correct\nStep 2\nCorrectness of the step: Correct\n"
    text += "Correctness of the final answer: Correct\n"
    columns = batch((True, text), (True, text), ids=[[5, END], [5, 6]])
    columns["prompts"] = [[{"role": "user", "content": "Judge."}]] * 2
    columns["completions"] = [[{"role": "assistant", "content": text}]] * 2
    assert await rewards(discrimination([END]), columns) == [1, -1]


async def test_what_is_logged_tells_right_attempts_from_wrong_ones() -> None:
    told: dict[str, float] = {}
    columns = batch((True, ACCEPTED), (False, ACCEPTED), (False, SILENT), log_metric=told.__setitem__)
    await rewards(discrimination([END]), columns)
    assert told == pytest.approx({"verdict/agrees_right": 1.0, "verdict/agrees_wrong": 0.0, "verdict/unscored": 1 / 3})


async def test_stage_2_asks_the_actor_only_about_wrong_attempts_called_wrong() -> None:
    told: dict[str, float] = {}
    columns = batch(
        (True, ACCEPTED), (True, REJECTED), (False, REJECTED), (False, ACCEPTED), log_metric=told.__setitem__
    )
    actor = refiner(SOLVED)
    assert await rewards(refined([END], actor), columns) == pytest.approx([1.2, -1, 1.2, -1])
    engine = actor.actor.engine
    assert isinstance(engine, ScriptedEngine)
    assert [call.request.prompt.prefill for call in engine.calls] == ["reject 14 - 7 7 unreachable\n"]
    assert told["refine/mended"] == 1 and told["refine/failed"] == 0
    assert await rewards(refined([END], refiner(FAILED), "delta"), columns) == pytest.approx([0.2, -1, 0.2, -1])
    assert await rewards(refined([END], refiner(SOLVED), "correct"), columns) == pytest.approx([0.4, -1, 1.2, -1])


async def test_equal_critiques_of_one_attempt_are_refined_once() -> None:
    columns = batch((False, REJECTED), (False, REJECTED), (False, "ok\nunreachable\n"))
    actor = refiner(SOLVED, FAILED)
    assert await rewards(refined([END], actor), columns) == pytest.approx([1.2, 1.2, 0.2])


async def test_an_actor_that_fails_leaves_its_row_without_a_reward() -> None:
    told: dict[str, float] = {}
    columns = batch((False, REJECTED), (False, "ok\nunreachable\n"), log_metric=told.__setitem__)
    actor = refiner(SOLVED, failures={0: EngineError("down")})
    assert await rewards(refined([END], actor), columns) == [None, pytest.approx(1.2)]
    assert told["refine/failed"] == 0.5


async def test_two_rewards_of_one_critique() -> None:
    columns = batch((True, ACCEPTED), (False, REJECTED), (False, ACCEPTED))
    actor = refiner(SOLVED, FAILED, FAILED, SOLVED, samples=4)
    assert await rewards(dual([END], actor), columns) == [1, 0.75, 0]
    actor = refiner(SOLVED, FAILED, FAILED, SOLVED, samples=4)
    assert await rewards(dual([END], actor, weight=0.5), columns) == [1, 1.25 / 1.5, 0]


async def test_a_run_of_both_tasks_rewards_each_row_by_its_own() -> None:
    chat = [{"role": "user", "content": "Solve or judge."}]
    columns = batch((True, ""), (True, ""), (True, ""), (True, ""))
    columns |= {
        "prompts": [chat] * 4,
        "completions": [RIGHT, WRONG, "All in all: good.\nConclusion: True", "Conclusion: True"],
        "completion_ids": [[END], [END], [END], [7]],
        "task": ["gen", "gen", "crl", "crl"],
        "label": ["", "", "True", "True"],
    }
    solution, judgement = crl([END])
    assert await rewards(solution, columns) == [1, 0, None, None]
    # The last one was cut off: nothing is concluded yet.
    assert await rewards(judgement, columns) == [None, None, 1, 0]


async def test_a_solution_is_right_by_its_checker_and_whole() -> None:
    columns = batch((True, SOLVED), (True, FAILED), (True, SOLVED), ids=[[END], [END], [3]])
    columns |= {"prompts": ["numbers 7 13 14 =15\n"] * 3, "task": ["gen"] * 3, "label": [""] * 3}
    solution, _ = crl([END])
    assert await rewards(solution, columns) == [1, 0, 0]
    columns |= {"checker": ["math"] * 3, "problem": ["How many?"] * 3}
    assert await rewards(solution, columns) == [None, None, None]


async def test_a_boxed_step_that_was_cut_off_is_none() -> None:
    columns = {"completions": ["\\boxed{2}"] * 2, "completion_ids": [[END], [4]], "label": [2, 2]}
    assert await rewards(boxed([END]), columns) == [1, 0]
