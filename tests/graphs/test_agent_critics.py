"""Step critics in the tool agent: they block, warn, pass, take back; who says nothing that can be read is unscored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from actorcritic.agent_steps import AgentStep, Judgement
from actorcritic.critic import CalculationCritic, ExecutionCritic, FunctionCritic
from actorcritic.graphs.agent_state import ToolAgentSettings
from actorcritic.graphs.tool_agent import tool_agent_graph
from actorcritic.step_critics import AnswerStepCritic, FunctionStepCritic
from actorcritic.types import Critique, StepCritique, Verdict
from tests.graphs.agent_world import Tools, ask, call, calls, events, passes, prompts, run, says, tool_texts


def no_multiplying(step: AgentStep) -> Judgement:
    """Blocks every multiplication before it is done."""
    wrong = tuple(place for place, made in enumerate(step.calls) if made.name == "multiply")
    if step.phase == "action" and wrong:
        return Judgement.block("multiplication is forbidden", calls=wrong)
    return Judgement.passed()


async def test_a_blocked_call_is_not_carried_out_and_the_actor_reads_why() -> None:
    tools = Tools()
    actor = says(calls(call("multiply", a=2, b=3)), calls(call("add", a=3, b=3)), "6")
    end = await run(tool_agent_graph(actor, tools.all, no_multiplying))
    assert tools.made == ["add 3 3"] and end["answer"] == "6" and end["result"]["stopped_by"] == "accepted"
    first = tool_texts(end["messages"])[0]
    assert "was not called: a critic objects" in first and "```critique\nmultiplication is forbidden\n```" in first
    assert end["result"]["rulings"] == {"block": 1, "pass": 3}
    assert [step["text"] for step in end["result"]["solution"]["steps"]] == ['call: add({"a": 3, "b": 3})', "6"]


async def test_one_call_of_several_is_blocked() -> None:
    tools = Tools()
    both = calls(call("multiply", "1", a=2, b=3), call("add", "2", a=2, b=3))
    end = await run(tool_agent_graph(says(both, "5"), tools.all, no_multiplying))
    assert tools.made == ["add 2 3"] and end["answer"] == "5"
    assert sorted(message.status for message in end["messages"] if isinstance(message, ToolMessage)) == [
        "error",
        "success",
    ]


async def test_a_block_without_calls_means_all() -> None:
    tools = Tools()
    both = calls(call("multiply", "1", a=2, b=3), call("add", "2", a=2, b=3))
    blocks = FunctionStepCritic(
        lambda step: Judgement.block("nothing of this") if step.calls else Judgement.passed(), phases=["action"]
    )
    end = await run(tool_agent_graph(says(both, "5"), tools.all, blocks))
    assert tools.made == [] and end["result"]["tool_calls"] == 0 and end["answer"] == "5"


async def test_a_warning_goes_along_with_the_result() -> None:
    def doubts(step: AgentStep) -> Judgement:
        return Judgement.warn(f"look again ({step.phase})")

    tools = Tools()
    end = await run(tool_agent_graph(says(calls(call("add", a=2, b=3)), "5"), tools.all, doubts))
    (text,) = tool_texts(end["messages"])
    assert tools.made == ["add 2 3"] and "```result\n5\n```" in text
    assert "look again (action)" in text and "look again (observation)" in text
    assert end["answer"] == "5" and end["result"]["stopped_by"] == "completed"


def last_sum_is_wrong(step: AgentStep) -> Judgement:
    """Says after the second step that the first one went wrong."""
    if step.phase == "observation" and step.index == 1 and step.before[0].results[0].text == "6":
        return Judgement.block("the sum was of the wrong numbers", step=0)
    return Judgement.passed()


async def test_a_step_that_went_wrong_is_taken_back_with_all_after_it() -> None:
    tools = Tools()
    actor = says(
        calls(call("add", "1", a=3, b=3), text="The sum."),
        calls(call("multiply", "2", a=6, b=4)),
        calls(call("add", "3", a=2, b=3)),
        calls(call("multiply", "4", a=5, b=4)),
        "20",
    )
    seen = await events(tool_agent_graph(actor, tools.all, last_sum_is_wrong))
    assert tools.made == ["add 3 3", "multiply 6 4", "add 2 3", "multiply 5 4"]
    sent = prompts(actor)[2].prompt.content
    assert [message.role for message in sent if not isinstance(message, str)] == ["user", "user"]
    told = sent[-1].content if not isinstance(sent[-1], str) else ""
    assert "the sum was of the wrong numbers" in told and 'add({"a": 3, "b": 3})' in told and "stays changed" in told
    by_kind = {event["event"]: event for event in seen}
    assert by_kind["proposed"]["trial"] == 0 and by_kind["revised"]["trial"] == 1
    asked = [event for event in seen if event["event"] == "asked"]
    assert asked[1]["action"] == "revise" and asked[1]["parent"] == 0
    critiqued = [event for event in seen if event["event"] == "critiqued"]
    assert critiqued[0]["first_error"] == 0 and critiqued[1]["first_error"] is None


async def test_what_was_taken_back_is_not_in_the_conversation_that_comes_out() -> None:
    actor = says(
        calls(call("add", "1", a=2, b=3), text="Right."),
        calls(call("multiply", "2", a=5, b=3), text="Wrong."),
        calls(call("multiply", "3", a=5, b=4), text="Better."),
        "20",
    )

    def second_is_wrong(step: AgentStep) -> Judgement:
        wrong = step.phase == "observation" and step.results[0].text == "15"
        return Judgement.block("times 4, not 3") if wrong else Judgement.passed()

    end = await run(tool_agent_graph(actor, Tools().all, second_is_wrong))
    texts = [message.text for message in end["messages"] if isinstance(message, AIMessage)]
    assert texts == ["Right.", "Better.", "20"]
    (note,) = [message for message in end["messages"][1:] if isinstance(message, HumanMessage)]
    assert note.name == "critic" and "times 4, not 3" in note.text
    result = end["result"]
    assert result["attempts"] == 2 and result["revisions"] == 1 and result["tool_calls"] == 3
    assert [step["text"].splitlines()[0] for step in result["solution"]["steps"]] == ["Right.", "Better.", "20"]
    assert result["critique"]["verdict"] == "correct"


async def test_after_so_many_revisions_an_objection_is_a_remark() -> None:
    loop = [calls(call("add", str(i), a=i, b=i)) for i in range(6)]
    never = FunctionStepCritic(lambda step: Judgement.block("not like this"), phases=["observation"])
    settings = ToolAgentSettings(max_revisions=2, max_steps=6)
    end = await run(tool_agent_graph(says(*loop), Tools().all, never, settings))
    result = end["result"]
    assert result["revisions"] == 2 and result["attempts"] == 3 and result["steps"] == 6
    assert "A critic remarks" in tool_texts(end["messages"])[0]


async def test_an_answer_that_a_critic_blocks_is_written_again() -> None:
    def wants_20(step: AgentStep) -> Judgement:
        return Judgement.block("that is not 20", step=None) if step.text == "21" else Judgement.passed(0.9)

    end = await run(tool_agent_graph(says("21", "20"), Tools().all, wants_20))
    assert (
        end["answer"] == "20"
        and end["result"]["stopped_by"] == "accepted"
        and end["result"]["critique"]["score"] == 0.9
    )
    assert "not accepted as the answer" in end["messages"][2].text and end["messages"][2].name == "critic"


async def test_the_best_answer_counts_not_the_last() -> None:
    scores = {"a": 0.2, "b": 0.7, "c": 0.4}

    def scored(step: AgentStep) -> Judgement:
        return replace(Judgement.block("no"), score=scores[step.text])

    end = await run(tool_agent_graph(says("a", "b", "c"), [], scored, ToolAgentSettings(max_steps=3)))
    assert end["answer"] == "b" and end["messages"][-1].text == "b" and end["result"]["stopped_by"] == "steps"
    assert end["result"]["critique"]["verdict"] == "incorrect"


# --- unscored ------------------------------------------------------------------------------------------------------


def silent(step: AgentStep) -> None:
    """Says nothing."""


def broken(step: AgentStep) -> Judgement:
    raise KeyError("lost")


def names_nothing_there(step: AgentStep) -> Judgement:
    return Judgement.block("the tenth call", calls=(9,)) if step.phase == "action" else Judgement.block("x", step=9)


def speaks_in_tongues(step: AgentStep) -> Any:
    return "looks fine"


@pytest.mark.parametrize("critic", [silent, broken, names_nothing_there, speaks_in_tongues])
async def test_unscored_is_neither_a_block_nor_a_pass(critic: Any) -> None:
    tools = Tools()
    end = await run(tool_agent_graph(says(calls(call("add", a=2, b=3)), "5"), tools.all, critic))
    result = end["result"]
    assert tools.made == ["add 2 3"] and end["answer"] == "5"
    assert result["stopped_by"] == "completed" and set(result["rulings"]) == {"unscored"}
    assert {step["verdict"] for step in result["critique"]["steps"]} == {"unscored"}


@pytest.mark.parametrize("score", [5.0, -1, float("nan"), "0.5"])
async def test_a_score_that_is_none_is_the_critics_failure(score: Any) -> None:
    end = await run(tool_agent_graph(says("5"), [], lambda step: Judgement.passed(score)))
    (failure,) = end["result"]["failures"]
    assert (failure["where"], failure["type"]) == ("critic", "InputError") and "[0, 1]" in failure["message"]
    assert end["answer"] == "5" and end["result"]["critique"]["verdict"] == "unscored"


async def test_a_critic_that_fails_is_listed() -> None:
    end = await run(tool_agent_graph(says("5"), [], broken))
    assert [(one["where"], one["type"]) for one in end["result"]["failures"]] == [("critic", "KeyError")]


@pytest.mark.parametrize("critic", [silent, broken])
async def test_unscored_can_be_made_to_block(critic: Any) -> None:
    tools = Tools()
    settings = ToolAgentSettings(unscored="block", max_steps=2)
    end = await run(tool_agent_graph(says(calls(call("add", a=2, b=3)), "5"), tools.all, critic, settings))
    assert tools.made == [] and "could not be judged" in tool_texts(end["messages"])[0]
    assert end["result"]["stopped_by"] == "steps" and end["result"]["critique"]["verdict"] == "unscored"


# --- critics of solutions ------------------------------------------------------------------------------------------


async def test_execution_judges_an_answer_without_a_model() -> None:
    task = "Write half(x).\n\nassert half(4) == 2\nassert half(3) == 1.5"
    wrong, right = "```python\ndef half(x):\n    return x // 2\n```", "```python\ndef half(x):\n    return x / 2\n```"
    end = await run(tool_agent_graph(says(wrong, right), [], ExecutionCritic()), ask(task))
    assert end["answer"] == right and end["result"]["stopped_by"] == "accepted"
    assert "half(3) == 1.5" in end["messages"][2].text and end["result"]["usage"]["critic"]["calls"] == 0


async def test_calculation_judges_an_answer() -> None:
    critic = AnswerStepCritic(CalculationCritic(accept=True))
    end = await run(tool_agent_graph(says("2 + 3 = 6", "2 + 3 = 5"), [], critic))
    assert end["answer"] == "2 + 3 = 5" and end["result"]["rulings"] == {"block": 1, "pass": 1}


async def test_an_oracle_critic_makes_an_oracle_run() -> None:
    knows = FunctionCritic(
        lambda problem, solution: Critique(
            steps=(StepCritique(verdict=Verdict.CORRECT),) * len(solution.steps), verdict=Verdict.CORRECT, oracle=True
        ),
        oracle=True,
    )
    end = await run(tool_agent_graph(says("5"), [], knows))
    assert end["result"]["oracle"] is True
    assert (await run(tool_agent_graph(says("5"), [], passes)))["result"]["oracle"] is False


# --- several critics -----------------------------------------------------------------------------------------------


async def test_critics_are_asked_in_turn_until_one_blocks() -> None:
    asked: list[str] = []

    def first(step: AgentStep) -> Judgement:
        asked.append("first")
        return Judgement.block("no") if step.text == "21" else Judgement.passed()

    def second(step: AgentStep) -> Judgement:
        asked.append("second")
        return Judgement.passed()

    end = await run(tool_agent_graph(says("21", "20"), [], [first, second]))
    assert asked == ["first", "first", "second"] and end["answer"] == "20" and end["result"]["stopped_by"] == "accepted"
