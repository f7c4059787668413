"""What recipes need to find in a run, and the collection that brings it; every collection step with its payload.

What only a model can make is an event of the kind `derived`, appended by `actorcritic collect --from RUN --step NAME`.
`COLLECTED` is the contract between that command and the recipes. Knows no recipe and no step's way of working.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from actorcritic.export.recipe import Need
from actorcritic.trajectory.episodes import Episode

__all__ = ["COLLECTED", "ERROR_TYPES", "INJECTABLE", "Collected", "critiqued", "derived", "scored", "valued"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection step appends: any number of events, each of one attempt or of the problem as a whole."""

    of: Literal["attempt", "problem", "either"]
    """Whether its events name a trial. `either`: some do, and what is read is read from both."""
    what: str
    """One line."""
    payload: Mapping[str, str]
    """Its fields beside `step`. "solution" = as `proposed` logs one, "critique" = as `critiqued` logs one; a step is
    named by its index from 0; "model" = a model's name as its calls log it."""


ERROR_TYPES = (
    "calculation",
    "counting",
    "question_misinterpretation",
    "referencing_context_value",
    "referencing_previous_step_value",
    "unit_conversion",
    "operator",
    "missing_step",
    "confusing_formula",
    "confusing_concept",
    "adding_irrelevant_information",
    "nonsense_output",
)
"""What can be wrong with a step (LEMMA, arXiv 2503.17439)."""

INJECTABLE = (
    "calculation",
    "counting",
    "question_misinterpretation",
    "missing_step",
    "confusing_formula",
    "confusing_concept",
)
"""Those that LEMMA has a model make on purpose; drawn from the distribution that `analyse-error` found."""

