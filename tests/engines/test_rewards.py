"""Local reward models: exact numbers against a plain forward pass, whatever is scored beside, and clear refusals."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    Qwen2ForCausalLM,
    Qwen2ForTokenClassification,
)

from actorcritic.engines.batch_scorer import BatchScorer, ScoringOptions
from actorcritic.engines.reward_formats import OutcomeClassifier, RewardFormat, format_of
from actorcritic.engines.transformers.model import quiet_loading
from actorcritic.engines.transformers.rewards import TransformersScorer
from actorcritic.errors import EngineError, EngineUnavailable, InputError, PromptTooLong
from actorcritic.types import GenerateRequest, Message, Prompt
from tests.engines.reward_models import (
    HIDDEN,
    save_bidirectional,
    save_outcome,
    save_qwen,
    save_shepherd,
    save_skywork,
)

QUESTION, STEPS = "w1 w2", ["w3 w4", "w5", "w6 w7 w8"]


def request(question: str = QUESTION, steps: Sequence[str] = tuple(STEPS)) -> GenerateRequest:
    messages = [Message(role="user", content=question), *(Message(role="assistant", content=step) for step in steps)]
    return GenerateRequest(prompt=Prompt(content=tuple(messages)), max_tokens=1)


async def scores(engine: BatchScorer, *requests: GenerateRequest) -> list[Any]:
    answers = await asyncio.gather(*(engine.generate(item) for item in requests))
    return [json.loads(answer.text) for answer in answers]


def plain_shepherd(folder: Path, ids: list[int], tokenizer: Any) -> list[float]:
    """As in the publishers' model card."""
    model = cast("Any", AutoModelForCausalLM).from_pretrained(folder).eval()
    candidates, tag = tokenizer.encode("+ -")[1:], tokenizer.encode("ки")[-1]
    logits = model(torch.tensor([ids])).logits[:, :, candidates]
    return cast("list[float]", logits.softmax(-1)[:, :, 0][torch.tensor([ids]) == tag].tolist())


def plain_qwen(folder: Path, ids: list[int], tokenizer: Any) -> list[float]:
    """As in the publishers' model card: the head's two layers, softmax, class 1 at the separators."""
    hidden = cast("Any", Qwen2ForCausalLM).from_pretrained(folder).eval().model(torch.tensor([ids])).last_hidden_state
    head = load_file(folder / "model.safetensors")
    logits = torch.relu(hidden @ head["score.0.weight"].T + head["score.0.bias"])
    logits = logits @ head["score.2.weight"].T + head["score.2.bias"]
    mask = torch.tensor([ids]) == tokenizer.encode("<extra_0>")[0]
    return cast("list[float]", logits.softmax(-1)[mask][:, 1].tolist())


def plain_linear(folder: Path, ids: list[int], tokenizer: Any) -> list[float]:
    """As transformers classifies tokens."""
    logits = cast("Any", Qwen2ForTokenClassification).from_pretrained(folder).eval()(torch.tensor([ids])).logits
    mask = torch.tensor([ids]) == tokenizer.encode("<extra_0>")[0]
    return cast("list[float]", logits.softmax(-1)[mask][:, 1].tolist())


def plain_skywork(folder: Path, ids: list[int], tokenizer: Any) -> list[float]:
    """As in the publishers' inference code: the value head over the last hidden state, sigmoid, at the newlines."""
    model = cast("Any", Qwen2ForCausalLM).from_pretrained(folder).eval()
    head = load_file(folder / "model.safetensors")
    hidden = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1]
    values = (hidden @ head["v_head.summary.weight"].T + head["v_head.summary.bias"]).squeeze(-1).sigmoid()[0]
    newlines = [i for i, token in enumerate(ids) if token == tokenizer.encode("\n")[-1]]
    return [float(values[i]) for i in newlines[1:]]


Plain = Callable[[Path, list[int], Any], list[float]]
CASES: dict[str, tuple[Callable[[Path], Path], str, Plain, Callable[[Sequence[float]], float]]] = {
    "shepherd": (save_shepherd, "shepherd", plain_shepherd, min),
    "qwen": (save_qwen, "qwen", plain_qwen, math.prod),
    "linear": (lambda folder: save_qwen(folder, deep=False), "qwen", plain_linear, math.prod),
    "skywork": (save_skywork, "skywork", plain_skywork, min),
}


