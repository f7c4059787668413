"""What stands between a search and vLLM: how full it is kept, what it shares, what a schema costs, what a death costs.

    python -m tests.benchmarks.engines [--problems 64] [--batch 12] [--parts best-of-n,revise,schema,mcts,kill] ...

Each search runs through the library, with every request recorded; the same requests then go straight to vLLM's
AsyncLLM, all at once, in the same run and in turn. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, cast

from actorcritic.actor import ModelActor
from actorcritic.critic import ModelCritic
from actorcritic.engines.local_models import resolve_model
from actorcritic.engines.restarting import RestartingEngine, keep_running
from actorcritic.engines.vllm.answers import sampling_of
from actorcritic.engines.vllm.engine import VllmEngine
from actorcritic.engines.vllm.options import VllmOptions
from actorcritic.formats.chat import ChatActorFormat, ChatCriticFormat
from actorcritic.graphs.journals import TeeJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, solve_all
from actorcritic.loading import EMBEDDED, load_roles
from actorcritic.metering import Call
from actorcritic.parsing.critiques import read_critique
from actorcritic.search.strategies import needs_critic, parse_strategy
from actorcritic.types import GenerateRequest, Problem, Sampling, Solution, Step, Trial, Verdict
from tests.benchmarks.recording import Asked, BillingJournal, Moment, Recorder, Speed, billed_twice, prefix_share, speed
from tests.engines.vllm.live import core_process

PARTS = "best-of-n,revise,schema,mcts,kill"
BLOCK = 32
FREE_TOKENS = 48
"""Of a critique without schema: enough to tell its speed."""
ENOUGH = 256
"""Prompts shorter than this do not count for the share of the cache."""


def make_problems(count: int, *, long: bool, first: int = 0) -> list[Problem]:
    """Return word problems, each with its own figures; long ones fill the cache's blocks."""
    problems: list[Problem] = []
    for number in range(first, first + count):
        a, b, c = 3 + number % 17, 5 + number % 23, 2 + number % 7
        story = f"Shop {number} sells pens at {a} coins and books at {b} coins. "
        if long:
            story += " ".join(f"On day {day} it sold {(day * a + b) % 19} pens." for day in range(1, 13)) + " "
        question = f"Ann buys {c} pens and {a} books. How many coins does she pay?"
        problems.append(Problem(id=f"p{number}", prompt=story + question))
    return problems


class Stage:
    """One engine with what is measured on it. Mutable."""

    def __init__(self, engine: VllmEngine, new_tokens: int) -> None:
        self.engine = engine
        self.recorder = Recorder(engine)
        self.moments: list[Moment] = []
        """The beginning of the latest run, then the end of each problem or request."""
        self._new_tokens = new_tokens

    def roles(self, *, instruct: bool) -> tuple[ModelActor, ModelCritic]:
        """Return an actor and a critic on this engine that say little."""
        form = ChatActorFormat(instruct=instruct)
        judge = ChatCriticFormat(follows=form, tokens_per_step=8)
        return (
            ModelActor(self.recorder, form, max_tokens=self._new_tokens),
            ModelCritic(self.recorder, judge, retries=0),
        )

    def now(self) -> Moment:
        """Return this moment."""
        spent = core_process(self.engine).cpu_times()
        return Moment(time=time.monotonic(), processor=spent.user + spent.system)

    def speed(self, asked: Sequence[Asked], left: int = 0) -> Speed:
        """Return how fast the latest run was, until only so many problems or requests were left."""
        return speed(asked, self.moments[0], self.moments[-1 - left])

    async def forget(self) -> None:
        """Empty vLLM's cache and the record."""
        host = self.engine._host
        reset = asyncio.run_coroutine_threadsafe(host.started.llm.reset_prefix_cache(), host._loop)
        await asyncio.wrap_future(reset)
        self.recorder.asked.clear()
        self.moments[:] = [self.now()]

    async def search(self, problems: Sequence[Problem], strategy: str, *, width: int, instruct: bool) -> list[Asked]:
        """Search all problems at once through the library; returns what was asked of the engine."""
        await self.forget()
        settings = SearchSettings(strategy=parse_strategy(strategy), width=width, seed=1)
        actor, critic = self.roles(instruct=instruct)
        judge = critic if needs_critic(settings.strategy) else None
        sessions = [new_session(problem, settings, BillingJournal()) for problem in problems]
        async for result in solve_all(sessions, actor, judge, settings, concurrency=len(problems)):
            assert not result.failures, result.failures
            self.moments.append(self.now())
        return list(self.recorder.asked)

    async def straight(self, asked: Sequence[Asked]) -> list[Asked]:
        """Give the same requests straight to AsyncLLM, all at once."""
        await self.forget()
        host = self.engine._host
        vllm, done = host.started, list[Asked]()

        async def one(index: int, request: Asked) -> None:
            sampling = vllm.sampling(sampling_of(request.request))
            start, final = time.monotonic(), cast("Any", None)
            prompt = {"prompt_token_ids": list(request.prompt)}
            async for output in vllm.llm.generate(prompt, sampling, f"straight-{index}-{start}"):
                final = output
            ids = tuple(final.outputs[0].token_ids)
            done.append(replace(request, completion=ids, start=start, end=time.monotonic()))
            self.moments.append(self.now())

        async def everything() -> None:
            await asyncio.gather(*(one(index, request) for index, request in enumerate(asked)))

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(everything(), host._loop))
        return done


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A search to measure."""

    strategy: str
    problems: int
    width: int = 1
    drain: bool = False
    """Count the last drain, in which no search can keep the batch full."""
    long: bool = False
    """Problems and prompts that fill the cache's blocks."""
    repeats: int = 1


