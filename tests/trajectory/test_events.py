from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcritic.budget import Charge, Spend
from actorcritic.errors import RecordError
from actorcritic.metering import Call
from actorcritic.trajectory.events import DONE, Event, Kind, call_payload, parse_line, read_call, spans, to_line
from actorcritic.trajectory.journal import TrajectoryJournal, record_run_started, utc_now
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.types import (
    Action,
    Critique,
    Failure,
    FinishReason,
    GenerateRequest,
    Generation,
    JsonValue,
    Outcome,
    Prompt,
    Solution,
    Step,
    TokenLogprob,
    Trial,
    Usage,
    Verdict,
)

# Lone surrogates included: a server may send half of a pair.
text = st.text(st.characters(), max_size=8)
numbers = st.lists(st.integers(0, 9), max_size=3).map(tuple)
usages = st.builds(Usage, calls=st.just(1), prompt_tokens=st.integers(0, 9), completion_tokens=st.integers(0, 9))


@st.composite
def calls(draw: st.DrawFn) -> Call:
    generation = draw(
        st.none()
        | st.builds(
            Generation,
            text=text,
            finish_reason=st.sampled_from(list(FinishReason)),
            usage=usages,
            tokens=st.lists(
                st.builds(TokenLogprob, token_id=st.just(1), text=text, logprob=st.floats(max_value=0)), max_size=2
            ).map(tuple),
            prompt_ids=numbers,
            token_ids=numbers,
            tool_calls=st.just(()),
        )
    )
    known = generation is not None and draw(st.booleans())
    charge = Charge(
        role="actor",
        model="m",
        prompt_ids=generation.prompt_ids if known and generation is not None else draw(numbers),
        completion_ids=generation.token_ids if generation is not None else (),
        usage=generation.usage if known and generation is not None else draw(usages),
        money=draw(st.floats(0, 1)),
    )
    request = GenerateRequest(prompt=Prompt(content=draw(text)), max_tokens=3, seed=4)
    return Call(
        role="actor",
        engine="e",
        model="m",
        request=request,
        generation=generation,
        charge=charge,
        usage=draw(usages),
        seconds=0.25,
    )


@settings(max_examples=150, deadline=None)
@given(call=calls(), problem=st.none() | text, seq=st.integers(0), trial=st.none() | st.integers(0))
def test_an_event_is_one_line_and_reads_back(call: Call, problem: str | None, seq: int, trial: int | None) -> None:
    event = Event(
        kind=Kind.CALLED, run="r", problem=problem, seq=seq, trial=trial, time=utc_now(), payload=call_payload(call)
    )
    line = to_line(event)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert parse_line(line) == event
    assert read_call(parse_line(line).payload) == call


