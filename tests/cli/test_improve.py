"""`actorcritic improve`: the loop with a scripted world and a trainer that only says how skilled its model now is."""

from __future__ import annotations

import errno
import json
import random
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from actorcritic.actor import ModelActor
from actorcritic.cli import improve as command_module
from actorcritic.cli import improve_stages
from actorcritic.cli.app import run
from actorcritic.cli.improve_folder import ImproveFolder
from actorcritic.cli.improve_stages import Stages
from actorcritic.cli.runs import RunConfig
from actorcritic.critic import ModelCritic
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.export.exclusion import heldout_keys
from actorcritic.export.mixing import Part, mix_exports
from actorcritic.export.pipeline import Export
from actorcritic.export.recipe import Columns
from actorcritic.formats.embedded import EmbeddedActorFormat
from actorcritic.formats.lines import render_lines
from actorcritic.loading import PACKAGED, Roles
from actorcritic.tasks import countdown
from actorcritic.tasks.heldout import split_of
from actorcritic.training.bases import ROLES, find_base
from actorcritic.training.improve.report import ImproveReport
from actorcritic.training.settings import TrainReport, TrainSettings
from actorcritic.trajectory.reader import read_problems
from actorcritic.types import GenerateRequest
from tests.cli.conftest import Output
from tests.graphs.world import WordCriticFormat, know, play, read_prompt

SKILLS = {"sft": 0.4, "vanilla/round-1": 0.1, "vanilla/round-2": 0.6, "critique/round-1": 0.7, "critique/round-2": 0.9}
"""How often a trained actor plays right; the base 0.2. Vanilla's first round makes things worse."""
BASE = 0.2
SMALL = ("--train-limit", 8, "--eval-limit", 10, "--dev-limit", 12, "--samples", 3, "--difficulty-samples", 2)
LEAST = ("--train-limit", 6, "--eval-limit", 5, "--dev-limit", 3, "--samples", 3, "--difficulty-samples", 1)
Start = Callable[..., Output]


def skilled(skill: float) -> Callable[[GenerateRequest], str]:
    """Return an actor that knows the way so often, and else plays at random."""

    def write(request: GenerateRequest) -> str:
        puzzle, steps = read_prompt(request)
        rng = random.Random(f"{request.seed} {request.prompt}")
        state = tuple(sorted(puzzle.numbers))
        for step in steps:
            equation = countdown.parse_step(step)
            assert equation is not None
            state = countdown.after(state, equation)
        way = countdown.solve(countdown.Countdown(state, puzzle.target), rng) if rng.random() < skill else None
        if way is None:
            return play(request)
        return "".join(render_lines(puzzle, (*steps, *way))[len(steps) :])

    return write


def load(config: RunConfig) -> Roles:
    """Load the actor that a spec names, and a critic that knows the rules."""
    skill = next((value for name, value in SKILLS.items() if f"stages/{name}" in config.actor), BASE)
    # By what it can do, as weights have their fingerprint: where a model lies says nothing.
    actor, critic = ScriptedEngine(skilled(skill), name=f"actor {skill}"), ScriptedEngine(know, name="critic")
    return Roles(
        actor=ModelActor(actor, EmbeddedActorFormat(), max_tokens=64),
        critic=None if config.critic == "none" else ModelCritic(critic, WordCriticFormat()),
        engines=(actor, critic),
    )


class Trainer:
    """Writes down what it is asked to train, and trains nothing."""

    def __init__(self) -> None:
        self.asked: list[TrainSettings] = []
        self.stop_once: set[str] = set()
        self.resumed: list[Path] = []

    def begin(self, settings: TrainSettings, **_: Any) -> TrainReport:
        self.asked.append(settings)
        settings.out.mkdir(parents=True)
        (settings.out / "train.json").write_text("{}", encoding="utf-8")
        return self._report(settings.out, settings.recipe, interrupted=self._stops(settings.out))

    def resume(self, out: Path, **_: Any) -> TrainReport:
        self.resumed.append(out)
        return self._report(out, "self-improve", interrupted=self._stops(out))

    def _stops(self, out: Path) -> bool:
        found = next((name for name in self.stop_once if name in str(out)), None)
        self.stop_once.discard(found or "")
        return found is not None

    def _report(self, out: Path, recipe: str, *, interrupted: bool) -> TrainReport:
        return TrainReport(
            recipe=recipe,
            method="sft",
            model=out / "model" / "actor",
            spec=f"embedded:{out / 'model'}",
            adapter=None,
            rows=3,
            dropped={},
            steps=1,
            first_loss=1.0,
            last_loss=0.5,
            seconds=2.0,
            tokens=100,
            interrupted=interrupted,
        )