@pytest.mark.parametrize("pad", [256, None])
async def test_an_outcome_score_does_not_depend_on_what_is_scored_beside_it(tmp_path: Path, pad: int | None) -> None:
    engine = TransformersScorer.load(str(save_outcome(tmp_path, pad=pad)), OutcomeClassifier())
    assert engine.info.capabilities.seeds and engine._max_batch == (16 if pad is not None else 1)
    asked = [request(f"w{i}", [f"w{j}" for j in range(1 + i % 5)]) for i in range(1, 12)]
    alone = [(await scores(engine, item))[0] for item in asked]
    assert await scores(engine, *asked) == alone and len({answer["score"] for answer in alone}) == len(alone)
    await engine.aclose()


@pytest.fixture(scope="module", params=CASES)
def case(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RewardFormat, Plain, Any]:
    """A saved reward model with its format, a plain computation of its scores, and its publishers' reduction."""
    save, name, plain, reduce = CASES[request.param]
    return save(tmp_path_factory.mktemp(request.param)), format_of(name), plain, reduce


async def test_the_numbers_are_the_publishers(case: tuple[Path, RewardFormat, Plain, Any]) -> None:
    folder, format, plain, reduce = case
    engine = TransformersScorer.load(str(folder), format)
    ids = list(engine.encode(request().prompt))
    generation = await engine.generate(request())
    answer = json.loads(generation.text)
    with quiet_loading(), torch.inference_mode():
        expected = plain(folder, ids, engine._tokenizer)
    assert answer["steps"] == pytest.approx(expected, abs=1e-5) and len(expected) == len(STEPS)
    assert answer["score"] == pytest.approx(reduce(expected), abs=1e-5)
    assert len({round(step, 4) for step in expected}) == len(STEPS), "the case tells the steps apart"
    assert generation.usage.prompt_tokens == len(ids) and generation.usage.completion_tokens == 0
    assert generation.prompt_ids == tuple(ids) and generation.token_ids == ()
    await engine.aclose()


async def test_a_score_does_not_depend_on_what_is_scored_beside_it(case: tuple[Path, RewardFormat, Plain, Any]) -> None:
    folder, format, _, _ = case
    engine = TransformersScorer.load(str(folder), format, ScoringOptions(max_batch=5))
    assert engine.info.capabilities.seeds
    asked = [request(f"w{i} w{i + 1}", [f"w{j}" for j in range(1 + i % 5)]) for i in range(1, 18)]
    alone = [(await scores(engine, item))[0] for item in asked]
    assert await scores(engine, *asked) == alone
    assert await scores(engine, *reversed(asked)) == alone[::-1]
    await engine.aclose()


@pytest.mark.parametrize(("how", "of"), [("min", min), ("product", math.prod), ("last", lambda s: s[-1])])
async def test_the_reduction_can_be_chosen(tmp_path: Path, how: str, of: Callable[[list[float]], float]) -> None:
    engine = TransformersScorer.load(str(save_skywork(tmp_path)), format_of("skywork"), ScoringOptions(reduce=how))
    (answer,) = await scores(engine, request())
    assert answer["score"] == pytest.approx(of(answer["steps"]))
    await engine.aclose()


@pytest.mark.parametrize("labels", [1, 2])
async def test_an_outcome_model_gives_one_score(tmp_path: Path, labels: int) -> None:
    folder = save_outcome(tmp_path, labels=labels)
    engine = TransformersScorer.load(str(folder), OutcomeClassifier())
    asked = [request(f"w{i}", ["w3"] * (1 + i % 3)) for i in range(7)]
    given = await scores(engine, *asked)
    with quiet_loading(), torch.inference_mode():
        model = cast("Any", AutoModelForSequenceClassification).from_pretrained(folder).eval()
        logits = torch.cat([model(torch.tensor([engine.encode(item.prompt)])).logits for item in asked])
    expected = logits.sigmoid()[:, 0] if labels == 1 else logits.softmax(-1)[:, 1]
    assert [answer["score"] for answer in given] == pytest.approx(expected.tolist(), abs=1e-5)
    assert all(answer["steps"] == [] for answer in given)
    await engine.aclose()


