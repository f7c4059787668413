"""The contract between recipes and collection steps."""

from __future__ import annotations

import re

import pytest

from actorcritic.export.needs import COLLECTED, ERROR_TYPES, INJECTABLE, derived
from actorcritic.export.recipes import RECIPES
from actorcritic.trajectory.attempts import Derived
from tests.export.log import episode

SCORES = "score"
"""The step that appends scores, which are no derived events."""


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_what_a_recipe_says_to_collect_can_be_collected(name: str) -> None:
    for need in RECIPES[name].needs:
        assert need.collect.startswith("actorcritic collect ")
        steps = re.findall(r"--step ([^\s:]+)", need.collect)
        assert all(step in (*COLLECTED, SCORES) for step in steps)
        if need.when is not None:
            option, value = need.when
            known = {option.name: option for option in RECIPES[name].all_options}
            assert value in known[option].choices


def test_a_step_is_found_by_its_name() -> None:
    need = derived("feedback")
    assert need.collect == "actorcritic collect --from RUN --step feedback"
    assert not need.found(episode(derived=(Derived(step="critique", trial=0, payload={}),)))
    assert need.found(episode(derived=(Derived(step="feedback", trial=0, payload={}),)))


def test_every_step_documents_its_payload() -> None:
    assert set(INJECTABLE) < set(ERROR_TYPES)
    for step, collected in COLLECTED.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", step) and collected.what and collected.payload
        assert "step" not in collected.payload
