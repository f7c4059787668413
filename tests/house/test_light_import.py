"""`import actorcritic` and the parts that need no model stay light: a list of what they must not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.house.source import ROOT

HEAVY = (
    "datasets",
    "langchain_core",
    "langgraph",
    "math_verify",
    "networkx",
    "numpy",
    "openai",
    "pandas",
    "pydantic",
    "rich",
    "scipy",
    "sympy",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "typer",
    "vllm",
)
PARTS = {
    "actorcritic": HEAVY,
    "actorcritic.protocols": HEAVY,
    "actorcritic.search.policy": HEAVY,
    "actorcritic.tools": HEAVY,
    "actorcritic.engines": HEAVY,
    "actorcritic.graphs": ("numpy", "pandas", "sympy", "torch", "transformers", "vllm", "math_verify"),
}


@pytest.mark.parametrize("part", PARTS)
def test_import_is_light(part: str) -> None:
    program = f"import {part}, sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(PARTS[part]) & set(done.stdout.split())
