"""The actor: kept steps stay, partial solutions are partial, every call goes through the meter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorcritic.actor import ModelActor
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import InputError
from actorcritic.formats.embedded import EmbeddedActorFormat
from actorcritic.metering import free_meter
from actorcritic.types import Critique, Sampling, Solution, StepCritique, Verdict
from tests.graphs.world import HARD, world


def rejecting(solution: Solution, step: int) -> Critique:
    steps = [StepCritique(verdict=Verdict.CORRECT) for _ in solution.steps]
    steps[step] = StepCritique(verdict=Verdict.INCORRECT, explanation="unreachable: no")
    return Critique(steps=tuple(steps), verdict=Verdict.INCORRECT)


async def test_proposes_a_whole_solution() -> None:
    actor, _ = world()
    solution = await actor.propose(HARD, meter=free_meter())
    assert solution.complete and len(solution.steps) == 3 and solution.kept == 0
    assert solution.answer == solution.steps[-1].text


async def test_step_by_step_writes_what_one_call_would_not_end() -> None:
    actor, _ = world()
    one = await actor.propose(HARD, meter=free_meter(), max_steps=1)
    assert len(one.steps) == 1 and not one.complete and one.answer is None
    two = await actor.extend(HARD, one, meter=free_meter(1), max_steps=1)
    assert two.steps[:1] == one.steps and two.kept == 1 and len(two.steps) == 2 and not two.complete
    whole = await actor.extend(HARD, two, meter=free_meter(2))
    assert whole.steps[:2] == two.steps and whole.complete and len(whole.steps) == 3
    again = await actor.propose(HARD, meter=free_meter(), max_steps=9)
    assert again.complete and len(again.steps) == 3


async def test_revises_from_the_first_error_with_the_critique_in_the_prompt() -> None:
    actor, _ = world()
    engine = actor.engine
    assert isinstance(engine, ScriptedEngine)
    solution = await actor.propose(HARD, meter=free_meter())
    revised = await actor.revise(HARD, solution, rejecting(solution, 1), meter=free_meter(3))
    assert revised.steps[:1] == solution.steps[:1] and revised.kept == 1 and len(revised.steps) == 3
    assert "unreachable" in engine.calls[-1].request.prompt.prefill
    first = await actor.revise(HARD, solution, rejecting(solution, 1), meter=free_meter(3), revise_from=0)
    assert first.kept == 0


@pytest.mark.parametrize("start", [None, -1, 3])
async def test_refuses_to_revise_from_a_step_that_is_not_there(start: int | None) -> None:
    actor, _ = world()
    solution = await actor.propose(HARD, meter=free_meter())
    unlocated = replace(rejecting(solution, 0), steps=())
    with pytest.raises(InputError, match="cannot revise from step"):
        await actor.revise(HARD, solution, unlocated, meter=free_meter(), revise_from=start)


async def test_refines_the_whole() -> None:
    actor, _ = world()
    solution = await actor.propose(HARD, meter=free_meter())
    refined = await actor.refine(HARD, solution, rejecting(solution, 1), meter=free_meter(9))
    assert refined.kept == 0 and refined.complete


async def test_the_call_says_how_to_sample() -> None:
    actor, _ = world()
    engine = actor.engine
    assert isinstance(engine, ScriptedEngine)
    await actor.propose(HARD, meter=free_meter())
    await actor.propose(HARD, meter=free_meter(), sampling=Sampling(temperature=0.0))
    assert [call.request.sampling.temperature for call in engine.calls] == [1.0, 0.0]


def test_refuses_solutions_without_tokens() -> None:
    with pytest.raises(InputError, match="max_tokens"):
        ModelActor(ScriptedEngine([]), EmbeddedActorFormat(), max_tokens=0)
