"""From a strategy and a caller's functions to a result: what is refused beforehand, how it is run, what comes of it.

The policies of `actorcritic.search` decide and the driver of `actorcritic.exploration` carries out, as in any search.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from actorcritic.budget import Budget, Ledger
from actorcritic.codec import encode
from actorcritic.errors import InputError, NoResult
from actorcritic.exploration import Exploration
from actorcritic.functions.checks import Refusal
from actorcritic.functions.codecs import JSON, Codec
from actorcritic.functions.logs import Log
from actorcritic.functions.results import Progress, Scaled
from actorcritic.functions.work import Functions, FunctionSearch
from actorcritic.metering import derive_seed
from actorcritic.search.options import OptionValue
from actorcritic.search.strategies import STRATEGIES, StrategySpec, make_policy, needs_critic
from actorcritic.types import JsonValue, StopReason

__all__ = ["RunOptions", "run_search", "takes_votes"]

T = TypeVar("T")

WIDTH = 8
"""Calls in flight where the strategy's samples do not depend on one another."""
INDEPENDENT = ("best-of-n", "majority", "weighted-vote", "filtered-vote")
VOTES = ("majority", "weighted-vote", "filtered-vote", "self-check", "adaptive-vote")
VERDICTLESS = ("greedy", "majority", "weighted-vote", "adaptive-vote")
"""Strategies to which it is all one from which score a value counts as right."""
STEPWISE = ("beam", "dvts", "particle")
ONLY = {"score": "critic", "aggregate": "final", "prior": "uniform", "locate": "critic", "easy": "refine"}
"""Options that may only have this value, since a function's values have neither tokens nor steps that are known."""


class RunOptions(TypedDict, total=False):
    """What every search over a caller's functions takes."""

    budget: Budget
    """The limits. `calls` counts what is awaited: calls of `fn`, `revise`, `critique` and of an asynchronous `score`.
    `tokens` and `money` are what the functions report with `this_call().charge(...)`: only afterwards, so the last call
    may go over."""
    width: int
    """Candidates in flight, >= 1; by default 8 for independent samples and otherwise 1. The result depends on it."""
    seed: int
    """Of the strategy's own choices and of `this_call().seed`; 0 by default."""
    call_tokens: int
    """What one candidate costs at most, in tokens: none is begun with less, so that a budget of tokens is kept. Without
    it candidates are made one at a time under such a budget."""
    on_event: Callable[[Progress[Any]], None]
    """Hears of everything as it happens, in the running event loop; when a run goes on, of its past too."""
    out: str | Path
    """A new run folder: every call is logged with what it returned, so that the search can be resumed."""
    resume: str | Path
    """The folder of a search that broke off, or ended: it goes on with the same strategy, seed, width and budget, and
    no call that had ended is made again. `done` and `key` are asked again; `seconds` begin anew."""
    codec: Codec[Any]
    """How values are logged: `typed_codec(Answer)`; without it they must be JSON already. With `out` and `resume`."""
    feedback_codec: Codec[Any]
    """Likewise, the feedback of `critique`."""


async def run_search(
    spec: StrategySpec, functions: Functions[T], options: RunOptions, accept: float | None = None
) -> Scaled[T]:
    """Search to the end.

    Args:
        spec: The strategy.
        functions: The caller's.
        options: See `RunOptions`.
        accept: Score in [0, 1] from which a value counts as right and a search that can stop does; None = only 1
            counts as right, and the search goes on as its strategy says.

    Raises:
        InputError: the strategy, an option or what a function returned cannot work.
        NoResult: no call brought a value.
    """
    spec, accept = _with_accept(spec, accept)
    _check(spec, functions)
    budget, width, call_tokens = options.get("budget", Budget()), _width(spec, options), options.get("call_tokens")
    if call_tokens is not None and call_tokens < 1:
        raise InputError(f"call_tokens must be at least 1, not {call_tokens}")
    seed = options.get("seed", 0)
    search = FunctionSearch(
        policy=make_policy(spec, seed=derive_seed(seed, "policy"), budgeted=budget.limited),
        ledger=Ledger(budget, width=width),
        functions=functions,
        seed=seed,
        accept=1.0 if accept is None else accept,
        call_tokens=call_tokens,
        on_event=options.get("on_event"),
    )
    search.log = _open_log(options, _facts_of(search, spec, width))
    exploration = Exploration(
        search=search,
        run=search.run,
        width=width,
        trial_tokens=call_tokens,
        trial_calls=_calls(functions),
    )
    started = time.monotonic()
    try:
        stopped_by = await exploration.explore(budget.seconds)
        search.finish(search.reason(stopped_by))
    except Refusal as refusal:
        # From here on it is an error like any other: a search inside this function's caller goes on without it.
        raise InputError(str(refusal)) from refusal.__cause__
    finally:
        search.log.close()
    return _result(search, search.reason(stopped_by), spec, width, time.monotonic() - started)


