"""What is known of a model on a server: found out without generating at first, then from what it refuses or leaves out.

Sends nothing itself. Everything that a server lacks is worked around elsewhere and said here, in a note.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, cast

from actorcritic.engines.openai.failures import RequestRefused
from actorcritic.errors import InputError
from actorcritic.protocols import Capabilities

__all__ = ["MOST_TOP_LOGPROBS", "Profile", "read_model_card", "read_token_ids"]

MOST_TOP_LOGPROBS = 20

_LACKS = {
    "temperature": "draws at its own temperature: what is asked to be greedy may not be",
    "top_p": "takes no top_p: it draws from all tokens, or as it likes",
    "seed": "takes no seed: repeated requests differ",
    "logprobs": "gives no log-probabilities: critiques get no scores, confidence cannot be used",
    "top_logprobs": "gives no alternative tokens: critiques get no scores",
    "response_format": "takes no JSON schema: critiques are free text",
    "stop": "takes no stop strings: completions are written whole and cut here, and what is cut off is paid for",
    "max_tokens": "takes max_completion_tokens in place of max_tokens",
    "top_k": "takes no top_k: its own default may narrow what is drawn",
    "min_p": "takes no min_p: its own default may narrow what is drawn",
    "repetition_penalty": "takes no repetition_penalty: its own default may change what is drawn",
    "include_stop_str_in_output": "cannot keep a stop string in the text",
    "return_token_ids": "gives no token ids",
    "echo": "gives no log-probabilities of a prompt: given texts cannot be scored",
}
"""Fields that are left out once a server refuses them, and what is said then."""
_CAP = re.compile(
    r"(?:at most|equal to|maximum(?: allowed)?(?: of| is)?|up to|max(?:imum)? allowed:?|between \d+ and|<=?)\s*(\d+)",
    re.I,
)


@dataclass(slots=True, kw_only=True)
class Profile:
    """Mutable: it learns. Capabilities only ever get fewer."""

    model: str
    """The model's name on the server."""
    server: str
    fingerprint: str
    max_context: int | None = None
    vllm: bool = False
    """The server is vLLM: it takes vLLM's own fields."""
    tokens: bool = False
    """It counts prompts (`/tokenize`) and takes them as token ids."""
    deterministic: bool = False
    """Somebody promises that a seed fixes the completion, whatever runs beside it."""
    lacking: set[str] = field(default_factory=set[str])
    """Fields of a request that it does not take, or takes without effect."""
    most_top: int = MOST_TOP_LOGPROBS
    notes: list[str] = field(default_factory=list[str])

    @property
    def capabilities(self) -> Capabilities:
        """What can be relied on, as far as is known by now."""
        logprobs = "logprobs" not in self.lacking
        return Capabilities(
            token_ids=self.tokens,
            exact_counts=self.tokens,
            seeds=self.deterministic and "seed" not in self.lacking,
            logprobs=logprobs,
            top_logprobs=self.most_top if logprobs and "top_logprobs" not in self.lacking else 0,
            prefill=self.vllm,
            scores_text=self.tokens and logprobs and "echo" not in self.lacking,
            chat=True,
            json_schema="response_format" not in self.lacking,
            tools=True,
        )

    def say(self, fact: str) -> None:
        """Note a fact about the server, once."""
        note = f"{self.server} ({self.model}) {fact}"
        if note not in self.notes:
            self.notes.append(note)

    def lose(self, name: str) -> None:
        """Leave a field out from now on, and say so."""
        self.lacking.add(name)
        self.say(_LACKS[name])

    def learn_refusal(self, refusal: RequestRefused, sent: Mapping[str, Any]) -> bool:
        """Learn from a refused request; returns whether another one, made anew, may fare better."""
        name = _blamed(refusal, sent)
        if name is None:
            return False
        cap = _CAP.search(str(refusal))
        asked = sent.get("top_logprobs") or sent.get("logprobs")
        if name in ("logprobs", "top_logprobs") and cap and isinstance(asked, int) and 0 < int(cap[1]) < asked:
            self.most_top = int(cap[1])
            self.say(f"gives at most {self.most_top} alternative tokens")
        elif name == "max_tokens" and name in self.lacking:
            return False
        else:
            self.lose(name)
        return True


def read_model_card(answer: Mapping[str, Any], model: str, server: str) -> Profile:
    """Read the answer to `GET /models`; whatever is not as expected is left out.

    Raises:
        InputError: a vLLM server, which lists all that it serves, does not list the model.
    """
    cards: object = answer.get("data")
    rows = cast("list[object]", cards) if isinstance(cards, list) else []
    listed = [cast("Mapping[str, Any]", row) for row in rows if isinstance(row, dict)]
    card = next((card for card in listed if card.get("id") == model), None)
    vllm = any(card.get("owned_by") == "vllm" for card in listed)
    if card is None:
        if vllm:
            names = ", ".join(str(card.get("id")) for card in listed[:10])
            raise InputError(f"{server} does not serve {model!r}: it has {names}")
        return Profile(model=model, server=server, fingerprint=f"openai:{model}")
    root = card.get("root")
    name = PurePosixPath(root if isinstance(root, str) else model).name
    longest = card.get("max_model_len")
    return Profile(
        model=model,
        server=server,
        fingerprint=f"openai:{model}" if name == PurePosixPath(model).name else f"openai:{model} ({name[:100]})",
        max_context=longest if _is_count(longest) else None,
        vllm=vllm,
    )


def read_token_ids(answer: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Read vLLM's answer to `/tokenize`; None where it is another server's, or none at all."""
    ids: object = answer.get("tokens")
    if not isinstance(ids, list) or not all(isinstance(token, int) and token >= 0 for token in ids):
        return None
    return tuple(cast("list[int]", ids)) if answer.get("count") == len(ids) else None


def _blamed(refusal: RequestRefused, sent: Collection[str]) -> str | None:
    """Return the field of the request that a refusal names, if it can be left out."""
    if refusal.parameter is not None and refusal.parameter in sent:
        named = [refusal.parameter]
    else:
        words = set(re.findall(r"\w+", str(refusal)))
        named = [name for name in sorted(sent, key=len, reverse=True) if name in words]
    return next((name for name in named if name in _LACKS), None)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
