"""Every collection step by name; this table is the only list of them."""

from __future__ import annotations

from collections.abc import Mapping

from actorcritic.collection.step import CollectionStep
from actorcritic.collection.steps import (
    checking,
    critiques,
    curation,
    deep,
    flaws,
    gold,
    lemma,
    likelihood,
    rollouts,
    telling,
    units,
)
from actorcritic.errors import InputError
from actorcritic.search.options import Options, OptionValue

__all__ = ["STEPS", "parse_step"]

STEPS: Mapping[str, CollectionStep] = {
    step.name: step
    for step in (
        checking.SCORE,
        checking.FEEDBACK,
        rollouts.STEP_ROLLOUTS,
        rollouts.RESIMULATE,
        critiques.CRITIQUE,
        critiques.REFINE,
        critiques.INCORPORATES,
        gold.RATIONALISE,
        gold.PARAPHRASE,
        gold.JUDGE_EQUIVALENCE,
        flaws.FLAWED_CRITIQUE,
        lemma.ANALYSE_ERROR,
        lemma.INJECT_ERROR,
        lemma.REFLECT,
        deep.DEEP_CRITIQUE,
        units.AGGREGATE_CRITIQUES,
        curation.CONFIDENCE,
        curation.RECTIFY,
        telling.SELF_TALK,
        telling.EXPLAIN_REPAIR,
        likelihood.RESCORE,
        likelihood.PERPLEXITY,
    )
}


def parse_step(text: str) -> tuple[CollectionStep, Options]:
    """Return a step and its options from text such as `critique` or `step-rollouts:n=4,until=dead`.

    Raises:
        InputError: there is no such step, option or value; the message lists those that there are.
    """
    name, _, rest = text.strip().partition(":")
    step = STEPS.get(name)
    if step is None:
        raise InputError(f"unknown collection step {name!r}; choose from: {', '.join(sorted(STEPS))}")
    known = {option.name: option for option in step.options}
    given: dict[str, OptionValue] = {}
    for item in filter(None, map(str.strip, rest.split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if key not in known:
            raise InputError(
                f"the step {name} has no option {key!r}; " + (f"choose from: {', '.join(known)}" if known else "none")
            )
        if not equals or key in given:
            raise InputError(f"option {key} of the step {name} needs one value: {known[key].allowed}")
        given[key] = known[key].parse(value)
    return step, Options(step.options, given)
