"""A search over a caller's own functions: one trial is one call of theirs, judged by another.

Costs are what the functions report, so a budget of tokens or money is kept as well as they do. Whatever a function
raises is data; a score that is no number in [0, 1] is a mistake in the program and ends the search. Knows no strategy.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import isawaitable, iscoroutine
from typing import Any, Generic, NamedTuple, TypeVar, cast

from actorcritic.budget import Charge, Lease, Spend
from actorcritic.errors import BudgetExhausted, InputError
from actorcritic.exploration import Search, without_means
from actorcritic.functions.calls import FunctionCall, entered
from actorcritic.functions.results import CallFailure, Candidate, Progress
from actorcritic.metering import derive_seed
from actorcritic.search.policy import CRITIQUE, MAX_STEPS, TEMPERATURE
from actorcritic.types import Action, Failure, Outcome, Role, Trial, Verdict

__all__ = ["FunctionSearch", "Functions", "Refusal"]

T = TypeVar("T")

STEPS = 256
"""After so many steps a value that never becomes `done` is left as it is."""


class Refusal(InputError):
    """A caller's function did what no search can work with; ends the search, unlike what the function raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions(Generic[T]):
    """The caller's functions in one form."""

    propose: Callable[[], Awaitable[T]]
    """Makes a value from nothing."""
    improve: Callable[[T, object], Awaitable[T]]
    """Makes a value from an earlier one and the feedback on it."""
    judge: Callable[[T], object] | None = None
    """Plain or asynchronous: gives a score, or with `feedback` a score and what there is to say."""
    feedback: bool = False
    done: Callable[[T], bool] | None = None
    """Whether a value is finished; None = always."""
    key: Callable[[T], object] | None = None
    """What values vote by: equal keys are one answer, None does not vote; None = the strategy takes no vote."""
    judged_by: str = "score"
    """What the caller calls `judge`."""
    improved_by: str = "fn"
    """What the caller calls `improve`."""


class _Judgement(NamedTuple):
    """What is thought of a value."""

    score: float | None = None
    feedback: object = None


class _Broken(Exception):
    """A call of a caller's function failed; carries what it raised."""

    def __init__(self, where: str, error: Exception) -> None:
        super().__init__(str(error))
        self.where = where
        self.error = error


