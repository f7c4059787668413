"""Reading `openai:MODEL@URL`: which model, on which servers, with the key from which variable. Reaches no server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from actorcritic.errors import InputError

__all__ = ["Address", "parse_address", "parse_url"]

FORM = "openai:MODEL@URL, such as openai:my-model@http://localhost:8000/v1"
_SPEC = re.compile(r"openai:(?P<model>.*?)(?:@(?P<urls>[a-z]+://[^#]*))?(?:#(?P<options>.*))?", re.DOTALL | re.I)
_VARIABLE = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a model is served."""

    model: str
    """Its name on the servers."""
    urls: tuple[str, ...]
    """Base URLs, one per server, without a slash at the end."""
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the key."""
    concurrency: int = 64
    """Requests in flight per server, >= 1."""


def parse_address(spec: str) -> Address:
    """Read a spec: `openai:MODEL@URL[,URL...][#key=VARIABLE,concurrency=N]`.

    Raises:
        InputError: a part is missing or cannot be read.
    """
    match = _SPEC.fullmatch(spec)
    model = match["model"] if match else ""
    if match is None or not model:
        raise InputError(f"{spec!r} names no model: write {FORM}")
    if not match["urls"]:
        raise InputError(f"{spec!r} names no server: write {FORM}")
    urls = tuple(parse_url(url) for url in match["urls"].split(","))
    if len(set(urls)) < len(urls):
        raise InputError("a server stands twice in the model spec")
    options = _options(match["options"] or "")
    address = Address(model=model, urls=urls)
    return Address(
        model=model,
        urls=urls,
        key_variable=_key(options.pop("key", address.key_variable)),
        concurrency=_whole(options.pop("concurrency", str(address.concurrency))),
    )


def parse_url(url: str) -> str:
    """Return a server's base URL without a slash at the end, with `/v1` where it has no path.

    Raises:
        InputError: it is no such URL, or holds a password.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    if "@" in parts.netloc:
        raise InputError("a server's URL holds a user name or password: keys come from the environment, see #key=NAME")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or re.search(r"[\s\\]", url.strip()):
        raise InputError(f"{url!r} is no server's URL: write {FORM}")
    if parts.query or parts.fragment:
        raise InputError(f"the URL of {parts.hostname} has a query: give the base URL alone")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"


def _options(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for item in filter(None, text.split(",")):
        name, equals, value = item.partition("=")
        if name not in ("key", "concurrency") or not equals:
            raise InputError(f"unknown option {item!r} after '#': use key=VARIABLE or concurrency=N")
        options[name] = value
    return options


def _key(name: str) -> str:
    # The value is not repeated: somebody may have written the key itself.
    if not _VARIABLE.fullmatch(name) or name.startswith("sk"):
        raise InputError("key= takes the name of an environment variable, never the key itself")
    return name


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"concurrency must be a whole number of at least 1, not {text!r}")
    return int(text)
