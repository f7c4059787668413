"""The three generators of flawed solutions, critiques that must not mention their hints, counts for the soft filter."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorcritic.critic import ModelCritic
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.types import GenerateRequest
from tests.collection.world import Players, asked, collect, made, players

JUDGED = (
    "Step 1\nCorrectness of the step: Correct\n\nStep 2\nCorrectness of the step: Wrong\n"
    "Explanation: That is too few.\n\nCorrectness of the final answer: Wrong"
)


def actor(request: GenerateRequest) -> str:
    """Refine well for one seed in three; go on badly."""
    if "reviewer" in asked(request):
        return f"So \\boxed{{{10 if (request.seed or 0) % 3 == 0 else 5}}}."
    return "So 7 - 2 = 5.\n\n\\boxed{5}"


def teacher(request: GenerateRequest) -> str:
    return "<step>\n3 * 4 = 14\n</step>" if "careless" in asked(request) else JUDGED


def requests(who: Players) -> list[str]:
    assert isinstance(who.critic, ModelCritic) and isinstance(who.critic.engine, ScriptedEngine)
    return [asked(call.request) for call in who.critic.engine.calls]


def test_a_wrong_attempt_is_flawed_as_it_is(run: Path) -> None:
    who = players(actor, critic=teacher)
    collect(run, "flawed-critique:n=4", who)
    ((trial, one),) = made(run, "flawed-critique", "apples")
    assert (trial, one["source"], one["first_bad_step"], one["refined"]) == (3, "response", None, 4)
    assert one["critique"]["verdict"] == "incorrect" and 0 <= one["successes"] <= 4
    hints = [text for text in requests(who) if "For your eyes alone" in text and "Ann has" in text]
    assert len(hints) == 1 and "```answer\n10\n```" in hints[0] and "mistake was made" not in hints[0]


def test_a_right_attempt_is_left_at_a_drawn_step(run: Path) -> None:
    who = players(actor, critic=teacher)
    collect(run, "flawed-critique:source=location,n=0,samples=2,temperature=1.5", who)
    found = made(run, "flawed-critique", "apples")
    assert [trial for trial, _ in found] == [0, 0, 1, 1, 2, 2]
    for _, one in found:
        bad = one["first_bad_step"]
        assert one["solution"]["answer"] == "5" and one["solution"].get("kept", 0) == bad and one["refined"] == 0
    assert isinstance(who.actor.engine, ScriptedEngine)
    assert {call.request.sampling.temperature for call in who.actor.engine.calls} == {1.5}
    assert any("The mistake was made in step" in text for text in requests(who))


def test_a_model_writes_the_mistake_and_the_actor_goes_on(run: Path) -> None:
    who = players(actor, critic=teacher)
    collect(run, "flawed-critique:source=detail,n=1", who)
    found = made(run, "flawed-critique", "apples")
    assert len(found) == 3
    for _, one in found:
        steps = one["solution"]["steps"]
        assert steps[one["first_bad_step"]]["text"] == "3 * 4 = 14" and one["solution"]["answer"] == "5"
    assert any("It is of the kind" in text for text in requests(who))


def test_completions_that_keep_coming_out_right_bring_nothing(run: Path) -> None:
    who = players("So \\boxed{10}.", critic=teacher)
    heard = collect(run, "flawed-critique:source=location,n=0,tries=2", who)
    assert heard["apples"].failed == 3 and made(run, "flawed-critique", "apples") == []
    assert isinstance(who.actor.engine, ScriptedEngine)
    assert len([c for c in who.actor.engine.calls if "Ann has" in asked(c.request)]) == 6


@pytest.mark.parametrize(
    "said",
    [JUDGED.replace("That is too few.", "The hint says 10."), "All is well.", "<step>3 * 4 = 14</step>"],
)
def test_a_critique_that_gives_its_hint_away_or_has_no_verdict_is_a_failure(run: Path, said: str) -> None:
    heard = collect(run, "flawed-critique:n=0", players(actor, critic=said))
    assert heard["apples"].failed == 1 and made(run, "flawed-critique", "apples") == []


def test_a_critic_without_hints(run: Path) -> None:
    who = players(actor, critic=teacher)
    collect(run, "flawed-critique:hint=no,n=0,pass_rate=0", who)
    assert len(made(run, "flawed-critique", "bus")) == 1 and made(run, "flawed-critique", "apples") == []
    assert not any("For your eyes alone" in text for text in requests(who))
