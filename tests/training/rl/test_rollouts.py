"""Rollouts over a scripted engine: which ids are trained on, after which prompt, with which rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from actorcritic.critic import FunctionCritic
from actorcritic.engines.scripted import ALL_CAPABILITIES, Reply, ScriptedEngine
from actorcritic.errors import InputError, PromptTooLong
from actorcritic.protocols import Capabilities
from actorcritic.training.rl.rollouts import (
    CRITIQUES,
    CritiqueKind,
    Rollout,
    Sampler,
    mixed_group,
    rollout_columns,
    two_turns,
)
from actorcritic.training.rl.rows import Row
from actorcritic.types import (
    Critique,
    FinishReason,
    GenerateRequest,
    Message,
    Problem,
    Prompt,
    Sampling,
    Solution,
    StepCritique,
    Verdict,
)

PROBLEM = "Use 7, 13 and 14 to make 15."
QUESTION = "numbers 7 13 14 =15\n"
SOLVED, FAILED = "14 / 7 2 13 =15\n13 + 2 15 ", "14 - 7 7 13 =15\n13 + 7 20 "
PAIR = Row({"prompt": QUESTION, "problem": PROBLEM, "answer": "", "checker": "countdown"})
ASKED = "What is 3 + 4?"
CHAT = Row(
    {
        "prompt": [{"role": "user", "content": ASKED}],
        "problem": ASKED,
        "answer": "7",
        "checker": "exact",
        "correction": "Look again.",
    }
)


def sampler(engine: ScriptedEngine) -> Sampler:
    """Return the model in training."""
    return Sampler(engine=engine, sampling=Sampling(), max_tokens=64, seed=3)


def ids(engine: ScriptedEngine, content: str | tuple[Message, ...]) -> tuple[int, ...]:
    """Return the ids of a prompt."""
    return engine.encode(Prompt(content=content))


def unreachable(problem: Problem, solution: Solution) -> Critique:
    """Say that the first step leads nowhere."""
    steps = [StepCritique(verdict=Verdict.CORRECT)] * len(solution.steps)
    steps[0] = StepCritique(verdict=Verdict.INCORRECT, explanation="unreachable: no way")
    return Critique(steps=tuple(steps), verdict=Verdict.INCORRECT)


async def group(
    engine: ScriptedEngine, *, kind: CritiqueKind = "text", size: int = 2, critic: Any = None, row: Row = PAIR
) -> list[Rollout]:
    """Return one mixed group."""
    return await mixed_group(row, sampler(engine), size=size, kind=kind, critic=critic, key="k")


# --- groups with a refinement --------------------------------------------------------------------------------------


async def test_the_refinement_stands_after_the_plain_question_in_the_place_of_the_last_answer() -> None:
    def reply(request: GenerateRequest) -> str:
        return SOLVED if request.prompt.prefill else FAILED

    engine = ScriptedEngine(reply, units="words")
    made = await group(engine, size=3, critic=FunctionCritic(unreachable))
    assert [one.extra for one in made] == [
        {"reward": 0.0, "is_refined": 0.0},
        {"reward": 0.0, "is_refined": 0.0},
        {"reward": 1.0, "is_refined": 1.0},
    ]
    # Three answers and three refinements were sampled; the critique stands before no token that is trained on.
    assert len(engine.calls) == 6
    assert {one.prompt_ids for one in made} == {ids(engine, QUESTION)}
    refine = next(call.request.prompt for call in engine.calls if call.request.prompt.prefill)
    assert refine.prefill == "reject 14 - 7 7 unreachable\n"
    assert engine.encode(refine) != made[2].prompt_ids
    assert made[2].completion_ids == ids(engine, SOLVED)
    assert all(set(one.mask) == {1} and len(one.mask) == len(one.completion_ids) for one in made)


async def test_the_first_right_refinement_is_chosen_else_the_first() -> None:
    engine = ScriptedEngine([FAILED, FAILED, FAILED, FAILED + " ", FAILED, SOLVED])
    made = await group(engine, size=3, critic=FunctionCritic(unreachable))
    assert made[2].extra == {"reward": 1.0, "is_refined": 1.0}
    engine = ScriptedEngine([FAILED, FAILED, "14 - 7 7 13 =15\n13 - 7 6 ", FAILED])
    made = await group(engine, critic=FunctionCritic(unreachable))
    assert made[1].extra == {"reward": 0.0, "is_refined": 1.0}
    assert made[1].completion_ids == ids(engine, "14 - 7 7 13 =15\n13 - 7 6 ")


async def test_a_refinement_that_was_cut_off_or_speaks_of_the_critique_is_not_chosen() -> None:
    cut = Reply(text="So 7", finish_reason=FinishReason.LENGTH)
    engine = ScriptedEngine(["Answer: 8", "Answer: 9", cut, "As the critique says,\nAnswer: 7"])
    made = await group(engine, kind="simple", row=CHAT)
    assert [one.extra["is_refined"] for one in made] == [0, 0]
    assert made[1].completion_ids == ids_of(engine, "Answer: 9")


async def test_a_request_that_does_not_fit_is_no_refinement() -> None:
    engine = ScriptedEngine([FAILED, FAILED, SOLVED], failures={3: PromptTooLong("too long")})
    made = await group(engine, critic=FunctionCritic(unreachable))
    assert made[1].extra == {"reward": 1.0, "is_refined": 1.0}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("simple", "The generated solution is incorrect."),
        ("simple-gt", "The generated solution is incorrect. The ground truth is 7."),
        ("text", "The generated solution is incorrect. The ground truth is 7."),
    ],
)
async def test_what_a_critique_says_without_a_critic(kind: CritiqueKind, words: str) -> None:
    assert kind in CRITIQUES
    engine = ScriptedEngine(["Answer: 8", "Answer: 7", "Answer: 7", "Answer: 7"])
    made = await group(engine, kind=kind, row=CHAT)
    requests = [request_text(call.request) for call in engine.calls[2:]]
    assert any(f"Explanation: {words}\n" in text for text in requests)
    assert any("The generated solution is correct." in text for text in requests)
    assert [one.extra["reward"] for one in made] == [0, 1]


async def test_a_critic_that_contradicts_the_checker_is_not_heard() -> None:
    engine = ScriptedEngine([SOLVED, SOLVED, SOLVED, SOLVED])
    await group(engine, critic=FunctionCritic(unreachable))
    assert [call.request.prompt.prefill for call in engine.calls[2:]] == ["", ""]


async def test_the_same_key_draws_the_same_and_every_member_its_own() -> None:
    seeds: list[list[int | None]] = []
    for _ in range(2):
        engine = ScriptedEngine(lambda request: FAILED)
        await group(engine, size=3, critic=FunctionCritic(unreachable))
        seeds.append([call.request.seed for call in engine.calls])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 6


async def test_an_engine_without_token_ids_cannot_roll_out() -> None:
    able = Capabilities(**{name: getattr(ALL_CAPABILITIES, name) for name in ("chat", "prefill", "exact_counts")})
    with pytest.raises(InputError, match="no token ids"):
        await group(ScriptedEngine(lambda request: FAILED, capabilities=able))


def test_rows_as_trl_takes_them() -> None:
    made = [
        Rollout(prompt_ids=(1, 2), completion_ids=(3,), mask=(1,), extra={"reward": 0.0}),
        Rollout(prompt_ids=(1,), completion_ids=(3, 4), mask=(1, 0), extra={"reward": 1.0}),
    ]
    assert rollout_columns(made) == {
        "prompt_ids": [[1, 2], [1]],
        "completion_ids": [[3], [3, 4]],
        "logprobs": None,
        "env_mask": [[1], [1, 0]],
        "reward": [0.0, 1.0],
    }


# --- two turns -----------------------------------------------------------------------------------------------------


async def test_two_turns_are_one_completion_and_the_correction_is_nobodys() -> None:
    engine = ScriptedEngine(["Answer: 8", "Answer: 7"])
    made = await two_turns(CHAT, sampler(engine), key="k", place=0)
    first, second = ids_of(engine, "Answer: 8"), ids_of(engine, "Answer: 7")
    start = int(made.extra["second_start"])
    between = made.completion_ids[len(first) : start]
    assert made.completion_ids == (*first, *between, *second)
    assert made.mask == (*[1] * len(first), *[0] * len(between), *[1] * len(second))
    assert (made.extra["first"], made.extra["second"]) == (0.0, 1.0)
    # What the model saw before its second answer is what it is trained after.
    prompt = engine.calls[1].request.prompt
    assert engine.encode(prompt) == (*made.prompt_ids, *first, *between)
    chat = (
        Message(role="user", content=ASKED),
        Message(role="assistant", content="Answer: 8"),
        Message(role="user", content="Look again."),
    )
    assert engine.encode(prompt) == ids(engine, chat)


async def test_the_pair_is_asked_the_question_again() -> None:
    engine = ScriptedEngine([FAILED, SOLVED])
    made = await two_turns(PAIR, sampler(engine), key="k", place=0)
    assert engine.encode(engine.calls[1].request.prompt) == (
        *made.prompt_ids,
        *ids(engine, FAILED),
        *ids(engine, QUESTION),
    )
    assert (made.extra["first"], made.extra["second"]) == (0.0, 1.0)


async def test_a_logged_first_answer_is_part_of_the_prompt() -> None:
    row = Row({**CHAT.columns, "turn": 2, "first_reward": 1.0})
    engine = ScriptedEngine(["Answer: 8"])
    made = await two_turns(row, sampler(engine), key="k", place=0)
    assert made.extra == {"first": 1.0, "second": 0.0, "second_start": 0.0}
    assert made.completion_ids == ids_of(engine, "Answer: 8")
    assert set(made.mask) == {1}


def request_text(request: GenerateRequest) -> str:
    """Return all that a request says."""
    content = request.prompt.content
    return content if isinstance(content, str) else "".join(f"{message.content}\n" for message in content)


def ids_of(engine: ScriptedEngine, text: str) -> Sequence[int]:
    """Return the ids of a text."""
    return ids(engine, text)
