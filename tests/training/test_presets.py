"""Every recipe that the export knows has a preset for each form that is trained on, by a method that takes its rows."""

from __future__ import annotations

import pytest

from actorcritic.errors import InputError
from actorcritic.export.recipes import RECIPES
from actorcritic.training.methods import METHODS, method_named
from actorcritic.training.presets import METHOD_PRESETS, PRESETS, preset_of

UNTRAINED = {("eef", "turns")}
"""For reading, and for a trainer of somebody else's."""
FORMS = [(name, form) for name, recipe in RECIPES.items() for form in recipe.forms if (name, form) not in UNTRAINED]


def test_every_recipe_has_presets_and_every_preset_a_recipe() -> None:
    assert PRESETS.keys() == RECIPES.keys()
    assert {(name, form) for name, forms in PRESETS.items() for form in forms} == set(FORMS)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_the_method_takes_the_rows_of_its_form(name: str, form: str) -> None:
    preset = preset_of(name, form)
    method = method_named(preset.method, RECIPES[name].forms[form].dataset)
    assert method.name == preset.method
    assert preset.source
    assert preset.epochs > 0 and preset.learning_rate > 0 and preset.batch_size >= 1 and 0 <= preset.warmup <= 1


def test_the_default_form_is_the_recipes_own() -> None:
    for name, recipe in RECIPES.items():
        assert preset_of(name) is PRESETS[name][next(form for form in recipe.forms if form in PRESETS[name])]


def test_the_papers_own_numbers() -> None:
    cft, itool, score = preset_of("cft"), preset_of("itool", "simpo"), preset_of("critique-rl")
    assert (cft.learning_rate, cft.batch_size, cft.epochs, cft.weight_decay) == (5e-6, 512, 50, 0.05)
    assert itool.arguments == {"loss_type": "simpo", "beta": 2.5, "simpo_gamma": 0.5, "cpo_alpha": 0.0}
    assert score.learning_rate == 5e-7


def test_another_method_has_a_preset_of_its_own() -> None:
    assert preset_of("agent-q", None, "reward") is METHOD_PRESETS["reward"]
    assert preset_of("agent-q", None, "dpo") is preset_of("agent-q")
    assert METHOD_PRESETS.keys() <= METHODS.keys()


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="unknown recipe 'nothing'; choose from: agent-q, "):
        preset_of("nothing")
    with pytest.raises(InputError, match="in the form turns: export with form=tokens"):
        preset_of("eef", "turns")
    with pytest.raises(InputError, match="the method kto does not train on rows of the type preference"):
        method_named("kto", "preference")
