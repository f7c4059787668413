"""What every recipe makes of the synthetic log, and what all of them owe.

After an intended change, `UPDATE_GOLDEN=1 pytest tests/export/test_golden.py` writes them anew; read the difference.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from actorcritic.export.leakage import leak
from actorcritic.export.pipeline import Export, Order, export_run
from actorcritic.export.recipe import DatasetType, Recipe, Row, Shown
from actorcritic.export.recipes import RECIPES
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.types import JsonValue, Reference
from tests.export.log import WRONG, Words, attempt, rows_of, said, setting_of, solved, write_log

GOLDEN = Path(__file__).with_name("golden")
README = Path(__file__).parents[2] / "README.md"
TABLE = re.compile(r"\| recipe \| rows \| TRL \| paper \|\n(?:\|.*\n)+")
VARIANTS = (
    "clear:stage=correct",
    "critique-grpo:form=logged",
    "critique-grpo:form=sdpo",
    "deepcritic:form=grpo",
    "eef:form=turns",
    "faft:source=critique",
    "ilf:form=preference,select=checker",
    "ilf:form=triple",
    "itool:form=warm-up",
    "kto:unit=step",
    "lemma:form=tokens",
    "leti:source=critique",
    "leti:source=none",
    "morepair:guidance=critique",
    "on-policy-dpo:reference=logged",
    "prm:form=tokens",
    "prm:labels=soft",
    "prm:source=value",
    "refcritic:form=sft",
    "rft:sources=all",
    "score:stage=2,first=logged",
    "self-improve:form=reasoning",
    "self-improve:form=refinement",
)
"""Beside every recipe with its defaults."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("log") / "run")


def export_of(run: Path, text: str, seed: int = 0) -> Export:
    recipe, setting = setting_of(text, seed=seed, tokenizer=Words())
    return export_run(run, Order(recipe=recipe, setting=setting, share=0.5))


@pytest.mark.parametrize("text", [*RECIPES, *VARIANTS])
def test_rows_are_the_golden_ones(run: Path, text: str) -> None:
    export = export_of(run, text)
    made = {"rows": export.rows, "drops": export.drops, "trainer_settings": export.trainer_settings}
    path = GOLDEN / f"{text.translate(str.maketrans(':=,', '---'))}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert json.loads(json.dumps(made)) == json.loads(path.read_text(encoding="utf-8"))
    assert export.total > 0


@pytest.mark.parametrize("text", [*RECIPES, *VARIANTS])
def test_every_row_says_where_it_comes_from(run: Path, text: str) -> None:
    episodes = {episode.problem.id: episode for episode in read_episodes(run)}
    for row in rows_of(export_of(run, text)):
        origin = row["provenance"]
        assert isinstance(origin, dict) and origin["run"] == "log" and origin["oracle"] is False
        assert origin["filters"] and origin["attempts"]
        known = {attempt.id for attempt in episodes[str(origin["problem"])].attempts}
        assert isinstance(origin["attempts"], list) and known.issuperset(map(int, map(str, origin["attempts"])))


@pytest.mark.parametrize("text", [*RECIPES, *VARIANTS])
def test_a_seed_decides_everything(run: Path, text: str) -> None:
    one, again, other = (export_of(run, text, seed) for seed in (1, 1, 2))
    assert one.rows == again.rows and one.drops == again.drops
    assert other.total == one.total


HELP: dict[Shown, str] = {
    "gold": "Zanzibar is what it comes to.",
    "attempt": "Once I wrote Yucatan in this place.",
    "critique": "Xanadu is no step at all.",
    "feedback": "ValueError: Wichita was expected.",
    "derived": "Vladivostok explains what went wrong.",
}
"""By its kind, what no prompt of a recipe without that kind may show."""


