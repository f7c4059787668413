"""The child's side: formulas and literals are read, never run; and the guard beneath refuses what no verifier needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from actorcritic.tasks import gym_worker

reasoning_gym = pytest.importorskip("reasoning_gym", reason="reasoning_gym is in the extra `tasks`")


@pytest.mark.parametrize("text", ["x**2 + 3*x - C", "(8 - 2) * 4", "0.5*x", "log(x)/2"])
def test_plain_formulas_pass_the_guard(text: str) -> None:
    assert gym_worker.guard(str.upper)(text) == text.upper()


@pytest.mark.parametrize(
    "text", ["__import__", "x.func", "().args", "'a'", '"a"', "x[0]", "lambda: 0", "a; b", "{1}", "f(x) .g"]
)
def test_everything_else_does_not(text: str) -> None:
    with pytest.raises(ValueError, match="plain formula"):
        gym_worker.guard(str.upper)(text)


def test_the_modules_that_evaluate_answers_are_all_known() -> None:
    root = Path(str(reasoning_gym.__file__)).parent
    evaluating, parsing = set[str](), set[str]()
    for path in root.rglob("*.py"):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        source = path.read_text(encoding="utf-8")
        if re.search(r"\b(eval|exec)\((user_)?answer", source):
            evaluating.add(name)
        if re.search(r"\b(parse_expr|sympify|parse_latex)\((user_)?answer", source):
            parsing.add(name)
    assert evaluating == set(gym_worker.EVALUATING) and parsing == set(gym_worker.PARSING)


@pytest.mark.parametrize(
    ("event", "arguments"),
    [("open", ("f", "w", 0o1101)), ("open", ("f", None, 1)), ("os.system", ("ls",)), ("socket.connect", ())],
)
def test_what_the_guard_beneath_refuses(event: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(PermissionError, match="not allowed here"):
        gym_worker.forbid(event, arguments)


@pytest.mark.parametrize(("event", "arguments"), [("open", ("f", "r", 0)), ("import", ()), ("os.listdir", (".",))])
def test_reading_goes_through(event: str, arguments: tuple[object, ...]) -> None:
    gym_worker.forbid(event, arguments)


def test_replies() -> None:
    names = gym_worker.reply({"names": True})
    assert "gcd" in names and "composite" not in names
    question = gym_worker.reply({"name": "gcd", "seed": 1, "first": 0, "count": 1})[0]
    asked = {"name": "gcd", "seed": 1, "first": 0, "question": question, "answer": "no"}
    assert gym_worker.reply(asked) == 0.0
    assert gym_worker.reply({**asked, "question": "another"}) is None
    assert gym_worker.reply({"name": "gcd", "seed": 1, "first": 498, "count": 5}) != []
    assert len(gym_worker.reply({"name": "gcd", "seed": 1, "first": 498, "count": 5})) == 2
