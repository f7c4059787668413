"""How likely texts of a run are to the model to be tuned, which is the actor: `rescore` and `perplexity`.

rescore: the log-probabilities of an attempt's own tokens under the actor as it is now, after the very prompts that the
log keeps (on-policy data, Tajwar et al. 2024, arXiv 2404.14367; reference log-probabilities of Agent Q, Putta et al.
2024, arXiv 2408.07199). Its words must be the same to both models: a model with another vocabulary says so.
perplexity: how unlikely the gold response is (iTool, Zeng et al. 2025, arXiv 2501.09766): the worked solution of the
problem file, or where there is none the first right attempt that was written from the problem alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from actorcritic.collection.step import (
    PASS_RATE,
    CollectionStep,
    Job,
    Made,
    Unreadable,
    Work,
    chosen,
    gold_solution,
)
from actorcritic.likelihood import check_scores_text, perplexity_of, score_text
from actorcritic.metering import Call, CallMeter
from actorcritic.search.options import choice
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Problem, Prompt, TokenLogprob

__all__ = ["PERPLEXITY", "RESCORE"]


def _rescore_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    partial_too = work.options.text("attempts") == "all" and work.options["pass_rate"] is None
    for attempt in episode.attempts if partial_too else chosen(episode, work.options):
        if attempt.token_ids and attempt.action is not Action.JUDGE and _written(attempt):
            yield Job(trial=attempt.id, work=partial(_rescore, episode.problem, attempt, work))


def _written(attempt: EpisodeAttempt) -> list[Call]:
    """Return the calls in which the actor wrote an attempt, in order."""
    return [call for call in attempt.calls if call.role == "actor" and call.generation is not None]


async def _rescore(problem: Problem, attempt: EpisodeAttempt, work: Work, meter: CallMeter) -> Made:
    tokens: list[TokenLogprob] = []
    for call in _written(attempt):
        tokens += await _score_call(problem, call, work, meter)
    own = _own(tokens, attempt.token_ids)
    return {"model": work.actor_model, "logprobs": [token.logprob for token in own]}


async def _score_call(problem: Problem, call: Call, work: Work, meter: CallMeter) -> tuple[TokenLogprob, ...]:
    """Score what one call wrote, token by token as it was written.

    Raises:
        Unreadable: the model reads other words out of the tokens.
    """
    generation = call.generation
    assert generation is not None  # see `_written`
    tools = call.request.tools or problem.tools
    tokens = await score_text(
        work.actor.engine, call.request.prompt, generation.text, generation.token_ids, meter=meter, tools=tools
    )
    if not "".join(token.text for token in tokens).startswith(generation.text):
        raise Unreadable(f"{work.actor_model} has another vocabulary than the model that wrote the attempt")
    return tokens


def _own(tokens: Sequence[TokenLogprob], ids: Sequence[int]) -> Sequence[TokenLogprob]:
    """Return the tokens that became the attempt's own steps; what a call wrote besides, such as its end, is left out.

    Raises:
        Unreadable: the steps' tokens are not among them in their order.
    """
    rest = iter(tokens)
    own = [found for token in ids if (found := next((one for one in rest if one.token_id == token), None)) is not None]
    if len(own) != len(ids):
        raise Unreadable("the steps of the attempt are made of other tokens than its calls")
    return own


def _perplexity_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    source, solution = work.options.text("gold"), gold_solution(episode)
    if source != "attempt" and solution is not None:
        yield Job(trial=None, work=partial(_perplexity, episode.problem, solution, (), work))
    elif source != "solution":
        right = next(
            (one for one in episode.attempts if one.correct and one.complete and _unhelped(episode, one)), None
        )
        if right is not None and right.solution is not None:
            text, ids = right.solution.raw or right.solution.text, right.solution.token_ids
            yield Job(trial=right.id, work=partial(_perplexity, episode.problem, text, ids, work))


def _unhelped(episode: Episode, attempt: EpisodeAttempt) -> bool:
    """Return whether an attempt was written from the problem alone, step by step or at once: no critique, no copy."""
    place: EpisodeAttempt | None = attempt
    while place is not None:
        if place.action not in (Action.PROPOSE, Action.EXTEND):
            return False
        place = None if place.parent is None else episode.attempt(place.parent)
    return True


async def _perplexity(problem: Problem, text: str, ids: Sequence[int], work: Work, meter: CallMeter) -> Made:
    prompt: Prompt = work.actor.format.propose(problem)
    tokens = await score_text(work.actor.engine, prompt, text, ids, meter=meter, tools=problem.tools)
    if ids and "".join(token.text for token in tokens) != text:
        # Another vocabulary than that of whoever wrote it: what counts is the text.
        tokens = await score_text(work.actor.engine, prompt, text, meter=meter, tools=problem.tools)
    return {"model": work.actor_model, "tokens": len(tokens), "perplexity": perplexity_of(tokens)}


def _check(work: Work) -> None:
    check_scores_text(work.actor.engine)


RESCORE = CollectionStep(
    name="rescore",
    summary="the log-probabilities of an attempt's own tokens under the actor as it is now (on-policy data, Agent Q)",
    jobs=_rescore_jobs,
    asks=frozenset({"actor"}),
    options=(
        choice(
            "attempts", ("all", "right", "wrong"), "Which attempts: all, the states of a search too, or whole ones."
        ),
        PASS_RATE,
    ),
    needs=_check,
)

PERPLEXITY = CollectionStep(
    name="perplexity",
    summary="how unlikely the gold response is to the actor (iTool)",
    jobs=_perplexity_jobs,
    asks=frozenset({"actor"}),
    options=(
        choice(
            "gold",
            ("any", "solution", "attempt"),
            "The problem file's worked solution, the first right attempt, or any: the solution where there is one.",
        ),
    ),
    needs=_check,
)
