"""Every recipe by name. A recipe is a module of this package with a `RECIPE`; this table is the only list of them."""

from __future__ import annotations

from collections.abc import Mapping

from actorcritic.errors import InputError
from actorcritic.export.recipe import Recipe
from actorcritic.export.recipes import (
    agent_q,
    cct,
    cft,
    clear,
    critic_sft,
    critique_grpo,
    critique_rl,
    crl,
    deepcritic,
    eef,
    faft,
    ilf,
    itool,
    kto,
    lemma,
    leti,
    marv,
    mistakes,
    morepair,
    multicritique,
    on_policy_dpo,
    prm,
    refcritic,
    rft,
    s3ft,
    score,
    self_improve,
    self_talk,
)
from actorcritic.search.options import Options, OptionValue

__all__ = ["RECIPES", "parse_recipe"]

RECIPES: Mapping[str, Recipe] = {
    module.RECIPE.name: module.RECIPE
    for module in (
        agent_q,
        cct,
        cft,
        clear,
        critic_sft,
        critique_grpo,
        critique_rl,
        crl,
        deepcritic,
        eef,
        faft,
        ilf,
        itool,
        kto,
        lemma,
        leti,
        marv,
        mistakes,
        morepair,
        multicritique,
        on_policy_dpo,
        prm,
        refcritic,
        rft,
        s3ft,
        score,
        self_improve,
        self_talk,
    )
}


def parse_recipe(text: str) -> tuple[Recipe, Options]:
    """Return a recipe and its options from text such as `rft` or `rft:cap=4,select=first`.

    Raises:
        InputError: there is no such recipe, option or value; the message lists those that there are.
    """
    name, colon, rest = text.partition(":")
    recipe = RECIPES.get(name)
    if recipe is None:
        raise InputError(f"unknown recipe {name!r}; choose from: {', '.join(sorted(RECIPES))}")
    known = {option.name: option for option in recipe.all_options}
    given: dict[str, OptionValue] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = part.partition("=")
        if not equals or key in given:
            raise InputError(f"recipe {text!r}: write each option once, as NAME:option=value,option=value")
        # An unknown name is refused below, with the list of those that there are.
        given[key] = known[key].parse(value) if key in known else value
    return recipe, Options(recipe.all_options, given)
