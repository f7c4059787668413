"""What a server's failure means: who is to blame, whether trying again helps, and one line that holds no key.

Pure: takes statuses, headers and decoded bodies, knows no HTTP library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from actorcritic.engines.openai.retrying import read_retry_after
from actorcritic.errors import EngineError, EngineUnavailable, PromptTooLong
from actorcritic.parsing.texts import clean_text

__all__ = ["Problem", "RequestRefused", "Secret", "problem_of_status"]

_RETRIED = frozenset({408, 409, 425, 429})
_REFUSALS = frozenset({400, 403, 404, 405, 413, 415, 422, 501})
_LONGEST_MESSAGE = 300
_TOKENS = re.compile(r"\b(?:sk|pk|rk|key)-[\w*.-]{4,}|\bBearer\s+\S+", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size)|maximum (?:model|context) len|max_model_len|prompt is too long|too many tokens"
    r"|longer than the (?:maximum|max)",
    re.IGNORECASE,
)
_WINDOW = 8
"""So many characters of a key in a row are as bad as all of it."""


class RequestRefused(EngineError):
    """A server understood a request and will not do it.

    Attributes:
        status: the HTTP status.
        parameter: the field that the server blames, where it names one.
    """

    def __init__(self, message: str, *, status: int, parameter: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that does not show itself. The environment is read by whoever makes one."""

    variable: str
    """The environment variable it came from."""
    _value: str = ""

    def __repr__(self) -> str:
        return f"Secret({self.variable})"

    @property
    def known(self) -> bool:
        """Whether there is a key."""
        return bool(self._value)

    def reveal(self) -> str:
        """Return the key, or what stands for none."""
        return self._value or "none"

    def scrub(self, text: str) -> str:
        """Return one line of text without the key, any longer part of it, or what looks like another one."""
        text = " ".join(clean_text(text).split())
        hidden = bytearray(len(text))
        window = min(_WINDOW, len(self._value))
        for start in range(len(self._value) - window + 1 if window else 0):
            part = self._value[start : start + window]
            at = text.find(part)
            while at >= 0:
                hidden[at : at + window] = b"\1" * window
                at = text.find(part, at + 1)
        shown = "".join("\0" if hide else char for char, hide in zip(text, hidden, strict=True))
        return _clip(_TOKENS.sub("***", re.sub("\0+", "***", shown)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A request that failed, as data."""

    error: EngineError
    again: bool = False
    """Whether the same request may succeed later."""
    wait: float | None = None
    """Seconds that the server asks for."""


def problem_of_status(
    server: str, secret: Secret, status: int, body: object, headers: Mapping[str, str] | None = None
) -> Problem:
    """Say what an HTTP status with its body means."""
    message, parameter, code = _read_error(body)
    said = secret.scrub(message)
    if status == 401 or (status == 403 and parameter is None and "logprob" not in message):
        # Servers repeat the key here, so that nothing of what they say is shown.
        what = f"refuses the key in {secret.variable}" if secret.known else f"wants a key: set {secret.variable}"
        return Problem(error=EngineError(f"{server} {what} (HTTP {status})"))
    if status == 429 and "insufficient_quota" in (code, *message.split()):
        return Problem(error=EngineError(f"{server}: the account has no credit left (HTTP 429)"))
    if status in _RETRIED or (status >= 500 and status not in _REFUSALS):
        error = EngineUnavailable(f"{server} cannot answer now (HTTP {status}){_after(said)}")
        return Problem(error=error, again=True, wait=read_retry_after(headers or {}))
    if code == "context_length_exceeded" or (status in (400, 413, 422) and _TOO_LONG.search(message)):
        return Problem(error=PromptTooLong(f"{server}{_after(said)}: lower max_tokens or shorten the prompt"))
    if status in _REFUSALS:
        line = f"{server} refuses the request (HTTP {status}){_after(said)}"
        return Problem(error=RequestRefused(line, status=status, parameter=parameter))
    return Problem(error=EngineError(f"{server} answered with HTTP {status}{_after(said)}"))


def _clip(text: str) -> str:
    """Return the beginning of a text that may be of any length."""
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."


def _read_error(body: object) -> tuple[str, str | None, str | None]:
    """Return message, parameter and code of an error in any of the shapes that servers use."""
    inner = body
    if isinstance(inner, dict):
        fields = cast("dict[str, object]", inner)
        inner = next((fields[name] for name in ("error", "detail") if fields.get(name)), fields)
    if isinstance(inner, list) and inner:
        inner = cast("list[object]", inner)[0]
    if not isinstance(inner, dict):
        return str(inner or "")[: 8 * _LONGEST_MESSAGE], None, None
    fields = cast("dict[str, object]", inner)
    message = str(fields.get("message") or fields.get("msg") or "")[: 8 * _LONGEST_MESSAGE]
    parameter, code = fields.get("param"), fields.get("code") or fields.get("type")
    return message, parameter if isinstance(parameter, str) and parameter else None, str(code) if code else None


def _after(said: str) -> str:
    return f": {said}" if said else ""
