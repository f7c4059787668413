"""The values that everything else passes around: frozen, plain, without behaviour beyond reading themselves.

Step indices are 0-based. An error is the positive class: `first_error` is the index of the first step judged
incorrect. Scores lie in [0, 1], 1 = certainly correct. Nothing here knows an engine, a policy or a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias, Union

from actorcritic.observation import Observation

__all__ = [
    "Action",
    "Critique",
    "Failure",
    "FinishReason",
    "GenerateRequest",
    "Generation",
    "JsonValue",
    "Message",
    "Outcome",
    "Payload",
    "Problem",
    "Prompt",
    "Reference",
    "Reward",
    "Role",
    "Sampling",
    "Solution",
    "Step",
    "StepCritique",
    "StopReason",
    "TokenLogprob",
    "ToolCall",
    "ToolSpec",
    "Trial",
    "Usage",
    "Verdict",
]

JsonValue: TypeAlias = Union[bool, int, float, str, "list[JsonValue]", "dict[str, JsonValue]", None]

Role: TypeAlias = Literal["actor", "critic", "reward_model"]
"""Who a model call is made for; usage is counted per role."""

StopReason: TypeAlias = Literal[
    "accepted", "completed", "tokens", "calls", "steps", "seconds", "money", "exhausted", "interrupted", "failed"
]
"""Why a run of one problem ended. `completed`: the strategy did all it planned (N of N)."""


class Verdict(StrEnum):
    """What a critic says of a step or of a whole solution. Unscored is an outcome of its own, never a pass."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNSCORED = "unscored"


class Action(StrEnum):
    """What a trial does to its parent node."""

    PROPOSE = "propose"
    """Write a solution, or its first step, from the problem alone."""
    EXTEND = "extend"
    """Go on from a partial solution."""
    REVISE = "revise"
    """Keep the steps before the first wrong one and go on from there with the critique."""
    REFINE = "refine"
    """Write the whole solution again with the critique."""
    JUDGE = "judge"
    """Write nothing: take the parent's solution over as it is, for the critic to judge."""


class FinishReason(StrEnum):
    """Why a generation ended. Only `STOP` and `TOOL_CALLS` are natural ends."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    FILTERED = "filtered"
    ABORTED = "aborted"


# --- what is asked -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A model's wish to call a tool."""

    id: str
    name: str
    arguments: str
    """JSON text as the model wrote it; may be malformed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool as a model sees it."""

    name: str
    description: str
    parameters: Mapping[str, JsonValue]
    """JSON schema of the arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat message."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """On a tool message: the call that it answers."""
    native: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue], hash=False)
    """What a LangChain message holds beyond this (images, signed thoughts); other engines do not look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a model is asked. It holds no gold answer, so that none can leak into a prompt."""

    id: str
    prompt: str | tuple[Message, ...]
    """Text, or chat messages (system prompt and history included), the last of which asks."""
    checker: str | None = None
    """Names how answers are extracted and compared ("math", "exact", "countdown" ...); not an answer."""
    tools: tuple[ToolSpec, ...] = ()
    meta: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    @property
    def text(self) -> str:
        """The question as plain text: the prompt itself, or the content of the last user message."""
        if isinstance(self.prompt, str):
            return self.prompt
        return next((m.content for m in reversed(self.prompt) if m.role == "user"), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The gold side of a problem, kept apart from it. Reaches verifiers and oracle runs, nothing else."""

    answer: str | None = None
    """None where the task's checker needs no answer (countdown)."""
    solution: str | None = None
    """A worked solution, as the problem file gives it; for training data alone. None where there is none."""


