"""Options that several commands share, and the refusal of those that would say nothing.

A run that is gone on with has its options in its folder: whatever else is given beside `--resume` or `--from` would be
ignored, so it is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from actorcritic.errors import InputError

__all__ = [
    "ACTOR_HELP",
    "CRITIC_HELP",
    "FROM_THE_RUN",
    "REWARD_MODEL_HELP",
    "VERIFIER_HELP",
    "BudgetCalls",
    "BudgetMoney",
    "BudgetSeconds",
    "BudgetTokens",
    "Device",
    "Dtype",
    "KeepPrompts",
    "MaxTokens",
    "Prices",
    "RewardModel",
    "Temperature",
    "Verifier",
    "given_options",
    "refuse_others",
]

ACTOR_HELP = "embedded, hf:PATH_OR_ID, vllm:PATH_OR_ID or openai:MODEL@URL."
CRITIC_HELP = "As --actor; or oracle, calculate, execution, none."
MONEY_HELP = "Money per problem, in the currency of --prices; what a call may cost is reserved before it."
PRICES_HELP = 'JSON: {"MODEL": {"prompt": 2.5, "completion": 10, "cached": 1.25}}, per million tokens.'
REWARD_MODEL_HELP = "For score=reward-model: hf-prm:PATH_OR_ID?format=shepherd|qwen|skywork or hf-orm:PATH_OR_ID."
VERIFIER_HELP = (
    "For score=verifier: calculate (recomputes equations), or oracle, which makes this an oracle run; for gate=oracle, "
    "oracle."
)
PROMPTS_HELP = "Keep problems' texts and prompts in the log; a run without them cannot be resumed."

FROM_THE_RUN = "takes problems and options from the run folder"
"""Why nothing else may stand beside `--resume`; see `refuse_others`."""

RewardModel = Annotated[str | None, typer.Option(help=REWARD_MODEL_HELP, show_default="none")]
Verifier = Annotated[str | None, typer.Option(help=VERIFIER_HELP, show_default="none")]
BudgetTokens = Annotated[
    int | None, typer.Option(help="Logical tokens per problem, critic included.", show_default="none")
]
BudgetCalls = Annotated[int | None, typer.Option(help="Model calls per problem.", show_default="none")]
BudgetSeconds = Annotated[float | None, typer.Option(help="Seconds per problem.", show_default="none")]
BudgetMoney = Annotated[float | None, typer.Option(help=MONEY_HELP, show_default="none")]
Prices = Annotated[Path | None, typer.Option(help=PRICES_HELP, show_default="none")]
Temperature = Annotated[float, typer.Option(help="Of the actor; 0 = greedy.")]
MaxTokens = Annotated[int, typer.Option(help="Completion tokens of one solution at most.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Dtype = Annotated[str, typer.Option(help="auto, float32 or bfloat16.")]
KeepPrompts = Annotated[bool, typer.Option(help=PROMPTS_HELP)]


def given_options(context: typer.Context) -> dict[str, str]:
    """Return what stands on the command line: the parameters' names with how they are spelled, in their order."""
    given: dict[str, str] = {}
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            off = context.params.get(name) is False and parameter.secondary_opts
            spelled = parameter.secondary_opts[0] if off else parameter.opts[0]
            given[name] = spelled if parameter.param_type_name == "option" else spelled.upper()
    return given


def refuse_others(context: typer.Context, option: str, allowed: Collection[str], why: str) -> None:
    """Refuse every option that would be ignored beside one that decides everything else.

    Args:
        context: Of the command.
        option: That one, such as `--resume`.
        allowed: Names of the parameters that still say something, its own among them.
        why: Where the rest comes from, as the end of a sentence that begins with the option.

    Raises:
        InputError: names what is to be left out.
    """
    ignored = [spelled for name, spelled in given_options(context).items() if name not in allowed]
    if ignored:
        raise InputError(f"{option} {why}: leave out {', '.join(ignored)}")
