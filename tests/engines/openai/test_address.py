"""Model specs of servers: read whole, or refused in one line that says what to write and repeats no key."""

from __future__ import annotations

import pytest

from actorcritic.engines.openai.address import Address, parse_address, parse_url
from actorcritic.errors import InputError


def test_one_server() -> None:
    address = parse_address("openai:org/my@model@https://host.example:8443/api/v1/")
    assert address == Address(model="org/my@model", urls=("https://host.example:8443/api/v1",))
    assert (address.key_variable, address.concurrency) == ("OPENAI_API_KEY", 64)


def test_several_servers_and_options() -> None:
    address = parse_address("openai:m@http://a:1,http://b:2/v1#key=MY_KEY,concurrency=8")
    assert address == Address(model="m", urls=("http://a:1/v1", "http://b:2/v1"), key_variable="MY_KEY", concurrency=8)


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        ("http://[::1]:8000/v1/", "http://[::1]:8000/v1"),
        ("https://host/openai", "https://host/openai"),
    ],
)
def test_urls(url: str, read: str) -> None:
    assert parse_url(url) == read


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("openai:", "names no model"),
        ("openai:@http://h/v1", "names no model"),
        ("openai:m", "names no server"),
        ("openai:m@", "names no server"),
        ("openai:m@localhost:8000", "names no server"),
        ("openai:m@http://", "is no server's URL"),
        ("openai:m@ftp://h/v1", "is no server's URL"),
        ("openai:m@http://h:port/v1", "is no server's URL"),
        ("openai:m@http://h:99999/v1", "is no server's URL"),
        ("openai:m@http://h h/v1", "is no server's URL"),
        ("openai:m@http://a,b", "is no server's URL"),
        ("openai:m@http://a,http://a/v1", "stands twice"),
        ("openai:m@http://h/v1?key=secret", "has a query"),
        ("openai:m@http://me:secret@h/v1", "holds a user name or password"),
        ("openai:m@http://h#speed=9", "unknown option"),
        ("openai:m@http://h#concurrency=0", "at least 1"),
        ("openai:m@http://h#concurrency=x", "at least 1"),
        ("openai:m@http://h#key=sk-secret", "never the key itself"),
        ("openai:m@http://h#key=", "never the key itself"),
    ],
)
def test_a_bad_spec_says_what_to_write(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        parse_address(spec)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)
