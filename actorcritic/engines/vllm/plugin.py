"""Loaded by vLLM into each of its processes (entry point `vllm.general_plugins`): those that we started end with us.

Without this, vLLM's processes outlive a program that is killed, and hold its GPU.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["PARENT", "end_with_parent"]

PARENT = "ACTORCRITIC_VLLM_PARENT"
"""Environment variable with the id of the program that started vLLM; where it is missing nothing happens."""

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends; on Linux only.

    The program itself loads vLLM's plugins too, and is left alone.
    """
    starter = os.environ.get(PARENT, "")
    if sys.platform == "linux" and starter not in ("", str(os.getpid())):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
