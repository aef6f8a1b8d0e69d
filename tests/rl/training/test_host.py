"""The host's own arithmetic, on a tiny real model with scripted completions."""

import pytest
import torch
from tiny_trainer import gradient, logged, micro_batches, move_away, rows_of, tensors_of

from rewards.entropy_band import EntropyBand
from rl.errors import InputError
from rl.training.layout import PROMPT_KEYS, TOKEN_KEYS

COMPLETIONS = [r"\boxed{1}", r"\boxed{2}", r"1+1\boxed{1}", "", r"\boxed{1}", "=;="]
SCORES = {"1+1=": [1.0, 0.0, 0.5, None, 1.0, None], "2+2=": [None] * 6}


def without_unscorable(output, advantages):
    """The batch as if the unscorable rows had never been sampled."""
    keep = torch.tensor([0, 1, 2, 4])
    kept = {name: value[keep] if value.dim() else value for name, value in output.items()}
    kept["advantages"] = advantages
    kept["row_scale"] = torch.ones(4)
    kept["num_items_in_batch"] = kept["completion_mask"].sum()
    return kept


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dapo", "sapo"])
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_unscorable_rows_leave_no_trace_in_the_gradient(make_trainer, loss_type, beta):
    settings = {"loss_type": loss_type, "beta": beta, "advantage": "centered"}
    trainer = make_trainer(COMPLETIONS, SCORES, entropy_coef=0.01, **settings)
    output = tensors_of(trainer)
    move_away(trainer)  # from the reference model, so that the KL term has a gradient

    # Scorable rewards of the first group: 1, 0, 0.5, 1, mean 0.625; the second group has none.
    advantages = torch.tensor([0.375, -0.625, -0.125, 0.375])
    expected = gradient(trainer, without_unscorable(output, advantages))
    found = gradient(trainer, output)

    assert expected.norm() > 0
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6 * expected.norm().item())


def test_a_loss_that_fails_leaves_the_next_one_as_it_was(make_trainer):
    trainer = make_trainer(COMPLETIONS, SCORES, loss_type="grpo", beta=0.1)
    output = tensors_of(trainer)
    move_away(trainer)
    expected = gradient(trainer, output)
    incomplete = {k: v for k, v in output.items() if k != "ref_per_token_logps"}
    with pytest.raises(KeyError):
        gradient(trainer, {**incomplete, "row_scale": torch.full((12,), 9.0)})
    assert gradient(trainer, output).equal(expected)


def test_a_group_that_no_vote_paid_is_taught_where_the_advantage_says_so(make_trainer):
    # Half of the votes agree. The second prompt's rewards are all None, as those of silence are.
    advantage = {"restrain": {"threshold": 0.6}}
    output = tensors_of(make_trainer(COMPLETIONS, SCORES, advantage=advantage, loss_type="bnpo"))
    assert output["advantages"].tolist() == [-1.0, -1.0, -1.0, 0.0, -1.0, 0.0] + [-1.0] * 6
    is_kept = output["completion_mask"].any(dim=1).tolist()
    assert is_kept == [True, True, True, False, True, False] + [True] * 6


def test_the_settings_of_a_run_stay_as_they_are(make_trainer):
    trainer = make_trainer(COMPLETIONS, SCORES, use_vllm=True, logp=-3.0, max_sampling_logp_gap=9)
    assert trainer.use_vllm
    assert trainer.args.use_vllm
    assert not hasattr(trainer, "vllm_generation")
    selecting = make_trainer(COMPLETIONS, SCORES, selector=EntropyBand(), beta=0.1)
    # The KL term is the selector's; TRL's own is off, beside a reference model.
    assert (selecting.beta, selecting.args.beta) == (0.0, 0.1)
    assert selecting.ref_model is not None


def test_values_of_tokens_are_named(make_trainer):
    settings = {"use_vllm": True, "logp": -3.0, "max_sampling_logp_gap": 9, "beta": 0.1}
    settings["vllm_importance_sampling_mode"] = "token_truncate"
    settings |= {"num_updates": 2, "per_device_train_batch_size": 6}  # which need the old ones
    trainer = make_trainer(COMPLETIONS, SCORES, selector=EntropyBand(), **settings)
    output = tensors_of(trainer)
    width = output["completion_ids"].shape[1]
    found = {name for name, value in output.items() if value.shape == (12, width)}
    assert found == {*TOKEN_KEYS}
    assert {n for n, v in output.items() if v.dim() == 2} == {*TOKEN_KEYS, *PROMPT_KEYS}


def test_a_sampler_with_another_model_is_refused(make_trainer):
    # A random model over 21 tokens gives each about log(1/21) = -3; the engine claims -0.01.
    trainer = make_trainer(COMPLETIONS, SCORES, logp=-0.01, use_vllm=True)
    with pytest.raises(InputError, match="max_sampling_logp_gap: got a mean gap of"):
        tensors_of(trainer)


def test_a_batch_is_asked_for_when_it_is_due(make_trainer):
    trainer = make_trainer(COMPLETIONS, SCORES, per_device_train_batch_size=6, num_iterations=2)
    batches = []
    next_batch = trainer.source.next_batch
    trainer.source.next_batch = lambda *args: batches.append(args[1:]) or next_batch(*args)
    for step in range(9):
        trainer._step, trainer.state.global_step = step, step // 2
        trainer._prepare_inputs(rows_of(trainer))
    # Two micro-batches in each of two passes make four forward passes and two optimizer steps.
    assert [(policy.version, index) for policy, index in batches] == [(0, 0), (2, 1), (4, 2)]


def test_a_batch_is_logged(make_trainer):
    trainer = make_trainer(COMPLETIONS, SCORES, log_completions=True)
    micro_batches(trainer)
    found = logged(trainer)
    assert found["num_tokens"] == 12 * 4 + 2 * sum(len(text) + 1 for text in COMPLETIONS)
    assert found["reward"] == pytest.approx(0.625)
    assert found["cost/num_sampled_completions"] == 12
    assert found["cost/rows_skipped_frac"] == pytest.approx(8 / 12)
    assert list(trainer._logs["prompt"]) == ["1+1="] * 6 + ["2+2="] * 6
    assert list(trainer._logs["completion"]) == COMPLETIONS * 2
    assert list(trainer._logs["rewards"]["scripted"])[:3] == [1.0, 0.0, 0.5]
    assert len(trainer._logs["advantages"]) == 12
