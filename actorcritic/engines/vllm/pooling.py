"""Engines that score over vLLM's pooling runner: token classifiers as process reward models, and outcome models.

vLLM knows no language model whose two tokens are a score, nor a value head: those formats run over transformers alone.
A pooling vLLM is started for one reward model and ends with it. Where its process dies vLLM itself would let a batch
wait for ever, so the process is watched from here.
"""

from __future__ import annotations

import importlib
import math
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

from actorcritic.engines.batch_scorer import BatchScorer, ScoringOptions
from actorcritic.engines.reward_formats import RewardFormat, Scoring
from actorcritic.engines.vllm.engine import fingerprint
from actorcritic.engines.vllm.options import SCORER_GIB, SCORER_SHARE, VllmOptions
from actorcritic.engines.vllm.startup import end_vllm, explain, require_vllm, root_cause, starting
from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.protocols import Capabilities, EngineInfo

__all__ = ["VllmScorer"]

_TASKS = {"classes": "token_classify", "outcome": "classify"}
"""vLLM's name of the work, by the format's head."""
_GIB = 2**30
_LOOK = 0.5
"""Seconds between two looks at whether the process is alive, while a batch is scored."""


class _Worker:
    """A thread that does one thing after another; vLLM's process lives no longer than the thread that started it."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        # Not in a pool, for whose threads the end of the program would wait.
        threading.Thread(target=self._run, name="vllm-pooling", daemon=True).start()

    def do(self, work: Callable[[], Any]) -> Future[Any]:
        """Do something as soon as all before it is done."""
        done: Future[Any] = Future()
        self._orders.put((work, done))
        return done

    def end(self) -> None:
        """End the thread once all is done."""
        self._orders.put(None)

    def _run(self) -> None:
        # Inherited by the processes that this thread starts: what becomes of them at Ctrl-C is decided here alone.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        while (order := self._orders.get()) is not None:
            work, done = order
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - reaches whoever waits for the work
                done.set_exception(error)


class VllmScorer(BatchScorer):
    """Scores solutions with a reward model in vLLM, many at once; use `load`.

    Args:
        llm: a `vllm.LLM` with the pooling runner.
        format: how the model reads a solution.
        info: who scores.
        options: how it runs.
        worker: the thread that started it.
        log: where vLLM writes what happens to it.
    """

    def __init__(
        self,
        llm: Any,
        format: RewardFormat,
        info: EngineInfo,
        options: ScoringOptions,
        worker: _Worker,
        log: TemporaryDirectory[str],
    ) -> None:
        super().__init__(llm.get_tokenizer(), format, reduce=options.reduce, max_batch=options.max_batch)
        self._llm = llm
        self._info = info
        self._worker = worker
        self._log = log
        self._running = threading.Lock()

    @classmethod
    def load(
        cls,
        source: str,
        format: RewardFormat,
        options: ScoringOptions | None = None,
        *,
        name: str | None = None,
        how: VllmOptions | None = None,
    ) -> VllmScorer:
        """Start vLLM with a reward model.

        Args:
            source: a model folder or a hub id.
            format: `qwen`, or an outcome model's.
            options: how solutions are scored.
            name: how a person calls it.
            how: how vLLM runs; `device` and `dtype` are taken from `options`.

        Raises:
            InputError: vLLM is missing, or knows no models of this format.
            EngineUnavailable: it cannot load the model, or there is not enough memory.
        """
        if format.head not in _TASKS:
            raise InputError(f"vLLM has no models of format={format.name}: use hf-prm:{source}?format={format.name}")
        require_vllm()
        chosen, running = options or ScoringOptions(), how or VllmOptions()
        scratch = TemporaryDirectory[str](prefix="actorcritic-vllm-")
        log = Path(scratch.name) / "vllm.log"
        worker = _Worker()

        def start() -> Any:
            with starting(log, running):
                return importlib.import_module("vllm").LLM(**_arguments(source, format, chosen, running))

        try:
            llm = worker.do(start).result()
        except InputError:
            worker.end()
            scratch.cleanup()
            raise
        except Exception as error:  # whatever vLLM fails of while loading, it cannot be used
            why = explain(root_cause(log) or str(error) or type(error).__name__, scorer=True)
            worker.end()
            scratch.cleanup()
            raise EngineUnavailable(f"vLLM cannot run {source}: {why}") from error
        config = llm.llm_engine.model_config
        info = EngineInfo(
            model=fingerprint(Path(source), "vllm", format.name)
            if Path(source).is_dir()
            else f"{source} {format.name}",
            name=name or f"vllm-prm:{source}?format={format.name}",
            max_context=int(config.max_model_len),
            licence=chosen.licence,
            capabilities=Capabilities(token_ids=True, exact_counts=True),
        )
        return cls(llm, format, info, chosen, worker, scratch)

    @property
    def info(self) -> EngineInfo:
        """Who scores."""
        return self._info

    def _length(self, scoring: Scoring) -> int:
        return 0  # vLLM packs solutions of any lengths together

    def _score(self, batch: Sequence[Scoring]) -> list[list[float]]:
        with self._running:
            if self._llm is None:
                raise EngineUnavailable(f"{self._info.name} is closed")
            prompts = [{"prompt_token_ids": list(item.ids)} for item in batch]
            numbers = self._encode(prompts)
        if self._format.head == "outcome":
            return [[float(given[-1])] for given in numbers]
        return [_at_marks(given, item) for given, item in zip(numbers, batch, strict=True)]

    def _encode(self, prompts: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Return vLLM's numbers for some prompts, as nested lists.

        Raises:
            EngineUnavailable: its process has died.
        """
        llm: Any = self._llm
        task = _TASKS[self._format.head]
        params = importlib.import_module("vllm").PoolingParams(use_activation=True)
        died: type[Exception] = importlib.import_module("vllm.v1.engine.exceptions").EngineDeadError
        work = self._worker.do(lambda: llm.encode(prompts, params, pooling_task=task, use_tqdm=False))
        while not wait_for([work], timeout=_LOOK).done:
            if _is_dead(llm.llm_engine.engine_core):
                _release(llm.llm_engine.engine_core)
                raise EngineUnavailable(self._why())
        try:
            return [answer.outputs.data.tolist() for answer in work.result()]
        except died as error:
            raise EngineUnavailable(self._why()) from error

    def _why(self) -> str:
        """Return that the process has died, and what its log says of it."""
        cause = root_cause(Path(self._log.name) / "vllm.log")
        why = f": {explain(cause, scorer=True)}" if cause else " (killed from outside, or crashed without a word)"
        return f"the reward model's vLLM process has died{why}"

    def _free(self) -> None:
        with self._running:
            if self._llm is None:
                return
            core = self._llm.llm_engine.engine_core
            end_vllm(core, core)
            self._worker.end()
            self._llm = None
            self._log.cleanup()


