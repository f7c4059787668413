"""Best-of-N, votes, refinement and tree search over a caller's own asynchronous function.

Each is a short name for `scale` or a close relative of it. All return `Scaled`, and raise `NoResult` where no call
brought a value, so that a result always has one. A call that fails is data and its siblings go on, and so is a
score outside [0, 1]; as the first score of all it is refused in one line, and nothing more is spent. Cancelling the
search cancels the calls in flight.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, SupportsFloat, TypeAlias, TypeVar, Unpack, cast

from actorcritic.errors import InputError
from actorcritic.functions.results import Scaled
from actorcritic.functions.running import RunOptions, run_search, takes_votes
from actorcritic.functions.work import Functions
from actorcritic.search.options import OptionValue
from actorcritic.search.strategies import StrategySpec, parse_strategy

__all__ = [
    "Key",
    "Number",
    "Score",
    "ab_mcts",
    "adaptive_vote",
    "best_of_n",
    "majority",
    "mcts",
    "refine",
    "scale",
    "weighted_vote",
]

T = TypeVar("T")
F = TypeVar("F")

Number: TypeAlias = SupportsFloat | None
"""A score in [0, 1], 1 = certainly right; True and False are 1 and 0; None = unscored."""
Score: TypeAlias = Callable[[T], Number | Awaitable[Number]]
"""Judges a value; plain or asynchronous. What it raises leaves the value unscored and is listed as a failure."""
Key: TypeAlias = Callable[[T], object]
"""What a value votes by: values with equal keys are one answer, and None does not vote."""


async def scale(
    fn: Callable[[T | None], Awaitable[T]],
    strategy: str | StrategySpec,
    *,
    score: Score[T] | None = None,
    key: Key[T] | None = None,
    done: Callable[[T], bool] | None = None,
    accept: float | None = None,
    **options: Unpack[RunOptions],
) -> Scaled[T]:
    """Search with any strategy, such as `"mcts:selection=uct,c_uct=1,n=32"`.

    Args:
        fn: Makes a value from nothing (None), or a better or longer one from an earlier one.
        strategy: As in `actorcritic solve`: `name` or `name:option=value,...`. `revise` and options that read a
            model's tokens or steps are refused.
        score: Judges a value; needed by most strategies.
        key: What a value votes by; the value itself by default.
        done: Whether a value is finished; by default every value is. Strategies that go step by step need it; with the
            others one candidate is a chain of calls that ends with a finished value.
        accept: Score from which a value counts as right, and from which a search that can stop early does; by default
            1 counts as right, and only `refine`, `self-check` and `auto` stop there.
        **options: See `RunOptions`.

    Raises:
        InputError: something cannot work.
        NoResult: no call brought a value.
    """
    spec = parse_strategy(strategy) if isinstance(strategy, str) else strategy
    functions: Functions[T] = Functions(
        propose=lambda: fn(None),
        improve=lambda value, feedback: fn(value),
        judge=score,
        done=done,
        key=_key(spec, key),
    )
    return await run_search(spec, functions, options, accept)


async def best_of_n(
    fn: Callable[[], Awaitable[T]],
    score: Score[T],
    *,
    n: int = 8,
    accept: float | None = None,
    **options: Unpack[RunOptions],
) -> Scaled[T]:
    """Call `fn` up to `n` times and return the value with the highest score (Cobbe et al. 2021, arXiv 2110.14168).

    Of equals the first wins; an unscored value loses to any scored one. With `accept` the first value that scores as
    much ends the search, and calls in flight are cancelled. Errors and options as in `scale`.
    """
    return await _sample(fn, "best-of-n", {"n": n}, options, judge=score, accept=accept)


async def majority(
    fn: Callable[[], Awaitable[T]], *, n: int = 8, key: Key[T] | None = None, **options: Unpack[RunOptions]
) -> Scaled[T]:
    """Call `fn` `n` times and return the most frequent answer, the first of equals (Wang et al. 2022, 2203.11171).

    Errors and options as in `scale`.
    """
    return await _sample(fn, "majority", {"n": n}, options, key=key)


async def weighted_vote(
    fn: Callable[[], Awaitable[T]],
    score: Score[T],
    *,
    n: int = 8,
    key: Key[T] | None = None,
    **options: Unpack[RunOptions],
) -> Scaled[T]:
    """Call `fn` `n` times and return the answer whose scores add up to most (Li et al. 2022, arXiv 2206.02336).

    Errors and options as in `scale`.
    """
    return await _sample(fn, "weighted-vote", {"n": n}, options, judge=score, key=key)


async def adaptive_vote(
    fn: Callable[[], Awaitable[T]],
    *,
    n: int = 16,
    threshold: float = 0.95,
    key: Key[T] | None = None,
    **options: Unpack[RunOptions],
) -> Scaled[T]:
    """Vote, but stop once the leader leads with probability `threshold` (Aggarwal et al. 2023, arXiv 2305.11860).

    `n` is the largest number of calls. At a `width` above 1 the calls in flight at that moment are cancelled. Errors
    and options as in `scale`.
    """
    return await _sample(fn, "adaptive-vote", {"n": n, "threshold": threshold}, options, key=key)


async def refine(
    fn: Callable[[], Awaitable[T]],
    critique: Callable[[T], tuple[Number, F] | Awaitable[tuple[Number, F]]],
    revise: Callable[[T, F], Awaitable[T]],
    *,
    rounds: int = 4,
    accept: float | None = None,
    **options: Unpack[RunOptions],
) -> Scaled[T]:
    """Propose, then let each critique guide a revision, until one is good enough; return the best, not the last.

    Args:
        fn: Proposes a value.
        critique: Returns a score and feedback of any type. A value that it fails on, or leaves unscored, is not worked
            on: a fresh one is proposed.
        revise: Takes a value and the feedback on it.
        rounds: Calls of `fn` and `revise` together, >= 1. With a `width` above 1 they form several chains.
        accept: Score from which a value is good enough; 1 by default.
        **options: See `RunOptions`.

    Raises:
        InputError: something cannot work.
        NoResult: no call brought a value.
    """
    functions: Functions[T] = Functions(
        propose=fn,
        improve=lambda value, feedback: revise(value, cast("F", feedback)),
        judge=critique,
        feedback=True,
        judged_by="critique",
        improved_by="revise",
    )
    spec = StrategySpec(name="refine", options={"rounds": rounds, "max_rounds": max(0, rounds - 1)})
    return await run_search(spec, functions, options, accept)


async def mcts(
    fn: Callable[[T | None], Awaitable[T]],
    score: Score[T],
    *,
    n: int = 16,
    accept: float | None = None,
    **options: Unpack[RunOptions],
) -> Scaled[T]:
    """Grow a tree of `n` values by PUCT: `fn(None)` makes a root, `fn(parent)` works on an earlier value.

    A value that scores 1, or `accept`, is not worked on. For other formulas and step nodes: `scale(fn, "mcts:...")`.
    Errors and options as there.
    """
    return await scale(fn, StrategySpec(name="mcts", options={"n": n}), score=score, accept=accept, **options)


async def ab_mcts(
    fn: Callable[[T | None], Awaitable[T]],
    score: Score[T],
    *,
    n: int = 16,
    accept: float | None = None,
    **options: Unpack[RunOptions],
) -> Scaled[T]:
    """Grow a tree of `n` values, wider or deeper by Thompson sampling (Inoue et al. 2025, arXiv 2503.04412).

    As `mcts` otherwise.
    """
    return await scale(fn, StrategySpec(name="ab-mcts", options={"n": n}), score=score, accept=accept, **options)


async def _sample(
    fn: Callable[[], Awaitable[T]],
    name: str,
    settings: dict[str, OptionValue],
    options: RunOptions,
    *,
    judge: Score[T] | None = None,
    key: Key[T] | None = None,
    accept: float | None = None,
) -> Scaled[T]:
    """Run a strategy whose samples are independent."""
    spec = StrategySpec(name=name, options=settings)
    functions: Functions[T] = Functions(propose=fn, improve=_never, judge=judge, key=_key(spec, key))
    return await run_search(spec, functions, options, accept)


def _key(spec: StrategySpec, key: Key[Any] | None) -> Key[Any] | None:
    """Return what values vote by; None where there is no vote.

    Raises:
        InputError: a key is given to a strategy that takes no vote.
    """
    if takes_votes(spec):
        return key if key is not None else lambda value: value
    if key is not None:
        raise InputError(f"the strategy {spec} takes no vote: leave out key")
    return None


def _never(value: object, feedback: object) -> Awaitable[Any]:
    raise AssertionError("independent samples are never worked on")
