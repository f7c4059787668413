"""Rollouts that TRL's own generation cannot make: groups with a refinement in them, and two turns of self-correction.

What comes out is token ids as a trainer takes them: of a prompt, of what follows, and which of these the model in
training wrote itself. Works over any engine that gives token ids. Knows no trainer and no tensor.

Critique-GRPO (arXiv 2506.03106): n answers, each criticised and refined; the first right refinement, else the best,
stands in the place of the last answer, after the plain question. SCoRe (arXiv 2409.12917): an answer, an instruction
that does not say whether it is right, another answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from actorcritic.errors import InputError, PromptTooLong
from actorcritic.export.chat import mentions_help
from actorcritic.metering import derive_seed, free_meter
from actorcritic.protocols import Critic, Engine
from actorcritic.tasks.checkers import verify
from actorcritic.training.rewards import agrees
from actorcritic.training.rl.rows import Row
from actorcritic.types import (
    Critique,
    FinishReason,
    GenerateRequest,
    Generation,
    Message,
    Prompt,
    Sampling,
    Solution,
    StepCritique,
    Verdict,
)

__all__ = ["CRITIQUES", "CritiqueKind", "Rollout", "Sampler", "mixed_group", "rollout_columns", "two_turns"]

CritiqueKind: TypeAlias = Literal["text", "simple-gt", "simple"]
"""A critic's own words; or that the answer is right or wrong, with or without the gold answer."""
CRITIQUES: tuple[CritiqueKind, ...] = ("text", "simple-gt", "simple")

_NEUTRAL = "OK"
"""Stands for a first answer where what a chat template puts after one is to be found out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One row for a trainer."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    mask: tuple[int, ...]
    """One per completion token: 1 = the model in training wrote it, 0 = it was put there."""
    extra: Mapping[str, float]
    """Further columns, the same in all rows of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """The model in training, as an engine, and how it is sampled."""

    engine: Engine
    sampling: Sampling
    max_tokens: int
    """Completion tokens of one answer at most, >= 1."""
    seed: int
    """Every draw is derived from it."""

    async def draw(self, prompt: Prompt, *parts: int | str) -> Generation:
        """Sample one completion; the same `parts` give the same one.

        Raises:
            InputError: the engine gives no token ids, which training needs.
        """
        request = GenerateRequest(
            prompt=prompt, max_tokens=self.max_tokens, sampling=self.sampling, seed=derive_seed(self.seed, *parts)
        )
        made = await self.engine.generate(request)
        if not made.token_ids or not made.prompt_ids:
            raise InputError(f"{self.engine.info.name} gives no token ids: rollouts for training need them")
        return made


def rollout_columns(rollouts: Sequence[Rollout]) -> dict[str, object]:
    """Return rollouts as TRL's `rollout_func` hands them over: lists, one entry per rollout."""
    names = {name: None for one in rollouts for name in one.extra}
    return {
        "prompt_ids": [list(one.prompt_ids) for one in rollouts],
        "completion_ids": [list(one.completion_ids) for one in rollouts],
        "logprobs": None,
        "env_mask": [list(one.mask) for one in rollouts],
        **{name: [one.extra[name] for one in rollouts] for name in names},
    }


# --- Critique-GRPO -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    generation: Generation
    solution: Solution
    reward: float


async def mixed_group(
    row: Row, sampler: Sampler, *, size: int, kind: CritiqueKind, critic: Critic | None, key: str
) -> list[Rollout]:
    """Return a group of `size` rollouts of one question, of which the last is a refinement wherever there is one.

    Deviation: a refinement that was cut off, or that speaks of the critique, is not chosen.

    Args:
        row: The question.
        sampler: The model in training.
        size: Answers per group, >= 2.
        kind: What the critiques say.
        critic: Who writes them, for `text`; where its verdict contradicts the checker, or it says nothing, a
            `simple-gt` critique takes its place. None = always that.
        key: Makes draws of this group its own.
    """
    answers = await asyncio.gather(*(_answer(row, sampler, row.prompt, key, "answer", i) for i in range(size)))
    refined = await asyncio.gather(
        *(_refinement(row, sampler, one, kind, critic, key, i) for i, one in enumerate(answers))
    )
    chosen = _choose([one for one in refined if one is not None])
    plain = answers[0].generation.prompt_ids
    rollouts = [_rollout(one, plain, refinement=False) for one in answers]
    # What a refinement was asked with is forgotten: it is learnt as an answer to the question alone.
    return rollouts if chosen is None else [*rollouts[:-1], _rollout(chosen, plain, refinement=True)]


async def _answer(row: Row, sampler: Sampler, prompt: Prompt, *parts: int | str) -> _Answer:
    made = await sampler.draw(prompt, *parts)
    solution = row.read_solution(made.text, complete=made.finish_reason is FinishReason.STOP)
    right = await verify(row.problem, solution, row.reference)
    return _Answer(generation=made, solution=solution, reward=float(right is True))


