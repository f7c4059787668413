"""Rows hold what a model reads and writes at inference, token for token, in chats and in the embedded pair's text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from actorcritic.cli.app import run
from actorcritic.errors import InputError
from actorcritic.export.exclusion import heldout_state
from actorcritic.export.pipeline import Export, Order, export_run
from actorcritic.export.recipes import RECIPES
from actorcritic.export.wordings import ANY, ChatWording, EmbeddedWording, wording_named
from actorcritic.formats.lines import is_written
from actorcritic.loading import load_roles
from actorcritic.tasks import countdown
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.types import Critique, Prompt, Solution, Step, StepCritique, Verdict
from tests.export.log import setting_of
from tests.graphs.world import PROBLEM

PAIR = EmbeddedWording()
TRAINED = ("rft", "kto", "critic-sft", "cft:fix=if-given", "self-improve", "self-improve:form=refinement")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of the embedded pair, with critiques and refinements."""
    where = tmp_path_factory.mktemp("pair") / "run"
    collect = ("collect", "--task", "countdown", "--limit", "24", "--out", str(where), "--samples", "3")
    assert run([*collect, "--strategy", "best-of-n:score=logprob"]) == 0
    for step in ("critique", "refine:k=2,critiques=wrong,rewrite=from-error"):
        assert run(["collect", "--from", str(where), "--step", step]) == 0
    return where


def own(folder: Path, text: str) -> Export:
    """Return what a recipe makes of the run for the pair itself."""
    recipe, setting = setting_of(text, plain=False)
    return export_run(folder, Order(recipe=recipe, setting=replace(setting, wording=PAIR), share=1.0))


def episodes(folder: Path) -> dict[str, Episode]:
    return {episode.problem.id: episode for episode in read_episodes(folder)}


@pytest.fixture(scope="module")
def tokens() -> Iterator[Any]:
    """Return what counts text as the pair does."""
    roles = load_roles("embedded")

    def encode(text: str) -> tuple[int, ...]:
        return roles.actor.engine.encode(Prompt(content=text))

    yield encode
    asyncio.run(roles.aclose())


def test_a_row_is_the_request_and_what_was_written(folder: Path, tokens: Any) -> None:
    found, export = episodes(folder), own(folder, "rft:cap=9")
    assert export.total > 5
    for row in export.rows["train"]:
        origin: Any = row["provenance"]
        attempt = found[origin["problem"]].attempt(origin["attempts"][0])
        assert attempt.prompt is not None and row["prompt"] == attempt.prompt.content
        # The end token, which the trainer adds, is the last that the model wrote.
        written = tokens(row["completion"])
        assert written == tuple(token for token in attempt.token_ids if token != 1)
        assert tokens(f"{row['prompt']}{row['completion']}") == (*tokens(row["prompt"]), *written)


def test_a_refinement_is_asked_for_as_it_was(folder: Path) -> None:
    prompts = {str(row["prompt"]) for row in own(folder, "self-improve:form=refinement,reserve=9").rows["train"]}
    sent: set[Any] = set()
    for path in (folder / "outcomes").iterdir():
        for line in path.read_text(encoding="utf-8").splitlines():
            sent |= set(_sent(line))
    assert prompts and prompts <= sent
    after_kept_steps = [prompt for prompt in prompts if not prompt.split("\n")[1].startswith("reject ")]
    assert after_kept_steps, "rewrite=from-error keeps the steps before the error"


def _sent(line: str) -> Iterator[str]:
    import json  # noqa: PLC0415 - used here alone

    event = json.loads(line)
    prompt = event["payload"].get("request", {}).get("prompt") if event["kind"] == "called" else None
    if prompt is not None and isinstance(prompt["content"], str):
        yield prompt["content"] + prompt.get("prefill", "")


def test_a_critique_is_a_word_per_step(folder: Path) -> None:
    found = episodes(folder)
    for row in own(folder, "critic-sft:soft=off").rows["train"]:
        prompt, said, origin = str(row["prompt"]), str(row["completion"]), cast("Any", row["provenance"])
        judged = found[origin["problem"]].attempt(origin["attempts"][0]).solution
        assert prompt.endswith("judge\n") and judged is not None
        assert len(said.splitlines()) == len(judged.steps)


@pytest.mark.parametrize("text", TRAINED)
def test_all_that_is_written_are_words_of_the_pair(text: str, folder: Path) -> None:
    export = own(folder, text)
    assert export.total > 0
    for row in export.rows["train"]:
        assert is_written(str(row["prompt"])) and is_written(str(row["completion"]))


