"""What every recipe makes of the synthetic log, and what all of them owe.

After an intended change, `UPDATE_GOLDEN=1 pytest tests/export/test_golden.py` writes them anew; read the difference.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from actorcritic.export.leakage import leak
from actorcritic.export.pipeline import Export, Order, export_run
from actorcritic.export.recipe import DatasetType, Recipe, Row
from actorcritic.export.recipes import RECIPES
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.types import JsonValue
from tests.export.log import Words, rows_of, setting_of, write_log

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
    "itool:form=warm-up",
    "kto:unit=step",
    "lemma:form=tokens",
    "leti:source=critique",
    "morepair:guidance=critique",
    "on-policy-dpo:reference=logged",
    "prm:form=tokens",
    "prm:labels=soft",
    "prm:source=value",
    "refcritic:form=sft",
    "rft:sources=all",
    "score:stage=2,first=logged",
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


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_hint_in_a_prompt_would_be_seen(run: Path, name: str) -> None:
    """The leakage test of every recipe: each kind of help that it does not declare is found beside its real prompts."""
    recipe, setting = setting_of(name, tokenizer=Words())
    tried = 0
    for episode in read_episodes(run):
        gold = episode.gold.answer if episode.gold is not None else None
        for row in recipe.rows(episode, setting):
            if not isinstance(row, Row) or ("prompt" not in row.columns and row.asked is None):
                continue
            assert leak(row, episode, recipe, setting) is None
            assert leak(_spoilt(row, f"Hint: {gold}"), episode, recipe, setting) == "gold"
            tried += 1
    assert tried


def _spoilt(row: Row, hint: str) -> Row:
    """Return a row whose prompt says more."""
    if row.asked is not None:
        return replace(row, asked=f"{row.asked}\n{hint}")
    prompt = row.columns["prompt"]
    hinted: JsonValue = f"{prompt}{hint}" if isinstance(prompt, str) else [prompt, {"role": "user", "content": hint}]
    return replace(row, columns={**row.columns, "prompt": hinted})


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