async def _refinement(
    row: Row, sampler: Sampler, one: _Answer, kind: CritiqueKind, critic: Critic | None, key: str, place: int
) -> _Answer | None:
    """Return a refinement of an answer; None where the request with the critique does not fit into the context."""
    critique = await _critique(row, one, kind, critic, f"{key}:{place}")
    try:
        return await _answer(row, sampler, row.actor.refine(row.asked, one.solution, critique), key, "refine", place)
    except PromptTooLong:
        return None


async def _critique(row: Row, one: _Answer, kind: CritiqueKind, critic: Critic | None, key: str) -> Critique:
    right = one.reward == 1
    if kind == "text" and critic is not None and one.solution.steps:
        said = await critic.critique(row.problem, one.solution, meter=free_meter(derive_seed(key)))
        if agrees(said.verdict, right):
            return said
    gold = row.reference.answer
    words = f"The generated solution is {'correct' if right else 'incorrect'}."
    if kind != "simple" and gold is not None:
        words = f"{words} The ground truth is {gold}."
    return Critique(
        steps=(StepCritique(verdict=Verdict.UNSCORED),) * len(one.solution.steps),
        verdict=Verdict.CORRECT if right else Verdict.INCORRECT,
        explanation=words,
    )


def _choose(refined: Sequence[_Answer]) -> _Answer | None:
    """Return the first right refinement, else the first at all."""
    usable = [one for one in refined if one.solution.complete and not mentions_help(one.generation.text)]
    # `max` keeps the order among equals.
    return max(usable, key=lambda one: one.reward, default=None)


def _rollout(one: _Answer, prompt: tuple[int, ...], *, refinement: bool) -> Rollout:
    ids = one.generation.token_ids
    extra = {"reward": one.reward, "is_refined": float(refinement)}
    return Rollout(prompt_ids=prompt, completion_ids=ids, mask=(1,) * len(ids), extra=extra)


# --- SCoRe ---------------------------------------------------------------------------------------------------------


async def two_turns(row: Row, sampler: Sampler, *, key: str, place: int) -> Rollout:
    """Return an answer, what asks for another, and the other, as one completion of the question.

    `second_start` is the place of the second answer's first token; `first` and `second` are the answers' rewards. Of a
    row with `turn` 2, whose prompt holds a logged first answer and the correction, the completion is the second alone.

    Args:
        row: The question.
        sampler: The model in training.
        key: Makes draws of this group its own.
        place: Which of its group.
    """
    if row.columns.get("turn") == 2:
        second = await _answer(row, sampler, row.prompt, key, "second", place)
        extra = {"first": float(row.columns["first_reward"]), "second": second.reward, "second_start": 0.0}
        ids = second.generation.token_ids
        return Rollout(prompt_ids=second.generation.prompt_ids, completion_ids=ids, mask=(1,) * len(ids), extra=extra)
    first = await _answer(row, sampler, row.prompt, key, "first", place)
    written = first.generation.token_ids
    between = _between(row, sampler.engine, first.generation.prompt_ids, written)
    prompt = replace(row.prompt, prefill=first.generation.text, prefill_ids=(*written, *between))
    second = await _answer(row, sampler, prompt, key, "second", place)
    return Rollout(
        prompt_ids=first.generation.prompt_ids,
        completion_ids=(*written, *between, *second.generation.token_ids),
        mask=(*(1 for _ in written), *(0 for _ in between), *(1 for _ in second.generation.token_ids)),
        extra={
            "first": first.reward,
            "second": second.reward,
            "second_start": float(len(written) + len(between)),
        },
    )


def _between(row: Row, engine: Engine, asked: tuple[int, ...], written: tuple[int, ...]) -> tuple[int, ...]:
    """Return the ids that a chat template puts between an answer and the next one, the correction among them.

    Raises:
        InputError: the template writes earlier turns another way than it asked for them.
    """
    content = row.prompt.content
    if isinstance(content, str):
        return engine.encode(Prompt(content=row.correction))
    correction = Message(role="user", content=row.correction)
    answered = Prompt(content=(*content, Message(role="assistant", content=_NEUTRAL), correction))
    # A text alone may get a token at its beginning, which it has not within a chat.
    opening = len(engine.encode(Prompt(content="")))
    before = (*asked, *engine.encode(Prompt(content=_NEUTRAL))[opening:])
    ids = engine.encode(answered)
    if ids[: len(before)] != before:
        raise InputError(
            f"the chat template of {engine.info.name} changes what stands before a second turn: SCoRe needs one that "
            "goes on from the first answer as it was written"
        )
    rest = ids[len(before) :]
    # The answer's own end token may be what the template would begin with.
    return rest[1:] if written[-1:] == rest[:1] else rest
