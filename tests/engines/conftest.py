"""The tiny model, made once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.tiny import save_tiny


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Llama (0.9 million weights, 192 words, 512 tokens of context) and a chat template."""
    return save_tiny(tmp_path_factory.mktemp("tiny"))
