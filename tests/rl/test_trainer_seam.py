"""The seam to TRL: what `LabelFreeGRPOTrainer` overrides and reads is what the pinned TRL has."""

import inspect
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from trl.trainer.grpo_trainer import GRPOTrainer

from rl.training.compact_trainer import CompactGRPOTrainer
from rl.training.resumable_trainer import ResumableGRPOTrainer
from rl.training.rollout_trainer import RolloutGRPOTrainer
from rl.training.trainer import LabelFreeGRPOTrainer

OURS = (LabelFreeGRPOTrainer, RolloutGRPOTrainer, CompactGRPOTrainer, ResumableGRPOTrainer)
DOCUMENTATION = "".join(inspect.getdoc(ours) or "" for ours in OURS)
OVERRIDDEN = [
    "_generate_single_turn",
    "_calculate_rewards",
    "_generate_and_score_completions",
    "_compute_loss",
    "_get_per_token_logps_and_entropies",
    "_get_train_sampler",
    "_prepare_inputs",
    "_save_checkpoint",
]


def parameters(method):
    return [(p.name, p.kind) for p in inspect.signature(method).parameters.values()]


def test_trl_is_the_pinned_one():
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    [pinned] = [name for name in settings["project"]["dependencies"] if name.startswith("trl")]
    assert pinned == f"trl=={version('trl')}"


def test_the_list_is_complete_and_documented():
    private = {
        name
        for ours in OURS
        for name, value in vars(ours).items()
        if name.startswith("_") and not name.startswith("__") and hasattr(GRPOTrainer, name)
        if callable(value)
    }
    assert private == set(OVERRIDDEN)
    assert all(f"`{name}`" in DOCUMENTATION for name in OVERRIDDEN)


# The one that is left out hands all its arguments on.
@pytest.mark.parametrize("name", sorted({*OVERRIDDEN} - {"_get_per_token_logps_and_entropies"}))
def test_signatures_are_those_of_trl(name):
    ours, theirs = getattr(LabelFreeGRPOTrainer, name), getattr(GRPOTrainer, name)
    assert parameters(ours) == parameters(theirs)


def test_new_methods_do_not_hide_those_of_trl():
    hidden = {
        name
        for ours in OURS
        for name in vars(ours)
        if hasattr(GRPOTrainer, name) and not name.startswith("__")
    }
    assert hidden - set(OVERRIDDEN) == {"train"}


@pytest.mark.parametrize("name", ["_step", "_buffered_inputs", "_metrics"])
def test_what_is_read_is_there(name):
    assert f"`{name}`" in DOCUMENTATION
    assert re.search(rf"self\.{name}\b.* = ", inspect.getsource(GRPOTrainer.__init__))


def test_log_probabilities_are_called_as_trl_defines_them():
    method = GRPOTrainer._get_per_token_logps_and_entropies
    call = inspect.signature(method).bind(
        "self", "model", "input_ids", "attention_mask", "logits_to_keep", batch_size=1
    )
    assert list(call.arguments) == [
        "self",
        "model",
        "input_ids",
        "attention_mask",
        "logits_to_keep",
        "batch_size",
    ]


def test_generation_passes_what_the_override_relies_on():
    # The advantages, masks and normaliser that the override replaces are keys of TRL's result.
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    for key in ("advantages", "completion_mask", "num_items_in_batch"):
        assert f'"{key}": ' in source
    assert 'output["sampling_per_token_logps"]' in source
    assert 'output["old_per_token_logps"]' in source
