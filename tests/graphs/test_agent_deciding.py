"""What follows from judgements: blocks win, unscored is what the settings say, limits hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorcritic.agent_steps import Act, Judgement, Ruling, ToolResult
from actorcritic.graphs.agent_deciding import blocked_calls, objections, plan_calls, with_wrong_step, wrong_step
from actorcritic.graphs.agent_work import verdict_of
from actorcritic.types import ToolCall, Verdict

CALLS = tuple(ToolCall(id=str(place), name="t", arguments="{}") for place in range(4))
ACT = Act(text="", calls=CALLS)
places = st.lists(st.integers(0, 3), max_size=3).map(tuple)
judgements = st.lists(
    st.builds(Judgement, ruling=st.sampled_from(Ruling), calls=places, step=st.none() | st.integers(0, 3)), max_size=4
)


@given(judgements, st.none() | st.integers(0, 5), st.lists(st.booleans(), min_size=4, max_size=4))
def test_every_call_is_carried_out_or_has_a_result(
    said: list[Judgement], room: int | None, unusable: list[bool]
) -> None:
    refused = [
        ToolResult(call=call, text="", status="refused", error="UnknownTool") if bad else None
        for call, bad in zip(CALLS, unusable, strict=True)
    ]
    blocks = objections(said, unscored_blocks=False)
    plan = plan_calls(ACT, blocks, refused, room=room)
    blocked = blocked_calls(ACT, blocks)
    assert {CALLS[place] for place in plan.queue} | {result.call for result in plan.results} == set(CALLS)
    assert len(plan.queue) + len(plan.results) == 4
    assert not any(place in blocked or unusable[place] for place in plan.queue)
    assert room is None or len(plan.queue) <= room


@given(judgements)
def test_unscored_blocks_only_where_that_is_said(said: list[Judgement]) -> None:
    lenient = objections(said, unscored_blocks=False)
    strict = objections(said, unscored_blocks=True)
    unscored = sum(one.ruling is Ruling.UNSCORED for one in said)
    assert all(one.ruling is Ruling.BLOCK for one in lenient) and len(strict) == len(lenient) + unscored


@given(judgements, st.integers(3, 5))
def test_a_block_after_an_observation_means_a_step(said: list[Judgement], index: int) -> None:
    wrong = wrong_step(with_wrong_step(said, index))
    meant = [index if one.step is None else one.step for one in said if one.ruling is Ruling.BLOCK]
    assert wrong == (min(meant) if meant else None)


@given(judgements)
def test_only_passes_make_correct_and_any_block_incorrect(said: list[Judgement]) -> None:
    rulings = {one.ruling for one in said}
    verdict = verdict_of(said)
    assert (verdict is Verdict.CORRECT) == (rulings == {Ruling.PASS})
    assert (verdict is Verdict.INCORRECT) == (Ruling.BLOCK in rulings)
