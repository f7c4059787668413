"""Problems of reasoning_gym (Stojanovski et al. 2025, arXiv:2505.24760) by its own generators and verifiers.

Both run in processes of their own, `gym_worker`; a verifier that takes too long has not shown an answer to be right.
A problem carries its held-out key and where it came from (name, seed, index), and no gold answer; reasoning_gym makes
it again to score it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from actorcritic.answers import normalise
from actorcritic.answers.worker import Worker
from actorcritic.errors import InputError, ToolError
from actorcritic.tasks.heldout import KEY, Split, split_of
from actorcritic.types import JsonValue, Problem

__all__ = [
    "CHECKER",
    "PREFIX",
    "Origin",
    "generate",
    "key_of",
    "names",
    "origin_of",
    "problem_key",
    "score",
    "solved",
    "vote_key",
]

CHECKER = "reasoning-gym"
PREFIX = f"{CHECKER}:"
CHUNK = 500
"""Problems under one seed of the library's, as in `gym_worker`."""
BATCH = 5
"""Problems that are asked for at once."""
MAKING_SECONDS = 120.0
SCORING_SECONDS = 10.0
MAX_ANSWER = 20_000
"""Characters of an answer that is worth scoring."""
UNSOUND = frozenset({"game_of_life_halting"})
"""Tasks that are left out: their verifier calls any answer right (its `bool` of a text is true), as of 0.1.25."""

_SCRIPT = Path(__file__).with_name("gym_worker.py")
# Some generators go through sets: only under one hash seed do two processes make the same problem.
_SAME = {"PYTHONHASHSEED": "0"}
_MAKER = Worker(_SCRIPT, limit=MAKING_SECONDS, environment=_SAME)
_SCORER = Worker(_SCRIPT, limit=SCORING_SECONDS, environment=_SAME)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a problem came from: `create_dataset(name, seed=seed, size=500)[index]`."""

    name: str
    seed: int
    index: int


def names() -> tuple[str, ...]:
    """Return the names of all tasks that are scored soundly, such as `gcd` or `rubiks_cube`.

    Raises:
        InputError: reasoning_gym is not installed.
    """
    _require()
    return _names()


@cache
def _names() -> tuple[str, ...]:
    found = _ask(_MAKER, {"names": True})
    assert isinstance(found, list)  # the other end is ours
    return tuple(name for name in map(str, found) if name not in UNSOUND)


def problem_key(name: str, question: str) -> str:
    """Return the published key of the held-out rule: the task and the question, word for word."""
    return f"{PREFIX}{name}:{question}"


def key_of(problem: Problem) -> str | None:
    """Return the published key of a problem that this module scores, whether it names it or not; None for any other."""
    name = problem.meta.get("name")
    return problem_key(name, problem.text) if problem.checker == CHECKER and isinstance(name, str) else None


def generate(name: str, split: Split, seed: int) -> Iterator[Problem]:
    """Yield problems of a task and split without end, at the library's own default difficulty.

    The same seed gives the same problems under the same version of reasoning_gym.

    Raises:
        InputError: there is no such task, or reasoning_gym is not installed or cannot make it.
    """
    known = names()
    if name in UNSOUND:
        raise InputError(f"reasoning_gym's verifier of {name!r} calls any answer right: choose another task")
    if name not in known:
        close = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
        raise InputError(f"reasoning_gym has no task {name!r}; choose from: {', '.join(close or known)}")
    return _generate(name, split, seed)


def _generate(name: str, split: Split, seed: int) -> Iterator[Problem]:
    chunk = 0
    while True:
        own_seed = (seed * 1_000_003 + chunk) % 2**32
        for first in range(0, CHUNK, BATCH):
            asked: dict[str, JsonValue] = {"name": name, "seed": own_seed, "first": first, "count": BATCH}
            questions = _ask(_MAKER, asked)
            assert isinstance(questions, list)  # the other end is ours
            for at, question in enumerate(map(str, questions), start=first):
                key = problem_key(name, question)
                if split_of(key) == split:
                    yield Problem(
                        id=f"{PREFIX}{name}:{sha256(key.encode()).hexdigest()[:16]}",
                        prompt=question,
                        checker=CHECKER,
                        meta={"name": name, "seed": own_seed, "index": at, KEY: key},
                    )
        chunk += 1


def origin_of(problem: Problem) -> Origin:
    """Return where a problem came from.

    Raises:
        InputError: its `meta` does not say.
    """
    match problem.meta:
        case {"name": str(name), "seed": int(seed), "index": int(index)} if 0 <= index < CHUNK and seed >= 0:
            return Origin(name, seed, index)
        case _:
            raise InputError(
                f"problem {problem.id!r}: the checker {CHECKER!r} needs the problem's meta: name, seed and index (0 to "
                f"{CHUNK - 1}) of reasoning_gym, as `--task {PREFIX}NAME` writes them"
            )


def score(problem: Problem, answer: str) -> float:
    """Return what reasoning_gym's verifier gives an answer, in [0, 1]; 0 where it fails or takes too long. Blocks.

    Raises:
        InputError: the problem does not come from the installed reasoning_gym.
    """
    _require()
    origin = origin_of(problem)
    if len(answer) > MAX_ANSWER:
        return 0.0
    asked: dict[str, JsonValue] = {
        "name": origin.name,
        "seed": origin.seed,
        "first": origin.index,
        "question": problem.text,
        "answer": answer,
    }
    try:
        reply = _SCORER.ask(asked)
    except (TimeoutError, ToolError):
        return 0.0
    if isinstance(reply, Mapping) and "value" in reply and reply["value"] is None:
        raise InputError(f"problem {problem.id!r} was made by another version of reasoning_gym: draw it again")
    value = reply.get("value", 0.0) if isinstance(reply, Mapping) else 0.0
    return min(1.0, max(0.0, value)) if isinstance(value, float) else 0.0


def solved(problem: Problem, answer: str) -> bool:
    """Return True if an answer gets the full score: whatever the verifier gives less for is not right. Blocks."""
    return score(problem, answer) >= 1.0


def vote_key(answer: str) -> str | None:
    """Return the canonical form of an answer, which is its text without case and runs of blank space."""
    return normalise(answer) or None


def _ask(worker: Worker, question: Mapping[str, JsonValue]) -> JsonValue:
    try:
        reply = worker.ask(question)
    except TimeoutError as error:
        raise InputError(f"reasoning_gym takes too long to make problems of {question.get('name')!r}") from error
    except ToolError as error:
        raise InputError("reasoning_gym cannot be used: `python -c 'import reasoning_gym'` says why") from error
    if not isinstance(reply, Mapping) or "value" not in reply:
        reason = reply.get("error", "it takes too long") if isinstance(reply, Mapping) else ""
        raise InputError(f"reasoning_gym cannot make problems of {question.get('name')!r}: {reason}")
    return reply["value"]


def _require() -> None:
    if find_spec("reasoning_gym") is None:
        raise InputError(
            "tasks of reasoning_gym need that library: install the extra, pip install 'actorcritic[tasks]'"
        )
