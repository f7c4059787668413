"""Every method of training by name. This table is the only list of them."""

from __future__ import annotations

from collections.abc import Mapping

from actorcritic.errors import InputError
from actorcritic.training import preferences, process_reward, self_distillation, supervised, unpaired
from actorcritic.training.rl import refining, verdicts
from actorcritic.training.work import Method

__all__ = ["METHODS", "method_named"]

METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        supervised.METHOD,
        preferences.DPO,
        preferences.REWARD,
        preferences.SIMPO,
        preferences.TPO,
        unpaired.METHOD,
        self_distillation.METHOD,
        verdicts.GRPO,
        verdicts.RLOO,
        refining.CRITIQUE_GRPO,
        refining.SCORE,
        process_reward.METHOD,
    )
}


def method_named(name: str, dataset: str) -> Method:
    """Return a method that trains on rows of this dataset type.

    Raises:
        InputError: there is no such method, or it trains on other rows.
    """
    fitting = [method.name for method in METHODS.values() if dataset in method.datasets]
    if name not in fitting:
        known = ", ".join(fitting) or "none"
        raise InputError(f"the method {name} does not train on rows of the type {dataset}; choose from: {known}")
    return METHODS[name]
