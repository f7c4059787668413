"""Reward models in vLLM: what it is asked, how its numbers are read, and what it does not know. No vLLM is needed."""

from __future__ import annotations

import asyncio
import importlib
import json
import queue
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actorcritic.engines.batch_scorer import ScoringOptions
from actorcritic.engines.load_reward import load_reward_engine
from actorcritic.engines.restarting import RESTARTS
from actorcritic.engines.reward_formats import OutcomeClassifier, format_of
from actorcritic.engines.vllm import pooling
from actorcritic.engines.vllm.options import VllmOptions
from actorcritic.engines.vllm.pooling import VllmScorer
from actorcritic.errors import EngineError, EngineUnavailable, InputError
from actorcritic.protocols import Engine
from actorcritic.types import Generation
from tests.engines.reward_models import chat_tokenizer
from tests.engines.test_rewards import request, scores
from tests.scoring import texts


class Numbers(list[Any]):
    """Stands for a tensor."""

    def tolist(self) -> list[Any]:
        return list(self)


class FakeLlm:
    """A `vllm.LLM` that gives token i of a prompt the classes (1 - p, p), p = (i mod 100) / 100."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.asked: list[tuple[list[list[int]], str]] = []
        self.down = 0
        self.short = False
        self.failure: Exception | None = None
        self.hangs = False
        self.process = SimpleNamespace(exitcode=None, pid=2**22 + 1)
        self.answers = queue.Queue[Exception]()
        core = SimpleNamespace(
            shutdown=self.stop,
            resources=SimpleNamespace(engine_dead=False, engine_manager=SimpleNamespace(processes=[self.process])),
            outputs_queue=self.answers,
        )
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=300), engine_core=core)
        LAST.append(self)
        if arguments["model"] == "broken":
            raise ValueError("no such architecture\nand more")

    def get_tokenizer(self) -> Any:
        return chat_tokenizer()

    def encode(self, prompts: Sequence[dict[str, Any]], params: Any, *, pooling_task: str, use_tqdm: bool) -> list[Any]:
        assert params.use_activation is True and use_tqdm is False
        ids = [prompt["prompt_token_ids"] for prompt in prompts]
        self.asked.append((ids, pooling_task))
        if self.failure is not None:
            raise self.failure
        if self.hangs:  # as vLLM does once its process is gone
            raise self.answers.get()
        rows = [
            [0.25] if pooling_task == "classify" else [[1 - i % 100 / 100, i % 100 / 100] for i in range(len(one))]
            for one in ids
        ]
        return [SimpleNamespace(outputs=SimpleNamespace(data=Numbers(row[1:] if self.short else row))) for row in rows]

    def stop(self) -> None:
        self.down += 1


class Dead(Exception):
    """What vLLM says when its process is gone."""


LAST: list[FakeLlm] = []
CPU = True


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a fake in vLLM's place."""
    LAST.clear()
    known = {
        "vllm": SimpleNamespace(LLM=FakeLlm, PoolingParams=SimpleNamespace),
        "vllm.platforms": SimpleNamespace(current_platform=SimpleNamespace(is_cpu=lambda: CPU)),
        "vllm.config": SimpleNamespace(PoolerConfig=dict),
        "vllm.v1.engine.exceptions": SimpleNamespace(EngineDeadError=Dead),
    }
    real = importlib.import_module
    stand_in = SimpleNamespace(import_module=lambda name: known[name] if name in known else real(name))
    monkeypatch.setattr(pooling, "importlib", stand_in)
    monkeypatch.setattr(pooling, "require_vllm", lambda: None)
    monkeypatch.setattr(pooling, "_LOOK", 0.001)


async def test_every_token_is_classified_and_the_separators_count() -> None:
    engine = VllmScorer.load("model", format_of("qwen"))
    asked = [request(), request("w9", ["w1"])]
    answers = await scores(engine, *asked)
    (llm,) = LAST
    assert llm.asked == [([list(engine.encode(item.prompt)) for item in asked], "token_classify")], "one batch"
    for item, answer in zip(asked, answers, strict=True):
        question, *steps = texts(item.prompt)
        marks = format_of("qwen").lay_out(chat_tokenizer(), question, steps).marks
        assert answer["steps"] == [mark % 100 / 100 for mark in marks]
    assert llm.arguments["pooler_config"] == {"tok_pooling_type": "ALL"} and llm.arguments["runner"] == "pooling"
    await engine.aclose()
    await engine.aclose()
    assert llm.down == 1
    with pytest.raises(EngineUnavailable, match="closed"):
        await engine.generate(request())


async def test_an_outcome_model_classifies_the_whole() -> None:
    engine = VllmScorer.load("model", OutcomeClassifier(), ScoringOptions(max_batch=1))
    answers = await scores(engine, request(), request())
    assert answers == [{"score": 0.25, "steps": []}] * 2 and len(LAST[0].asked) == 2
    assert "pooler_config" not in LAST[0].arguments
    await engine.aclose()


