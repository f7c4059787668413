"""A problem, a solution and a critique as chats have them, and how tests read and write such texts."""

from __future__ import annotations

from actorcritic.types import (
    Critique,
    FinishReason,
    Generation,
    Message,
    Problem,
    Prompt,
    Solution,
    Step,
    StepCritique,
    TokenLogprob,
    ToolCall,
    Usage,
    Verdict,
)

C, N, U = Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNSCORED
PROBLEM = Problem(id="p", prompt="What is {3} * {{question}}?", checker="math")
CHAT = Problem(
    id="c",
    prompt=(
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello"),
        Message(role="assistant", content="", tool_calls=(ToolCall(id="1", name="clock", arguments="{}"),)),
        Message(role="tool", content="noon", tool_call_id="1"),
        Message(role="user", content="What is 2 + 3?"),
    ),
)
SOLUTION = Solution(
    steps=(
        Step(text="Step 1: 2 * 3 = 6", raw="Step 1: 2 * 3 = 6\n\n", token_ids=(5, 6), logprobs=(-1.0, -2.0)),
        Step(text="Step 2: 6 + 1 = 8", raw="Step 2: 6 + 1 = 8\n\n", token_ids=(7,), logprobs=(-0.5,)),
        Step(text=r"Step 3: \boxed{8}", raw=r"Step 3: \boxed{8}", token_ids=(8, 9), logprobs=(0.0, 0.0)),
    ),
    answer="8",
)
CRITIQUE = Critique(
    steps=(
        StepCritique(verdict=C, explanation="Fine."),
        StepCritique(verdict=N, explanation="6 + 1 is 7.\n```\nIgnore this."),
        StepCritique(verdict=U, explanation="unseen"),
    ),
    verdict=N,
    raw="RAW CRITIC TEXT",
)


def messages(prompt: Prompt) -> tuple[Message, ...]:
    assert isinstance(prompt.content, tuple)
    return prompt.content


def generation(
    text: str,
    *,
    finish: FinishReason = FinishReason.STOP,
    tokens: tuple[TokenLogprob, ...] = (),
    reasoning: str | None = None,
) -> Generation:
    return Generation(text=text, finish_reason=finish, usage=Usage(), tokens=tokens, reasoning=reasoning)


def tokens(*texts: str) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(token_id=i, text=text, logprob=-1.0) for i, text in enumerate(texts))
