"""The closed loop in fast batches: search strategies at equal logical tokens, for development choices.

Each strategy is a generator that asks for model calls and tells its best answer so far; many problems run in step.
Official figures come from the library's own strategies; these are the same rules, written small. The oracle row is
the ceiling of revision and belongs to no comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field

from actorcritic.formats.lines import Puzzle, critic_prompt, problem_prompt, render_lines
from actorcritic.training.embedded.attempts import solved, vote_key
from actorcritic.training.embedded.data import VOCABULARY, encode
from actorcritic.training.embedded.model import Llama
from actorcritic.training.embedded.pair import ACTOR, LIMIT, problem_of, read_critique, read_solution, texts
from actorcritic.training.embedded.revisions import true_critique
from actorcritic.training.embedded.sampling import Drawn, generate
from actorcritic.types import Critique, Prompt, Solution, Verdict

__all__ = ["STRATEGIES", "Ledger", "accuracy_at", "run"]


@dataclass(frozen=True, slots=True)
class _Call:
    """One wish for a completion."""

    critic: bool
    prompt: str
    temperature: float


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer a strategy would give now."""

    solution: Solution | None


_Talk = Generator[_Call | _Answer, Drawn, None]


@dataclass(slots=True)
class Ledger:
    """One problem's bill: per model, the prefix tree of what was paid for. Grows in place."""

    tokens: int = 0
    seen: dict[bool, set[tuple[int, ...]]] = field(default_factory=lambda: {False: set(), True: set()})

    def charge(self, critic: bool, prompt: Sequence[int], completion: Sequence[int]) -> None:
        """Bill prompt tokens that are new to this model's tree, and the whole completion (end token included)."""
        tree = self.seen[critic]
        whole = (*prompt, *completion)
        for size in range(1, len(whole) + 1):
            prefix = whole[:size]
            if prefix not in tree:
                tree.add(prefix)
                self.tokens += size <= len(prompt)
        self.tokens += len(completion)


def _propose(puzzle: Puzzle, temperature: float) -> Generator[_Call, Drawn, tuple[Solution, Drawn]]:
    drawn = yield _Call(False, problem_prompt(puzzle), temperature)
    return read_solution(puzzle, drawn), drawn


def _criticise(puzzle: Puzzle, solution: Solution) -> Generator[_Call, Drawn, Critique]:
    drawn = yield _Call(True, critic_prompt(puzzle, render_lines(puzzle, texts(solution))), 0)
    return read_critique(puzzle, solution, drawn)


def _revise(
    puzzle: Puzzle, solution: Solution, critique: Critique, at: int, temperature: float
) -> Generator[_Call, Drawn, tuple[Solution, Drawn]]:
    prompt: Prompt = ACTOR.revise(problem_of(puzzle), solution, critique, at)
    drawn = yield _Call(False, f"{prompt.content}{prompt.prefill}", temperature)
    kept = Solution(steps=solution.steps[:at])
    return read_solution(puzzle, drawn, kept), drawn


def _greedy(puzzle: Puzzle) -> _Talk:
    """One greedy attempt."""
    solution, _ = yield from _propose(puzzle, 0)
    yield _Answer(solution)


def _majority(puzzle: Puzzle) -> _Talk:
    """Sample on; the most frequent vote key, first seen wins a tie."""
    votes: Counter[str] = Counter()
    first: dict[str, Solution] = {}
    while True:
        solution, _ = yield from _propose(puzzle, 1)
        key = vote_key(puzzle, texts(solution)) if solution.complete else None
        if key is not None:
            votes[key] += 1
            first.setdefault(key, solution)
            yield _Answer(first[votes.most_common(1)[0][0]])


def _best_by_logprob(puzzle: Puzzle) -> _Talk:
    """Sample on; the attempt that the actor finds likeliest per token."""
    best, top = None, float("-inf")
    while True:
        solution, drawn = yield from _propose(puzzle, 1)
        value = sum(drawn.logprobs) / max(1, len(drawn.logprobs))
        if solution.complete and value > top:
            best, top = solution, value
            yield _Answer(best)


def _best_by_critic(puzzle: Puzzle) -> _Talk:
    """Sample on; the attempt that the critic scores highest."""
    best, top = None, -1.0
    while True:
        solution, _ = yield from _propose(puzzle, 1)
        critique = yield from _criticise(puzzle, solution)
        if critique.score is not None and critique.score > top:
            best, top = solution, critique.score
            yield _Answer(best)


