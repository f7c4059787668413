"""A run folder of six problems in words for every test of collection steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.log import write_log


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a new run folder."""
    return write_log(tmp_path / "run")