async def test_what_is_no_number_is_unscored(tmp_path: Path) -> None:
    folder = save_skywork(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights["v_head.summary.weight"] = torch.full((1, HIDDEN), math.nan)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    engine = TransformersScorer.load(str(folder), format_of("skywork"))
    assert await scores(engine, request()) == [{"score": None, "steps": [None, None, None]}]
    await engine.aclose()


async def test_old_checkpoints_and_shards_are_read(tmp_path: Path) -> None:
    folder = save_skywork(tmp_path)
    expected = await scores(TransformersScorer.load(str(folder), format_of("skywork")), request())
    weights = load_file(folder / "model.safetensors")
    head = {name: item for name, item in weights.items() if name.startswith("v_head")}
    body = {name: item for name, item in weights.items() if name not in head}
    (folder / "model.safetensors").unlink()
    for name, part in (("a", body), ("b", head)):
        save_file(part, folder / f"model-{name}.safetensors", metadata={"format": "pt"})
    files = {key: f"model-{'b' if key in head else 'a'}.safetensors" for key in weights}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": files}))
    assert await scores(TransformersScorer.load(str(folder), format_of("skywork")), request()) == expected
    for path in (index, *folder.glob("model-*.safetensors")):
        path.unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    assert await scores(TransformersScorer.load(str(folder), format_of("skywork")), request()) == expected


async def test_two_heads_are_two_models_on_the_bill(tmp_path: Path) -> None:
    first = TransformersScorer.load(str(save_skywork(tmp_path)), format_of("skywork"))
    weights = load_file(tmp_path / "model.safetensors")
    weights["v_head.summary.bias"] += 1
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    second = TransformersScorer.load(str(tmp_path), format_of("skywork"))
    assert first.info.model != second.info.model


@pytest.mark.parametrize(
    ("save", "format", "says"),
    [
        (save_skywork, "qwen", "no 2-class head"),
        (lambda folder: save_qwen(folder, deep=False), "skywork", "no value head"),
        (save_qwen, "shepherd", r"no single tokens for \+ and -"),
        (save_bidirectional, "qwen", "looks ahead"),
    ],
)
def test_a_model_of_another_format_is_refused(
    tmp_path: Path, save: Callable[[Path], Path], format: str, says: str
) -> None:
    with pytest.raises(EngineUnavailable, match=says):
        TransformersScorer.load(str(save(tmp_path)), format_of(format))


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model folder"):
        TransformersScorer.load(str(tmp_path / "none"), format_of("qwen"))
    with pytest.raises(EngineUnavailable, match="cannot load the reward model"):
        TransformersScorer.load(str(tmp_path), format_of("qwen"))
    with pytest.raises(EngineUnavailable, match="has 3 classes"):
        TransformersScorer.load(str(save_outcome(tmp_path, labels=3)), OutcomeClassifier())
    with pytest.raises(InputError, match="max_batch is 0"):
        TransformersScorer.load(str(save_skywork(tmp_path / "s")), format_of("skywork"), ScoringOptions(max_batch=0))


async def test_too_long_closed_and_unfit_requests_fail_alone(tmp_path: Path) -> None:
    engine = TransformersScorer.load(str(save_skywork(tmp_path)), format_of("skywork"))
    fine, long = request(), request("w1 " * 300)
    with pytest.raises(PromptTooLong, match="reads 256"):
        await engine.generate(long)
    results = await asyncio.gather(engine.generate(fine), engine.generate(long), return_exceptions=True)
    assert isinstance(results[1], PromptTooLong) and not isinstance(results[0], BaseException)
    for content in ("text", (Message(role="user", content="alone"),)):
        with pytest.raises(InputError, match="one message per step"):
            await engine.generate(GenerateRequest(prompt=Prompt(content=content), max_tokens=1))
    waiting = asyncio.create_task(engine.generate(fine))
    await asyncio.sleep(0)
    await engine.aclose()
    with pytest.raises(EngineUnavailable, match="closed"):
        await waiting
    with pytest.raises(EngineUnavailable, match="closed"):
        await engine.generate(fine)
    await engine.aclose()


async def test_a_cancelled_request_leaves_the_others(tmp_path: Path) -> None:
    engine = TransformersScorer.load(str(save_skywork(tmp_path)), format_of("skywork"))
    first, second = (asyncio.create_task(engine.generate(request(f"w{i}"))) for i in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert json.loads((await second).text)["score"] is not None
    with pytest.raises(asyncio.CancelledError):
        await first
    await engine.aclose()


async def test_a_failing_forward_pass_is_the_request_s_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TransformersScorer.load(str(save_skywork(tmp_path)), format_of("skywork"))
    good = engine._score

    def broken(batch: Any) -> Any:
        monkeypatch.setattr(engine, "_score", good)
        raise RuntimeError("out of memory\nmore")

    monkeypatch.setattr(engine, "_score", broken)
    with pytest.raises(EngineError, match=r"the reward model failed: RuntimeError: out of memory more \(.*&batch="):
        await engine.generate(request())
    assert (await scores(engine, request()))[0]["score"] is not None
    await engine.aclose()
