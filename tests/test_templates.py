"""Prompts are data: exact replacement, every field named, quoted text cannot forge its own end."""

from __future__ import annotations

from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.templates import Template, load_template, quote

values = st.one_of(st.text(), st.sampled_from(["{{b}}", "{", "}}", "\\1", "{a}", "{{a}}{{b}}", "%s"]))


@given(a=values, b=values)
def test_a_value_is_put_in_as_it_is(a: str, b: str) -> None:
    template = Template(name="t", text="<{{a}}|{{b}}|{{a}}>{c}{}")
    assert template.fill(a=a, b=b) == "<" + a + "|" + b + "|" + a + ">{c}{}"


def test_missing_and_unknown_fields_are_errors() -> None:
    template = Template(name="t", text="{{a}} {{b}}")
    assert template.fields == {"a", "b"}
    with pytest.raises(InputError, match="'t' has fields without a value: b; no such fields: c"):
        template.fill(a="", c="")


@pytest.mark.parametrize("name", ["no_such_prompt", "../types", "", "A"])
def test_there_is_no_such_prompt(name: str) -> None:
    with pytest.raises(InputError, match="no prompt named"):
        load_template(name)


def test_every_packaged_prompt_loads() -> None:
    folder = resources.files("actorcritic").joinpath("prompts")
    names = [path.name.removesuffix(".md") for path in folder.iterdir() if path.name.endswith(".md")]
    assert names
    for name in names:
        template = load_template(name)
        assert template.text == template.text.strip()
        # What is left of the braces is a field: none is misspelt.
        assert template.text.count("{{") == template.text.count("}}")
        assert len(template.fields) <= template.text.count("{{")
        filled = template.fill(**dict.fromkeys(template.fields, "value"))
        assert "{{" not in filled


@given(text=st.one_of(st.text(), st.text(alphabet="`\n~ab")), label=st.sampled_from(["", "solution"]))
def test_quoted_text_ends_where_it_ends(text: str, label: str) -> None:
    quoted = quote(text, label)
    opening, rest = quoted.split("\n", 1)
    fence = opening.removesuffix(label)
    assert len(fence) >= 3 and set(fence) == {"`"}
    assert fence not in text
    assert rest == f"{text}\n{fence}"
