"""A search over a caller's own functions: one trial is one call of theirs, judged by another.

Costs are what the functions report, so a budget of tokens or money is kept as well as they do. Whatever a function
raises is data, and so is a score that is no number in [0, 1]; where it is the first score of all, the scale is wrong
and the search ends before more is spent. Knows no strategy.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from inspect import isawaitable, iscoroutine
from typing import Any, Generic, TypeVar, cast

from actorcritic.budget import Charge, Lease, Spend
from actorcritic.errors import BudgetExhausted
from actorcritic.exploration import Search, out_of_budget, without_means
from actorcritic.functions.calls import FunctionCall, entered
from actorcritic.functions.checks import Broken, Judgement, Refusal, caught, plain, read_judgement, refuse_scale, same
from actorcritic.functions.logs import End, Ended, Log
from actorcritic.functions.results import CallFailure, Candidate, Progress
from actorcritic.metering import derive_seed
from actorcritic.search.policy import CRITIQUE, MAX_STEPS, TEMPERATURE
from actorcritic.search.tree import node_counts
from actorcritic.types import Action, Failure, Outcome, Role, StopReason, Trial, Verdict

__all__ = ["FunctionSearch", "Functions"]

T = TypeVar("T")

STEPS = 256
"""After so many steps a value that never becomes `done` is left as it is."""


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


@dataclass(slots=True, kw_only=True)
class _Ongoing:
    """A call that is being made. Mutable."""

    where: str
    call: FunctionCall
    awaited: bool
    """Whether it counts as a call: everything that is awaited does."""
    started: float = field(default_factory=time.monotonic)


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
    log: Log = field(default_factory=Log)
    """Hears of everything, and answers the calls that an earlier run has made."""
    leases: dict[int, Lease] = field(default_factory=dict[int, Lease])
    """Of the trials in flight."""

    # --- what the driver asks for ----------------------------------------------------------------------------------

    def run(
        self, trial: Trial, parent: Candidate[T] | None, lease: Lease
    ) -> Coroutine[None, None, Candidate[T] | Failure]:
        """Return the work of one trial."""
        self.leases[trial.id] = lease
        return self._run(trial, parent, lease)

    async def _run(self, trial: Trial, parent: Candidate[T] | None, lease: Lease) -> Candidate[T] | Failure:
        """Carry out one trial, unless an earlier run gave it up."""
        if self.log.given_up(trial) is not None:
            return cast("Failure", None)  # to the driver a trial that was given up, as it was then
        result = await self._try(trial, parent, lease)
        if out_of_budget(result):
            self.log.dry(trial)
        return result

    async def _try(self, trial: Trial, parent: Candidate[T] | None, lease: Lease) -> Candidate[T] | Failure:
        """Make a value, then judge it."""
        if self.call_tokens is not None and lease.tokens is not None and lease.tokens < self.call_tokens:
            return without_means(BudgetExhausted("tokens"))
        started = time.monotonic()
        try:
            value = await self._make(trial, parent, lease)
            done = self._is_done(value)
        except BudgetExhausted as error:
            return without_means(error)
        except Broken as broken:
            return self._note(trial, broken).failure
        judgement, judged = Judgement(), False
        try:
            if self._wants_judgement(trial, done):
                judgement, judged = await self._judge(trial, value, lease), True
        except BudgetExhausted:
            pass  # the value stands, unscored
        except Broken as broken:
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
        self.log.brought(trial, candidate, self._verdict(candidate.score) if judged else None)
        self._tell(Progress(kind="returned", index=trial.id, spend=self.ledger.spend, candidate=candidate))
        return candidate

    def outcome_of(self, trial: Trial, attempt: Candidate[T], tokens: int) -> Outcome:
        """See `Search.outcome_of`."""
        return Outcome(
            complete=attempt.done,
            vote_key=self._vote_key(trial, attempt.value) if attempt.done else None,
            verdict=self._verdict(attempt.score),
            score=attempt.score,
            tokens=tokens,
        )

    def _verdict(self, score: float | None) -> Verdict:
        """Return what a score says of a value."""
        if score is None:
            return Verdict.UNSCORED
        return Verdict.CORRECT if score >= self.accept else Verdict.INCORRECT

    def settle(self, trial: Trial, result: Candidate[T] | Failure | None, spend: Spend | None = None) -> None:
        """See `Search.settle`; a trial that an earlier run gave up costs what it had cost then."""
        lease = self.leases.pop(trial.id, None)
        for charge in self.log.given_up(trial) or ():
            if lease is not None:
                lease.charge(charge)
        if self.broken and result is not None and not any(one.score is not None for one in self.attempts.values()):
            refuse_scale(trial.id, self.broken)  # trials settle in order, so that timing decides nothing
        Search.settle(self, trial, result, spend)

    def asked(self, trial: Trial) -> None:
        """See `Search.asked`."""
        self.spent = self.log.asked(trial) or self.spent
        self._tell(Progress(kind="asked", index=trial.id, spend=self.ledger.spend))

    def committed(self, trial: Trial, told: Outcome | Failure | None, spend: Spend) -> None:
        """See `Search.committed`."""
        candidate = self.attempts.get(trial.id)
        self.log.committed(trial, told, spend)
        self._tell(Progress(kind="settled", index=trial.id, spend=self.ledger.spend, candidate=candidate))

    def finish(self, stopped_by: StopReason) -> None:
        """Tell the log of the end."""
        best = self.policy.best
        self.log.finished(
            End(
                best=None if best is None else self.attempts[best],
                attempts=len(self.attempts),
                spend=self.ledger.spend,
                stopped_by=stopped_by,
                failures=tuple(self.failures),
                counts=node_counts(self.policy),
            )
        )

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
        with caught("done"):
            return bool(plain("done", self.functions.done(value)))

    def _wants_judgement(self, trial: Trial, done: bool) -> bool:
        """Return whether a value is to be judged: not where the strategy needs none, nor one that was cut off."""
        if self.functions.judge is None or trial.options.get(CRITIQUE) is False:
            return False
        return done or MAX_STEPS in trial.options

    async def _judge(self, trial: Trial, value: T, lease: Lease) -> Judgement:
        """Ask what is thought of a value."""
        judge, where = self.functions.judge, self.functions.judged_by
        assert judge is not None  # see `_wants_judgement`
        judgement: Judgement = await self._call(trial, where, lambda: judge(value), lease, role="critic")
        return judgement

    async def _call(
        self, trial: Trial, where: str, function: Callable[[], object], lease: Lease, role: Role = "actor"
    ) -> Any:
        """Make one call within the lease, or take what it came to in an earlier run; a judge gives a `Judgement`."""
        call = FunctionCall(
            index=trial.id,
            role=role,
            seed=derive_seed(self.seed, trial.id, role, len(lease.charges)),
            temperature=cast("float | None", trial.options.get(TEMPERATURE)),
        )
        entered(call)
        past = self.log.answer(trial)
        if past is not None:
            return _repeat(past, call, lease)
        ongoing = _Ongoing(where=where, call=call, awaited=role == "actor")
        if ongoing.awaited:
            lease.admit("", (), 1)
        try:
            value = await self._carry_out(ongoing, function, lease)
        except Broken as broken:
            self._end(trial, ongoing, lease, error=broken.error)
            raise
        except BaseException:
            self._end(trial, ongoing, lease, lost=True)
            raise
        self._end(trial, ongoing, lease, value=value)
        return value

    async def _carry_out(self, ongoing: _Ongoing, function: Callable[[], object], lease: Lease) -> object:
        """Call a function and await it; a plain judge is no call."""
        where, judging = ongoing.where, ongoing.call.role == "critic"
        with caught(where):
            result = function()
        if isawaitable(result):
            if judging:
                _admit(lease, result)
                ongoing.awaited = True
            with caught(where):
                result = await result
        elif not judging:
            raise Refusal(f"{where} is not asynchronous: it returned {result!r:.60} instead of something to await")
        if judging:
            return read_judgement(result, where, feedback=self.functions.feedback)
        self._check_report(ongoing.call, where)
        return result

    def _end(
        self,
        trial: Trial,
        ongoing: _Ongoing,
        lease: Lease,
        *,
        value: object = None,
        error: Exception | None = None,
        lost: bool = False,
    ) -> None:
        """Put a call that ended on the bill with what it has reported, and into the log."""
        call, usage = ongoing.call, ongoing.call.close()
        charge: Charge | None = None
        if ongoing.awaited or call.reported:
            tokens = usage.prompt_tokens + usage.completion_tokens
            charge = Charge(
                role=call.role,
                model=ongoing.where,
                prompt_ids=(),
                completion_ids=(),
                usage=usage,
                money=call.money,
                logical_tokens=tokens,
            )
            lease.charge(charge)
        if charge is None and lost:
            return  # it was never begun
        seconds = time.monotonic() - ongoing.started
        self.log.called(
            trial,
            Ended(
                where=ongoing.where,
                role=call.role,
                charge=charge,
                seed=call.seed,
                seconds=seconds,
                value=value,
                error=error,
                lost=lost,
            ),
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
            with caught("key"):
                key = plain("key", self.functions.key(value))
        except Broken as broken:
            self._note(trial, broken)
            return None
        if key is None:
            return None
        for number, known in enumerate(self.keys):
            if same(key, known):
                return str(number)
        self.keys.append(key)
        return str(len(self.keys) - 1)

    def _note(self, trial: Trial, broken: Broken) -> CallFailure:
        """Keep a failure."""
        failure = CallFailure(index=trial.id, where=broken.where, error=broken.error)
        self.broken.append(failure)
        self.failures.append(failure.failure)
        self.log.failed(trial, failure)
        self._tell(Progress(kind="failed", index=trial.id, spend=self.ledger.spend, failure=failure))
        return failure

    def _tell(self, progress: Progress[Any]) -> None:
        """Tell whoever watches."""
        if self.on_event is not None:
            self.on_event(progress)


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


def _repeat(past: Ended, call: FunctionCall, lease: Lease) -> object:
    """Return what a call came to in an earlier run, and charge it as then; what it raised is raised again."""
    call.close()
    if past.charge is not None:
        lease.charge(past.charge)
    if past.error is not None:
        raise Broken(past.where, past.error)
    return past.value