def test_what_the_generation_holds_is_not_written_twice() -> None:
    usage = Usage(calls=1, prompt_tokens=2, completion_tokens=1)
    generation = Generation(text="a", finish_reason=FinishReason.STOP, usage=usage, prompt_ids=(1, 2), token_ids=(3,))
    charge = Charge(role="actor", model="m", prompt_ids=(1, 2), completion_ids=(3,), usage=usage)
    request = GenerateRequest(prompt=Prompt(content="q"), max_tokens=1)
    call = Call(
        role="actor",
        engine="e",
        model="m",
        request=request,
        generation=generation,
        charge=charge,
        usage=usage,
        seconds=0.0,
    )
    assert call_payload(call)["charge"] == {"prompt_ids": None, "usage": None, "money": 0.0}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"", "not JSON"),
        (b'{"version": 1, "kind"', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "not an object"),
        (b'{"kind": "asked"}', "version None"),
        (b'{"version": 2, "kind": "asked"}', "version 2; this library reads 1"),
        (b'{"version": 1, "kind": "guessed", "run": "r", "seq": 0, "time": "t"}', "not an event"),
        (b'{"version": 1, "run": "r"}', "not an event"),
        (b'{"version": 1, "kind": "asked", "run": "r", "seq": 0, "time": "t", "more": 1}', "not an event"),
    ],
)
def test_what_is_no_event_is_refused(line: bytes, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        parse_line(line)


def test_spans_point_into_the_model_s_own_text() -> None:
    solution = Solution(steps=(Step(text="1+1=2", raw="1+1=2\n"), Step(text="2*2=4", raw=" 2*2=4")))
    raw = solution.raw
    found = spans(solution)
    assert found == [[0, 6], [6, 12]]
    assert [raw[0:6], raw[6:12]] == [step.raw for step in solution.steps]


def test_the_journal_writes_everything_in_order() -> None:
    recorder = MemoryRecorder()
    journal = TrajectoryJournal(recorder, run="r", problem="p", next_seq=5, now=lambda: "now")
    trial = Trial(id=3, action=Action.REVISE, parent=1, options={"revise_from": 2})
    failure = Failure(where="critic", type="EngineError", message="gone")
    journal.started({"width": 2})
    journal.asked(trial)
    journal.brought(trial, Solution(steps=(Step(text="a", raw="a"),), kept=0))
    journal.brought(trial, Critique(steps=(), verdict=Verdict.UNSCORED))
    journal.brought(trial, failure)
    journal.note(Kind.TOOL_CALLED, trial, {"name": "calculate", "arguments": "1+1", "result": "2"})
    journal.note(Kind.SCORED, trial, {"by": "checker", "score": 1.0, "gold": True})
    journal.committed(trial, Outcome(score=0.5), Spend())
    journal.committed(trial, failure, Spend())
    journal.committed(trial, None, Spend())
    journal.interrupted("SIGINT")
    kinds = [event.kind.value for event in recorder.events]
    acted = "problem_started asked revised critiqued failed tool_called scored"
    assert kinds == [*acted.split(), "committed", "committed", "committed", "interrupted"]
    assert [event.seq for event in recorder.events] == list(range(5, 16))
    assert {(event.run, event.problem, event.time) for event in recorder.events} == {("r", "p", "now")}
    assert [(event.trial, event.parent) for event in recorder.events[1:-1]] == [(3, 1)] * 9
    payloads = [event.payload for event in recorder.events]
    assert payloads[1] == {"trial": {"id": 3, "action": "revise", "parent": 1, "options": {"revise_from": 2}}}
    assert [sorted(payload) for payload in payloads[7:10]] == [["outcome", "spend"], ["failure", "spend"], ["spend"]]
    assert journal.next_seq == 16


def test_every_action_has_its_event() -> None:
    assert {action: kind.value for action, kind in DONE.items()} == {
        Action.PROPOSE: "proposed",
        Action.EXTEND: "extended",
        Action.REVISE: "revised",
        Action.REFINE: "refined",
        Action.JUDGE: "judged",
    }


def test_a_run_has_events_of_its_own() -> None:
    recorder = MemoryRecorder()
    record_run_started(recorder, run="r", config={"seed": 1})
    (event,) = recorder.events
    assert (event.kind, event.problem, event.payload) == (Kind.RUN_STARTED, None, {"config": {"seed": 1}})
    assert json.loads(to_line(event))["time"].endswith("+00:00")


@pytest.mark.parametrize("kind", [Kind.CALLED, Kind.SCORED])
def test_whatever_is_json_survives_the_line(kind: Kind) -> None:
    payload: dict[str, JsonValue] = {
        "half": "\ud83d",
        "large": 2**70,
        "small": 1e-300,
        "text": "\u2014\n\x00",
        "n": None,
    }
    event = Event(kind=kind, run="r", seq=0, time="t", payload=payload)
    line = to_line(event)
    assert line.count(b"\n") == 1 and parse_line(line) == event


def test_no_number_that_is_none_reaches_the_log() -> None:
    event = Event(kind=Kind.SCORED, run="r", seq=0, time="t", payload={"score": float("nan")})
    with pytest.raises(ValueError, match="Out of range"):
        to_line(event)
