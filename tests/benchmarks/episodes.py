"""Searches in an environment as records: cut anywhere and gone on with, exported, every row looked at.

Shared by the benchmarks over environments; knows none of them. The checks of the rows are those of the recipes'
acceptance tests (`tests/export/recipes`), as far as they can be seen from rows and log.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from actorcritic.budget import Spend, Steps
from actorcritic.codec import decode
from actorcritic.collection.running import collect_step
from actorcritic.collection.step import Work
from actorcritic.collection.steps import parse_step
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.export.masking import IGNORED
from actorcritic.export.pipeline import Order, export_run
from actorcritic.export.recipes.faft import inference_prompt
from actorcritic.graphs.environment_runs import search_environments
from actorcritic.graphs.resuming import resume_session
from actorcritic.graphs.session import ProblemResult
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import search_problem
from actorcritic.protocols import Critic
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.trajectory.index import EventIndex
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.types import Problem, Solution
from tests.export.log import Words, setting_of

__all__ = ["Checks", "collect", "export", "record", "resume"]

Checks: TypeAlias = dict[str, list[int]]
"""By what is looked at: how often it held, and of how many."""


async def record(
    folder: Path, problems: Sequence[Problem], player: EnvironmentActor, judge: Critic, settings: SearchSettings
) -> dict[str, ProblemResult]:
    """Search problems into a run folder, and return what came of each."""
    found = search_environments(folder, problems, player, judge, settings, concurrency=1)
    return {result.problem.id: result async for result in found}


async def resume(
    folder: Path,
    whole: dict[str, ProblemResult],
    player: Callable[[], EnvironmentActor],
    judge: Critic,
    settings: SearchSettings,
    cuts: int,
) -> Checks:
    """Cut every problem's log at random places, go on from there, and see whether it ends as the unbroken search."""
    held = {"resumed to the same end": [0, 0], "for the same bill, nothing paid twice": [0, 0]}
    with EventIndex(folder) as index:
        for name, result in whole.items():
            events = index.events(name)
            for cut in random.Random(f"cuts:{name}").sample(range(1, len(events)), min(cuts, len(events) - 1)):
                journal = TrajectoryJournal(MemoryRecorder(), run="again", problem=name, next_seq=cut)
                session = resume_session(result.problem, settings, events[:cut], journal)
                if isinstance(session, ProblemResult):
                    again = session
                else:
                    again = await search_problem(session, player(), judge, settings)
                _note(held, "resumed to the same end", _end(again) == _end(result))
                _note(held, "for the same bill, nothing paid twice", _bill(again.spend) == _bill(result.spend))
    return held


def _end(result: ProblemResult) -> object:
    return result.answer, result.best, result.stopped_by, result.attempts, result.failures, result.counts


def _bill(spend: Spend) -> Spend:
    """Return a spend without the replayed steps, which stand beside the bill: a new world is brought back by more."""
    return spend if spend.steps is None else replace(spend, steps=Steps(taken=spend.steps.taken))


async def collect(folder: Path, player: EnvironmentActor, steps: Sequence[str]) -> None:
    """Append what exports need and only play can make."""
    for text in steps:
        step, options = parse_step(text)
        await collect_step(folder, step, Work(options=options, actor=player, seed=3), concurrency=1)


def export(folder: Path, text: str) -> dict[str, Any]:
    """Return how many rows a recipe makes of a run, what it leaves out, and what of its promises holds for each row."""
    words = Words() if text.startswith("eef") and "turns" not in text else None
    recipe, setting = setting_of(text, plain=False, tokenizer=words)
    made = export_run(folder, Order(recipe=recipe, setting=setting))
    rows = [row for split in made.rows.values() for row in split]
    episodes = {episode.problem.id: episode for episode in read_episodes(folder)}
    checks: Checks = {}
    look = {"agent-q": _look_at_pair, "eef": _look_at_turns, "faft": _look_at_feedback}[recipe.name]
    for row in rows:
        origin: Any = row["provenance"]
        episode = episodes[origin["problem"]]
        attempts = [episode.attempt(trial) for trial in origin["attempts"]]
        for name, holds in look(dict(row), episode, attempts, setting):
            _note(checks, name, holds)
    kinds = Counter(str(row.get("kind") or row.get("polarity") or "pair") for row in rows)
    return {"recipe": text, "rows": len(rows), "kinds": dict(kinds), "drops": dict(made.drops), "checks": checks}


def _note(checks: Checks, name: str, holds: bool) -> None:
    count = checks.setdefault(name, [0, 0])
    count[0] += holds
    count[1] += 1