@pytest.mark.parametrize("kind", HELP)
@pytest.mark.parametrize("text", [*RECIPES, *VARIANTS])
def test_help_that_a_recipe_does_not_declare_would_be_seen_in_its_prompts(run: Path, text: str, kind: Shown) -> None:
    """The leakage test of every recipe: beside its real prompts, and inside them, each kind of help is found."""
    recipe, setting = setting_of(text, tokenizer=Words())
    expected = None if kind in recipe.shown_under(setting.options) else kind
    tried = 0
    for found in read_episodes(run):
        helpful = _with_help(found)
        for row in recipe.rows(found, setting):
            if isinstance(row, Row):
                assert leak(row, helpful, recipe, setting) is None
                for spoilt in _spoilt(row, HELP[kind]):
                    assert leak(spoilt, helpful, recipe, setting) == expected
                    tried += 1
    assert tried


def test_every_kind_of_help_is_tried_and_every_condition_can_hold() -> None:
    assert set(HELP) == set(get_args(Shown))
    conditional = {(name, *when) for name, recipe in RECIPES.items() for when in recipe.shows_when.values()}
    for name, option, value in conditional:
        assert value in {one.name: one for one in RECIPES[name].all_options}[option].choices


def _with_help(found: Episode) -> Episode:
    """Return an episode that holds every kind of help besides its own."""
    critique = said(WRONG, HELP["critique"])
    return replace(
        found,
        gold=Reference(answer=None if found.gold is None else found.gold.answer, solution=HELP["gold"]),
        attempts=(*found.attempts, attempt(999, solved(HELP["attempt"]), correct=False, critique=critique)),
        derived=(
            *found.derived,
            Derived(step="feedback", trial=999, payload={"messages": [HELP["feedback"]]}),
            Derived(step="explain-repair", trial=999, payload={"explanation": HELP["derived"]}),
        ),
    )


def _spoilt(row: Row, hint: str) -> Iterator[Row]:
    """Yield rows whose prompts say more: in words of their own, and in the middle of what is there."""
    if row.asked is not None:
        yield replace(row, asked=f"{row.asked}\n{hint}")
        return
    prompt = row.columns["prompt"]
    if isinstance(prompt, str):
        yield replace(row, columns={**row.columns, "prompt": f"{prompt}\n{hint}"})
        return
    assert isinstance(prompt, list)
    message: JsonValue = {"role": "user", "content": f"Hint: {hint}"}
    yield replace(row, columns={**row.columns, "prompt": [message, *prompt]})
    last = prompt[-1]
    assert isinstance(last, dict)
    longer: JsonValue = {**last, "content": f"{last['content']} ({hint})"}
    yield replace(row, columns={**row.columns, "prompt": [*prompt[:-1], longer]})


def test_every_recipe_names_its_paper_and_has_a_test_of_its_own() -> None:
    for name, recipe in RECIPES.items():
        module = name.replace("-", "_")
        assert recipe.name == name and "arXiv:" in recipe.paper
        assert (GOLDEN.parent / "recipes" / f"test_{module}.py").is_file(), f"no acceptance test for {name}"


def test_the_readme_lists_every_recipe() -> None:
    kinds = get_args(DatasetType)
    recipes = sorted(RECIPES.values(), key=lambda one: (kinds.index(next(iter(one.forms.values())).dataset), one.name))
    table = "\n".join(["| recipe | rows | TRL | paper |", "|---|---|---|---|", *map(_line, recipes)]) + "\n"
    text = README.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_GOLDEN"):
        README.write_text(TABLE.sub(lambda _: table, text), encoding="utf-8")
    found = TABLE.search(README.read_text(encoding="utf-8"))
    assert found is not None and found[0] == table


def _line(recipe: Recipe) -> str:
    """Return what the README says of a recipe."""
    several = len(recipe.forms) > 1
    forms = (
        f"{f'`{name}`: ' if several else ''}{form.dataset}, {re.sub(r'^trl[.a-z]*[.]', '', form.trainer)}"
        for name, form in recipe.forms.items()
    )
    paper = re.sub(r"arXiv:([\d.]+\d)", r"[\1](https://arxiv.org/abs/\1)", recipe.paper)
    return f"| `{recipe.name}` | {recipe.summary} | {'; '.join(forms)} | {paper} |"
