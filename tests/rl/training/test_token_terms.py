"""A token selector in the trainer, on a tiny real model: what it changes and what it leaves."""

from dataclasses import replace

import pytest
import torch
from tiny_trainer import gradient, logged, micro_batches, move_away, tensors_of

from rewards.entropy_band import EntropyBand, RandomShare
from rewards.entropy_confidence import EntropyConfidence
from rl.errors import InputError
from rl.training.config import LabelFreeConfig
from rl.training.token_selection import TokenSelection

COMPLETIONS = [r"1+1=2\boxed{2}", r"2\boxed{1}", r"1;1;1\boxed{2}", "3=3", r"\boxed{1}", "=;="]
SCORES = {"1+1=": [1.0, 0.0, 1.0, None, 0.0, 0.0], "2+2=": [1.0] * 6}


class EveryToken:
    """Selects all tokens, with no band: training as without a selector."""

    low_weight = high_weight = 0.0
    keep_silent_groups = True

    def __call__(self, entropies, mask, groups):
        zeros = torch.zeros(len(entropies))
        return TokenSelection(weights=mask.float(), low=zeros, high=zeros)


# The first rollout's reward is its group's mean.
ONE_AT_THE_MEAN = {"1+1=": [0.5, 0.0, 1.0, None, 0.5, 0.5], "2+2=": [1.0] * 6}


@pytest.fixture
def make(make_trainer):
    """A trainer with a selector, and the batch it samples."""

    def make(selector, scores=SCORES, **settings):
        settings = {"loss_type": "dapo", "selector": selector, **settings}
        trainer = make_trainer(COMPLETIONS, scores, **settings)
        return trainer, tensors_of(trainer)

    return make


def step_gradient(trainer, output, size=12):
    """The gradient of one optimizer step in micro-batches of `size` rows."""
    trainer.current_gradient_accumulation_steps = 12 // size
    parts = [
        {k: v[start : start + size] if v.dim() else v for k, v in output.items()}
        for start in range(0, 12, size)
    ]
    return gradient(trainer, *parts)


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_selecting_every_token_changes_nothing(make, beta):
    plain, plain_output = make(None, beta=beta)
    ours, our_output = make(EveryToken(), beta=beta)
    for trainer in (plain, ours):
        move_away(trainer)
    expected, found = step_gradient(plain, plain_output), step_gradient(ours, our_output)
    assert expected.norm() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * expected.norm().item())


@pytest.mark.parametrize("size", [1, 3, 6])
@pytest.mark.parametrize("preset", ["v1", "v2", "anchored"])
def test_micro_batches_do_not_change_the_gradient(make, preset, size):
    selector = EntropyBand(preset=preset, low_weight=0.5, high_weight=0.5, keep_silent_groups=True)
    # TRL's counts are those of the whole generation batch, which is one optimizer step here.
    trainer, output = make(selector, beta=0.1)
    move_away(trainer)
    whole = step_gradient(trainer, output)
    trainer.args.steps_per_generation = 12 // size
    parts = step_gradient(trainer, output, size)
    assert whole.norm() > 0
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-5 * whole.norm().item())


def logit_gradient_norms(trainer, output):
    """Norm of the loss's gradient at each position's last hidden state, (B, T)."""
    kept = {}

    def keep(module, arguments, result):
        result.last_hidden_state.retain_grad()
        kept["hidden"] = result.last_hidden_state

    handle = trainer.model.base_model.register_forward_hook(keep)
    step_gradient(trainer, output)
    handle.remove()
    # The state before a token predicts it; the last state predicts nothing.
    length = output["completion_ids"].shape[1]
    return kept["hidden"].grad[:, -length - 1 : -1].norm(dim=-1)


@pytest.mark.parametrize("selector", [EntropyBand(preset="v2"), RandomShare(share=0.3)])
def test_unselected_tokens_have_exactly_no_gradient(make, selector):
    trainer, output = make(selector, beta=0.1, shared_prompts=False)
    move_away(trainer)
    norms, selected = logit_gradient_norms(trainer, output), output["token_weights"] > 0
    assert 0 < selected.sum() < output["completion_mask"].sum()
    assert norms[~selected].max() == 0.0
    assert norms[selected].min() > 0.0
    # Neither the unscorable rollout nor the group whose rewards are all equal takes part.
    assert not selected[3].any()
    assert not selected[6:].any()


def test_silent_groups_take_part_if_asked_to(make):
    selector = EntropyBand(preset="v2", high_weight=1.0, keep_silent_groups=True)
    _, output = make(selector)
    assert (output["token_weights"][6:].sum(dim=1) > 0).all()
    assert output["advantages"][6:].abs().max() == 0.0
    assert not output["token_weights"][3].any()


