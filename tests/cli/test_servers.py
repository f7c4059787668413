"""`solve` over a real local server: budgets of money, what a server lacks, and mistakes in one line."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from actorcritic.cli.app import run
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.types import FinishReason, GenerateRequest
from tests.engines.openai.api import Reaction
from tests.engines.openai.conftest import Serve, serve

__all__ = ["serve"]

PARTS = ("Step 1: 7 + 8 is 15.\n\n", "Step 2: nothing else.\n\n", "The answer is 15.")
KEY = "sk-solve-0123456789"


def says(request: GenerateRequest) -> Reply:
    """Write what is missing of three steps, or find them all correct."""
    asked = request.prompt.content[-1].content if not isinstance(request.prompt.content, str) else ""
    if "Correctness" in asked or "verdict" in asked:
        step = {"index": 0, "explanation": "fine", "verdict": "correct"}
        return Reply(
            text=json.dumps({"steps": [step, {**step, "index": 1}, {**step, "index": 2}], "verdict": "correct"})
        )
    kept = sum(part.strip() in asked for part in PARTS)
    return Reply(text="".join(PARTS[kept:]), finish_reason=FinishReason.STOP)


def solve(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run(["solve", "What is 7 + 8?", "--json", "--max-tokens", "200", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("strategy", ["best-of-n:n=2", "beam", "revise", "majority:n=3"])
def test_strategies_over_a_server_that_can_do_the_least(
    strategy: str, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    api = serve(
        ScriptedEngine(says),
        refuses={"seed": "unknown field seed", "response_format": "unknown field response_format"},
        omits={"logprobs", "usage", "models"},
    )
    code, out, err = solve(capsys, "--actor", f"openai:m@{api.url}", "--strategy", strategy, "--budget-tokens", 8000)
    record = json.loads(out)
    assert code == 0 and record["answer"] == "15" and record["budget"] == "estimated" and not record["failures"]
    assert record["usage"]["actor"]["completion_tokens"] > 0
    for lack in ("seed", "log-probabilities", "usage"):
        assert sum(line.startswith("note: ") and lack in line for line in err.splitlines()) == 1
    assert not [body for body in api.requests[4:] if "seed" in body or "logprobs" in body]


def test_a_budget_of_money(serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    api = serve(ScriptedEngine(says))
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"m": {"prompt": 0, "completion": 1_000_000}}), encoding="utf-8")
    spec = f"openai:m@{api.url}"
    rest = ("--actor", spec, "--critic", "none", "--strategy", "majority:n=50")
    code, out, err = solve(capsys, *rest, "--prices", prices, "--budget-money", 100)
    record = json.loads(out)
    spent = record["usage"]["actor"]["completion_tokens"]
    assert code == 0 and record["stopped_by"] == "money" and f"money: {spent}," in err
    assert 100 <= spent < 100 + spent / len(api.requests)  # the call that passed the limit was the last
    code, _, err = solve(capsys, *rest, "--budget-money", 100)
    assert code == 2 and "'m' is not in the price file" in err


def test_mistakes_are_one_line_and_exit_2(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
    locked = serve(key="another")
    for spec, words in (
        ("openai:m", "names no server"),
        (f"openai:m@{closed}", f"cannot reach {closed}"),
        (f"openai:m@{locked.url}", "refuses the key in OPENAI_API_KEY"),
    ):
        code, out, err = solve(capsys, "--actor", spec)
        assert code == 2 and out == "" and err.count("\n") == 1 and words in err


def test_no_key_reaches_a_run_folder(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    echo = Reaction(status=400, body={"error": {"message": f"Bearer {KEY} is not welcome"}})
    api = serve(ScriptedEngine(says), key=KEY, reactions={0: echo, 2: echo})
    out = tmp_path / "run"
    spec = f"openai:m@{api.url}#key=MY_KEY,concurrency=2"
    code, said, err = solve(capsys, "--actor", spec, "--strategy", "best-of-n:n=3", "--out", out)
    files = "".join(path.read_text(encoding="utf-8") for path in out.rglob("*") if path.is_file())
    assert code == 0 and json.loads(said)["failures"] and "is not welcome" in files and "MY_KEY" in files
    for text in (said, err, files):
        assert not [KEY[at : at + 8] for at in range(len(KEY) - 7) if KEY[at : at + 8] in text]