@dataclass(slots=True, kw_only=True)
class FunctionSearch(Search[Candidate[T]], Generic[T]):
    """One search over a caller's functions. Mutable."""

    functions: Functions[T]
    seed: int = 0
    accept: float = 1.0
    """Score in [0, 1] from which a value counts as right."""
    call_tokens: int | None = None
    """What one candidate costs at most, in tokens; none is begun with less. None = unknown."""
    on_event: Callable[[Progress[Any]], None] | None = None
    broken: list[CallFailure] = field(default_factory=list[CallFailure])
    """Everything that failed, in the order in which it did."""
    keys: list[object] = field(default_factory=list[object])
    """The different answers so far, in the order in which they were settled."""

    # --- what the driver asks for ----------------------------------------------------------------------------------

    async def run(self, trial: Trial, parent: Candidate[T] | None, lease: Lease) -> Candidate[T] | Failure:
        """Carry out one trial: make a value, then judge it."""
        if self.call_tokens is not None and lease.tokens is not None and lease.tokens < self.call_tokens:
            return without_means(BudgetExhausted("tokens"))
        started = time.monotonic()
        try:
            value = await self._make(trial, parent, lease)
            done = self._is_done(value)
        except BudgetExhausted as error:
            return without_means(error)
        except _Broken as broken:
            return self._note(trial, broken).failure
        judgement = _Judgement()
        try:
            if self._wants_judgement(trial, done):
                judgement = await self._judge(trial, value, lease)
        except BudgetExhausted:
            pass  # the value stands, unscored
        except _Broken as broken:
            self._note(trial, broken)
        candidate = Candidate(
            index=trial.id,
            value=value,
            score=judgement.score,
            feedback=judgement.feedback,
            parent=trial.parent,
            done=done,
            seconds=time.monotonic() - started,
        )
        self._tell(Progress(kind="returned", index=trial.id, spend=self.ledger.spend, candidate=candidate))
        return candidate

    def outcome_of(self, trial: Trial, attempt: Candidate[T], tokens: int) -> Outcome:
        """See `Search.outcome_of`."""
        verdict = Verdict.UNSCORED
        if attempt.score is not None:
            verdict = Verdict.CORRECT if attempt.score >= self.accept else Verdict.INCORRECT
        return Outcome(
            complete=attempt.done,
            vote_key=self._vote_key(trial, attempt.value) if attempt.done else None,
            verdict=verdict,
            score=attempt.score,
            tokens=tokens,
        )

    def asked(self, trial: Trial) -> None:
        """See `Search.asked`."""
        self._tell(Progress(kind="asked", index=trial.id, spend=self.ledger.spend))

    def committed(self, trial: Trial, told: Outcome | Failure | None, spend: Spend) -> None:
        """See `Search.committed`."""
        candidate = self.attempts.get(trial.id)
        self._tell(Progress(kind="settled", index=trial.id, spend=self.ledger.spend, candidate=candidate))

    # --- one trial -------------------------------------------------------------------------------------------------

    async def _make(self, trial: Trial, parent: Candidate[T] | None, lease: Lease) -> T:
        """Return the value of a trial: one step of it where the strategy wants steps, otherwise all of it."""
        functions, most = self.functions, trial.options.get(MAX_STEPS)
        if trial.action is Action.JUDGE and parent is not None:
            return parent.value
        if parent is None:
            value: T = await self._call(trial, "fn", functions.propose, lease)
        else:
            value = await self._improve(trial, parent.value, parent.feedback, lease)
        for _ in range(1, most if isinstance(most, int) else STEPS):
            if self._is_done(value):
                break
            try:
                value = await self._improve(trial, value, None, lease)
            except BudgetExhausted:
                break  # what could be paid for stands, unfinished
        return value

    async def _improve(self, trial: Trial, value: T, feedback: object, lease: Lease) -> T:
        """Make a value from an earlier one."""
        where = self.functions.improved_by
        improved: T = await self._call(trial, where, lambda: self.functions.improve(value, feedback), lease)
        return improved

    def _is_done(self, value: T) -> bool:
        """Return whether a value is finished."""
        if self.functions.done is None:
            return True
        with _caught("done"):
            return bool(_plain("done", self.functions.done(value)))

    def _wants_judgement(self, trial: Trial, done: bool) -> bool:
        """Return whether a value is to be judged: not where the strategy needs none, nor one that was cut off."""
        if self.functions.judge is None or trial.options.get(CRITIQUE) is False:
            return False
        return done or MAX_STEPS in trial.options

    async def _judge(self, trial: Trial, value: T, lease: Lease) -> _Judgement:
        """Ask what is thought of a value."""
        judge, where = self.functions.judge, self.functions.judged_by
        assert judge is not None  # see `_wants_judgement`
        said = await self._call(trial, where, lambda: judge(value), lease, role="critic")
        if not self.functions.feedback:
            return _Judgement(_read_score(said, where))
        if not isinstance(said, tuple) or len(cast("tuple[object, ...]", said)) != 2:
            raise Refusal(f"{where} returned {said!r:.60}: it must return a pair of a score and the feedback")
        score, feedback = cast("tuple[object, object]", said)
        return _Judgement(_read_score(score, where), feedback)

    async def _call(
        self, trial: Trial, where: str, function: Callable[[], object], lease: Lease, role: Role = "actor"
    ) -> Any:
        """Make one call within the lease, and put it on the bill however it ends; a plain judge is no call."""
        call = FunctionCall(
            index=trial.id,
            role=role,
            seed=derive_seed(self.seed, trial.id, role, len(lease.charges)),
            temperature=cast("float | None", trial.options.get(TEMPERATURE)),
        )
        awaited = role == "actor"
        if awaited:
            lease.admit("", (), 1)
        entered(call)
        try:
            with _caught(where):
                result = function()
            if role == "critic":
                if not isawaitable(result):
                    return result
                _admit(lease, result)
                awaited = True
            if not isawaitable(result):
                raise Refusal(f"{where} is not asynchronous: it returned {result!r:.60} instead of something to await")
            with _caught(where):
                result = await result
        finally:
            if awaited or call.reported:
                self._bill(call, where, lease)
        if role == "actor":
            self._check_report(call, where)
        return result

    def _bill(self, call: FunctionCall, where: str, lease: Lease) -> None:
        """Charge what a call has reported."""
        usage = call.close()
        tokens = usage.prompt_tokens + usage.completion_tokens
        lease.charge(
            Charge(
                role=call.role,
                model=where,
                prompt_ids=(),
                completion_ids=(),
                usage=usage,
                money=call.money,
                logical_tokens=tokens,
            )
        )

    def _check_report(self, call: FunctionCall, where: str) -> None:
        """Refuse to go on under a limit that nothing is reported for: it would never be met."""
        budget = self.ledger.budget
        for limit, amount in (("tokens", budget.tokens), ("money", budget.money)):
            if amount is not None and not call.reported:
                raise Refusal(
                    f"{where} reported no cost, so a budget of {limit} cannot be kept: call "
                    f"this_call().charge(...) in it, or limit the calls or seconds instead"
                )

    # --- what is learnt --------------------------------------------------------------------------------------------

    def _vote_key(self, trial: Trial, value: T) -> str | None:
        """Return the name of a value's answer: its place among the different ones so far; None = it does not vote."""
        if self.functions.key is None:
            return None
        try:
            with _caught("key"):
                key = _plain("key", self.functions.key(value))
        except _Broken as broken:
            self._note(trial, broken)
            return None
        if key is None:
            return None
        for number, known in enumerate(self.keys):
            if _same(key, known):
                return str(number)
        self.keys.append(key)
        return str(len(self.keys) - 1)

    def _note(self, trial: Trial, broken: _Broken) -> CallFailure:
        """Keep a failure."""
        failure = CallFailure(index=trial.id, where=broken.where, error=broken.error)
        self.broken.append(failure)
        self.failures.append(failure.failure)
        self._tell(Progress(kind="failed", index=trial.id, spend=self.ledger.spend, failure=failure))
        return failure

    def _tell(self, progress: Progress[Any]) -> None:
        """Tell whoever watches."""
        if self.on_event is not None:
            self.on_event(progress)


