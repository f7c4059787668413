"""What an actor and a critic read: results say what to do, and no outside text stands without its fences."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from actorcritic.agent_steps import Act, AgentStep, Judgement, ToolResult, ToolStatus
from actorcritic.formats.agent import describe_act, render_request, render_result, render_revision
from actorcritic.types import Problem, ToolCall, ToolSpec

SPECS = {"read": ToolSpec(name="read", description="Read a page.", parameters={"type": "object"})}
CALL = ToolCall(id="1", name="read", arguments='{"page": "p"}')
FENCED = re.compile(r"^(`{3,})\w*\n.*?\n\1$", re.MULTILINE | re.DOTALL)
HOSTILE = st.text(alphabet="`\nab{}\"'x", max_size=40)


def outside(text: str) -> str:
    """Return what stands outside of fences."""
    return FENCED.sub("", text)


def result(text: str, status: ToolStatus = "done", error: str | None = None) -> ToolResult:
    return ToolResult(call=CALL, text=text, status=status, error=error, length=len(text))


@given(HOSTILE)
def test_outside_text_stands_between_fences(text: str) -> None:
    marked = f"MARK{text}MARK"
    warning = Judgement.warn(marked)
    for shown in (
        render_result(result(marked), SPECS, [warning]),
        render_result(result(marked, "failed", "RuntimeError"), SPECS),
        render_result(result(marked, "blocked", "Blocked"), SPECS),
        render_result(result(marked, "refused", "BadArguments"), SPECS),
        render_revision([Act(text=marked, calls=(CALL,), results=(result(marked),))], [Judgement.block(marked)]),
    ):
        assert "MARK" in shown and "MARK" not in outside(shown)


@given(HOSTILE)
def test_a_critic_reads_everything_between_fences(text: str) -> None:
    marked = f"MARK{text}MARK"
    act = Act(text=marked, calls=(ToolCall(id="1", name="read", arguments=marked),), results=(result(marked),))
    for phase in ("action", "observation"):
        step = AgentStep(
            problem=Problem(id="p", prompt=marked),
            index=1,
            phase=phase,
            act=act,
            before=(act,),
            tools=tuple(SPECS.values()),
        )
        (message,) = render_request(step)
        assert "MARK" in message.content and "MARK" not in outside(message.content)


def test_a_critics_questions_share_their_beginning() -> None:
    act = Act(text="a", calls=(CALL,), results=(result("a long result"),))
    problem = Problem(id="p", prompt="task")
    before = AgentStep(problem=problem, index=1, phase="action", act=act, before=(act,))
    later = AgentStep(problem=problem, index=2, phase="action", act=act, before=(act, act))
    first, second = render_request(before)[0].content, render_request(later)[0].content
    same = next(place for place, (one, two) in enumerate(zip(first, second, strict=False)) if one != two)
    assert first[:same].count("a long result") == 1 and first[:same].endswith("Step 2")


def test_what_was_left_out_is_said() -> None:
    cut = ToolResult(call=CALL, text="ab" * 50, length=5_000)
    assert "5,000 characters" in render_result(cut, SPECS) and "first 75 and the last 25" in render_result(cut, SPECS)
    long = Act(text="", calls=(CALL,), results=(result("x" * 3_000),))
    assert "(shortened)" in describe_act(long, 1_000) and "(shortened)" not in describe_act(long)
    (message,) = render_request(
        AgentStep(problem=Problem(id="p", prompt="t"), index=1, phase="action", act=Act(text="42"), before=(long,))
    )
    assert "2,000 characters left out" in message.content


def test_a_tool_that_is_not_there_is_named_shortly() -> None:
    unknown = ToolResult(
        call=ToolCall(id="1", name="n" * 500, arguments=""), text="", status="refused", error="UnknownTool"
    )
    assert len(render_result(unknown, SPECS)) < 200 and "The tools are: read." in render_result(unknown, SPECS)