def put_in_place(made: Trainer, patch: pytest.MonkeyPatch) -> Trainer:
    """Let the command load the scripted world and train with this."""
    patch.setattr(RunConfig, "load", load)
    patch.setattr(command_module, "begin", made.begin)
    patch.setattr(command_module, "go_on", made.resume)
    patch.setattr(command_module, "find_spec", lambda name: name)
    return made


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    return put_in_place(Trainer(), monkeypatch)


class Looped(NamedTuple):
    folder: Path
    output: Output
    trainer: Trainer

    @property
    def report(self) -> ImproveReport:
        return ImproveReport.model_validate_json((self.folder / "report.json").read_text(encoding="utf-8"))


def loop(folder: Path, *arguments: object) -> Looped:
    """Return a run that is never stopped."""
    with pytest.MonkeyPatch.context() as patch, StringIO() as out, StringIO() as err:
        made = put_in_place(Trainer(), patch)
        with redirect_stdout(out), redirect_stderr(err):
            code = run(["improve", *map(str, arguments), "--out", str(folder)])
        return Looped(folder, Output(code, out.getvalue(), err.getvalue()), made)


@pytest.fixture(scope="module")
def looped(tmp_path_factory: pytest.TempPathFactory) -> Looped:
    """Return two rounds of three methods."""
    return loop(tmp_path_factory.mktemp("loop") / "run", "--task", "countdown-3", "--rounds", 2, *SMALL)


@pytest.fixture
def start(capsys: pytest.CaptureFixture[str], trainer: Trainer) -> Start:
    def call(*arguments: object) -> Output:
        code = run(["improve", *map(str, arguments)])
        captured = capsys.readouterr()
        return Output(code, captured.out, captured.err)

    return call


def report_in(output: Output) -> ImproveReport:
    (record,) = output.records
    return ImproveReport.model_validate(record)


def gist(report: ImproveReport) -> ImproveReport:
    """Return a report without what depends on the clock."""
    return report.model_copy(update={"seconds": 0.0})


