"""Lengths are those that the trainer will see: conversational rows go through the chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from actorcritic.errors import InputError
from actorcritic.export.chat import assistant, user
from actorcritic.export.lengths import ChatTokenizer, load_tokenizer, row_length
from actorcritic.export.recipe import Columns
from tests.export.log import Words

TEMPLATE = (
    "{% for m in messages %}[ {{ m.role }} ] {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}[ assistant ]{% endif %}"
)


def saved_tokenizer(folder: Path, template: str | None = TEMPLATE) -> Path:
    """Save a tokenizer that splits at blank space."""
    # Heavy; most tests of this module do without.
    from tokenizers import Tokenizer  # noqa: PLC0415 - see above
    from tokenizers.models import WordLevel  # noqa: PLC0415 - see above
    from tokenizers.pre_tokenizers import WhitespaceSplit  # noqa: PLC0415 - see above
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415 - see above

    plain = Tokenizer(WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>"))
    cast("Any", plain).pre_tokenizer = WhitespaceSplit()
    tokenizer = cast("Any", PreTrainedTokenizerFast)(tokenizer_object=plain, unk_token="<unk>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize(
    ("columns", "length"),
    [
        ({"input_ids": [1, 2, 3], "labels": [1, 2, 3]}, 3),
        ({"text": "a b c"}, 4),
        ({"prompt": "a b", "completion": " c"}, 4),
        ({"prompt": user("a b"), "completion": assistant("c")}, 7),
        ({"prompt": user("a"), "chosen": assistant("b"), "rejected": assistant("b c d")}, 8),
        ({"prompt": user("a b"), "answer": "x"}, 5),
        ({"messages": [*user("a b"), *assistant("c")]}, 7),
        ({"prompt": "a b", "completions": ["c", "d e"], "labels": [True, False]}, 6),
    ],
)
def test_every_type_of_row_has_a_length(columns: Columns, length: int) -> None:
    assert row_length(columns, Words()) == length


def test_a_saved_tokenizer_counts_with_its_template(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(saved_tokenizer(tmp_path)))
    assert row_length({"prompt": user("a a"), "completion": assistant("a")}, tokenizer) == 9
    assert row_length({"prompt": user("a a")}, tokenizer) == 8
    assert tokenizer.encode("a b") == [1, 0]


def test_a_tokenizer_without_a_template_counts_text_alone(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(saved_tokenizer(tmp_path, None)))
    assert row_length({"text": "a a"}, tokenizer) == 3
    with pytest.raises(InputError, match=r"has no chat template.*--wording embedded"):
        row_length({"prompt": user("a")}, tokenizer)


def test_a_template_that_refuses_is_named(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(saved_tokenizer(tmp_path, "{{ raise_exception('roles must alternate') }}")))
    assert isinstance(tokenizer, ChatTokenizer)
    with pytest.raises(InputError, match="roles must alternate"):
        tokenizer.chat([{"role": "user", "content": "a"}])


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tokenizer"):
        load_tokenizer(str(tmp_path))