def takes_votes(spec: StrategySpec) -> bool:
    """Return whether the answer is, or may be, decided by a vote."""
    return spec.name in VOTES or "vote" in str(spec.options.get("select", spec.options.get("answer", "")))


def _with_accept(spec: StrategySpec, accept: float | None) -> tuple[StrategySpec, float | None]:
    """Return the strategy with the score that ends it, and that score: given apart, or among the strategy's options."""
    if spec.name not in STRATEGIES:
        raise InputError(f"unknown strategy {spec.name!r}; choose from: {', '.join(STRATEGIES)}")
    if accept is None:
        given = spec.options.get("stop_at", spec.options.get("accept"))
        return spec, float(given) if isinstance(given, int | float) else None
    if not 0 <= accept <= 1:
        raise InputError(f"accept must be a score in [0, 1], not {accept}")
    if spec.name in VERDICTLESS:
        raise InputError(f"the strategy {spec} makes nothing of accept: leave it out")
    known = {option.name for option in STRATEGIES[spec.name].OPTIONS}
    ending: dict[str, OptionValue] = {name: accept for name in ("stop_at", "accept") if name in known}
    return replace(spec, options={**ending, **spec.options}), accept


def _check(spec: StrategySpec, functions: Functions[Any]) -> None:
    """Refuse what cannot work, before anything is spent.

    Raises:
        InputError: says what to change.
    """
    options = {option.name: option.default for option in STRATEGIES[spec.name].OPTIONS} | dict(spec.options)
    if spec.name == "revise":
        raise InputError("the strategy revise keeps the steps before an error, which a function's values lack: refine")
    for name, only in ONLY.items():
        if options.get(name, only) != only:
            raise InputError(f"the strategy {spec} cannot go by a function's values: it needs {name}={only}")
    if options.get("gate") == "oracle":
        raise InputError(f"the strategy {spec} needs gold verdicts: let the score give them, with gate=critic")
    if functions.judge is None and needs_critic(spec):
        raise InputError(f"the strategy {spec} needs a score")
    if functions.done is None and (spec.name in STEPWISE or options.get("nodes") == "step"):
        raise InputError(f"the strategy {spec} goes step by step: say with done which values are finished")


def _width(spec: StrategySpec, options: RunOptions) -> int:
    """Return how many candidates are made side by side."""
    width = options.get("width", WIDTH if spec.name in INDEPENDENT else 1)
    if width < 1:
        raise InputError(f"width must be at least 1, not {width}")
    return width


def _calls(functions: Functions[Any]) -> int | None:
    """Return how many calls a candidate takes, None where only `done` knows."""
    return None if functions.done is not None else 1 + iscoroutinefunction(functions.judge)


def _facts_of(search: FunctionSearch[Any], spec: StrategySpec, width: int) -> dict[str, JsonValue]:
    """Return what a run that goes on must have in common with the one that began it."""
    return {
        "strategy": str(spec),
        "seed": search.seed,
        "width": width,
        "accept": search.accept,
        "call_tokens": search.call_tokens,
        "budget": encode(search.ledger.budget),
    }


def _open_log(options: RunOptions, facts: dict[str, JsonValue]) -> Log:
    """Return the log that was asked for.

    Raises:
        InputError: the options exclude one another, or are not those that the run was begun with.
    """
    out, resume = options.get("out"), options.get("resume")
    value, feedback = options.get("codec"), options.get("feedback_codec")
    if out is None and resume is None:
        if value is not None or feedback is not None:
            raise InputError("codec and feedback_codec say how a log is written: give out or resume too")
        return Log()
    if out is not None and resume is not None:
        raise InputError("out begins a run and resume goes on with one: give one of them")
    from actorcritic.functions import run_log  # noqa: PLC0415 - `import actorcritic` imports no dependency

    codecs = run_log.Codecs(value=JSON if value is None else value, feedback=JSON if feedback is None else feedback)
    if resume is not None:
        return run_log.take_up_run(Path(resume), facts, codecs)
    assert out is not None  # one of them is given
    return run_log.begin_run(Path(out), facts, f"{facts['strategy']} over a function", codecs)


def _result(
    search: FunctionSearch[T], stopped_by: StopReason, spec: StrategySpec, width: int, seconds: float
) -> Scaled[T]:
    """Return what came of a search.

    Raises:
        NoResult: nothing did.
    """
    failures = tuple(sorted(search.broken, key=lambda failure: failure.index))
    best, spend = search.policy.best, search.ledger.spend
    if best is None:
        errors = [failure.error for failure in failures]
        raise NoResult(errors, stopped_by, spend.total, spend.money) from next(iter(errors), None)
    return Scaled(
        value=search.attempts[best].value,
        score=search.attempts[best].score,
        index=best,
        candidates=tuple(search.attempts[index] for index in sorted(search.attempts)),
        failures=failures,
        attempts=search.next_trial,
        stopped_by=stopped_by,
        spend=spend,
        seconds=seconds,
        strategy=str(spec),
        seed=search.seed,
        width=width,
    )
