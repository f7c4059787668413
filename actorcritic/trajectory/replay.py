"""Resume: rebuild a problem's state from its events, so that only what had not finished is called again.

Asks and tells go once more into a fresh policy, leases and charges into a fresh ledger, at the same points as before.
What a driver must do for this to be exact stands at `replay`. Calls no model and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from actorcritic.budget import Lease, Ledger, Spend
from actorcritic.codec import decode
from actorcritic.errors import BudgetExhausted, RecordError
from actorcritic.metering import Call, EnvironmentStep
from actorcritic.search.policy import Policy
from actorcritic.trajectory.events import DONE, Event, Kind, read_call, read_score
from actorcritic.trajectory.forks import line_of
from actorcritic.trajectory.redaction import is_redacted
from actorcritic.types import Critique, Failure, JsonValue, Outcome, Reward, Solution, Trial

__all__ = ["OnCommit", "PastTrial", "Replay", "replay"]


@dataclass(slots=True, kw_only=True)
class PastTrial:
    """What the log knows of a trial. Mutable while the log is read."""

    trial: Trial
    solution: Solution | None = None
    critique: Critique | None = None
    reward: Reward | None = None
    failure: Failure | None = None
    """Why there is no solution; a critic's failure leaves the solution standing and is none."""
    failures: list[Failure] = field(default_factory=list[Failure])
    """Whatever failed in it, a critic's failure included."""
    outcome: Outcome | None = None
    """What the policy was told; None also where the trial was cancelled, though a solution may stand."""
    calls: list[Call] = field(default_factory=list[Call])
    """Every call that ended, those that brought nothing included."""
    steps: list[EnvironmentStep] = field(default_factory=list[EnvironmentStep])
    """Likewise, every step in an environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A problem as it was when its log broke off."""

    finished: Mapping[int, PastTrial]
    """Settled trials by id: the policy has been told of them, the ledger has charged them."""
    open: tuple[PastTrial, ...]
    """Trials that were asked and not settled, in order; each has its lease in `leases`."""
    leases: Mapping[int, Lease]
    failures: tuple[Failure, ...]
    """Everything that failed, in the order of the log."""
    next_seq: int
    """Number of the next event."""
    result: Mapping[str, JsonValue] | None
    """The payload of `finished`; None while the problem is not done."""


OnCommit: TypeAlias = Callable[[PastTrial, Outcome | Failure | None, Spend], None]
"""Hears of a settled trial, what the policy is about to be told of it (None = it was cancelled), and its charge."""


class _Replayer:
    """Reads events in order into a policy and a ledger. Mutable."""

    def __init__(
        self,
        policy: Policy,
        ledger: Ledger,
        trial_tokens: int | None,
        trial_steps: int | None,
        on_commit: OnCommit,
    ) -> None:
        self.policy = policy
        self.on_commit = on_commit
        self.ledger = ledger
        self.trial_tokens = trial_tokens
        self.trial_steps = trial_steps
        self.finished: dict[int, PastTrial] = {}
        self.open: dict[int, PastTrial] = {}
        self.leases: dict[int, Lease] = {}
        self.failures: list[Failure] = []
        self.result: Mapping[str, JsonValue] | None = None
        self.redacted = False

    def read(self, event: Event) -> None:
        """Take in one event."""
        if event.kind is Kind.PROBLEM_STARTED:
            self.result = None
            self.redacted |= is_redacted(event)
            self.forget_empty_calls()
        elif event.kind is Kind.ASKED:
            self._ask(event)
        elif event.kind is Kind.FINISHED:
            self.result = event.payload
        elif event.trial is not None:
            past = self.open.get(event.trial)
            if past is None:
                if event.trial in self.finished:
                    return  # late news, such as the score of a verifier
                raise RecordError(f"event {event.seq} is of trial {event.trial}, which was not asked")
            self._learn(past, event)

    def forget_empty_calls(self) -> None:
        """Forget the calls that brought nothing to trials in flight: whoever takes the problem up makes them again."""
        for past in self.open.values():
            if past.failure is None:
                past.calls = [call for call in past.calls if call.generation is not None]
                past.steps = [step for step in past.steps if step.observation is not None]

    def _ask(self, event: Event) -> None:
        """Let the policy ask once more."""
        logged = decode(Trial, event.payload.get("trial"))
        try:
            lease = self.ledger.lease(logged.id, tokens=self.trial_tokens, steps=self.trial_steps)
        except BudgetExhausted:
            lease = None
        trials = self.policy.ask(1)
        if trials != (logged,):
            raise RecordError(
                f"the log asked for {logged}, the policy now asks for {trials}: another version or option"
            )
        if lease is None:
            raise RecordError(f"the budget has no room for trial {logged.id}, which the log asked for")
        self.leases[logged.id] = lease
        self.open[logged.id] = PastTrial(trial=logged)

    def _learn(self, past: PastTrial, event: Event) -> None:
        """Take in what happened to a trial in flight."""
        payload = event.payload
        if event.kind is Kind.CALLED:
            past.calls.append(read_call(payload))
        elif event.kind is Kind.STEPPED:
            past.steps.append(decode(EnvironmentStep, dict(payload)))
        elif event.kind in DONE.values():
            past.solution = decode(Solution, payload.get("solution"))
        elif event.kind is Kind.CRITIQUED:
            past.critique = decode(Critique, payload.get("critique"))
        elif event.kind is Kind.SCORED:
            past.reward = read_score(payload)
        elif event.kind is Kind.FAILED:
            failure = decode(Failure, payload.get("failure"))
            self.failures.append(failure)
            past.failures.append(failure)
            if past.solution is None:
                past.failure = failure
        elif event.kind is Kind.COMMITTED:
            self._settle(past, payload)

    def _settle(self, past: PastTrial, payload: Mapping[str, JsonValue]) -> None:
        """Charge a trial and tell the policy of it, as it was done before."""
        trial = past.trial.id
        lease = self.leases.pop(trial)
        for call in past.calls:
            lease.charge(call.charge)
        for step in past.steps:
            lease.charge_step(step.replayed)
        spend = self.ledger.commit(trial)
        told: Outcome | Failure | None = None
        if "outcome" in payload:
            told = past.outcome = decode(Outcome, payload["outcome"])
        elif "failure" in payload:
            told = past.failure = decode(Failure, payload["failure"])
        self.on_commit(past, told, spend)
        if isinstance(told, Outcome):
            self.policy.tell(trial, told)
        elif told is not None:
            self.policy.fail(trial, told)
        self.finished[trial] = self.open.pop(trial)


