"""The run folders of a self-improvement run: samples of a model on problems, and what critic and actor add to them.

Both go on where they broke off. Reads answers off them once they are done. Knows no round and no method.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from actorcritic.budget import Spend
from actorcritic.cli.collecting import collect_shard
from actorcritic.cli.progress import Progress
from actorcritic.cli.runs import RunConfig
from actorcritic.cli.solve import Item
from actorcritic.cli.tally import Tally
from actorcritic.codec import decode
from actorcritic.collection.running import Progressed, collect_step
from actorcritic.collection.step import Work
from actorcritic.collection.steps import parse_step
from actorcritic.export.critics import Refined
from actorcritic.export.reading import collected
from actorcritic.tasks.checkers import vote_key
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.trajectory.recorder import RUN
from actorcritic.types import Problem, Solution

__all__ = [
    "Answer",
    "Casting",
    "add_critiques",
    "add_refinements",
    "added_tokens",
    "read_answers",
    "sample",
    "tokens_of",
]

CRITIQUE, REFINE = "critique", "refine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Casting:
    """Who plays, and how."""

    actor: str
    critic: str
    temperature: float
    concurrency: int
    seed: int
    device: str
    dtype: str

    def config(self, strategy: str, *, critic: bool) -> RunConfig:
        """Return the options of a run."""
        return RunConfig(
            strategy=strategy,
            actor=self.actor,
            critic=self.critic if critic else "none",
            budget_tokens=None,
            budget_calls=None,
            budget_seconds=None,
            width=4,
            concurrency=self.concurrency,
            temperature=self.temperature,
            max_tokens=1024,
            device=self.device,
            dtype=self.dtype,
            seed=self.seed,
        )


def sample(folder: Path, casting: Casting, items: Sequence[Item], count: int, *, greedy: bool = False) -> None:
    """Sample solutions of problems into a run folder, or go on with it; every complete one is scored afterwards.

    Args:
        folder: New, or one that this function began.
        casting: Whose; no critic is asked.
        items: The problems.
        count: Samples per problem, >= 1.
        greedy: One greedy answer per problem in place of samples.
    """
    strategy = "greedy" if greedy else f"best-of-n:score=logprob,n={count}"
    begun = (folder / RUN).exists()
    with Tally(problems=len(items)) as tally:
        collect_shard(
            casting.config(strategy, critic=False),
            items,
            hear=tally.hear,
            create=None if begun else folder,
            resume=folder if begun else None,
        )


def add_critiques(folder: Path, casting: Casting, attempts: str) -> None:
    """Append the critic's greedy critique of every complete attempt, or of the wrong ones alone."""
    _add(folder, casting, CRITIQUE, f"{CRITIQUE}:attempts={attempts}")


def add_refinements(folder: Path, casting: Casting, attempts: str, count: int = 1) -> None:
    """Append revisions, from the first wrong step, of what the critic calls wrong."""
    _add(folder, casting, REFINE, f"{REFINE}:k={count},critiques=wrong,rewrite=from-error,attempts={attempts}")


def _add(folder: Path, casting: Casting, name: str, text: str) -> None:
    step, options = parse_step(text)
    roles = casting.config("greedy", critic=True).load()
    work = Work(options=options, actor=roles.actor, critic=roles.critic, seed=casting.seed)
    total = sum(1 for _ in read_episodes(folder))

    async def collect() -> None:
        try:
            await collect_step(folder, step, work, concurrency=casting.concurrency, hear=hear)
        finally:
            await roles.aclose()

    with Progress(total, what=name) as progress:

        def hear(done: Progressed) -> None:
            progress.advance(done.tokens, None, before=not done.made and not done.failed)

        asyncio.run(collect())


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A solution of a problem, as it stood and as the critic left it."""

    right: bool
    key: str | None
    """Canonical answer, by which votes compare; None = no answer."""
    right_with_critic: bool
    key_with_critic: str | None
    tokens: int
    """Logical tokens of all roles for the problem's solutions; of one that is alone in its run, its own."""
    critic_tokens: int
    """On top of them, with the critic."""


def read_answers(folder: Path) -> dict[str, list[Answer]]:
    """Return the answers of a run by problem, in the order of the trials."""
    return asyncio.run(_read_answers(folder))


async def _read_answers(folder: Path) -> dict[str, list[Answer]]:
    return {episode.problem.id: await _answers(episode) for episode in read_episodes(folder)}


async def _answers(episode: Episode) -> list[Answer]:
    """Return the answers of one problem."""
    rewritten = {trial: made.refinements[0] for trial, made in collected(episode, REFINE, Refined) if made.refinements}
    spent = added_tokens(episode)
    answers: list[Answer] = []
    for attempt in episode.attempts:
        right, key = attempt.correct is True, await _key(episode.problem, attempt.solution)
        anew = rewritten.get(attempt.id)
        answers.append(
            Answer(
                right=right,
                key=key,
                right_with_critic=right if anew is None else anew.correct is True,
                key_with_critic=key if anew is None else await _key(episode.problem, anew.solution),
                tokens=episode.spend.total.logical_tokens,
                critic_tokens=spent.get(attempt.id, 0),
            )
        )
    return answers


async def _key(problem: Problem, solution: Solution | None) -> str | None:
    """Return by what a solution votes; one that was cut off has no vote."""
    return None if solution is None or not solution.complete else await vote_key(problem, solution)


def tokens_of(folder: Path) -> int:
    """Return the logical tokens of everything in a run folder, all roles."""
    return sum(e.spend.total.logical_tokens + sum(added_tokens(e).values()) for e in read_episodes(folder))


def added_tokens(episode: Episode) -> Mapping[int | None, int]:
    """Return what collection steps spent, by the trial that they worked on."""
    spent: dict[int | None, int] = {}
    for made in episode.derived:
        if "spend" in made.payload:
            tokens = decode(Spend, made.payload["spend"]).total.logical_tokens
            spent[made.trial] = spent.get(made.trial, 0) + tokens
    return spent