# --- what comes back -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """One generated token and what the model thought of it."""

    token_id: int | None
    text: str
    logprob: float
    """Natural log of the probability under the model's own distribution, before any sampling transform; <= 0."""
    top: Mapping[str, float] = field(default_factory=dict[str, float])
    """The most likely tokens here, text to log-probability; empty unless asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and calls. Adds up with `+`."""

    calls: int = 0
    prompt_tokens: int = 0
    """As the engine reports them, shared prefixes counted every time."""
    cached_tokens: int = 0
    """Prompt tokens that the engine says it did not compute again."""
    completion_tokens: int = 0
    logical_tokens: int = 0
    """What the budget is charged: prompt tokens that are new to this problem and model, plus completion tokens."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            logical_tokens=self.logical_tokens + other.logical_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a solution."""

    text: str
    """What a person reads, without surrounding blank space."""
    raw: str = ""
    """Exactly what the model wrote, separators included; joined over the steps it gives the model's text back."""
    thinking: bool = False
    """True inside a thinking block or a reasoning field."""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Per token of `token_ids`; empty where the engine gave none."""
    straddles: bool = False
    """True where the last token runs on into the next step: cut after this step, the ids are no continuation."""
    observation: Observation | None = None
    """What an environment showed after this step, which was an action in it; None = no environment took part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A whole or partial attempt at a problem."""

    steps: tuple[Step, ...]
    answer: str | None = None
    """As extracted from the text; None where there is none."""
    complete: bool = True
    """False for a partial solution and for one that was cut off: a truncated step is not a finished solution."""
    kept: int = 0
    """How many leading steps were taken over from the parent unchanged."""
    logprob: float | None = None
    """Sum over all tokens, the end token included; None where the engine gave none."""

    @property
    def text(self) -> str:
        """The steps as a person reads them, one per line."""
        return "\n".join(step.text for step in self.steps)

    @property
    def raw(self) -> str:
        """The model's own text."""
        return "".join(step.raw for step in self.steps)

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Ids over all steps; empty as soon as one step lacks them, since a part is no continuation."""
        if any(not step.token_ids for step in self.steps):
            return ()
        return tuple(token for step in self.steps for token in step.token_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCritique:
    """What a critic says of one step."""

    verdict: Verdict
    explanation: str | None = None
    score: float | None = None
    """Probability in [0, 1] that the step is correct; None where the engine gives no probabilities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Critique:
    """What a critic says of a solution: one entry per step, then a final verdict."""

    steps: tuple[StepCritique, ...]
    verdict: Verdict
    explanation: str | None = None
    score: float | None = None
    """Probability in [0, 1] that the solution is correct; None = unscored."""
    raw: str = ""
    """The critic's own text; hostile input wherever another model reads it."""
    oracle: bool = False
    """True where a gold answer or the task's own checker stood behind it."""

    @property
    def first_error(self) -> int | None:
        """Index of the first step judged incorrect, None if there is none."""
        return next((i for i, step in enumerate(self.steps) if step.verdict is Verdict.INCORRECT), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """What a reward model or a verifier says of a solution, in [0, 1]: 1 = certainly correct, None = unscored."""

    score: float | None
    steps: tuple[float | None, ...] = ()
    """Of each step; empty where only the whole is scored."""
    by: str = ""
    """Who says so, such as the model spec."""
    oracle: bool = False
    """True where a gold answer or the task's own checker stood behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that went wrong, as data."""

    where: str
    """The role or node that failed: "actor", "critic", "reward_model", "verifier", "tool", "environment", "driver"."""
    type: str
    """Name of the exception class."""
    message: str


Payload: TypeAlias = Solution | Critique | Reward | Failure
"""What a trial brings forth on its way, for the log and for whoever watches."""


# --- calls to an engine --------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is sent to a model: raw text or chat messages, and the beginning of the answer."""

    content: str | tuple[Message, ...]
    prefill: str = ""
    """The answer so far; the model goes on from its end."""
    prefill_ids: tuple[int, ...] = ()
    """The token ids of `prefill` as this same model generated them; empty = encode the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float = 1.0
    """0 = greedy."""
    top_p: float = 1.0
    """In (0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """One request for one completion. Samples of one prompt are several requests that share its prefix."""

    prompt: Prompt
    max_tokens: int
    """At most this many completion tokens, >= 1; 0 = write nothing and score the prefill, where the engine can."""
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    """Generation ends after one of these; the text returned keeps it, so that steps join without loss."""
    seed: int | None = None
    """In [0, 2**63); None = the engine's own randomness."""
    logprobs: bool = True
    """Ask for the chosen tokens' log-probabilities, where the engine has them."""
    top_logprobs: int = 0
    """How many of the likeliest tokens to report at every position."""
    tools: tuple[ToolSpec, ...] = ()
    json_schema: Mapping[str, JsonValue] | None = None
    """Constrain the completion to this schema, where the engine can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What came back for one request."""

    text: str
    """The completion without the prefill, with the stop string that ended it, without special end tokens."""
    finish_reason: FinishReason
    usage: Usage
    tokens: tuple[TokenLogprob, ...] = ()
    """One per completion token, the end token included, or per token of a prefill that was scored; empty = unknown."""
    prompt_ids: tuple[int, ...] = ()
    """Ids of the whole prompt, prefill included; empty where the engine has none."""
    token_ids: tuple[int, ...] = ()
    """Ids of the completion, the end token included; empty where the engine has none."""
    reasoning: str | None = None
    """The reasoning field of a thinking model, where the engine gives it apart from the text."""
    tool_calls: tuple[ToolCall, ...] = ()
    native: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """The `id` of a LangChain message, and what else it holds beyond the above; empty for every other engine."""


# --- search --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One thing to try, as a policy asks for it. A finished trial becomes the node with the same id."""

    id: int
    """0, 1, 2 ... in the order of asking; results are committed in this order."""
    action: Action
    parent: int | None = None
    """Id of the trial whose solution this one starts from; None for `propose`."""
    options: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """What the policy wants of this trial (`{"critique": false}`, `{"temperature": 0}`, `{"revise_from": 2}`,
    `{"max_steps": 1}`); each policy documents what it sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that a policy learns of a finished trial."""

    complete: bool = True
    vote_key: str | None = None
    """Canonical form of the answer; None = no answer, which never votes."""
    verdict: Verdict = Verdict.UNSCORED
    first_error: int | None = None
    score: float | None = None
    """In [0, 1]; None = unscored, which is neither 0 nor a pass."""
    logprob: float | None = None
    """Mean log-probability per token of the solution."""
    least_confident: int | None = None
    """Index of the step that holds the least likely token."""
    steps: int = 0
    tokens: int = 0
    """Logical tokens that the trial cost, all roles."""
    step_scores: tuple[float | None, ...] = ()
    """The critic's score of each step, in [0, 1]; None = unscored; empty where no critic ran."""
    reward: float | None = None
    """What the reward model or the verifier gave the solution, in [0, 1]; None = unscored, or nobody was asked."""
    step_rewards: tuple[float | None, ...] = ()
    """What it gave each step, in [0, 1]; None = unscored; empty where it scores the whole only."""