async def measure_search(stage: Stage, name: str, plan: Plan, batch: int) -> dict[str, Any]:
    """Return how full a search keeps vLLM, and the share of its cache that it uses."""
    pairs, asked = list[tuple[Speed, Speed]](), list[Asked]()
    # Once fewer problems than sequences are left, the batch cannot be full.
    left = 0 if plan.drain else batch
    for repeat in range(plan.repeats):
        problems = make_problems(plan.problems, long=plan.long, first=1000 * repeat)
        asked = await stage.search(problems, plan.strategy, width=plan.width, instruct=plan.long)
        ours = stage.speed(asked, left)
        direct = await stage.straight(asked)
        pairs.append((ours, stage.speed(direct, left)))
        print(f"{name}: {len(asked)} requests, {pairs[-1]}", flush=True)
    row = {
        "ratio": round(statistics.median(ours.clock / theirs.clock for ours, theirs in pairs), 3),
        "processor_ratio": round(statistics.median(ours.processor / theirs.processor for ours, theirs in pairs), 3),
        "tokens_per_second": [(round(ours.clock, 1), round(theirs.clock, 1)) for ours, theirs in pairs],
        "requests": len(asked),
        "prefix": prefix_share(asked, block=BLOCK, least=ENOUGH),
    }
    print(f"{name}: {row}", flush=True)
    return row


async def measure_schema(stage: Stage, count: int, batch: int) -> dict[str, Any]:
    """Return the share of critiques under the schema that can be read, and what it costs against free text."""
    form = ChatCriticFormat(follows=ChatActorFormat(), output="json")
    texts = ["She buys 4 pens.", "The pens cost 12 coins.", "The answer is 12."]
    solution = Solution(steps=tuple(Step(text=text, raw=f"{text}\n\n") for text in texts[-2:]))

    async def ask(request: GenerateRequest) -> None:
        await stage.recorder.generate(request)
        stage.moments.append(stage.now())

    sides, speeds = list[list[Asked]](), list[Speed]()
    for constrained in (True, False):
        await stage.forget()
        requests = [
            GenerateRequest(
                prompt=form.ask(problem, solution),
                max_tokens=form.max_tokens(solution) if constrained else FREE_TOKENS,
                sampling=Sampling(temperature=0.0),
                top_logprobs=form.top_logprobs,
                json_schema=form.json_schema(solution) if constrained else None,
            )
            for problem in make_problems(count, long=False, first=5000)
        ]
        await asyncio.gather(*(ask(request) for request in requests))
        sides.append(list(stage.recorder.asked))
        # While the batch is full on both sides: the lengths differ, and with them the drain.
        speeds.append(stage.speed(sides[-1], batch))
    held, (with_schema, without) = sides[0], speeds
    shown = [step.text for step in solution.steps]
    readings = [read_critique(one.text, shown, complete=one.complete) for one in held]
    parsed = sum(reading.critique.verdict is not Verdict.UNSCORED for reading in readings)
    print(f"schema: {parsed}/{count} read, {with_schema}, free {without}", flush=True)
    return {
        "parse_share": round(parsed / count, 4),
        "cost": round(1 - with_schema.clock / without.clock, 3),
        "processor_cost": round(1 - with_schema.processor / without.processor, 3),
        "tokens_per_second": [round(with_schema.clock, 1), round(without.clock, 1)],
        "tokens_per_critique": round(statistics.mean(len(one.completion) for one in held), 1),
        "critiques": count,
    }


class Killer(BillingJournal):
    """A journal that kills the engine's process after every so many answers, so many times."""

    def __init__(self, engine: RestartingEngine, every: int, times: int) -> None:
        super().__init__()
        self.killed = 0
        self.waits: list[float] = []
        self._engine, self._every, self._times, self._answers = engine, every, times, 0

    def called(self, trial: Trial, call: Call) -> None:
        """See `Journal.called`."""
        if call.generation is None and self.killed:
            self.waits.append(time.monotonic())
        if call.generation is not None:
            self._answers += 1
        if self._answers >= self._every and self.killed < self._times and self.killed == self._engine.restarts:
            self._answers = 0
            self.killed += 1
            core_process(self._engine).kill()


