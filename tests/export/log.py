"""A small log of six problems in words, with a stub checker, written through the real recorder; and values by hand.

apples   three right attempts (two with the same equations), a wrong one; critiques; step labels
bus      a wrong attempt, revised after its critique; a revision that speaks of the critique
coins    nothing right; one rationalised solution
tree     a search by steps with visits, values and log-probabilities
desk     one candidate of each kind, judged by two more critics
late     an attempt that nobody scored, one cut off, one failed; not finished
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from actorcritic.budget import Spend
from actorcritic.codec import encode
from actorcritic.export.exclusion import Exclusion
from actorcritic.export.pipeline import Export, Order, export_episodes
from actorcritic.export.recipe import Columns, Recipe, Setting, Tokenizer
from actorcritic.export.recipes import parse_recipe
from actorcritic.trajectory.attempts import Derived, EpisodeAttempt, LoggedScore
from actorcritic.trajectory.episodes import Episode
from actorcritic.trajectory.events import Kind
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.provenance import ModelOrigin, Provenance, provenance_config
from actorcritic.trajectory.recorder import FileRecorder, create_run
from actorcritic.types import (
    Action,
    Critique,
    Failure,
    JsonValue,
    Outcome,
    Problem,
    Reference,
    Solution,
    Step,
    StepCritique,
    Trial,
    Verdict,
)

RIGHT, WRONG, UNSCORED = Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNSCORED
MODELS = (
    ModelOrigin(role="actor", name="scripted", model="stub-actor", licence="Apache-2.0"),
    ModelOrigin(role="critic", name="scripted", model="stub-critic"),
)


# --- values by hand ------------------------------------------------------------------------------------------------


def solved(
    *steps: str, answer: str | None = None, kept: int = 0, complete: bool = True, logprob: float = -0.5
) -> Solution:
    """Return a solution; every step counts as two tokens of this log-probability."""
    made = tuple(
        Step(text=text, raw=f"{text}\n", token_ids=(2 * i, 2 * i + 1), logprobs=(logprob, logprob))
        for i, text in enumerate(steps)
    )
    return Solution(steps=made, answer=answer, kept=kept, complete=complete)


def said(verdict: Verdict, raw: str, steps: Sequence[Verdict] = (), score: float | None = None) -> Critique:
    """Return a critique; its steps are explained by what the whole one says."""
    entries = tuple(StepCritique(verdict=each, explanation=f"Step {i}: {each.value}.") for i, each in enumerate(steps))
    return Critique(steps=entries, verdict=verdict, explanation=None, score=score, raw=raw)


def attempt(
    trial: int,
    solution: Solution | None,
    *,
    correct: bool | None = None,
    action: Action = Action.PROPOSE,
    parent: int | None = None,
    **more: Any,
) -> EpisodeAttempt:
    """Return an attempt that a stub checker has scored, unless `correct` is None."""
    scores = () if correct is None else (LoggedScore(by="stub", score=float(correct), gold=True, time="t"),)
    trial_ = Trial(id=trial, action=action, parent=parent)
    return EpisodeAttempt(trial=trial_, solution=solution, settled=True, scores=scores, **more)


def episode(
    *attempts: EpisodeAttempt,
    text: str = "What is six times seven?",
    gold: str | None = "42",
    name: str = "p",
    checker: str = "exact",
    derived: tuple[Derived, ...] = (),
    oracle: bool = False,
) -> Episode:
    """Return a finished episode."""
    return Episode(
        run="r",
        problem=Problem(id=name, prompt=text, checker=checker),
        gold=None if gold is None else Reference(answer=gold),
        attempts=attempts,
        stopped_by="completed",
        oracle=oracle,
        derived=derived,
    )


def setting_of(
    text: str, *, seed: int = 0, plain: bool = True, tokenizer: Tokenizer | None = None
) -> tuple[Recipe, Setting]:
    """Return the recipe that a text names and its setting; prompts are plain unless asked otherwise."""
    recipe, options = parse_recipe(text)
    form = options.text("form") if "form" in options else next(iter(recipe.forms))
    return recipe, Setting(recipe=recipe.name, options=options, form=form, seed=seed, plain=plain, tokenizer=tokenizer)


def exported(text: str, *episodes: Episode, exclusion: Exclusion | None = None, **options: Any) -> Export:
    """Return what a recipe makes of episodes, as the command would."""
    names = ("seed", "plain", "tokenizer")
    recipe, setting = setting_of(text, **{name: options.pop(name) for name in names if name in options})
    return export_episodes(episodes, Order(recipe=recipe, setting=setting, **options), exclusion)


def rows_of(export: Export) -> list[Columns]:
    """Return the rows of all splits."""
    return [row for rows in export.rows.values() for row in rows]


def content(value: JsonValue) -> str:
    """Return the text of a chat of one message."""
    assert isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict)
    text = value[0]["content"]
    assert isinstance(text, str)
    return text


class Words:
    """A tokenizer: one token per word or sign."""

    name = "words"

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        return [self.ids.setdefault(word, len(self.ids)) for word in text.split()]

    def chat(self, messages: Sequence[Any], *, ask: bool = False) -> list[int]:
        text = " ".join(f"<{message['role']}> {message['content']} <end>" for message in messages)
        return self.encode(text + (" <assistant>" if ask else ""))


# --- the log -------------------------------------------------------------------------------------------------------


class _Scribe:
    """Writes the trials of one problem."""

    def __init__(self, recorder: FileRecorder, problem: str, *, oracle: bool) -> None:
        self.journal = TrajectoryJournal(recorder, run="log", problem=problem, now=lambda: "2026-01-01T00:00:00")
        origin = Provenance(library="0", strategy="revise", seed=0, width=1, models=MODELS, oracle=oracle)
        self.journal.started(provenance_config(origin))

    def trial(
        self,
        number: int,
        brought: Solution | Failure,
        critique: Critique | None = None,
        *,
        action: Action = Action.PROPOSE,
        parent: int | None = None,
        correct: bool | None = None,
    ) -> None:
        trial = Trial(id=number, action=action, parent=parent)
        self.journal.asked(trial)
        self.journal.brought(trial, brought)
        if critique is not None:
            self.journal.brought(trial, critique)
        outcome = Outcome(score=None if critique is None else critique.score)
        self.journal.committed(trial, brought if isinstance(brought, Failure) else outcome, Spend())
        if correct is not None:
            self.journal.note(Kind.SCORED, trial, {"by": "stub", "score": float(correct), "gold": True})

    def collected(self, step: str, number: int, **payload: JsonValue) -> None:
        self.journal.note(Kind.DERIVED, Trial(id=number, action=Action.PROPOSE), {"step": step, **payload})

    def searched(self, best: int, trials: list[JsonValue], values: list[JsonValue]) -> None:
        """Finish a search that visited every one of these trials once."""
        visits: list[JsonValue] = [1] * len(trials)
        self.finish(best, {"trials": trials, "visits": visits, "values": values})

    def finish(self, best: int, tree: JsonValue = None) -> None:
        payload: dict[str, JsonValue] = {"best": best, "answer": None, "stopped_by": "completed"}
        self.journal.note(Kind.FINISHED, payload=payload if tree is None else {**payload, "tree": tree})


PROBLEMS = {
    "apples": ("Ann has 3 bags of 4 apples and eats 2. How many apples are left?", "10"),
    "bus": ("A bus holds 20 people. 7 get off and 5 get on. How many are on it now?", "18"),
    "coins": ("Bo has 6 coins of 5 cents and 2 of 10 cents. How many cents is that?", "50"),
    "tree": ("A tree grows 2 metres a year. How tall is a tree of 9 years that began at 1 metre?", "19"),
    "desk": ("A desk costs 80, a chair a quarter of that. What do a desk and two chairs cost?", "120"),
    "late": ("A train of 8 cars has 50 seats in each. How many seats has it?", "400"),
}
SOLUTIONS = {
    "apples": "There are 3 * 4 = 12 apples in the bags. Without the 2 eaten, 12 - 2 = 10 are left.",
    "bus": "Without the 7, there are 20 - 7 = 13 people. With the 5, there are 13 + 5 = 18.",
}
"""Gold solutions, where the problem file has one."""


def write_log(folder: Path, *, oracle: bool = False) -> Path:
    """Write the log into a new run folder and return it."""
    from tests.export.log_events import collected_events  # noqa: PLC0415 - is made with what stands above

    pairs = [
        (Problem(id=name, prompt=text, checker="exact"), Reference(answer=gold, solution=SOLUTIONS.get(name)))
        for name, (text, gold) in PROBLEMS.items()
    ]
    config: dict[str, JsonValue] = {"strategy": "revise", "critic": "oracle" if oracle else "embedded"}
    create_run(folder, run="log", config=config, problems=pairs, created="2026-01-01T00:00:00")
    with FileRecorder(folder) as recorder:
        for write in (_apples, _bus, _coins, _tree, _desk, _late):
            name = write.__name__.removeprefix("_")
            scribe = _Scribe(recorder, name, oracle=oracle)
            write(scribe)
            for step, trial, payload in [event[1:] for event in collected_events() if event[0] == name]:
                scribe.collected(step, trial, **payload)
    return folder


def _apples(log: _Scribe) -> None:
    good = said(RIGHT, "Both steps hold.\n\nConclusion: right [END]", (RIGHT, RIGHT), 0.9)
    log.trial(0, solved("3 * 4 = 12", "12 - 2 = 10", answer="10"), good, correct=True)
    log.trial(1, solved("First 3 * 4 = 12.", "Then 12 - 2 = 10.", answer="10"), correct=True)
    log.trial(2, solved("4 - 2 = 2", "2 * 4 + 2 = 10", answer="10"), correct=True)
    bad = said(
        WRONG, "The bags are added up. It is 3 * 4 - 2 = \\boxed{10}.\n\nConclusion: wrong [END]", (WRONG, WRONG), 0.1
    )
    log.trial(3, solved("3 + 4 = 7", "7 - 2 = 5", answer="5"), bad, correct=False)
    log.collected("step-rollouts", 0, rollouts=8, successes=[8, 8])
    log.collected("step-rollouts", 3, rollouts=8, successes=[0, 0])
    log.collected("step-rollouts", 2, rollouts=8, successes=[2, 8])
    log.collected("feedback", 0, by="stub", passed=True, messages=[])
    log.collected("feedback", 3, by="stub", passed=False, messages=["Nobody has 7 apples before eating."])
    _reflect(log)
    log.searched(0, [0, 3], [1.0, 0.2])


def _reflect(log: _Scribe) -> None:
    log.collected(
        "reflect",
        3,
        by="stub-teacher",
        source="natural",
        strategy="fix-continue",
        error_type="operator",
        flawed=encode(solved("3 + 4 = 7", "7 - 2 = 5", answer="5")),
        first_bad_step=0,
        continuation="Wait, that adds bags to apples. It is 3 * 4 = 12, and 12 - 2 = 10. The answer is 10.",
        correct=True,
    )
    log.collected(
        "reflect",
        0,
        by="stub-teacher",
        source="injected",
        strategy="fresh-restart",
        error_type="calculation",
        flawed=encode(solved("3 * 4 = 14", "14 - 2 = 12", answer="12")),
        first_bad_step=0,
        continuation="Bag by bag there are 4 + 4 + 4 = 12 apples, and 12 - 2 = 10. The answer is 10.",
        correct=True,
    )


def _bus(log: _Scribe) -> None:
    bad = said(WRONG, "People who get on are to be added: \\boxed{18}.\n\nConclusion: wrong [END]", (RIGHT, WRONG), 0.2)
    log.trial(0, solved("20 - 7 = 13", "13 - 5 = 8", answer="8"), bad, correct=False)
    log.trial(
        1, solved("20 - 7 = 13", "13 + 5 = 18", answer="18", kept=1), action=Action.REVISE, parent=0, correct=True
    )
    spoken = solved("As the critique says, 20 - 7 + 5 = 18", answer="18")
    log.trial(2, spoken, action=Action.REFINE, parent=0, correct=True)
    log.collected("incorporates", 1, by="stub-critic", probabilities=[0.9, 0.7])
    refinements: list[JsonValue] = [
        {"solution": encode(solved("20 + 7 = 27", answer="27")), "correct": False, "incorporates": [0.1, 0.3]},
        {"solution": encode(solved("20 - 7 + 5 = 18", answer="18")), "correct": True, "incorporates": [0.8, 0.8]},
        {"solution": encode(solved("13 + 5 = 18", answer="18")), "correct": True, "incorporates": [0.9, 0.6]},
    ]
    log.collected("refine", 0, critic="stub-critic", critique=encode(bad), actor="stub-actor", refinements=refinements)
    log.finish(best=1)


def _coins(log: _Scribe) -> None:
    log.trial(0, solved("6 * 5 = 30", "30 + 10 = 40", answer="40"), correct=False)
    log.trial(1, solved("6 + 5 + 2 + 10 = 23", answer="23"), correct=False)
    hinted = solved("6 * 5 = 30", "2 * 10 = 20", "30 + 20 = 50", answer="50")
    log.collected("rationalise", 0, solution=encode(hinted), correct=True)
    own_words = solved("30 cents and 20 cents are 50 cents.", answer="50")
    log.collected("paraphrase", 0, model="stub-actor", solution=encode(own_words), correct=True, equivalent=True)
    log.searched(0, [0, 1], [0.1, 0.0])


def _tree(log: _Scribe) -> None:
    first = ("9 * 2 = 18", "9 + 2 = 11", "1 + 9 = 10", "2 * 1 = 2")
    for number, text in enumerate(first):
        log.trial(number, solved(text, complete=False, logprob=-0.1 * (number + 1)))
    for number, (text, right) in enumerate((("18 + 1 = 19", True), ("18 - 1 = 17", False)), start=4):
        steps = solved(first[0], text, answer=text.split()[-1], kept=1)
        log.trial(number, steps, action=Action.EXTEND, parent=0, correct=right)
    tree: JsonValue = {"trials": [0, 1, 2, 4, 5], "visits": [3, 1, 1, 2, 1], "values": [0.9, 0.5, 0.45, 1.0, 0.0]}
    log.finish(best=4, tree=tree)


def _desk(log: _Scribe) -> None:
    log.trial(0, solved("80 / 4 = 20", "80 + 2 * 20 = 120", answer="120"), correct=True)
    log.trial(1, solved("80 / 4 = 20", "80 + 20 = 100", answer="100"), correct=False)
    for number, (parent, critique) in enumerate(_verdicts(), start=2):
        copied = solved("as its parent", answer="0")
        log.trial(number, copied, critique, action=Action.JUDGE, parent=parent)
    won = solved("80 / 4 = 20", "2 * 20 + 80 = 120", answer="120", kept=1)
    lost = solved("80 / 4 = 21", answer="21")
    states: list[JsonValue] = [
        {"at": 0, "faithful": True, "rollouts": [{"solution": encode(lost), "correct": False}]},
        {"at": 1, "faithful": True, "rollouts": [{"solution": encode(won), "correct": True}]},
    ]
    log.collected("resimulate", 1, student="stub-student", every=1, states=states)
    log.searched(0, [0, 1], [1.0, 0.0])


def _verdicts() -> Iterator[tuple[int, Critique]]:
    yield 0, said(RIGHT, "A quarter of 80 is 20, and two of them are 40.")
    yield 1, said(WRONG, "One chair is missing: \\boxed{120}.")
    yield 1, said(RIGHT, "All is well.")
    yield 1, said(UNSCORED, "I cannot say.")


def _late(log: _Scribe) -> None:
    log.trial(0, solved("8 * 50 = 400", answer="400"))
    log.trial(1, solved("8 * 5", complete=False), correct=False)
    log.trial(2, Failure(where="actor", type="EngineError", message="gone"))