async def test_numbers_for_other_tokens_are_unscored() -> None:
    engine = VllmScorer.load("model", format_of("qwen"))
    LAST[0].short = True
    answer = json.loads((await engine.generate(request())).text)
    assert answer == {"score": None, "steps": [None, None, None]}
    await engine.aclose()


async def test_a_spec_says_how_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load_reward_engine("vllm-prm:model?format=qwen&context=200&memory=0.5&batch=3", device="cpu")
    given = LAST[0].arguments
    assert (given["max_model_len"], given["max_num_seqs"], given["dtype"]) == (200, 3, "float32")
    assert given["kv_cache_memory_bytes"] == 2**29 and engine.info.name.startswith("vllm-prm:model")
    assert engine.info.max_context == 300 and engine.info.capabilities.seeds is False
    monkeypatch.setattr("tests.engines.vllm.test_pooling.CPU", False)
    other = load_reward_engine("vllm-orm:model")
    assert LAST[1].arguments["gpu_memory_utilization"] == 0.3 and "kv_cache_memory_bytes" not in LAST[1].arguments
    for each in (engine, other):
        await each.aclose()


@pytest.mark.parametrize("name", ["shepherd", "skywork"])
def test_formats_that_vllm_does_not_know_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"use hf-prm:model.format={name}"):
        VllmScorer.load("model", format_of(name))
    assert not LAST


def test_what_cannot_be_loaded_is_one_line() -> None:
    with pytest.raises(EngineUnavailable, match="vLLM cannot run broken: no such architecture and more"):
        VllmScorer.load("broken", format_of("qwen"))
    with pytest.raises(InputError, match="built for the CPU"):
        VllmScorer.load("model", format_of("qwen"), ScoringOptions(device="cuda"), how=VllmOptions(device="cuda"))


async def test_many_at_once_share_batches() -> None:
    engine = VllmScorer.load("model", format_of("qwen"), ScoringOptions(max_batch=4))
    await asyncio.gather(*(engine.generate(request(f"w{i}", ["w1"] * (1 + i % 3))) for i in range(10)))
    assert [len(ids) for ids, _ in LAST[0].asked] == [4, 4, 2]
    await engine.aclose()


# --- it dies --------------------------------------------------------------------------------------------------------


SPEC = "vllm-prm:model?format=qwen&batch=4"


async def outcomes(engine: Engine, count: int) -> list[str]:
    """Return what becomes of so many requests at once: "scored", or what they failed of."""
    asked = (engine.generate(request(f"w{number}")) for number in range(count))
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, Generation | EngineUnavailable) for one in done), done
    return [str(one) if isinstance(one, EngineUnavailable) else "scored" for one in done]


def kill(how: str) -> None:
    """Let the vLLM that runs die."""
    llm = LAST[-1]
    if how == "said":
        llm.failure = Dead("EngineCore encountered an issue")
    else:
        llm.hangs, llm.process.exitcode = True, -9


@pytest.mark.parametrize("how", ["said", "silent"])
async def test_who_waits_hears_of_the_death_and_who_comes_later_is_served(how: str) -> None:
    engine = load_reward_engine(SPEC)
    assert await outcomes(engine, 3) == ["scored"] * 3
    kill(how)
    died = await outcomes(engine, 6)
    assert len(died) == 6 and all(
        "the reward model's vLLM process has died (killed from outside" in one for one in died
    )
    assert await outcomes(engine, 6) == ["scored"] * 6
    assert len(LAST) == 2 and LAST[0].down == 1 and LAST[0].answers.empty(), "nothing of the dead one is left waiting"
    await engine.aclose()
    assert LAST[1].down == 1


async def test_a_log_says_what_it_died_of() -> None:
    engine = VllmScorer.load("model", format_of("qwen"))
    (Path(engine._log.name) / "vllm.log").write_text("RuntimeError: CUDA error: out of memory\n", encoding="utf-8")
    kill("said")
    with pytest.raises(EngineUnavailable, match=r"has died: CUDA error: out of memory .*&memory="):
        await engine.generate(request())
    await engine.aclose()


async def test_so_many_times_and_no_more() -> None:
    engine, last = load_reward_engine(SPEC), [""]
    for _ in range(RESTARTS + 1):
        kill("said")
        assert "has died" in (await outcomes(engine, 1))[0]
        last = await outcomes(engine, 1)
    assert f"was started again {RESTARTS} times" in last[0] and len(LAST) == RESTARTS + 1
    await engine.aclose()
    assert all(llm.down == 1 for llm in LAST)


async def test_a_batch_that_fails_is_no_death() -> None:
    engine = load_reward_engine(SPEC)
    LAST[0].failure = RuntimeError("CUDA out of memory. Tried to allocate\n2 GiB")
    with pytest.raises(EngineError, match=r"the reward model failed: .*2 GiB \(a smaller &batch=") as failed:
        await engine.generate(request())
    assert not isinstance(failed.value, EngineUnavailable) and failed.value.retryable
    LAST[0].failure = None
    assert await outcomes(engine, 1) == ["scored"] and len(LAST) == 1
    await engine.aclose()
