"""What of TRL the training code relies on: a new version that changes one of these shows here first. Slow."""

from __future__ import annotations

import importlib
import inspect
import warnings
from typing import Any

import pytest

pytestmark = pytest.mark.slow
trl: Any = pytest.importorskip("trl")


def experimental(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"trl.experimental.{name}")


def default(config: Any, name: str) -> Any:
    return inspect.signature(config).parameters[name].default


def test_what_is_gone_is_ours_to_write() -> None:
    for name in ("PRMTrainer", "PPOTrainer", "BCOTrainer"):
        assert not hasattr(trl, name)
    for name in ("prm", "ppo", "bco"):
        with pytest.raises(ModuleNotFoundError):
            experimental(name)


@pytest.mark.parametrize(
    ("config", "name", "value"),
    [
        # Each of these cuts rows in silence, so that none is left at its default.
        (trl.SFTConfig, "max_length", 1024),
        (trl.DPOConfig, "max_length", 1024),
        (trl.KTOConfig, "max_length", 1024),
        (experimental("cpo").CPOConfig, "max_length", 1024),
        (experimental("tpo").TPOConfig, "max_length", 1024),
        (experimental("sdpo").SDPOConfig, "max_prompt_length", 512),
        (experimental("sdpo").SDPOConfig, "max_completion_length", 256),
        (trl.GRPOConfig, "max_completion_length", 512),
        # This one does nothing without being asked for.
        (experimental("sdpo").SDPOConfig, "include_environment_feedback", False),
    ],
)
def test_the_defaults_that_are_overridden(config: Any, name: str, value: object) -> None:
    assert default(config, name) == value


def test_the_methods_that_are_replaced_are_there() -> None:
    for trainer, names in (
        (trl.DPOTrainer, ("_prepare_dataset", "_precompute_ref_logps")),
        (trl.KTOTrainer, ("_prepare_dataset",)),
        (experimental("tpo").TPOTrainer, ("_prepare_dataset",)),
        (experimental("cpo").CPOTrainer, ("tokenize_row", "_track_num_input_tokens")),
        (trl.SFTTrainer, ("training_step", "compute_loss", "_set_signature_columns_if_needed", "_prepare_inputs")),
    ):
        for name in names:
            assert callable(getattr(trainer, name))


def test_loss_functions_of_a_callers_own_are_on_their_way_out() -> None:
    # Hence the subclass for ASFT.
    assert "`compute_loss_func` is deprecated" in inspect.getsource(trl.SFTTrainer.__init__)
