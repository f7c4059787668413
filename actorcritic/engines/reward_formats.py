"""The input formats of reward models, published ones and our own: to token ids, and where the scores stand.

Each format says how the model was trained to read a solution and at which tokens its opinion is read off. Works over
any fast tokenizer of the transformers library; knows no model and no engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.formats.lines import parse_problem, problem_prompt, render_lines

__all__ = [
    "FORMATS",
    "EmbeddedLines",
    "Head",
    "MathShepherd",
    "OutcomeClassifier",
    "QwenPrm",
    "RewardFormat",
    "Scoring",
    "Skywork",
    "format_of",
]

Head = Literal["tokens", "classes", "value", "outcome"]
"""How a number comes out: from two tokens of the vocabulary, a 2-class head, a value head, a sequence classifier."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """A solution as a model reads it."""

    ids: tuple[int, ...]
    marks: tuple[int, ...]
    """Positions in `ids` after which a score is read off, one per step; of an outcome model the last position."""


class RewardFormat(Protocol):
    """One published format."""

    @property
    def name(self) -> str:
        """As in a model spec."""
        ...

    @property
    def head(self) -> Head:
        """How the model gives its numbers."""
        ...

    @property
    def reduce(self) -> str:
        """How its publishers make one score of the steps': `min`, `product`, `last` or `mean`."""
        ...

    def lay_out(self, tokenizer: Any, question: str, steps: Sequence[str]) -> Scoring:
        """Return the tokens of a question and its steps, at least one.

        Raises:
            EngineUnavailable: the tokenizer is not that of such a model.
        """
        ...


class MathShepherd:
    """Math-Shepherd (Wang et al. 2024, arXiv 2312.08935): `question Step 1: ... ки`, one line per step.

    The model is a language model; at each step tag it gives `+` or `-` as the next token, and the score is the
    probability of `+` against `-`. The publishers take the lowest step as the solution's score.
    """

    name = "shepherd"
    head: Head = "tokens"
    reduce = "min"
    TAG = "ки"
    GOOD_BAD = "+ -"

    def lay_out(self, tokenizer: Any, question: str, steps: Sequence[str]) -> Scoring:
        """See `RewardFormat.lay_out`."""
        text, ends = question, list[int]()
        for number, step in enumerate(steps, start=1):
            body = step if re.match(r"Step \d+:", step) else f"Step {number}: {step}"
            text += f"{' ' if number == 1 else chr(10)}{body} {self.TAG}"
            ends.append(len(text) - 1)
        # By place, not by id: the tag is a word that a question may hold too.
        return _marked(tokenizer, text, ends, special=True)

    def candidates(self, tokenizer: Any) -> tuple[int, int]:
        """Return the ids of the good and of the bad token.

        Raises:
            EngineUnavailable: they are no single tokens.
        """
        ids: list[int] = tokenizer(self.GOOD_BAD, add_special_tokens=False)["input_ids"]
        if len(ids) != 2 or ids[0] == ids[1]:
            raise EngineUnavailable("the tokenizer has no single tokens for + and -: this is no Math-Shepherd model")
        return ids[0], ids[1]


class QwenPrm:
    """Qwen2.5-Math-PRM (Zhang et al. 2025, arXiv 2501.07301): a chat whose answer has `<extra_0>` after each step.

    A 2-class head is read at each separator; the score is the probability of class 1. The publishers take the product
    of the steps as the solution's score.
    """

    name = "qwen"
    head: Head = "classes"
    reduce = "product"
    SEPARATOR = "<extra_0>"
    SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."

    def lay_out(self, tokenizer: Any, question: str, steps: Sequence[str]) -> Scoring:
        """See `RewardFormat.lay_out`; names of control tokens in the texts are broken, so that they are only text."""
        if tokenizer.convert_tokens_to_ids(self.SEPARATOR) in (None, tokenizer.unk_token_id):
            raise EngineUnavailable(f"the tokenizer has no {self.SEPARATOR}: this is no Qwen2.5-Math-PRM model")
        harmless = _control(tokenizer, self.SEPARATOR)
        answer = "".join(f"{_inert(harmless, step)}{self.SEPARATOR}" for step in steps)
        messages = [
            {"role": "system", "content": self.SYSTEM},
            {"role": "user", "content": _inert(harmless, question)},
            {"role": "assistant", "content": answer},
        ]
        text = str(_render(tokenizer, messages))
        ends = [match.end() - 1 for match in re.finditer(re.escape(self.SEPARATOR), text)]
        if len(ends) != len(steps):
            raise EngineUnavailable(f"the chat template keeps {len(ends)} of {len(steps)} step separators")
        return _marked(tokenizer, text, ends, special=False)


