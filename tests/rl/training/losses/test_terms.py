"""Terms of the loss in the trainer: neither micro-batches nor left-out rows change the gradient."""

import pytest
import torch
from tiny_trainer import gradient, logged, micro_batches, move_away, tensors_of

from rl.errors import InputError
from rl.training.losses.term import TERM_WEIGHTS
from rl.training.losses.terms import COUNT, build_loss_terms
from rl.training.recipe import make_config

COMPLETIONS = ["1+1=2;2+2=4", "2", "3=3;1", "=", "1+2=3=3", "7"]
# An unscorable row among scored ones; groups without a signal; one that nobody can score.
SCORES = {
    "1+1=": [1.0, 0.0, 1.0, None, 0.5, 0.0],
    "2+2+2+2=": [1.0] * 6,
    "3=": [None] * 6,
    "4+4=": [0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
}
BOTH = {
    "entropy_minimisation": {"coef": 0.3, "per": "token"},
    "self_confidence": {"coef": -0.2},
}


@pytest.fixture
def make(make_trainer):
    """A trainer of two optimizer steps of three micro-batches each."""

    def make(**settings):
        geometry = {"per_device_train_batch_size": 4, "num_updates": 2}
        return make_trainer(COMPLETIONS, SCORES, **{**geometry, "loss_terms": BOTH, **settings})

    return make


def steps(trainer):
    """The gradient of each optimizer step, of a policy that has moved since it sampled."""
    batches = micro_batches(trainer)
    move_away(trainer)
    size = trainer.args.gradient_accumulation_steps
    starts = range(0, len(batches), size)
    return torch.stack([gradient(trainer, *batches[start : start + size]) for start in starts])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"shared_prompts": False},
        {"loss_type": "bnpo"},
        {"loss_type": "grpo", "beta": 0.1},
        {"max_tokens_per_micro_batch": 40, "per_device_train_batch_size": 1},
    ],
    ids=str,
)
def test_compact_micro_batches_have_the_same_gradient(make, settings):
    plain = {"skip_silent_rows": False, "trim_micro_batches": False, "shared_prompts": False}
    loss = {name: settings[name] for name in ("loss_type", "beta") if name in settings}
    expected, found = steps(make(**plain, **loss)), steps(make(**settings))
    assert (expected.norm(dim=1) > 0).all()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.norm().item())


@pytest.mark.parametrize("size", [1, 8])
def test_micro_batches_of_any_size_have_the_same_gradient(make, size):
    trainer = make(per_device_train_batch_size=24, num_updates=1, shared_prompts=False)
    tensors = tensors_of(trainer)
    move_away(trainer)
    whole = gradient(trainer, tensors)
    trainer.current_gradient_accumulation_steps = trainer.args.steps_per_generation = 24 // size
    parts = [
        {k: v[start : start + size] if v.dim() else v for k, v in tensors.items()}
        for start in range(0, 24, size)
    ]
    found = gradient(trainer, *parts)
    torch.testing.assert_close(found, whole, rtol=1e-3, atol=1e-5 * whole.norm().item())


def test_terms_add_up_and_are_counted(make):
    settings = {"per_device_train_batch_size": 24, "num_updates": 1, "shared_prompts": False}
    none, both = make(loss_terms={}, **settings), make(**settings)
    alone = [make(loss_terms={name: given}, **settings) for name, given in BOTH.items()]
    gradients = []
    for trainer in (none, both, *alone):
        tensors = tensors_of(trainer)
        move_away(trainer)
        gradients.append(gradient(trainer, tensors))
    plain, found, *others = gradients
    expected = plain + sum(other - plain for other in others)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * expected.norm().item())
    assert {"signal/entropy_minimisation", "signal/self_confidence"} <= logged(both).keys()
    assert not any(name.startswith(TERM_WEIGHTS) for name in tensors_of(none))
    # 5 + 6 + 0 + 6 completions can be scored, and all of their tokens count.
    tensors = tensors_of(both)
    assert tensors[f"{COUNT}self_confidence"] == 17
    assert tensors[f"{COUNT}entropy_minimisation"] == tensors["completion_mask"].sum()


def test_a_selector_beside_terms(make):
    from rewards.entropy_band import EntropyBand

    selector = EntropyBand(preset="v2", high_weight=0.5, keep_silent_groups=True)
    plain = {"skip_silent_rows": False, "trim_micro_batches": False, "shared_prompts": False}
    expected = steps(make(selector=selector, loss_type="dapo", **plain))
    found = steps(make(selector=selector, loss_type="dapo"))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.norm().item())


TERM_OF_YOUR_OWN = '''
class Likelier:
    """Makes rollouts of an advantage above 0 likelier."""

    def __init__(self, coef=1.0, per="token"):
        self.coef, self.per = coef, per

    def weights(self, mask, advantages):
        return mask * (advantages > 0)[:, None]

    def per_token(self, tokens):
        return -tokens.logps
'''


def test_a_term_of_your_own(make, tmp_path):
    path = tmp_path / "likelier.py"
    path.write_text(TERM_OF_YOUR_OWN)
    name = f"{path}:Likelier"
    trainer = make(loss_terms={name: {"coef": 0.5}}, shared_prompts=False)
    tensors = tensors_of(trainer)
    weighed = tensors[f"{TERM_WEIGHTS}{name}"].any(dim=1)
    assert weighed.tolist() == (tensors["advantages"] > 0).tolist()
    assert steps(trainer).norm() > 0
    other = tmp_path / "other.py"
    other.write_text("class Likelier:\n    coef = 1.0")
    with pytest.raises(InputError, match="expected a function or class with a parameter coef, per"):
        build_loss_terms({f"{other}:Likelier": {}})


def test_a_coefficient_of_zero_leaves_a_term_out():
    assert not build_loss_terms({})
    assert not build_loss_terms({"entropy_minimisation": {"coef": 0}})
    assert build_loss_terms({"entropy_minimisation": None})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss_terms": {"entropy": {}}}, "loss_terms: got 'entropy', expected one of"),
        ({"loss_terms": {"self_confidence": {"alpha": -1}}}, "loss_terms.self_confidence.alpha"),
        ({"loss_terms": {"self_confidence": {"per": "row"}}}, "loss_terms.self_confidence.per"),
        ({"rewards": {}}, "rewards: got none beside no loss_terms"),
        (
            {"selfplay": {"game": "r_zero"}, "loss_terms": {"self_confidence": {}}},
            "loss_terms: got .* beside selfplay",
        ),
    ],
)
def test_settings_are_checked_before_a_model_is_loaded(settings, message):
    with pytest.raises(InputError, match=message):
        make_config({"model": "m", "num_prompts": 8, **settings})
