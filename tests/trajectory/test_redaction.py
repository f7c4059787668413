"""What is taken out of a text stands nowhere in the log, neither in its tokens nor in what followed it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from actorcritic.budget import Ledger
from actorcritic.errors import RecordError
from actorcritic.trajectory.episodes import episode_of
from actorcritic.trajectory.events import Event, Kind, to_line
from actorcritic.trajectory.reader import RunFacts
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.trajectory.redaction import Redact, RedactingRecorder, redact_event, withhold_prompt
from actorcritic.trajectory.replay import replay
from actorcritic.types import JsonValue, Problem, Reference
from tests.trajectory.simulation import Parrot, Process, Setup

FACTS = RunFacts(run="r", created="t", config={}, problems=1)
PROBLEM = Problem(id="p", prompt="the secret question", meta={"level": 1})


def logged(redact: Redact | None = None, *, prompts: bool = True) -> list[Event]:
    memory = MemoryRecorder()
    recorder = RedactingRecorder(memory, redact=redact, prompts=prompts)
    Process(Setup(strategy="revise", trials=8), Parrot(0.1), recorder).run()
    recorder.flush()
    recorder.close()
    return memory.events


def without_letters(text: str) -> str:
    """Take the letters away that the scripted model writes."""
    return re.sub("[ab]", "#", text)


@pytest.mark.parametrize("prompts", [True, False])
def test_nothing_redacted_is_left(prompts: bool) -> None:
    events = logged(without_letters, prompts=prompts)
    for event in events:
        if event.kind is Kind.CALLED:
            generation = event.payload.get("generation")
            if isinstance(generation, dict) and "#" in str(generation["text"]):
                assert not generation.get("tokens") and not generation.get("token_ids")
                assert not generation.get("prompt_ids")
    episode = episode_of(FACTS, PROBLEM, None, events)
    steps = [step for a in episode.attempts if a.solution for step in a.solution.steps]
    assert {step.text for step in steps} == {"#", "c", "d"}
    assert all(not step.token_ids and not step.logprobs for step in steps if step.text == "#")
    assert all(step.token_ids for step in steps if step.text != "#"), "the others keep their tokens"
    answers = {a.solution.answer for a in episode.attempts if a.solution} | {episode.answer}
    assert answers <= {"#", "c", "d"}
    assert episode.finished and episode.withheld is (not prompts)


def test_prompts_can_stay_out_altogether() -> None:
    events = logged(prompts=False)
    for event in events:
        if event.kind is Kind.CALLED:
            request = event.payload["request"]
            assert isinstance(request, dict) and request["prompt"] == {"content": ""}
    assert b"propose" not in b"".join(to_line(event) for event in events if event.kind is Kind.CALLED)
    episode = episode_of(FACTS, PROBLEM, None, events)
    assert episode.withheld
    assert all(call.generation.token_ids for a in episode.attempts for call in a.calls if call.generation)


def test_a_recorder_without_a_rule_changes_texts_not_at_all() -> None:
    plain = MemoryRecorder()
    Process(Setup(strategy="revise", trials=8), Parrot(0.1), plain).run()
    assert len(plain.events) > 9
    assert [timeless(e) for e in logged()][1:] == [timeless(e) for e in plain.events][1:]


def timeless(event: Event) -> dict[str, JsonValue]:
    return {name: item for name, item in event.payload.items() if name != "seconds"}


def test_a_problem_is_kept_without_its_text() -> None:
    kept, gold = withhold_prompt(PROBLEM, Reference(answer="4"))
    assert (kept, gold) == (Problem(id="p", prompt=""), Reference(answer="4"))


def test_texts_are_found_wherever_they_stand_in_what_somebody_wrote() -> None:
    event = next(event for event in logged() if event.kind is Kind.CALLED)
    observation: dict[str, JsonValue] = {"text": "to b", "actions": ["b"], "state": "ab"}
    step: dict[str, JsonValue] = {"action": "b", "environment": "ab", "observation": observation}
    cleaned = redact_event(replace(event, kind=Kind.STEPPED, payload=step), without_letters).payload
    assert cleaned == {
        "action": "#",
        "environment": "ab",
        "observation": {"text": "to #", "actions": ["#"], "state": "ab"},
    }
    call: dict[str, JsonValue] = {"name": "ab", "arguments": {"to": "b", "also": [{"who": "b"}, 1]}, "id": "ab"}
    cleaned = redact_event(replace(event, kind=Kind.TOOL_CALLED, payload=call), without_letters).payload
    assert cleaned == {"name": "ab", "arguments": {"to": "#", "also": [{"who": "#"}, 1]}, "id": "ab"}


def test_nobody_goes_on_with_a_log_that_a_function_took_texts_out_of() -> None:
    setup, events = Setup(strategy="revise", trials=8), logged(without_letters)
    for cut in range(1, len(events) - 1):
        with pytest.raises(RecordError, match="problem 'p' was logged with texts taken out of it"):
            replay(events[:cut], setup.policy(), Ledger(setup.budget))
    done = replay(events, setup.policy(), Ledger(setup.budget))
    assert done.result is not None, "what is done stays done"
    for plain in (logged(), logged(prompts=False)):
        assert replay(plain[:4], setup.policy(), Ledger(setup.budget)).next_seq == 4