@contextmanager
def _caught(where: str) -> Generator[None]:
    """Turn whatever a caller's function raises into a `_Broken`; being cancelled from outside is none of it."""
    try:
        yield
    except Refusal:
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise _Broken(where, RuntimeError("it was cancelled from within")) from error
    except Exception as error:
        raise _Broken(where, error) from error


def _admit(lease: Lease, work: object) -> None:
    """Reserve a call for what has been made ready to be awaited, or drop it.

    Raises:
        BudgetExhausted: nothing is left.
    """
    try:
        lease.admit("", (), 1)
    except BudgetExhausted:
        if iscoroutine(work):
            work.close()
        raise


def _plain(where: str, result: object) -> object:
    """Refuse what would have to be awaited."""
    if isawaitable(result):
        if iscoroutine(result):
            result.close()
        raise Refusal(f"{where} must be a plain function, not an asynchronous one")
    return result


def _read_score(raw: object, where: str) -> float | None:
    """Return a score as a number in [0, 1]; None = unscored; refuse anything else."""
    if raw is None:
        return None
    try:
        score = float(cast("Any", raw)) if not isinstance(raw, str | bytes) else math.nan
    except (TypeError, ValueError):
        score = math.nan
    if not 0.0 <= score <= 1.0:
        raise Refusal(
            f"{where} returned {raw!r:.60}: a score is a number in [0, 1], 1 = certainly right, or None = unscored"
        )
    return score


def _same(key: object, known: object) -> bool:
    """Return whether two answers are one."""
    try:
        return key is known or bool(key == known)
    except Exception as error:
        raise Refusal(f"answers of type {type(key).__name__} cannot be compared: give a key") from error
