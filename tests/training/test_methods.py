"""How each method's rows become columns: pure but for a tokenizer."""

from __future__ import annotations

from typing import Any, cast

import pytest
from transformers import AutoTokenizer

from actorcritic.errors import InputError
from actorcritic.export.masking import IGNORED
from actorcritic.export.recipe import Drop
from actorcritic.training import unpaired
from actorcritic.training.encoding import Encoder
from actorcritic.training.preferences import preferred, rewarded, side_by_side, trebled
from actorcritic.training.supervised import labelled
from tests.training.exported import ACTOR, SOLVED, paired_rows, solved_rows

PAIR = cast("Any", AutoTokenizer).from_pretrained(ACTOR)
ENCODER = Encoder(PAIR, "pair")
PROMPT, ANSWER = SOLVED[0]
UNKNOWN = {"prompt": "What?", "completion": "That.", "chosen": "This.", "rejected": "That.", "reference": "This."}


def ids(text: str) -> list[int]:
    return cast("list[int]", PAIR(text, add_special_tokens=False)["input_ids"])


def made(result: Any) -> tuple[dict[str, Any], int]:
    assert not isinstance(result, Drop)
    columns, length = result
    return dict(columns), int(length)


def test_a_prompt_is_read_and_only_its_completion_is_learnt() -> None:
    columns, length = made(labelled(solved_rows()[0], ENCODER))
    assert columns["input_ids"] == ids(PROMPT + ANSWER + "<eos>") and length == len(columns["input_ids"])
    assert columns["labels"] == [IGNORED] * len(ids(PROMPT)) + ids(ANSWER + "<eos>")


def test_of_a_text_everything_is_learnt() -> None:
    columns, length = made(labelled({"text": PROMPT + ANSWER}, ENCODER))
    assert (
        columns["labels"] == columns["input_ids"] == ids(PROMPT + ANSWER + "<eos>")
        and length == len(ids(PROMPT + ANSWER)) + 1
    )


def test_tokens_and_masks_of_the_export_are_taken_as_they_are() -> None:
    row: dict[str, Any] = {"input_ids": [3, 4, 5], "labels": [-100, 4, -100]}
    assert made(labelled(row, ENCODER)) == (row, 3)
    assert labelled({"input_ids": [3], "labels": [-100]}, ENCODER) == Drop("nothing to learn")
    with pytest.raises(InputError, match="not as many labels as tokens"):
        labelled({"input_ids": [3, 4], "labels": [3]}, ENCODER)


def test_a_pair_holds_its_prompt_once_and_what_was_logged() -> None:
    row = paired_rows(ref_chosen_logps=-1.5, ref_rejected_logps=-2)[0]
    columns, length = made(preferred(row, ENCODER))
    assert columns == {
        "prompt_ids": ids(PROMPT),
        "chosen_ids": ids(ANSWER + "<eos>"),
        "rejected_ids": ids(row["rejected"] + "<eos>"),
        "ref_chosen_logps": -1.5,
        "ref_rejected_logps": -2.0,
    }
    assert length == len(ids(PROMPT + ANSWER)) + 1
    assert "ref_chosen_logps" not in made(preferred(paired_rows()[0], ENCODER))[0]


def test_a_reward_model_reads_both_sides_whole() -> None:
    row = paired_rows()[0]
    columns, _ = made(rewarded(row, ENCODER))
    assert columns == {
        "chosen_ids": ids(PROMPT + ANSWER + "<eos>"),
        "rejected_ids": ids(PROMPT + row["rejected"] + "<eos>"),
    }


def test_simpo_learns_the_completions_alone() -> None:
    columns, _ = made(side_by_side(paired_rows()[0], ENCODER))
    assert columns["prompt_input_ids"] == ids(PROMPT)
    for side in ("chosen", "rejected"):
        whole, labels = columns[f"{side}_input_ids"], columns[f"{side}_labels"]
        assert len(whole) == len(labels) == len(columns[f"{side}_attention_mask"])
        assert labels == [-100] * len(ids(PROMPT)) + whole[len(ids(PROMPT)) :]


def test_tpo_has_the_gold_solution_beside_them() -> None:
    columns, length = made(trebled({**paired_rows()[0], "reference": "7 + 2 9 3 =23\n9 * 3 27 "}, ENCODER))
    assert columns["reference_ids"] == ids("7 + 2 9 3 =23\n9 * 3 27 <eos>")
    assert length == max(
        len(columns["prompt_ids"]) + len(columns[f"{name}_ids"]) for name in ("chosen", "rejected", "reference")
    )


def test_what_has_no_words_is_dropped_by_every_method() -> None:
    for encode in (labelled, preferred, rewarded, side_by_side, trebled, unpaired.labelled):
        assert encode(UNKNOWN, ENCODER) == Drop("no words for it in this model")


def test_kto_keeps_the_label() -> None:
    columns, length = made(unpaired.labelled({**solved_rows()[0], "label": False}, ENCODER))
    assert columns == {"prompt_ids": ids(PROMPT), "completion_ids": ids(ANSWER + "<eos>"), "label": False}
    assert length == len(ids(PROMPT + ANSWER)) + 1


def test_kl_pairs_are_rotated_within_each_batch() -> None:
    rows = [{"completion_ids": [number]} for number in range(7)]
    rotated = unpaired.mismatched(rows, 3)
    # A last row that were alone would be put together with itself.
    assert [row["KL_completion_ids"] for row in rotated] == [[2], [0], [1], [5], [3], [4]]
    assert [row["KL_completion_ids"] for row in unpaired.mismatched(rows[:5], 3)] == [[2], [0], [1], [4], [3]]