class Skywork:
    """Skywork-o1-Open-PRM: the question on one line, then each step ended by a newline token.

    A value head is read at each of these newlines; the score is its sigmoid. No reduction is published: the lowest step
    counts. Deviation: a step of several lines is one step, scored at its last line.
    """

    name = "skywork"
    head: Head = "value"
    reduce = "min"
    STEP = "\n"

    def lay_out(self, tokenizer: Any, question: str, steps: Sequence[str]) -> Scoring:
        """See `RewardFormat.lay_out`; each part is encoded by itself, as the publishers do."""
        newline = _encode(tokenizer, self.STEP)
        if not newline:
            raise EngineUnavailable("the tokenizer has no newline: this is no Skywork-o1-Open-PRM model")
        mark = newline[-1]
        harmless = _control(tokenizer)
        ids = _encode(tokenizer, f"{tokenizer.bos_token or ''}{_inert(harmless, question)}\n")
        marks: list[int] = []
        for step in steps:
            ids += [*_encode(tokenizer, _inert(harmless, step)), mark]
            marks.append(len(ids) - 1)
        return Scoring(tuple(ids), tuple(marks))


class EmbeddedLines:
    """The embedded pair's own text, one line per step: for process reward models that are trained from its critic.

    A 2-class head is read at each line's last token; the score is the probability of class 1. A step that the pair has
    no words for is one unknown token, and so is every step after it.
    """

    name = "embedded"
    head: Head = "classes"
    reduce = "min"

    def lay_out(self, tokenizer: Any, question: str, steps: Sequence[str]) -> Scoring:
        """See `RewardFormat.lay_out`.

        Raises:
            InputError: the question is no problem that the pair can read.
        """
        puzzle = parse_problem(question)
        if puzzle is None:
            raise InputError("a reward model of the embedded pair reads only countdown, sudoku and arithmetic problems")
        ids = _encode(tokenizer, problem_prompt(puzzle))
        lines = render_lines(puzzle, steps)
        marks: list[int] = []
        for place, _ in enumerate(steps):
            ids += _encode(tokenizer, lines[place]) if place < len(lines) else [tokenizer.unk_token_id]
            marks.append(len(ids) - 1)
        return Scoring(tuple(ids), tuple(marks))


class OutcomeClassifier:
    """Outcome reward models: a sequence classifier reads the question and the whole solution, and gives one score.

    With a chat template the two are a user's and an assistant's message, otherwise text with a blank line between them.
    One class: the score is the sigmoid of its logit; two: the probability of class 1.
    """

    name = "outcome"
    head: Head = "outcome"
    reduce = "last"

    def lay_out(self, tokenizer: Any, question: str, steps: Sequence[str]) -> Scoring:
        """See `RewardFormat.lay_out`."""
        harmless = _control(tokenizer)
        asked, answer = _inert(harmless, question), _inert(harmless, "\n".join(steps))
        if tokenizer.chat_template:
            messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
            ids = _encode(tokenizer, str(_render(tokenizer, messages)))
        else:
            ids = list(tokenizer(f"{asked}\n\n{answer}")["input_ids"])
        return Scoring(tuple(ids), (len(ids) - 1,))


FORMATS: Mapping[str, RewardFormat] = {
    item.name: item for item in (MathShepherd(), QwenPrm(), Skywork(), EmbeddedLines())
}
"""The formats of process reward models by name."""


def format_of(name: str) -> RewardFormat:
    """Return a process reward model's format.

    Raises:
        InputError: it is unknown; the message lists the known ones.
    """
    if name not in FORMATS:
        raise InputError(f"unknown format {name!r} of a process reward model; choose from: {', '.join(FORMATS)}")
    return FORMATS[name]


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _marked(tokenizer: Any, text: str, ends: Sequence[int], *, special: bool) -> Scoring:
    """Encode a text and return the tokens that hold the characters at `ends`.

    Raises:
        EngineUnavailable: the tokenizer cannot say where its tokens stand, or one token holds two of them.
    """
    if not tokenizer.is_fast:
        raise EngineUnavailable("this tokenizer does not say where its tokens stand in a text: save a fast one")
    encoded = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
    spans: list[tuple[int, int]] = encoded["offset_mapping"]
    marks: list[int] = []
    token = 0
    for end in ends:
        while token < len(spans) and spans[token][1] <= end:
            token += 1
        if token == len(spans) or spans[token][0] > end or token in marks[-1:]:
            raise EngineUnavailable("the tokenizer has no token of its own for the end of a step")
        marks.append(token)
    return Scoring(tuple(encoded["input_ids"]), tuple(marks))


def _render(tokenizer: Any, messages: list[dict[str, str]]) -> object:
    """Return a chat as text.

    Raises:
        InputError: there is no chat template, or it refuses these messages.
    """
    if not tokenizer.chat_template:
        raise InputError("this model has no chat template: its format needs one")
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
    except Exception as error:  # a template may raise anything
        raise InputError(f"the model's chat template refuses a question and an answer: {error}") from error


def _control(tokenizer: Any, *more: str) -> re.Pattern[str]:
    """Return what finds the names of control tokens in a text."""
    names = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab(), *more}
    longest_first = sorted((name for name in names if len(name) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _inert(control: re.Pattern[str], text: str) -> str:
    """Break the names of control tokens in a text, so that no solution can add a separator or end its turn."""
    return control.sub(lambda name: f"{name[0][0]}\u200b{name[0][1:]}", text)