def _look_at_pair(
    row: dict[str, Any], episode: Episode, attempts: Sequence[EpisodeAttempt], setting: Any
) -> Iterator[tuple[str, bool]]:
    """Yield what must hold of a pair of Agent Q: explored siblings, a margin, the logged likelihoods."""
    better, worse = attempts[-2:]
    shown = row["prompt"][-1]["content"]
    actions = [row[side][0]["content"].removeprefix("Action: ") for side in ("chosen", "rejected")]
    yield "both actions stand among those that the prompt offers", all(f"- {one}\n" in f"{shown}\n" for one in actions)
    yield "the actions differ", actions[0] != actions[1]
    yield "both were explored from one state", better.parent == worse.parent and bool(better.visits and worse.visits)
    yield (
        "values differ by more than theta",
        row["score_chosen"] - row["score_rejected"] > setting.options.real("theta"),
    )
    sums = [sum(one.logprobs) for one in (better, worse)]
    logged = [row["ref_chosen_logps"], row["ref_rejected_logps"]]
    yield "the reference is the logged likelihood", all(map(math.isclose, sums, logged))
    sent = [
        [{"role": message.role, "content": message.content} for message in one.prompt.content]
        for one in episode.attempts
        if one.prompt is not None and not isinstance(one.prompt.content, str)
    ]
    yield "the prompt is one that the actor was sent", row["prompt"] in sent


def _look_at_turns(
    row: dict[str, Any], episode: Episode, attempts: Sequence[EpisodeAttempt], setting: Any
) -> Iterator[tuple[str, bool]]:
    """Yield what must hold of a row of EEF: successes and beneficial segments alone, the rest of the expert masked."""
    if "labels" in row:
        live = [label for label in row["labels"] if label != IGNORED]
        pairs = zip(row["labels"], row["input_ids"], strict=True)
        yield "labels are the tokens themselves", all(label in (IGNORED, token) for label, token in pairs)
        yield "some tokens are learnt and the prompt is not", bool(live) and row["labels"][0] == IGNORED
        return
    flags, said = row["train_turns"], [message["role"] for message in row["messages"]]
    turns = [message["content"] for message in row["messages"] if message["role"] == "assistant"]
    yield "turns of the actor and the environment alternate", said == ["user", "assistant"] * (len(said) // 2)
    yield "every turn says whether it is learnt, and one is", len(flags) == len(turns) and any(flags)
    states = [state for made in episode.derived if made.step == "resimulate" for state in _states(made.payload)]
    yield "every state of its game was reached again faithfully", all(state["faithful"] for state in states)
    if row["kind"] == "segment":
        yield (
            "a segment is of an expert that failed, and not all of it is learnt",
            (attempts[0].correct is False and not all(flags)),
        )
    else:
        known = [attempts[0].solution if attempts[0].correct else None]
        known += [rollout for state in states for rollout in map(_solution, state["rollouts"]) if rollout is not None]
        texts = [[step.raw for step in one.steps if step.observation] for one in known if one is not None]
        yield "whatever else is learnt is of a success", turns in texts


def _states(payload: Any) -> list[dict[str, Any]]:
    return list(payload["states"])


def _solution(rollout: dict[str, Any]) -> Solution | None:
    """Return a student's solution where it was a success."""
    return decode(Solution, rollout["solution"]) if rollout["correct"] else None


def _look_at_feedback(
    row: dict[str, Any], episode: Episode, attempts: Sequence[EpisodeAttempt], setting: Any
) -> Iterator[tuple[str, bool]]:
    """Yield what must hold of a row of FAFT: the feedback stands in the prompt, and agrees with how it went."""
    positive = row["polarity"] == "positive"
    asked = "\n".join(message["content"] for message in row["prompt"])
    yield "the feedback agrees with the return", attempts[0].correct is positive
    at_inference: Any = inference_prompt(episode.problem, setting)
    if positive:
        yield "a good episode is asked for as at inference, byte for byte", row["prompt"] == at_inference
    else:
        lines = row["violated"].splitlines()
        yield "a bad episode stands after what is wrong with it", bool(lines) and all(one in asked for one in lines)
        yield "a bad episode is not asked for as at inference", row["prompt"] != at_inference
    solution = attempts[0].solution
    done = [message["content"] for message in row["completion"] if message["role"] == "assistant"]
    yield (
        "the completion is the whole episode",
        solution is not None and done == [step.raw for step in solution.steps if step.observation is not None],
    )
