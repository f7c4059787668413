"""What the framework owes for every recipe, tried on one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.export.exclusion import Exclusion
from actorcritic.export.pipeline import STRAY, Order, export_episodes, export_run
from actorcritic.export.recipe import Drop, Result, Row, Setting
from actorcritic.export.recipes import RECIPES
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.trajectory.events import Event, Kind
from actorcritic.trajectory.reader import read_outcomes
from actorcritic.trajectory.recorder import OUTCOMES, FileRecorder
from actorcritic.types import JsonValue
from tests.export.log import Words, attempt, episode, exported, rows_of, setting_of, solved, write_log


def answered(count: int, *, same: bool = False) -> list[Episode]:
    return [
        episode(
            attempt(0, solved(f"{n} * 1 = {n}", "x " * n, answer=str(n)), correct=True),
            attempt(1, solved(f"{n} + 0 = {n}", answer=str(n)), correct=True),
            name=f"p{n}",
            text="The same?" if same else f"How many are {n} hats?",
            gold=f"g{n}",
        )
        for n in range(count)
    ]


@given(st.integers(1, 25), st.integers(0, 5), st.floats(0.1, 1))
def test_no_problem_is_on_both_sides(count: int, seed: int, share: float) -> None:
    export = exported("rft", *answered(count), seed=seed, share=share)
    sides = {split: {str(row["prompt"]) for row in rows} for split, rows in export.rows.items()}
    assert not sides["train"] & sides["validation"]
    assert export.total == 2 * count


def test_the_same_words_under_two_ids_are_one_problem() -> None:
    export = exported("rft", *answered(12, same=True), share=0.5)
    assert sorted(map(len, export.rows.values())) == [0, 24]


def test_rows_come_in_the_order_of_problems() -> None:
    rows = rows_of(exported("rft", *answered(5), share=1.0))
    origins = [row["provenance"] for row in rows]
    assert [origin["problem"] for origin in origins if isinstance(origin, dict)] == [
        f"p{n}" for n in range(5) for _ in "ab"
    ]


def test_long_rows_are_dropped_and_never_cut() -> None:
    everything = exported("rft", *answered(30), tokenizer=Words(), share=1.0)
    short = exported("rft", *answered(30), tokenizer=Words(), share=1.0, max_length=20)
    written = [row["completion"] for row in everything.rows["train"]]
    assert 0 < short.total < everything.total
    assert short.drops["longer than 20 tokens"] == everything.total - short.total
    assert all(row["completion"] in written for row in short.rows["train"])
    origin = short.rows["train"][0]["provenance"]
    assert isinstance(origin, dict) and origin["filters"] == ["correct", "distinct", "no leak", "at most 20 tokens"]


def test_oracle_runs_are_refused_unless_asked_for() -> None:
    one = replace(answered(1)[0], oracle=True)
    with pytest.raises(InputError, match="--allow-oracle"):
        exported("rft", one)
    export = exported("rft", one, allow_oracle=True)
    assert export.run.oracle is True
    for row in rows_of(export):
        assert isinstance(row["provenance"], dict) and row["provenance"]["oracle"] is True


def test_excluded_problems_are_dropped_and_counted() -> None:
    exclusion = Exclusion({"bench": ["How many are 3 hats?"]}, ())
    export = exported("rft", *answered(5), exclusion=exclusion)
    assert export.total == 8 and export.drops == {"problem near-duplicate of a problem in bench": 1}


def test_what_is_missing_is_named_with_the_collection_that_brings_it() -> None:
    unscored = episode(attempt(0, solved("a")))
    with pytest.raises(InputError, match=r"rft needs attempts scored.*collect"):
        exported("rft", unscored)
    with pytest.raises(InputError, match=r"prm needs events of the collection step 'step-rollouts'"):
        exported("prm", unscored)
    with pytest.raises(InputError, match=r"kto needs a search tree"):
        exported("kto:unit=step", *answered(1))


def with_rows(*results: Result) -> Order:
    recipe, setting = setting_of("rft")
    return Order(recipe=replace(recipe, rows=lambda episode, setting: results, needs=()), setting=setting)


def test_a_row_that_leaks_is_dropped_and_counted() -> None:
    leaking = Row(columns={"prompt": "How many are 0 hats? (g0)", "completion": "0"}, attempts=(0,))
    export = export_episodes(answered(1), with_rows(leaking, Drop("a reason")))
    assert export.total == 0 and export.drops == {"a reason": 1, "leak: gold in the prompt": 1}


@pytest.mark.parametrize(
    "columns", [{"prompt": "b", "completion": 1}, {"prompt": "b"}, {"prompt": "b", "completion": None}]
)
def test_rows_of_different_columns_are_a_defect(columns: dict[str, str | int | None]) -> None:
    good = Row(columns={"prompt": "a", "completion": "b"}, attempts=(0,))
    with pytest.raises(TypeError, match="different columns"):
        export_episodes(answered(1), with_rows(good, Row(columns={**columns}, attempts=(0,))))


def test_a_row_of_no_attempt_is_a_defect() -> None:
    with pytest.raises(TypeError, match="no attempt"):
        export_episodes(answered(1), with_rows(Row(columns={"prompt": "a"}, attempts=())))


def test_a_recipe_may_arrange_all_rows() -> None:
    def only_first(rows: Sequence[Row], setting: Setting) -> list[Result]:
        return [rows[0], *(Drop("not first") for _ in rows[1:])]

    recipe, setting = setting_of("rft")
    export = export_episodes(answered(3), Order(recipe=replace(recipe, arrange=only_first), setting=setting))
    assert export.total == 1 and export.drops == {"not first": 5}


def test_a_run_can_be_limited_to_its_first_problems(tmp_path: Path) -> None:
    recipe, setting = setting_of("kto")
    run = write_log(tmp_path / "run")
    export = export_run(run, Order(recipe=recipe, setting=setting, limit=2))
    assert export.run.problems == 2
    origins = [row["provenance"] for row in rows_of(export)]
    assert {str(origin["problem"]) for origin in origins if isinstance(origin, dict)} == {"apples", "bus"}


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    recipe, setting = setting_of("kto")
    with pytest.raises(InputError, match="no run folder"):
        export_run(tmp_path, Order(recipe=recipe, setting=setting))


def test_the_run_is_described() -> None:
    unfinished = replace(answered(1)[0], stopped_by=None)
    summary = exported("rft", unfinished, *answered(3)[1:]).run
    assert (summary.runs, summary.problems, summary.unfinished, summary.attempts) == (("r",), 3, 1, 6)


COLLECTING = sorted(name for name, recipe in RECIPES.items() if any("--step" in need.collect for need in recipe.needs))


def order_of(name: str) -> Order:
    recipe, setting = setting_of(name, tokenizer=Words())
    return Order(recipe=recipe, setting=setting)


@pytest.mark.parametrize("name", COLLECTING)
def test_what_was_collected_of_an_attempt_that_the_log_lacks_is_dropped_and_counted(name: str, tmp_path: Path) -> None:
    folder = write_log(tmp_path / "run")
    whole = export_run(folder, order_of(name))
    with FileRecorder(folder, "collect-lost", place=OUTCOMES) as recorder:
        for made in [made for episode in read_episodes(folder) for made in episode.derived]:
            payload: dict[str, JsonValue] = {"step": made.step, **made.payload}
            event = Event(kind=Kind.DERIVED, run="log", problem="apples", seq=0, trial=77, time="u", payload=payload)
            recorder.record(event)
    count = len(list(read_outcomes(folder)))
    export = export_run(folder, order_of(name))
    assert export.rows == whole.rows and count > 20
    assert export.drops == dict(sorted({**whole.drops, STRAY: count}.items()))
    lost = replace(next(read_episodes(folder)), derived=(Derived(step="critique", trial=5, payload={}),), strays=1)
    assert export_episodes([lost], order_of("cct")).drops[STRAY] == 2