def replay(
    events: Iterable[Event],
    policy: Policy,
    ledger: Ledger,
    *,
    trial_tokens: int | None = None,
    trial_steps: int | None = None,
    on_commit: OnCommit = lambda trial, told, spend: None,
) -> Replay:
    """Bring a fresh policy and a fresh ledger to where a problem's events end.

    For a resumed run to come to what the unbroken one would have, the driver must

    - take a trial's lease right before it asks for the trial, wishing for `trial_tokens` and `trial_steps`, and release
      it where the policy has nothing to ask; settle trials in the order of their ids; change policy, ledger and
      attempts at commits only;
    - record, per trial, `asked` before the first call, `called` as each call ends, `stepped` as each step in an
      environment does, the solution, the critique and whatever failed as they come, `committed` when the trial is
      settled, and only then tell the policy;
      `TrajectoryJournal` writes these events. An interruption settles nothing.

    To go on, it begins with `Replay.open`, in order: a trial named by the policy's `cancelled` is settled as such, one
    with a `failure` with that. Any other gets `calls` as its meter's past, so that they are charged and not made again;
    where a solution or a critique stands, `take_over` charges what led to it and the role need not act. Then it fills
    the window. Its journal begins with `started`, numbered `next_seq`.

    Args:
        events: Of one problem, in order; where somebody went back in time, the line that counts is followed.
        policy: Made as it was for the run: the same strategy, options and seed.
        ledger: With the run's budget.
        trial_tokens: The lease that the run's driver wished for each trial; None = unlimited.
        trial_steps: Likewise, steps in environments.
        on_commit: Hears of each settled trial, what the policy is told next, and what it was charged.

    Raises:
        RecordError: the events do not fit the policy, the budget or one another; or texts were taken out of them and
            the problem is not done: what follows would be made of other words than were written.
    """
    reader = _Replayer(policy, ledger, trial_tokens, trial_steps, on_commit)
    logged = tuple(events)
    for number, event in enumerate(logged):
        if event.seq != number:
            raise RecordError(f"event {number} of problem {event.problem!r} is missing: the next one is {event.seq}")
    for event in line_of(logged):
        reader.read(event)
    if reader.redacted and reader.result is None:
        raise RecordError(
            f"problem {logged[0].problem!r} was logged with texts taken out of it by a function, so nobody can go on "
            "with it: begin it anew in another run"
        )
    reader.forget_empty_calls()
    return Replay(
        finished=reader.finished,
        open=tuple(reader.open.values()),
        leases=reader.leases,
        failures=tuple(reader.failures),
        next_seq=len(logged),
        result=reader.result,
    )
