"""Texts that can be written down."""

from __future__ import annotations

from hypothesis import given, strategies

from actorcritic.parsing.texts import clean_text


@given(text=strategies.text(alphabet=strategies.characters(), max_size=30) | strategies.just("\ud800x\udfff"))
def test_clean_text_can_be_written(text: str) -> None:
    clean = clean_text(text)
    assert clean.encode("utf-8").decode("utf-8") == clean and clean_text(clean) == clean
    assert clean == text or any("\ud800" <= char <= "\udfff" for char in text)