COLLECTED: Mapping[str, Collected] = {
    "critique": Collected(
        of="attempt",
        what="a further critic's critique",
        payload={"critic": "model", "critique": "critique"},
    ),
    "rationalise": Collected(
        of="attempt",
        what="a solution written with the gold answer as a hint, in place of a wrong attempt (STaR)",
        payload={"solution": "solution", "correct": "bool"},
    ),
    "step-rollouts": Collected(
        of="attempt",
        what="how often completions from each step reach the gold answer (Math-Shepherd)",
        payload={"rollouts": "N, int >= 1", "successes": "per step, how many of the N came out right"},
    ),
    "refine": Collected(
        of="attempt",
        what="several refinements of an attempt with one critique of it",
        payload={
            "critic": "model that wrote the critique",
            "critique": "critique that the refiner was shown",
            "actor": "model that refined",
            "refinements": "list of {solution: solution, correct: bool or null, incorporates: list of float}; "
            "`incorporates`: P(yes) in [0, 1], per wording, that it takes up the critique (ILF's InstructRM; "
            "every refinement is asked in the same wordings; empty where nobody was asked)",
        },
    ),
    "incorporates": Collected(
        of="attempt",
        what="whether a logged revision or refinement takes up the critique that it was given (ILF's InstructRM)",
        payload={"by": "model", "probabilities": "P(yes) per wording of the question, floats in [0, 1], at least one"},
    ),
    "analyse-error": Collected(
        of="attempt",
        what="what kind of error a wrong attempt makes, and where (LEMMA)",
        payload={
            "by": "model",
            "valid": "bool; false where the teacher finds no error, or no solution to speak of",
            "error_type": "one of ERROR_TYPES; null where not valid",
            "first_bad_step": "index; null where not valid",
            "explanation": "text",
        },
    ),
    "inject-error": Collected(
        of="attempt",
        what="a right attempt with an error put in on purpose and carried to its end (LEMMA, AutoMathCritique)",
        payload={
            "by": "model",
            "error_type": "one of INJECTABLE",
            "solution": "solution with the error in it, its answer included",
            "first_bad_step": "index of the step with the error",
            "explanation": "text; never part of the solution",
            "correct": "bool; whether its answer equals the gold one all the same",
        },
    ),
    "reflect": Collected(
        of="attempt",
        what="how a flawed solution goes on after its first bad step to a right end, in one pass (LEMMA)",
        payload={
            "by": "model",
            "source": "natural: of a wrong attempt, which the event names; injected: the event names the right attempt "
            "that the error was put into",
            "strategy": "fix-continue | fresh-restart",
            "error_type": "one of ERROR_TYPES",
            "flawed": "solution with the error, whole",
            "first_bad_step": "index in `flawed`",
            "continuation": "text that follows the steps up to and including the bad one, smoothed, to its end; "
            "with or without a phrase of transition at its beginning",
            "correct": "bool; whether the answer at its end equals the gold one",
        },
    ),
    "feedback": Collected(
        of="attempt",
        what="what the environment says of an attempt: tests, interpreter, checker of constraints (LeTI, FAFT)",
        payload={
            "by": "checker or tool",
            "passed": "bool; whether nothing is violated",
            "messages": "list of texts, one per violated constraint, or one stack trace; empty where passed. "
            "They do not quote the gold answer.",
        },
    ),
    "paraphrase": Collected(
        of="either",
        what="the gold solution in the words of the model to be tuned (S3FT)",
        payload={
            "model": "model that paraphrased: the one to be tuned",
            "solution": "solution",
            "correct": "bool or null; what the task's checker says of its answer",
            "equivalent": "bool or null; what a judging model says, null where none was asked or it gave no verdict",
        },
    ),
    "judge-equivalence": Collected(
        of="attempt",
        what="whether an attempt says the same as the gold solution, by a judging model (S3FT)",
        payload={"by": "model", "equivalent": "bool or null; null where it gave no readable verdict"},
    ),
    "resimulate": Collected(
        of="attempt",
        what="how a student model fares from the states that an expert's attempt passed through (EEF)",
        payload={
            "student": "model",
            "every": "l, int >= 1: steps between states",
            "states": "list of {at: steps taken by the expert before it (0, l, 2l ...), faithful: bool, rollouts: "
            "list of {solution: solution, correct: bool}}; `faithful`: the replayed state equals the logged one; the "
            "first `at` steps of a rollout's solution are the expert's own, and its `kept` is `at`",
        },
    ),
    "flawed-critique": Collected(
        of="attempt",
        what="a flawed solution, its critique written with a hint of the error, and refinements (AutoMathCritique)",
        payload={
            "by": "model that wrote the critique",
            "source": "response: the wrong attempt that the event names; location: right steps of that attempt, "
            "taken over and gone on from until the end was wrong; detail: an error put into that attempt on purpose",
            "solution": "solution that was judged, with a wrong end",
            "first_bad_step": "index of the step where the error was made; null where nobody knows (response)",
            "critique": "critique, read from a text that does not quote the hint",
            "actor": "model that refined, the same fixed one in all events",
            "refined": "N, int >= 0: refinements with this critique; 0 where nobody refined",
            "successes": "how many of the N came out right",
        },
    ),
    "deep-critique": Collected(
        of="attempt",
        what="critiques of every step, judged again from another side, and the two merged (DeepCritic)",
        payload={
            "by": "model",
            "steps": "list, one per step up to the first bad one, of {initial: {verdict: correct | incorrect | "
            "unscored, text: text}, deeper: list of {verdict, text, kind: of-critique | other-angle}, merged: text or "
            "null}; `deeper`: all n of them, right or not; `merged`: one deliberate critique of the step out of "
            "`initial` and a deeper one whose verdict is that of the label, null where there was none",
            "first_bad_step": "index by which deeper ones were chosen (a label of people, of `step-rollouts` or of "
            "an exact checker), null where every step is right",
        },
    ),
    "aggregate-critiques": Collected(
        of="attempt",
        what="units of several critiques, labelled by a meta-critic, the right ones put together (MultiCritique)",
        payload={
            "by": "model that labelled and aggregated",
            "units": "list of {critic: model, step: index or null for the whole, kind: text, severity: negligible | "
            "minor | severe, text: text, fix: text or null, valid: bool or null where no label could be read}",
            "critique": "critique made of the valid units, its verdict included",
        },
    ),
    "confidence": Collected(
        of="either",
        what="how sure the model is of a training target (CLEAR, BSDetector)",
        payload={
            "by": "model",
            "samples": "k, int >= 1: answers sampled",
            "observed": "O in [0, 1]: mean agreement of the k answers with the target",
            "reflected": "S in [0, 1]: mean of the model's choices (A correct 1, B incorrect 0, C unsure 0.5)",
        },
    ),
    "rectify": Collected(
        of="either",
        what="an answer of the tuned model in place of a training target, and a judge's comparison (CLEAR)",
        payload={
            "by": "model that judged",
            "model": "model that wrote the candidate, tuned on the confident targets",
            "solution": "solution, the candidate",
            "better": "list of P(the candidate is better than the target) in [0, 1], one per judgement; both orders of "
            "the two are judged equally often; empty where no judgement could be read",
        },
    ),
    "self-talk": Collected(
        of="attempt",
        what="an attempt's steps with critiques and corrections between them, smoothed to a monologue (MathCritique)",
        payload={
            "by": "model that smoothed",
            "chain": "list of {text: the step, verdict: correct | incorrect | unscored, critique: text or null, "
            "index: which step of the solution it is}; a corrected step follows the wrong one with the same index",
            "text": "the monologue, to its end",
            "correct": "bool or null; whether the answer at its end is right",
        },
    ),
    "rescore": Collected(
        of="attempt",
        what="the log-probabilities of an attempt's own tokens under the model to be tuned (how stale it is)",
        payload={
            "model": "model to be tuned, as it is now",
            "logprobs": "list of floats, natural logarithms, one per token that the attempt wrote itself (without the "
            "steps that it kept)",
        },
    ),
    "perplexity": Collected(
        of="either",
        what="how unlikely the gold response is to the model to be tuned (iTool); the event names the attempt that is "
        "taken for gold, or the problem where its gold solution is",
        payload={"model": "model to be tuned", "tokens": "int >= 1", "perplexity": "float >= 1, per token"},
    ),
    "explain-repair": Collected(
        of="attempt",
        what="why a right refinement, which the event names, mends the attempt that it starts from (MORepair)",
        payload={"by": "model", "explanation": "text: what was wrong, why, and how it was mended"},
    ),
}
"""By name of the step."""


def scored() -> Need:
    """Return the need of attempts of which it is known whether they are right."""
    return Need(
        what="attempts scored against a gold answer",
        found=lambda episode: any(attempt.correct is not None for attempt in episode.attempts),
        collect="actorcritic collect --from RUN --step score",
    )


def critiqued() -> Need:
    """Return the need of critiques, from the run or collected afterwards."""
    return Need(what="critiques", found=_has_critique, collect="actorcritic collect --from RUN --step critique")


def valued() -> Need:
    """Return the need of a search tree with visits and values."""
    return Need(
        what="a search tree with visits and values",
        found=lambda episode: any(attempt.visits is not None for attempt in episode.attempts),
        collect="actorcritic collect --problems F.jsonl --strategy mcts:nodes=step --out RUN",
    )


def derived(step: str) -> Need:
    """Return the need of what the collection step of this name appends; the step stands in `COLLECTED`."""
    assert step in COLLECTED, step
    return Need(
        what=f"events of the collection step {step!r}",
        found=lambda episode: any(made.step == step for made in episode.derived),
        collect=f"actorcritic collect --from RUN --step {step}",
    )


def _has_critique(episode: Episode) -> bool:
    return any(attempt.critique is not None for attempt in episode.attempts) or derived("critique").found(episode)