def rows_in(folder: Path, stage: str) -> list[dict[str, Any]]:
    text = (folder / "stages" / stage / "rows" / "train.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def actor_of(folder: Path, stage: str) -> str:
    config = json.loads((folder / "stages" / stage / "run" / "run.json").read_text(encoding="utf-8"))["config"]
    return str(config["actor"])


def test_the_whole_loop(looped: Looped) -> None:
    report = looped.report
    assert looped.output.code == 0
    assert [(row.method, row.round, row.with_critic) for row in report.rows] == [
        (method, number, side)
        for method, number in (
            ("base", 0),
            ("sft", 0),
            ("vanilla", 1),
            ("vanilla", 2),
            ("critique", 1),
            ("critique", 2),
        )
        for side in (False, True)
    ]
    for row in report.rows:
        assert sum(each.problems for each in row.by_quintile) == report.problems == 10
        assert 0 <= row.ci_low <= row.accuracy <= row.ci_high <= 1 and row.seeds == [0]
    alone, critic = report.rows[0], report.rows[1]
    assert critic.tokens > alone.tokens, "the critic's tokens are on the bill"
    # A critic that knows the rules calls nothing wrong that is right, so its revisions can only help.
    assert critic.pass_at_5 >= alone.pass_at_5 and critic.accuracy >= alone.accuracy
    assert (looped.folder / "improve.png").stat().st_size > 10_000 and len(looped.trainer.asked) == 5
    costs = [row.cost.explore_tokens for row in report.rows if row.method in ("sft", "vanilla") and not row.with_critic]
    assert 0 < costs[0] < costs[1] < costs[2] or 0 < costs[0] < costs[2] == costs[1], "what came before is on the bill"


def test_a_round_that_makes_things_worse_is_reported_and_not_promoted(looped: Looped) -> None:
    report, folder = looped.report, looped.folder
    assert {(row.method, row.round): row.promoted for row in report.rows} == {
        ("base", 0): True,
        ("sft", 0): True,
        ("vanilla", 1): False,
        ("vanilla", 2): True,
        ("critique", 1): True,
        ("critique", 2): True,
    }
    assert "vanilla, round 1: worse than before on the development problems" in looped.output.out
    assert "stages/sft/round-0" in actor_of(folder, "vanilla/round-1/seed-0/samples")
    assert "stages/sft/round-0" in actor_of(folder, "vanilla/round-2/seed-0/samples"), "the best so far, never the last"
    assert "stages/critique/round-1" in actor_of(folder, "critique/round-2/seed-0/samples")
    assert report.models["vanilla"].endswith("vanilla/round-2/seed-0/train/out/model")


def test_what_each_method_learns_from(looped: Looped) -> None:
    """Algorithm 1: the base again, the original data always, the critique in none of the explored rows."""
    folder, asked = looped.folder, looped.trainer.asked
    sources: dict[str, set[str]] = {}
    for method, place in (("sft", "sft/round-0"), ("vanilla", "vanilla/round-1"), ("critique", "critique/round-1")):
        rows = rows_in(folder, f"{place}/seed-0/data")
        sources[method] = {row["source"] for row in rows if "reject" not in row["prompt"]}
        followed = {row["source"] for row in rows if "reject" in row["prompt"]}
        assert followed == {"refinement"}, "the original refinement data stays"
    assert sources == {
        "sft": {"worked"},
        "vanilla": {"worked", "attempt"},
        "critique": {"worked", "attempt", "refinement"},
    }
    assert {settings.model for settings in asked} == {"embedded-actor"}, "every training starts from the base"
    assert {settings.recipe for settings in asked} == {"self-improve"}
    vanilla, critique = (rows_in(folder, f"{name}/round-1/seed-0/data") for name in ("vanilla", "critique"))
    own = [row["completion"] for row in vanilla if row["source"] == "attempt"]
    assert own == [row["completion"] for row in critique if row["source"] == "attempt"], "they share their samples"
    assert not any(row["provenance"]["oracle"] for row in (*vanilla, *critique))


def test_training_and_test_problems_are_apart(looped: Looped) -> None:
    for place, split in (
        ("base/round-0/seed-0/samples/run", "train"),
        ("critique/round-1/seed-0/samples/run", "train"),
        ("base/round-0/seed-0/difficulty/run", "test"),
        ("critique/round-1/seed-0/evaluate/greedy", "test"),
        ("critique/round-1/seed-0/evaluate/samples", "test"),
        ("critique/round-1/seed-0/evaluate/dev", "dev"),
    ):
        keys = [key for problem, _ in read_problems(looped.folder / "stages" / place) for key in heldout_keys(problem)]
        assert keys and {split_of(key) for key in keys} == {split}


def test_the_critic_can_learn_in_the_actors_place(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = start("--task", "countdown-3", "--rounds", 2, "--methods", "critic", *LEAST, "--out", folder, "--json")
    assert done.code == 0
    assert [(settings.recipe, settings.model) for settings in trainer.asked] == [("critic-sft", "embedded-critic")] * 2
    for row in rows_in(folder, "critic/round-1/seed-0/data"):
        assert row["prompt"].endswith("judge\n") and set(row["completion"].split()) <= {"ok", "unreachable", "clash"}
    report = report_in(done)
    base, last = (next(r for r in report.rows if r.method == name and not r.with_critic) for name in ("base", "critic"))
    assert last.accuracy == base.accuracy, "the actor stays"
    second = json.loads(
        (folder / "stages/critic/round-2/seed-0/evaluate/samples/run.json").read_text(encoding="utf-8")
    )["config"]
    assert second["actor"] == "embedded"


def test_seeds_are_of_the_last_round(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ("--task", "countdown-3", "--rounds", 1, "--methods", "vanilla", "--seeds", "0,4", *LEAST)
    report = report_in(start(*arguments, "--out", folder, "--json"))
    assert [(row.round, row.seeds) for row in report.rows if not row.with_critic] == [(0, [0]), (1, [0, 4])]
    assert [settings.seed for settings in trainer.asked] == [0, 4]
    first, other = (rows_in(folder, f"vanilla/round-1/seed-{seed}/data") for seed in (0, 4))
    assert [row["completion"] for row in first] != [row["completion"] for row in other], "it explores anew"


def test_a_chat_model_learns_from_chats(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ("--task", "countdown-3", "--rounds", 1, "--methods", "vanilla", "--actor", "hf:some", *LEAST)
    assert start(*arguments, "--out", folder).code == 0
    (settings,) = trainer.asked
    assert settings.model == "hf:some" and settings.epochs is None, "as the recipe's preset has it"
    for row in rows_in(folder, "vanilla/round-1/seed-0/data"):
        assert row["prompt"][0]["role"] == "user" and row["completion"][0]["role"] == "assistant"


def test_a_family_has_its_own_pair(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Stages) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Stages, "run", stop)
    folder = tmp_path / "run"
    assert start("--task", "arithmetic", "--methods", "sft,critic", *LEAST, "--out", folder).code == 130
    with ImproveFolder(folder) as made:
        assert (made.config.actor, made.config.critic) == ("embedded:arithmetic", "embedded:arithmetic")
        for role in ROLES:
            settings = improve_stages.training(made.config, role, data=tmp_path, out=tmp_path, seed=0)
            assert find_base(settings.model).role == role


# --- stopping and going on -----------------------------------------------------------------------------------------

TINY = ("--task", "countdown-3", "--rounds", 1, "--methods", "sft,critique", *LEAST)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ImproveReport:
    """Return what a run comes to that is never stopped."""
    return loop(tmp_path_factory.mktemp("whole") / "run", *TINY).report


@pytest.mark.parametrize("number", [0, 4, 6, 8, 13])
def test_it_goes_on_from_every_stage(
    number: int, whole: ImproveReport, start: Start, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle of a stage, which has done its work and has no mark."""
    work = Stages._do
    done: list[str] = []

    def broken(self: Stages, stage: Any) -> Any:
        result = work(self, stage)
        done.append(stage.name)
        if len(done) == number + 1:
            raise KeyboardInterrupt
        return result

    folder = tmp_path / "run"
    monkeypatch.setattr(Stages, "_do", broken)
    first = start(*TINY, "--out", folder)
    assert first.code == 130 and f"actorcritic improve --resume {folder}" in first.err
    monkeypatch.setattr(Stages, "_do", work)
    refused = start("--resume", folder, "--rounds", 9)
    assert refused.code == 2 and "leave out --rounds" in refused.err
    again = start("--resume", folder, "--json")
    assert again.code == 0
    found, expected = gist(report_in(again)), gist(whole)
    assert found.rows == expected.rows and found.paired == expected.paired
    assert len({settings.out for settings in trainer.asked}) == len(trainer.asked), "no model is begun twice"
    finished = re.findall(r"^\d+ of \d+: (\S+)$", again.err, re.MULTILINE)
    assert not set(finished) & set(done[:number]), "no finished stage is done again"


def test_a_collection_that_broke_off_is_paid_for_once(
    whole: ImproveReport, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log cut in the middle, as a kill leaves it."""
    folder = tmp_path / "run"
    start(*TINY, "--out", folder)
    for stage in ("critique/round-1/seed-0/samples", "critique/round-1/seed-0/evaluate"):
        place = folder / "stages" / stage
        (place / "done.json").unlink()
        log = next(place.rglob("events/main.jsonl"))
        data = log.read_bytes()
        log.write_bytes(data[: len(data) // 2])
    again = start("--resume", folder, "--json")
    assert again.code == 0 and gist(report_in(again)).rows == gist(whole).rows


def test_training_that_is_stopped_goes_on(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trainer.stop_once = {"sft/round-0"}
    assert start(*TINY, "--out", folder).code == 130
    assert start("--resume", folder).code == 0
    assert trainer.resumed == [folder / "stages" / "sft/round-0/seed-0/train/out"]
    # A run that is done says so again, and does nothing.
    count = len(trainer.asked)
    assert start("--resume", folder, "--json").code == 0 and len(trainer.asked) == count


def test_seconds_are_those_of_all_processes(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trainer.stop_once = {"sft/round-0"}
    first = report_in(start(*TINY, "--out", folder, "--json")).seconds
    whole = report_in(start("--resume", folder, "--json")).seconds
    assert 0 < first < whole == report_in(start("--resume", folder, "--json")).seconds
    (folder / "seconds").unlink()  # as an earlier version left it
    assert report_in(start("--resume", folder, "--json")).seconds == whole


def test_a_round_without_a_row_is_left_out_and_said_and_the_others_go_on(
    start: Start, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(parts: Sequence[Part], *, seed: int) -> Export:
        export = mix_exports(parts, seed=seed)
        none: dict[str, list[Columns]] = {"train": [], "validation": []}
        # Of the methods here the critic's rows are the ones that have no worked solution among them.
        return replace(export, rows=none, drops={"all wrong": 3}) if len(parts) == 1 else export

    monkeypatch.setattr(improve_stages, "mix_exports", without)
    folder = tmp_path / "run"
    rounds = ("--task", "countdown-3", "--rounds", 2, "--methods", "vanilla,critic")
    done = start(*rounds, *LEAST, "--out", folder)
    assert done.code == 1 and "Traceback" not in done.err
    assert "critic/round-1/seed-0: no row to learn from, so nothing was trained; dropped: 3 all wrong." in done.out
    assert [settings.recipe for settings in trainer.asked] == ["self-improve"] * 2
    again = start("--resume", folder, "--json")
    report = report_in(again)
    assert again.code == 1 and len(trainer.asked) == 2
    assert {(row.method, row.round) for row in report.rows} == {("base", 0), ("vanilla", 1), ("vanilla", 2)}
    assert report.without_rows == {f"critic/round-{number}/seed-0": {"all wrong": 3} for number in (1, 2)}
    assert set(report.models) == {"vanilla"}


def test_the_folder_may_move(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    trainer.stop_once = {"critique/round-1"}
    start(*TINY, "--out", tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    done = start("--resume", tmp_path / "there", "--json")
    assert done.code == 0 and all(str(tmp_path / "there") in spec for spec in report_in(done).models.values())


def test_it_goes_on_from_another_place(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PACKAGED["embedded"], tmp_path / "pair")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Stages, "run", lambda self: None)
    start("--task", "countdown", "--actor", "embedded:pair", "--critic", "hf:pair/critic", "--out", "run")
    with ImproveFolder(tmp_path / "run") as made:
        assert made.config.actor == f"embedded:{tmp_path}/pair"
        assert made.config.critic == f"hf:{tmp_path}/pair/critic"


def test_one_process_at_a_time(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    start(*TINY, "--out", folder)
    with ImproveFolder(folder):
        done = start("--resume", folder)
    assert done.code == 2 and "is being worked on by another process" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--task", "countdown"), "give --out"),
        (("--out", "r"), "name a task with --task: countdown"),
        (("--out", "r", "--task", "countdown", "--methods", "moon"), "unknown method 'moon'"),
        (("--out", "r", "--task", "countdown", "--rounds", 0), "--rounds must be at least 1, not 0"),
        (("--out", "r", "--task", "countdown", "--eval-limit", 0), "--eval-limit must be at least 1, not 0"),
        (("--out", "r", "--task", "countdown", "--seeds", "1,1"), "--seeds takes different whole numbers"),
        (("--out", "r", "--task", "countdown", "--refinement-weight", -1), "--refinement-weight must be at least 0"),
        (("--out", "r", "--task", "countdown", "--critic", "oracle"), "a critic that is no model cannot take part"),
        (("--out", "r", "--task", "countdown", "--actor", "openai:x@http://y"), "it cannot be trained"),
        (("--out", "r", "--task", "moon"), "unknown task 'moon'; choose from: countdown"),
        (("--out", "r", "--task", "countdown", "--epochs", 0), "the number of epochs must be above 0, not 0"),
        (("--out", "r", "--task", "countdown", "--learning-rate", -1), "the learning rate must be above 0, not -1"),
        (("--out", "r", "--task", "countdown", "--batch-size", 0), "the batch size must be at least 1, not 0"),
        (("--out", "r", "--task", "countdown", "--seed", -1), "the seed must be at least 0"),
        (("--out", "r", "--task", "countdown", "--seeds", f"0,{2**32}"), "the seed must be at least 0 and below"),
        (("--out", "r", "--task", "countdown", "--device", "moon"), "unknown device 'moon'"),
        (("--out", "r", "--task", "countdown", "--actor", "embedded:moon"), "moon/actor: check the path"),
        (("--out", "r", "--task", "countdown", "--actor", "hf:./moon"), "no model folder hf:./moon"),
        (
            ("--out", "r", "--task", "countdown", "--critic", "embedded:moon", "--methods", "critic"),
            "moon/critic: check the path",
        ),
        (("--resume", "nowhere"), "holds no self-improvement run"),
        (("--resume", "r", "--task", "countdown"), "--resume takes the task and all options from the folder"),
    ],
)
def test_one_clear_line_for_a_mistake(
    start: Start, arguments: tuple[object, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = start(*arguments)
    assert done.code == 2 and done.out == ""
    assert said in done.err and done.err.count("\n") == 1
    assert not (tmp_path / "r").exists(), "nothing is written"


@pytest.mark.parametrize("there", [False, True])
def test_a_run_that_cannot_begin_leaves_its_folder_free(
    there: bool, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(config: RunConfig) -> Roles:
        raise EngineUnavailable("cannot load the model")

    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(RunConfig, "load", unavailable)
        first = start(*TINY, "--out", folder)
    assert first.code == 2 and first.err.endswith("error: cannot load the model\n")
    assert folder.exists() == there
    assert start(*TINY, "--out", folder).code == 0


def test_what_is_measured_is_shown_where_a_later_stage_cannot_be_done(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Stages, stage: Any) -> Any:
        raise InputError("there is no room left on the disk")

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Stages, "_train", full)
        first = start(*TINY, "--out", folder, "--json")
    assert first.code == 2 and first.err.endswith("error: there is no room left on the disk\n")
    assert {row.method for row in report_in(first).rows} == {"base"}
    again = start("--resume", folder, "--json")
    assert again.code == 0 and {row.method for row in report_in(again).rows} == {"base", "sft", "critique"}


def test_a_mark_that_cannot_be_written_is_one_line(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*paths: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("actorcritic.cli.improve_folder.os.replace", full)
    done = start(*TINY, "--out", tmp_path / "run")
    assert done.code == 2 and done.err.count("\n") == 1 and "improve.json: No space left on device" in done.err
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "run"])


def test_a_folder_in_use_is_left_alone(start: Start, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine", encoding="utf-8")
    done = start("--task", "countdown", "--out", tmp_path)
    assert done.code == 2 and "is not an empty folder" in done.err


def test_training_needs_trl(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_module, "find_spec", lambda name: None)
    done = start("--task", "countdown", "--out", tmp_path / "r")
    assert done.code == 2 and "pip install 'actorcritic[train]'" in done.err


def test_a_report_that_was_changed_by_hand_is_refused(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    start(*TINY, "--out", folder)
    (folder / "stages/sft/round-0/seed-0/train/done.json").write_text("{}", encoding="utf-8")
    done = start("--resume", folder)
    assert done.code == 2 and "delete it to do the stage again" in done.err


def test_without_the_extra_there_is_no_picture(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_module, "draw_rounds", lambda report, path: False)
    done = start(*TINY, "--out", tmp_path / "run")
    assert "actorcritic[plot]" in done.err and "critique against sft" in done.out