async def measure_deaths(args: argparse.Namespace) -> dict[str, Any]:
    """Kill vLLM's process again and again in one run; return what was finished, failed and billed twice."""
    roles = load_roles("embedded", "none")
    await roles.aclose()
    options = VllmOptions(threads=args.threads, memory=0.25, device="cpu")
    (engine,) = keep_running(lambda: [VllmEngine.load(str(EMBEDDED / "actor"), options)], restarts=args.kills)
    actor = ModelActor(engine, roles.actor.format, max_tokens=roles.actor.max_tokens)
    settings = SearchSettings(strategy=parse_strategy("majority:n=6"), width=3, seed=1)
    problems = [
        Problem(id=f"k{number}", prompt=f"Use {3 + number % 11}, {5 + number % 7} and {2 + number % 13} to make 24.")
        for number in range(20 * (args.kills + 1))
    ]
    killer = Killer(engine, every=90, times=args.kills)
    journals = {problem.id: BillingJournal() for problem in problems}
    sessions = [new_session(problem, settings, TeeJournal((journals[problem.id], killer))) for problem in problems]
    results = [result async for result in solve_all(sessions, actor, None, settings, concurrency=8)]
    await engine.aclose()
    failures = [failure for result in results for failure in result.failures]
    twice = sum(
        billed_twice(journals[result.problem.id].calls, result.spend.total.logical_tokens) for result in results
    )
    row = {
        "kills": killer.killed,
        "restarts": engine.restarts,
        "problems": len(problems),
        "problems_finished": sum(result.answer is not None for result in results),
        "failures_recorded": len(failures),
        "failure_types": sorted({failure.type for failure in failures}),
        "tokens_billed": sum(result.spend.total.logical_tokens for result in results),
        "tokens_billed_twice": twice,
    }
    print(f"deaths: {row}", flush=True)
    return row


async def measure_smol(args: argparse.Namespace, parts: Sequence[str]) -> dict[str, Any]:
    """Run the parts that need a language model."""
    options = VllmOptions(
        threads=args.threads, memory=1.0, context=2048, max_batch=args.batch, device="cpu", dtype=args.dtype
    )
    few = args.batch + max(4, args.batch // 3)
    plans = {
        "best-of-n": Plan(
            strategy="best-of-n:n=2,score=logprob", problems=args.problems, width=2, drain=True, repeats=args.repeats
        ),
        "revise": Plan(strategy="revise:rounds=2,max_revisions=1", problems=few, long=True),
        "mcts": Plan(strategy="mcts:n=3", problems=few),
    }
    found: dict[str, Any] = {}
    engine = VllmEngine.load(resolve_model(args.model), options)
    try:
        stage = Stage(engine, args.new_tokens)
        await stage.search(make_problems(2, long=False, first=9000), "majority:n=1", width=1, instruct=False)
        for part in parts:
            if part == "schema":
                found[part] = await measure_schema(stage, max(args.critiques, 2 * args.batch), args.batch)
            else:
                found[part] = await measure_search(stage, part, plans[part], args.batch)
    finally:
        await engine.aclose()
    return found


def main() -> None:
    """Print what is measured as it comes, then everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a model folder or an added model (default smollm2)")
    parser.add_argument("--dtype", default="bfloat16", help="of the model (default bfloat16)")
    parser.add_argument("--problems", type=int, default=64, help="problems of best-of-N (default 64)")
    parser.add_argument("--batch", type=int, default=12, help="sequences that vLLM decodes at once (default 12)")
    parser.add_argument("--new-tokens", type=int, default=12, help="tokens of a solution at most (default 12)")
    parser.add_argument("--repeats", type=int, default=2, help="pairs of runs of best-of-N (default 2)")
    parser.add_argument("--critiques", type=int, default=64, help="critiques under the schema (default 64)")
    parser.add_argument("--kills", type=int, default=10, help="times that vLLM's process is killed (default 10)")
    parser.add_argument("--threads", type=int, default=1, help="threads of vLLM (default 1)")
    parser.add_argument("--parts", default=PARTS, help=f"what to measure (default {PARTS})")
    args = parser.parse_args()
    parts = args.parts.split(",")
    if unknown := set(parts) - set(PARTS.split(",")):
        parser.error(f"unknown parts {', '.join(sorted(unknown))}: choose from {PARTS}")
    start, found = time.monotonic(), dict[str, Any]()
    if talking := [part for part in parts if part != "kill"]:
        found = asyncio.run(measure_smol(args, talking))
    if "kill" in parts:
        found["kill"] = asyncio.run(measure_deaths(args))
    summary = {
        "bench": "engines",
        "model": args.model,
        "utilisation_vllm": found.get("best-of-n", {}).get("ratio"),
        "utilisation_vllm_processor": found.get("best-of-n", {}).get("processor_ratio"),
        "utilisation_revise": found.get("revise", {}).get("ratio"),
        "utilisation_mcts": found.get("mcts", {}).get("ratio"),
        "prefix_hit_share": found.get("revise", {}).get("prefix", {}).get("share"),
        "constrained_parse_share": found.get("schema", {}).get("parse_share"),
        "constrained_cost": found.get("schema", {}).get("cost"),
        "tokens_billed_twice": found.get("kill", {}).get("tokens_billed_twice"),
        "seconds": round(time.monotonic() - start),
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    print(json.dumps({**summary, "settings": vars(args), "details": found}))


if __name__ == "__main__":
    main()