def _is_dead(core: Any) -> bool:
    """Return whether vLLM knows its process to be dead, or the process is."""
    resources = getattr(core, "resources", None)
    processes = getattr(getattr(resources, "engine_manager", None), "processes", ())
    return bool(getattr(resources, "engine_dead", False)) or any(process.exitcode is not None for process in processes)


def _release(core: Any) -> None:
    """Let the worker go on that waits for an answer of a process that is dead; it would wait for ever."""
    answers = getattr(core, "outputs_queue", None)
    if answers is not None:
        answers.put_nowait(EngineUnavailable("the process is dead"))


def _at_marks(given: Sequence[Sequence[float]], item: Scoring) -> list[float]:
    """Return the probability of class 1 at the marks; a model that answers for other tokens leaves it unscored."""
    if len(given) != len(item.ids) or any(len(classes) != 2 for classes in given):
        return [math.nan] * len(item.marks)
    return [float(given[mark][1]) for mark in item.marks]


def _arguments(source: str, format: RewardFormat, options: ScoringOptions, how: VllmOptions) -> Mapping[str, Any]:
    """Return vLLM's own arguments; imports vLLM.

    Raises:
        InputError: vLLM was built for another device.
    """
    cpu = bool(importlib.import_module("vllm.platforms").current_platform.is_cpu())
    if options.device != "auto" and cpu != (options.device == "cpu"):
        raise InputError(f"this vLLM is built for {'the CPU' if cpu else 'a GPU'}, not for {options.device}")
    given: dict[str, Any] = {
        "model": source,
        "runner": "pooling",
        "dtype": "float32" if options.dtype == "auto" and cpu else options.dtype,
        "max_model_len": how.context,
        "max_num_seqs": options.max_batch,
        "tensor_parallel_size": how.gpus,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if format.head == "classes":
        # Every token's classes: a model's own way to find its steps may know another separator than its format.
        given["pooler_config"] = importlib.import_module("vllm.config").PoolerConfig(tok_pooling_type="ALL")
    if cpu:
        memory = how.memory if how.memory is not None else SCORER_GIB
        return given | {"enforce_eager": True, "kv_cache_memory_bytes": int(memory * _GIB)}
    return given | {"gpu_memory_utilization": how.memory if how.memory is not None else SCORER_SHARE}
