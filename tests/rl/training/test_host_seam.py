"""The seam to TRL: what the host overrides, calls and reads of TRL's trainer is there."""

import ast
import inspect
import textwrap
from pathlib import Path

import pytest
from trl.trainer.grpo_trainer import GRPOTrainer

from rl.data.image_inputs import PIXEL_NAMES, TOKEN_TYPE_NAMES
from rl.training.host import LabelFreeTrainer
from rl.versions import check_trl_version

RL = Path(__file__).parents[3] / "rl"
OVERRIDDEN = {
    "_prepare_inputs",
    "_compute_loss",
    "_get_per_token_logps_and_entropies",
    "_get_train_sampler",
    "_save_checkpoint",
    "_get_grad_norm",
    "_get_output_dir",
    "_run_epoch",
}
CALLED = {"_load_from_checkpoint", "_load_optimizer_and_scheduler"}
READ = {"_step", "_buffered_inputs", "_metrics", "_logs"}
# Without an underscore, and as little promised: what TRL sets of its own where it is built.
OPEN = {
    *("aux_loss_enabled", "eos_token_ids", "log_completions", "loss_type", "num_iterations"),
    *("mask_truncated_completions", "pad_to_multiple_of", "ref_model", "temperature", "use_vllm"),
}
TREES = {path.relative_to(RL).as_posix(): ast.parse(path.read_text()) for path in RL.rglob("*.py")}


@pytest.fixture(autouse=True)
def the_trl_all_of_this_is_about():
    check_trl_version()  # another one fails every test with a sentence


def private_names_of_trl():
    """What TRL's trainer and its parents define or set on `self` with a leading underscore."""
    names = set(dir(GRPOTrainer))
    for parent in GRPOTrainer.__mro__[:-1]:
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(parent)))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.attr)
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def attributes(tree, of_self):
    """Names of the attributes that are used, of `self` and `super()`, or of anything else."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (ast.unparse(node.value) in ("self", "super()")) == of_self
    }


def parameters(method):
    return [(p.name, p.kind) for p in inspect.signature(method).parameters.values()]


def test_one_class_is_a_trainer_of_trl():
    bases = {
        (name, node.name)
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        if any(ast.unparse(base).endswith("Trainer") for base in node.bases)
    }
    assert bases == {("training/host.py", "LabelFreeTrainer")}


def test_what_is_used_of_the_inside_is_listed_and_documented():
    private = private_names_of_trl()
    assert private > OVERRIDDEN | CALLED | READ
    methods = {name for name in private if callable(getattr(GRPOTrainer, name, None))}
    assert vars(LabelFreeTrainer).keys() & methods == OVERRIDDEN
    used = attributes(TREES["training/host.py"], of_self=True) & private
    assert used - OVERRIDDEN == CALLED | READ
    documentation = inspect.getdoc(LabelFreeTrainer) or ""
    assert [n for n in sorted(OVERRIDDEN | CALLED | READ) if f"`{n}`" not in documentation] == []


def test_what_is_read_of_the_open_attributes_is_listed():
    tree = ast.parse(textwrap.dedent(inspect.getsource(GRPOTrainer)))
    stored = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    set_by_trl = {n.attr for n in stored if isinstance(n.ctx, ast.Store) and n.attr[:1] != "_"}
    used = attributes(TREES["training/host.py"], of_self=True)
    used |= attributes(TREES["training/batch_log.py"], of_self=False) & {"log_completions"}
    assert used & set_by_trl == OPEN | {"beta", "epsilon_low", "epsilon_high"}


def test_nobody_else_reaches_into_the_host():
    private = private_names_of_trl()
    found = {name: attributes(tree, of_self=False) & private for name, tree in TREES.items()}
    assert {name: names for name, names in found.items() if names} == {}


def test_nothing_public_of_trl_is_hidden():
    hidden = {n for n in vars(LabelFreeTrainer) if hasattr(GRPOTrainer, n) and n[:1] != "_"}
    assert hidden == {"train"}
    # `beta` TRL sets on its own, and reads in the loss alone once it is built.
    assert isinstance(vars(LabelFreeTrainer)["beta"], property)
    for name in ("training_step", "log"):
        assert "self.beta" not in inspect.getsource(getattr(GRPOTrainer, name))
    assert "self.beta" in inspect.getsource(GRPOTrainer._compute_loss)


# Those that are left out hand all their arguments on.
@pytest.mark.parametrize(
    "name", sorted(OVERRIDDEN - {"_get_per_token_logps_and_entropies", "_run_epoch"})
)
def test_signatures_are_those_of_trl(name):
    assert parameters(getattr(LabelFreeTrainer, name)) == parameters(getattr(GRPOTrainer, name))


@pytest.mark.parametrize("name", sorted(READ | OPEN))
def test_what_is_read_is_set_where_trl_is_built(name):
    assert f"self.{name} = " in inspect.getsource(GRPOTrainer.__init__)


def test_log_probabilities_are_called_as_trl_defines_them():
    method = GRPOTrainer._get_per_token_logps_and_entropies
    names = ["self", "model", "input_ids", "attention_mask", "logits_to_keep"]
    call = inspect.signature(method).bind(*names, batch_size=1, compute_entropy=True)
    assert list(call.arguments) == [*names, "batch_size", "compute_entropy"]


def test_images_are_handed_over_as_trl_takes_them():
    method = GRPOTrainer._get_per_token_logps_and_entropies
    names = {*inspect.signature(method).parameters}
    assert {*PIXEL_NAMES, *TOKEN_TYPE_NAMES, "num_images", "num_tiles"} <= names
    source = inspect.getsource(GRPOTrainer._compute_loss)
    assert [n for n in PIXEL_NAMES if f'{n}=inputs.get("{n}")' not in source] == []
    # A run of a model that takes images is one for TRL too; it saves the whole processor then.
    assert "isinstance(processing_class, ProcessorMixin)" in inspect.getsource(GRPOTrainer.__init__)


def test_batches_are_due_when_trl_says():
    source = inspect.getsource(GRPOTrainer._prepare_inputs)
    assert "generate_every = self.args.steps_per_generation * self.num_iterations" in source
    assert "self._step % generate_every == 0 or self._buffered_inputs is None" in source
    assert "self._buffered_inputs[self._step % self.args.steps_per_generation]" in source


def test_log_probabilities_are_needed_when_trl_says():
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert "if self.args.gradient_accumulation_steps % generate_every != 0 or (" in source
    assert "self.use_vllm and self.vllm_importance_sampling_correction" in source
