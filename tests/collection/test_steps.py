"""The table of steps: what it promises is documented, what is documented is there, every default is allowed."""

from __future__ import annotations

from actorcritic.collection.steps import STEPS, parse_step
from actorcritic.export.needs import COLLECTED
from actorcritic.trajectory.events import Kind


def test_every_step_that_exports_read_can_be_collected() -> None:
    derived = {name for name, step in STEPS.items() if step.kind is Kind.DERIVED}
    assert derived == set(COLLECTED)


def test_every_step_says_what_it_does_and_has_defaults() -> None:
    for name, step in STEPS.items():
        found, options = parse_step(name)
        assert found is step and step.summary and len(options) == len(step.options)
        assert all(option.help for option in step.options)
        for option in step.options:
            for choice in option.choices:
                assert parse_step(f"{name}:{option.name}={choice}")[1][option.name] == choice