def test_in_a_chat_the_pair_speaks_as_a_person_reads_it(folder: Path) -> None:
    for text in ("rft", "cft:fix=if-given"):
        recipe, setting = setting_of(text, plain=False)
        rows = export_run(folder, Order(recipe=recipe, setting=setting, share=1.0)).rows["train"]
        assert rows
        for row in rows:
            said = cast("Any", row["completion"])[0]["content"]
            if text == "rft":
                assert all(countdown.parse_step(step) for step in said.split("\n\n"))
            else:
                assert said.startswith("Step 1\nStep sentence: ") and " = " in said.splitlines()[1]


def test_chats_alone_are_refused_for_the_pair(folder: Path) -> None:
    assert {name for name, recipe in RECIPES.items() if recipe.wordings == ANY} >= {
        text.partition(":")[0] for text in TRAINED
    }
    with pytest.raises(InputError, match="the recipe leti writes chats alone: it knows no words of embedded"):
        own(folder, "leti")


@pytest.mark.parametrize("text", ["critique-grpo", "score", "score:stage=2"])
def test_questions_for_reinforcement_are_the_pairs_own(text: str, folder: Path) -> None:
    rows = own(folder, text).rows["train"]
    assert rows and all(is_written(str(row["prompt"])) for row in rows)
    assert all(row["checker"] == "countdown" for row in rows)


@pytest.mark.parametrize("text", ["critique-grpo:form=logged", "critique-grpo:form=sdpo", "score:stage=2,first=logged"])
def test_forms_with_chats_in_them_are_refused_for_the_pair(text: str, folder: Path) -> None:
    with pytest.raises(InputError, match="has chats alone"):
        own(folder, text)


def test_the_command_writes_the_pairs_words(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(folder), "--recipe", "rft", "--wording", "embedded", "--out", str(tmp_path / "x")]) == 0
    assert '"wording": "embedded"' in (tmp_path / "x" / "manifest.json").read_text(encoding="utf-8")
    assert '"prompt": "numbers ' in (tmp_path / "x" / "train.jsonl").read_text(encoding="utf-8")
    for more, said in ((("--wording", "moon"), "unknown wording 'moon'"), (("--plain",), "--plain is for chats")):
        arguments = ["export", str(folder), "--recipe", "rft", "--wording", "embedded", "--dry-run", *more]
        assert run(arguments) == 2
        assert said in capsys.readouterr().err


def test_other_hands_steps_become_lines() -> None:
    foreign = Solution(steps=(Step(text="14 / 7 = 2", raw="Step 1: 14 / 7 = 2\n"), Step(text="13 + 2 = 15")))
    assert PAIR.answer(PROBLEM, foreign) == "14 / 7 2 13 =15\n13 + 2 15 "
    assert PAIR.answer(PROBLEM, foreign, 1) == "13 + 2 15 "
    assert PAIR.answer(PROBLEM, Solution(steps=(Step(text="well"),))) is None
    assert PAIR.worked(PROBLEM, "I do not know") is None
    unclear = Critique(steps=(StepCritique(verdict=Verdict.UNSCORED),) * 2, verdict=Verdict.UNSCORED)
    assert PAIR.remarks(PROBLEM, foreign, unclear) is None


def test_chats_go_on_where_they_are() -> None:
    chat = ChatWording(plain=True)
    kept = Solution(steps=(Step(text="14 / 7 = 2", raw="14 / 7 = 2\n"),), complete=False)
    question = {"role": "user", "content": PROBLEM.text}
    assert chat.go_on(PROBLEM, kept) == [question, {"role": "assistant", "content": "14 / 7 = 2"}]
    assert chat.go_on(PROBLEM, Solution(steps=(), complete=False)) == chat.ask(PROBLEM) == [question]
    assert wording_named("chat", plain=True).ask(PROBLEM) == [question]


def test_what_passes_through_a_test_problem_is_left_out() -> None:
    """Training never sees a held-out problem, neither whole nor as a state of another problem."""
    puzzle, steps = _passing()
    whole = Solution(steps=tuple(Step(text=text) for text in steps))
    assert heldout_state(replace(PROBLEM, prompt=puzzle.render()), whole) in ("test", "dev")
    assert heldout_state(replace(PROBLEM, prompt="Use 7, 13 and 14 to make 11."), whole) is None
    assert heldout_state(replace(PROBLEM, prompt="How many?"), whole) is None


def _passing() -> tuple[countdown.Countdown, tuple[str, ...]]:
    """Return a training problem and a step from which it is a held-out one."""
    for puzzle in countdown.generate("train", 0, 4):
        for move in countdown.moves(tuple(sorted(puzzle.numbers))):
            if countdown.state_split(countdown.after(tuple(sorted(puzzle.numbers)), move), puzzle.target) != "train":
                return puzzle, (move.render(),)
    raise AssertionError("there is one")
