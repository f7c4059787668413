"""An option that is any text, as a model's spec is."""

from __future__ import annotations

import pytest

from actorcritic.errors import InputError
from actorcritic.search.options import Options, text

ACTOR = text("actor", None, "Who refines.")


def test_a_text_is_taken_as_it_is() -> None:
    given = ACTOR.parse("openai:model@http://localhost:1/v1")
    assert Options((ACTOR,), {"actor": given}).maybe_text("actor") == "openai:model@http://localhost:1/v1"


def test_no_text_is_none_where_that_is_the_default() -> None:
    assert ACTOR.parse("none") is None
    assert Options((ACTOR,), {}).maybe_text("actor") is None
    assert text("actor", "embedded", "Who refines.").parse("none") == "none"


@pytest.mark.parametrize("value", ["", "  ", 3, True])
def test_anything_else_is_refused(value: str | int) -> None:
    with pytest.raises(InputError, match=r"option actor=.* is refused; allowed: a text \| none"):
        Options((ACTOR,), {"actor": value})
