"""A small synchronous driver that records and resumes, over an engine whose answers depend on the request alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from actorcritic.budget import Budget, Lease, Ledger, Spend
from actorcritic.errors import BudgetExhausted, EngineError
from actorcritic.metering import Call, CallMeter, derive_seed
from actorcritic.protocols import Capabilities, EngineInfo
from actorcritic.search.base import TreePolicy
from actorcritic.search.strategies import make_policy, parse_strategy
from actorcritic.search.tree import NodeCount, node_counts
from actorcritic.trajectory.events import Event
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.recorder import Recorder
from actorcritic.trajectory.replay import PastTrial, replay
from actorcritic.types import (
    Action,
    Critique,
    Failure,
    FinishReason,
    GenerateRequest,
    Generation,
    Outcome,
    Prompt,
    Solution,
    Step,
    StepCritique,
    StopReason,
    TokenLogprob,
    ToolSpec,
    Trial,
    Usage,
    Verdict,
)

T = TypeVar("T")
Key = tuple[object, int | None]


@dataclass
class Parrot:
    """Answers with a few letters drawn from the prompt and the seed; some requests always fail."""

    broken: float = 0.0
    calls: list[Key] = field(default_factory=list[Key])
    """What was answered."""

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(model="parrot", name="parrot", capabilities=Capabilities(token_ids=True, exact_counts=True))

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        return tuple(map(ord, str(prompt.content)))

    async def generate(self, request: GenerateRequest) -> Generation:
        draw = random.Random(f"{request.prompt.content} {request.seed}")
        if draw.random() < self.broken:
            raise EngineError("scripted")
        text = "".join(draw.choice("abcd") for _ in range(min(4, request.max_tokens)))
        self.calls.append(key_of(request))
        prompt_ids, token_ids = self.encode(request.prompt), tuple(map(ord, text))
        return Generation(
            text=text,
            finish_reason=FinishReason.STOP,
            usage=Usage(calls=1, prompt_tokens=len(prompt_ids), completion_tokens=len(text)),
            tokens=tuple(TokenLogprob(token_id=ord(c), text=c, logprob=-draw.random()) for c in text),
            prompt_ids=prompt_ids,
            token_ids=token_ids,
        )

    async def aclose(self) -> None:
        pass


def key_of(request: GenerateRequest) -> Key:
    return request.prompt.content, request.seed


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise AssertionError("it waited")


@dataclass(kw_only=True)
class Setup:
    """How a problem is searched; the same for every process that works on it."""

    strategy: str
    width: int = 1
    budget: Budget = field(default_factory=Budget)
    trial_tokens: int | None = None
    trials: int = 14
    seed: int = 0

    def policy(self) -> TreePolicy:
        return make_policy(parse_strategy(self.strategy), seed=self.seed, budgeted=True)


@dataclass(kw_only=True)
class Attempt:
    solution: Solution
    critique: Critique | None


class Process:
    """One life of the driver: from the log that it finds to the end."""

    def __init__(
        self, setup: Setup, engine: Parrot, recorder: Recorder, events: tuple[Event, ...] = (), hurry: int = 0
    ):
        self.setup = setup
        self.engine = engine
        self.policy = setup.policy()
        self.ledger = Ledger(setup.budget)
        past = replay(events, self.policy, self.ledger, trial_tokens=setup.trial_tokens)
        self.past = past
        self.open: dict[int, PastTrial] = {trial.trial.id: trial for trial in past.open}
        self.leases: dict[int, Lease] = dict(past.leases)
        self.window: list[Trial] = [trial.trial for trial in past.open]
        self.results: dict[int, Attempt | Failure] = {}
        self.attempts = {
            trial: Attempt(solution=old.solution, critique=old.critique)
            for trial, old in past.finished.items()
            if old.solution is not None
        }
        self.failures = list(past.failures)
        self.hurry = random.Random(hurry)
        self.journal = TrajectoryJournal(recorder, run="r", problem="p", next_seq=past.next_seq, now=lambda: "now")

    def run(self) -> Process:
        if self.past.result is not None:
            return self
        self.journal.started({"strategy": self.setup.strategy})
        limit: StopReason | None = None
        while True:
            limit = self._fill() or limit
            if not self.window:
                break
            # Some trials come back before it is their turn.
            for trial in self.window[1:]:
                if trial.id not in self.results and self.hurry.random() < 0.3:
                    self._work(trial)
            self._settle(self.window.pop(0))
        self.journal.finished(Result(self, self.policy.stopped or limit or "exhausted"))
        return self

    def _fill(self) -> StopReason | None:
        while len(self.window) < self.setup.width and len(self.policy.tree) < self.setup.trials:
            number = len(self.policy.tree)
            try:
                lease = self.ledger.lease(number, tokens=self.setup.trial_tokens)
            except BudgetExhausted as error:
                return error.limit
            if lease is None:
                return None
            trials = self.policy.ask(1)
            if not trials:
                self.ledger.release(number)
                return None
            self.leases[number] = lease
            self.journal.asked(trials[0])
            self.window.append(trials[0])
        return None

    def _settle(self, trial: Trial) -> None:
        result: Attempt | Failure | None = None
        if trial.id in self.policy.cancelled():
            if trial.id not in self.results and trial.id in self.open:
                self._meter(trial).take_over()
        else:
            if trial.id not in self.results:
                self._work(trial)
            result = self.results[trial.id]
        spend = self.ledger.commit(trial.id)
        told = outcome_of(result, spend) if isinstance(result, Attempt) else result
        self.journal.committed(trial, told, spend)
        if isinstance(result, Attempt):
            self.attempts[trial.id] = result
        if isinstance(told, Outcome):
            self.policy.tell(trial.id, told)
        elif told is not None:
            self.policy.fail(trial.id, told)

    def _meter(self, trial: Trial) -> CallMeter:
        old = self.open.get(trial.id)
        past: tuple[Call, ...] = tuple(old.calls) if old is not None else ()
        seed = derive_seed(self.setup.seed, trial.id)
        on_call: Callable[[Call], None] = lambda call: self.journal.called(trial, call)  # noqa: E731
        return CallMeter(self.leases[trial.id], seed=seed, past=past, on_call=on_call)

    def _work(self, trial: Trial) -> None:
        old = self.open.get(trial.id) or PastTrial(trial=trial)
        meter = self._meter(trial)
        if old.failure is not None:
            meter.take_over()
            self.results[trial.id] = old.failure
            return
        try:
            solution = old.solution
            if solution is None:
                solution = finish(self._act(trial, meter))
                self.journal.brought(trial, solution)
            else:
                meter.take_over("actor")
        except (EngineError, BudgetExhausted) as error:
            failure = Failure(where="actor", type=type(error).__name__, message=str(error))
            self.failures.append(failure)
            self.journal.brought(trial, failure)
            self.results[trial.id] = failure
            return
        critique = old.critique
        if critique is not None:
            meter.take_over("critic")
        elif trial.options["critique"]:
            critique = self._judge(trial, solution, meter)
        self.results[trial.id] = Attempt(solution=solution, critique=critique)

    def _judge(self, trial: Trial, solution: Solution, meter: CallMeter) -> Critique | None:
        try:
            critique = finish(self._criticize(solution, meter))
        except BudgetExhausted:
            return None
        except EngineError as error:
            failure = Failure(where="critic", type="EngineError", message=str(error))
            self.failures.append(failure)
            self.journal.brought(trial, failure)
            return None
        self.journal.brought(trial, critique)
        return critique

    async def _act(self, trial: Trial, meter: CallMeter) -> Solution:
        kept: tuple[Step, ...] = ()
        before = ""
        if trial.parent is not None:
            parent = self.attempts[trial.parent].solution
            if trial.action is Action.JUDGE:
                return parent
            before, kept = parent.raw, parent.steps if trial.action is Action.EXTEND else ()
        text = f"{trial.action} {before} {trial.options.get('revise_from', '')}:"
        request = GenerateRequest(prompt=Prompt(content=text), max_tokens=8)
        answer = await meter.generate(self.engine, request, role="actor")
        steps = tuple(
            Step(text=token.text, raw=token.text, token_ids=(ord(token.text),), logprobs=(token.logprob,))
            for token in answer.tokens
        )
        most = trial.options.get("max_steps")
        steps = kept + (steps[:most] if isinstance(most, int) else steps)
        return Solution(steps=steps, answer=answer.text[-1:] or None, complete=len(steps) > 3)

    async def _criticize(self, solution: Solution, meter: CallMeter) -> Critique:
        request = GenerateRequest(prompt=Prompt(content=f"judge {solution.raw}:"), max_tokens=8)
        answer = await meter.generate(self.engine, request, role="critic")
        draw = random.Random(answer.text)
        verdicts = [draw.choice(list(Verdict)) if draw.random() < 0.5 else Verdict.CORRECT for _ in solution.steps]
        final = draw.choice(list(Verdict)) if all(v is Verdict.CORRECT for v in verdicts) else Verdict.INCORRECT
        steps = tuple(StepCritique(verdict=verdict, explanation=answer.text) for verdict in verdicts)
        return Critique(steps=steps, verdict=final, score=round(draw.random(), 3), raw=answer.text)


@dataclass
class Result:
    """What the journal hears in the end."""

    process: Process
    stopped_by: StopReason

    @property
    def best(self) -> int | None:
        return self.process.policy.best

    @property
    def answer(self) -> str | None:
        return None if self.best is None else self.process.attempts[self.best].solution.answer

    @property
    def attempts(self) -> int:
        return len(self.process.attempts)

    @property
    def spend(self) -> Spend:
        return self.process.ledger.spend

    @property
    def failures(self) -> list[Failure]:
        return self.process.failures

    @property
    def counts(self) -> dict[int, NodeCount]:
        return node_counts(self.process.policy)


def outcome_of(attempt: Attempt, spend: Spend) -> Outcome:
    solution, critique = attempt.solution, attempt.critique
    logprobs = [value for step in solution.steps for value in step.logprobs]
    return Outcome(
        complete=solution.complete,
        vote_key=solution.answer,
        verdict=critique.verdict if critique is not None else Verdict.UNSCORED,
        first_error=critique.first_error if critique is not None else None,
        score=critique.score if critique is not None else None,
        logprob=sum(logprobs) / len(logprobs) if logprobs else None,
        least_confident=logprobs.index(min(logprobs)) if logprobs else None,
        steps=len(solution.steps),
        tokens=spend.total.logical_tokens,
    )


def charged(events: tuple[Event, ...] | list[Event]) -> Mapping[int | None, object]:
    """Return what every trial that came to something was charged."""
    return {
        event.trial: event.payload["spend"]
        for event in events
        if event.kind == "committed" and ("outcome" in event.payload or "failure" in event.payload)
    }
