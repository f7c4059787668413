"""vLLM's pooling runner itself: the same scores as over transformers, and nothing left behind.

Run by `make test-full` in an environment of its own, on the CPU; what needs a GPU differs in its options alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from actorcritic.engines.batch_scorer import ScoringOptions
from actorcritic.engines.reward_formats import OutcomeClassifier, RewardFormat, format_of
from actorcritic.engines.transformers.rewards import TransformersScorer
from actorcritic.engines.vllm.pooling import VllmScorer
from tests.engines.reward_models import save_outcome, save_qwen
from tests.engines.test_rewards import request, scores
from tests.engines.vllm.live import OPTIONS, wait_for_no_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.timeout(900),
    # vLLM's own, in the libraries that it imports.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.mark.parametrize(
    ("save", "format"),
    [
        (save_qwen, format_of("qwen")),
        (lambda folder: save_qwen(folder, deep=False), format_of("qwen")),
        (save_outcome, OutcomeClassifier()),
    ],
    ids=["process", "tokens", "outcome"],
)
async def test_the_scores_are_those_of_transformers(
    tmp_path: Path, save: Callable[[Path], Path], format: RewardFormat
) -> None:
    folder = str(save(tmp_path))
    plain = TransformersScorer.load(folder, format)
    asked = [request(f"w{i}", [f"w{j}" for j in range(1 + i % 3)]) for i in range(6)]
    expected = await scores(plain, *asked)
    engine = VllmScorer.load(folder, format, ScoringOptions(max_batch=4), how=OPTIONS)
    try:
        assert [engine.encode(item.prompt) for item in asked] == [plain.encode(item.prompt) for item in asked]
        given = await scores(engine, *asked)
        assert [answer["score"] for answer in given] == pytest.approx([one["score"] for one in expected], abs=1e-4)
        for answer, one in zip(given, expected, strict=True):
            assert answer["steps"] == pytest.approx(one["steps"], abs=1e-4)
    finally:
        await engine.aclose()
        await plain.aclose()
    wait_for_no_process()