def test_a_row_of_advantage_zero_takes_part_beside_others(make):
    selector = EntropyBand(preset="v2", low_weight=1.0, high_weight=1.0)
    trainer, output = make(selector, ONE_AT_THE_MEAN, beta=0.1, shared_prompts=False)
    # Rewards 0.5, 0, 1, 0.5 and 0.5 of mean 0.5: KL and band act on all five rows, and only the
    # group whose rewards are all equal is left out.
    assert (output["advantages"][:6].abs().amax(dim=1) > 0).tolist() == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]
    assert (
        output["token_weights"].any(dim=1).tolist()
        == [True] * 3 + [False] + [True] * 2 + [False] * 6
    )
    move_away(trainer)
    norms = logit_gradient_norms(trainer, output)
    assert norms[0][output["token_weights"][0] > 0].min() > 0


def entropies_at(trainer, output, temperature):
    """Entropies from the model's whole logits, (B, T)."""
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    with torch.no_grad():
        logits = trainer.model(input_ids=ids, attention_mask=mask).logits / temperature
    length = output["completion_ids"].shape[1]
    all_logps = logits[:, -length - 1 : -1].log_softmax(dim=-1)
    return -(all_logps.exp() * all_logps).sum(dim=-1), all_logps.gather(
        2, output["completion_ids"][..., None]
    ).squeeze(2)


@pytest.mark.parametrize(("raw_entropies", "temperature"), [(True, 1.0), (False, 0.5)])
def test_entropies_are_the_policys_or_the_samplers(make, raw_entropies, temperature):
    selector = EntropyBand(preset="v1", top_share=1.0, raw_entropies=raw_entropies)
    trainer, output = make(selector, temperature=0.5)
    mask = output["completion_mask"].bool()
    entropies, _ = entropies_at(trainer, output, temperature)
    _, logps = entropies_at(trainer, output, 0.5)
    # All tokens are selected, so a response's upper bound is the median of its entropies.
    expected = entropies[0][mask[0]].quantile(0.5)
    assert output["band_high"][0].item() == pytest.approx(expected.item(), rel=1e-4)
    step_gradient(trainer, output)
    found_logps, found_entropies, _ = trainer._forward_of_loss
    torch.testing.assert_close(found_entropies[mask], entropies[mask], rtol=1e-4, atol=1e-4)
    # Log-probabilities are of the distribution that was sampled from, whichever entropies are.
    torch.testing.assert_close(found_logps[mask], logps[mask], rtol=1e-4, atol=1e-4)


def test_raw_entropies_have_their_gradient(make):
    # A loss of nothing but the upper band side over every token: its gradient is that of the
    # entropies at temperature 1 above their responses' medians.
    silent = {"1+1=": [1.0] * 6, "2+2=": [1.0] * 6}
    settings = {"low_weight": 0.0, "high_weight": 1.0, "keep_silent_groups": True}
    selector = EntropyBand(preset="v1", top_share=1.0, **settings)
    trainer, output = make(selector, silent, temperature=0.5)
    move_away(trainer)  # no entropy lies on its bound then, where rounding would decide
    found = step_gradient(trainer, output)
    trainer.model.zero_grad()
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    length = output["completion_ids"].shape[1]
    all_logps = trainer.model(input_ids=ids, attention_mask=mask).logits.log_softmax(dim=-1)
    entropies = -(all_logps.exp() * all_logps).sum(dim=-1)[:, -length - 1 : -1]
    weights = output["token_weights"]
    band = torch.relu(entropies - output["band_high"][:, None]) * weights
    (band.sum() / weights.sum()).backward()
    expected = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
    assert expected.norm() > 0
    assert (found - expected).norm() <= 1e-3 * expected.norm()


def test_gradients_are_compared_in_some_steps_only(make):
    trainer, output = make(EntropyBand(preset="v2"), gradient_ratio_every=3)
    compared = []
    for step in range(4):
        trainer.state.global_step = step
        step_gradient(trainer, output)
        compared.append("signal/band_gradient_ratio" in logged(trainer))
    assert compared == [True, False, False, True]
    trainer, output = make(EntropyBand(preset="v2"), gradient_ratio_every=0)
    step_gradient(trainer, output)
    found = logged(trainer)
    assert "signal/band_gradient_ratio" not in found
    assert found["signal/band_above"]


