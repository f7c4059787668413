"""vLLM's process is killed under load: everybody who waits hears of it soon, and the next request finds a new one."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from actorcritic.engines.load_reward import load_reward_engine
from actorcritic.engines.restarting import RestartingEngine, keep_running
from actorcritic.engines.vllm.engine import VllmEngine
from actorcritic.errors import EngineUnavailable
from actorcritic.types import GenerateRequest, Prompt
from tests.engines.reward_models import save_qwen
from tests.engines.test_rewards import request as scoring
from tests.engines.vllm.live import OPTIONS, core_process, psutil_process, scorer_process, wait_for_no_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),
]

REQUEST = GenerateRequest(prompt=Prompt(content="w1 w2 w3"), max_tokens=400)
SHORT = replace(REQUEST, max_tokens=2)


async def test_killed_under_load(tiny_model: Path) -> None:
    (engine,) = keep_running(lambda: [VllmEngine.load(str(tiny_model), OPTIONS)], restarts=1)
    try:
        await engine.generate(SHORT)
        for _ in range(2):
            waiting = [asyncio.create_task(engine.generate(replace(REQUEST, seed=seed))) for seed in range(24)]
            await asyncio.sleep(0.2)
            # A random model ends where it likes.
            waiting = [task for task in waiting if not task.done()]
            assert len(waiting) >= 8, "not under load"
            core_process(engine).kill()
            killed = time.monotonic()
            done = await asyncio.gather(*waiting, return_exceptions=True)
            assert time.monotonic() - killed < 10
            assert all(isinstance(error, EngineUnavailable) for error in done)
            assert "process has died" in str(done[0])
            if engine.restarts == 0:
                assert (await engine.generate(SHORT)).usage.completion_tokens > 0
        with pytest.raises(EngineUnavailable, match="was started again 1 times"):
            await engine.generate(SHORT)
        assert engine.restarts == 1
    finally:
        await engine.aclose()
    wait_for_no_process(0.0)


async def test_a_reward_model_killed_under_load(tmp_path: Path) -> None:
    spec = f"vllm-prm:{save_qwen(tmp_path)}?format=qwen&batch=1&memory=0.5"
    # The machine is shared: one thread, as everywhere in these tests.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        engine = cast("RestartingEngine", load_reward_engine(spec, device="cpu"))
        asked = [scoring(f"w{number}", ["w1", "w2"]) for number in range(64)]
        try:
            await engine.generate(asked[0])
            waiting = [asyncio.create_task(engine.generate(one)) for one in asked]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            waiting = [task for task in waiting if not task.done()]
            assert len(waiting) >= 8, "not under load"
            scorer_process(engine).kill()
            killed = time.monotonic()
            done = await asyncio.gather(*waiting, return_exceptions=True)
            assert time.monotonic() - killed < 10
            failed = [one for one in done if isinstance(one, BaseException)]
            assert len(failed) >= 8 and all(isinstance(error, EngineUnavailable) for error in failed)
            assert "process has died" in str(failed[-1])
            assert "score" in (await engine.generate(asked[0])).text and engine.restarts == 1
        finally:
            await engine.aclose()
    wait_for_no_process()
    # vLLM's own sockets of what died are closed when they are collected, with a warning: here, not later. What failed
    # still holds them.
    del engine, waiting, done, failed
    gc.collect()


PROGRAM = """
import sys, time
from actorcritic.engines.vllm.engine import VllmEngine
from tests.engines.vllm.live import OPTIONS, core_process

if __name__ == "__main__":
    engine = VllmEngine.load(sys.argv[1], OPTIONS)
    print(core_process(engine).pid, flush=True)
    time.sleep(600)
"""


def test_vllm_ends_with_a_program_that_is_killed(tiny_model: Path, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM, encoding="utf-8")
    variables = {**os.environ, "PYTHONPATH": os.getcwd()}
    program = subprocess.Popen([sys.executable, str(script), str(tiny_model)], stdout=subprocess.PIPE, env=variables)
    assert program.stdout is not None
    with program.stdout:
        core = psutil_process(int(program.stdout.readline()))
    program.kill()
    program.wait()
    core.wait(10)


def test_a_model_that_needs_more_memory_than_there_is(tiny_model: Path) -> None:
    options = replace(OPTIONS, memory=0.0001)
    with pytest.raises(EngineUnavailable, match=r"vLLM cannot run .*\+context=TOKENS") as error:
        VllmEngine.load(str(tiny_model), options)
    assert "\n" not in str(error.value)
    wait_for_no_process()
    del error
    # vLLM's own sockets of a start that failed are closed when they are collected, with a warning: here, not later.
    gc.collect()