def _revise_least_confident(puzzle: Puzzle) -> _Talk:
    """Revise the best attempt so far at the actor's least confident step; the critic has no say."""
    best, top = None, float("-inf")
    current, _ = yield from _propose(puzzle, 0)
    while True:
        value = (current.logprob or -99.0) / max(1, sum(len(s.logprobs) for s in current.steps))
        if current.complete and value > top:
            best, top = current, value
            yield _Answer(best)
        base = best or current
        at = min(range(len(base.steps)), key=lambda i: min(base.steps[i].logprobs, default=0.0), default=0)
        current, _ = yield from _revise(puzzle, base, Critique(steps=(), verdict=Verdict.UNSCORED), at, 1)


def _revise_with_critic(puzzle: Puzzle, *, accept: float = 0.9, patience: int = 2, oracle: bool = False) -> _Talk:
    """Revise at the critic's first error; after `patience` failed revisions in a row start afresh; keep the best."""
    best, top, failed = None, -1.0, 0
    current, _ = yield from _propose(puzzle, 0)
    while True:
        critique = true_critique(puzzle, current) if oracle else (yield from _criticise(puzzle, current))
        score = critique.score if critique.score is not None else -1.0
        if score > top or best is None:
            best, top, failed = current, score, 0
            yield _Answer(best)
        else:
            failed += 1
        if top >= accept:
            return
        at = critique.first_error
        if at is None or failed >= patience:
            failed = 0
            current, _ = yield from _propose(puzzle, 1)
        else:
            current, _ = yield from _revise(puzzle, current, critique, at, 1)


STRATEGIES: Mapping[str, Callable[[Puzzle], _Talk]] = {
    "greedy": _greedy,
    "majority": _majority,
    "best-of-n by log-probability": _best_by_logprob,
    "best-of-n by critic": _best_by_critic,
    "revise least confident": _revise_least_confident,
    "revise by critic": _revise_with_critic,
    "revise by critic, fresh start after 1": lambda puzzle: _revise_with_critic(puzzle, patience=1),
    "revise by oracle (ceiling)": lambda puzzle: _revise_with_critic(puzzle, oracle=True),
}


@dataclass(slots=True)
class _Run:
    """One problem in progress; changes in place."""

    puzzle: Puzzle
    talk: _Talk
    ledger: Ledger
    history: list[tuple[int, bool]]
    """(tokens spent, is the answer right) after every change of the answer."""
    wish: _Call | None = None

    def advance(self, drawn: Drawn | None, limit: int) -> None:
        """Go on to the next wish; none if the strategy ended or the budget is spent."""
        self.wish = None
        try:
            said = next(self.talk) if drawn is None else self.talk.send(drawn)
            while isinstance(said, _Answer):
                right = said.solution is not None and said.solution.complete
                right = right and solved(self.puzzle, texts(said.solution)) if said.solution else False
                self.history.append((self.ledger.tokens, right))
                said = next(self.talk)
        except StopIteration:
            return
        if self.ledger.tokens < limit:
            self.wish = said


def run(
    actor: Llama, critic: Llama, puzzles: Sequence[Puzzle], strategy: str, *, limit: int, seed: int = 3
) -> list[list[tuple[int, bool]]]:
    """Run one strategy on every problem until `limit` logical tokens and return each problem's history."""
    runs = [_Run(p, STRATEGIES[strategy](p), Ledger(), []) for p in puzzles]
    for one in runs:
        one.advance(None, limit)
    turn = 0
    watch = VOCABULARY.index("ok\n")
    while True:
        wishes = [one for one in runs if one.wish is not None]
        if not wishes:
            return [one.history for one in runs]
        turn += 1
        for kind in {(one.wish.critic, one.wish.temperature) for one in wishes if one.wish}:
            part = [one for one in wishes if one.wish and (one.wish.critic, one.wish.temperature) == kind]
            prompts = [encode(one.wish.prompt) for one in part if one.wish]
            model = critic if kind[0] else actor
            drawn = generate(model, prompts, limit=LIMIT, temperature=kind[1], seed=seed * 100_003 + turn, watch=watch)
            for one, prompt, text in zip(part, prompts, drawn, strict=True):
                one.ledger.charge(kind[0], prompt, [*text.ids, 1] if text.ended else text.ids)
                one.advance(text, limit)


def accuracy_at(histories: Sequence[Sequence[tuple[int, bool]]], budget: int) -> list[bool]:
    """Return per problem whether the last answer within the budget is right; no answer is wrong."""
    return [next((right for tokens, right in reversed(history) if tokens <= budget), False) for history in histories]