def test_the_loss_by_its_formula(make):
    selector = EntropyBand(preset="v1", top_share=0.5, low_weight=0.3, high_weight=0.7)
    trainer, output = make(selector, beta=0.1)
    move_away(trainer)
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer._compute_loss(trainer.model, output).item()
    with torch.no_grad():
        logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
            torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1),
            output["completion_ids"].shape[1],
            compute_entropy=True,
        )
    m, num_tokens = output["token_weights"], output["completion_mask"].sum()
    # One update per batch: the ratio is 1 and the policy term is minus the advantage.
    policy = -(m * output["advantages"]).sum() / num_tokens
    difference = output["ref_per_token_logps"] - logps
    kl = 0.1 * (m * (difference.exp() - difference - 1)).sum() / m.sum()
    low, high = output["band_low"][:, None], output["band_high"][:, None]
    band = 0.3 * (low - entropies).clamp(min=0) + 0.7 * (entropies - high).clamp(min=0)
    expected = policy + kl + (m * band).sum() / num_tokens
    assert loss == pytest.approx(expected.item(), rel=1e-4)
    assert kl > 0
    assert (m * band).sum() > 0


def test_every_step_says_what_was_selected(make):
    trainer, output = make(EntropyBand(preset="v2"), beta=0.1)
    step_gradient(trainer, output)
    found = logged(trainer)
    frac = output["token_weights"].sum() / output["completion_mask"].sum()
    assert found["signal/selected_frac"] == pytest.approx(frac.item())
    # Half of the selected tokens lie above their median; KL is still zero.
    assert 0 < found["signal/band_above_frac"] <= 0.5
    assert found["signal/band_above"] > 0
    assert found["signal/band_high"] > found["signal/band_low"] >= 0
    assert found["signal/band_gradient_ratio"] > 0
    assert found["kl"] == pytest.approx(0.0, abs=1e-6)
    assert found["signal/kl_gradient_ratio"] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss_type": "grpo"}, "loss_type: got 'grpo' beside token_selector, expected 'dapo'"),
        ({"entropy_coef": 0.1}, "entropy_coef: got 0.1 beside token_selector"),
        ({"top_entropy_quantile": 0.2}, "top_entropy_quantile: got 0.2 beside"),
        ({"token_selector": {}}, "token_selector: got 0 names"),
        ({"gradient_ratio_every": -1}, "gradient_ratio_every: got -1, expected at least 0"),
    ],
)
def test_what_does_not_go_together(tmp_path, settings, message):
    given = {"token_selector": {"entropy_band": None}, "loss_type": "dapo", **settings}
    with pytest.raises(InputError, match=message):
        LabelFreeConfig(output_dir=str(tmp_path), per_device_train_batch_size=8, **given)


class OwnClip(EveryToken):
    """Selects all tokens, and gives each completion a clip of its own."""

    def __init__(self, *clips):
        self.clips = torch.tensor(clips)

    def __call__(self, entropies, mask, groups):
        """All tokens, in order the completions' clips."""
        return replace(super().__call__(entropies, mask, groups), clip=self.clips)


def test_a_clip_of_each_completion_is_the_run_s_where_it_is_that_everywhere(make):
    run, run_output = make(EveryToken(), epsilon=0.01)
    own, own_output = make(OwnClip(*[0.01] * 12))
    wide, wide_output = make(EveryToken())
    for trainer, output in ((run, run_output), (own, own_output), (wide, wide_output)):
        output["old_per_token_logps"] = trainer._run(output, trainer.model)[0]
        move_away(trainer)
    found, expected = step_gradient(own, own_output), step_gradient(run, run_output)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7 * expected.norm().item())
    # It clips: without it the gradient is another one.
    assert (step_gradient(wide, wide_output) - expected).norm() > 0.01 * expected.norm()


def test_a_completion_with_a_clip_of_zero_stands_still(make):
    # Of ratios that all moved the way the advantage wants, none has a gradient.
    trainer, output = make(OwnClip(0.0, *[1e9] * 11), shared_prompts=False)
    logps = trainer._run(output, trainer.model)[0]
    rises = (output["advantages"] > 0).float() - (output["advantages"] < 0).float()
    output["old_per_token_logps"] = logps - 0.1 * rises
    norms = logit_gradient_norms(trainer, output)
    assert norms[0].max() == 0.0
    assert (norms[[1, 2, 4, 5]].amax(dim=1) > 0).all()


def test_rows_keep_their_clips_in_micro_batches(make):
    settings = {"num_updates": 2, "per_device_train_batch_size": 6, "beta": 0.1}
    trainer, output = make(EntropyConfidence(clip_window=2), **settings)
    found = [clips_of(batch) for batch in micro_batches(trainer)]
    assert found[0] | found[1] == pytest.approx(clips_of(output))
    assert len(set(found[0].values())) > 3


def clips_of(batch):
    """Tokens of a row that counts -> its clip."""
    parts = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "clip")
    return {
        (*prompt[is_prompt.bool()].tolist(), -1, *ids[mask.bool()].tolist()): clip.item()
        for prompt, is_prompt, ids, mask, clip in zip(*(batch[p] for p in parts), strict=True)
        if mask.any()
    }
