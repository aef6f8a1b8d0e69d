"""Every way to sample and to shard that a CPU can run, for real, and what each saves."""

from collections import Counter

import pytest
import torch
from launching import (
    REWARD,
    fsdp2,
    launch,
    load_policy,
    one_process,
    ranks,
    read_metrics,
    read_rollouts,
    zero,
)

LORA = {"r": 4, "target_modules": "all-linear"}
# Two more forward passes, another pass of the output head (entropies at a temperature of 1) and
# loss terms of ours, which sharded and wrapped models must take too.
SIGNALS = {
    "rewards": {REWARD: {}, "token_entropy": {"weight": 0.1}},
    "token_selector": {"entropy_band": {"preset": "v2"}},
    "gradient_ratio_every": 1,
    "temperature": 0.9,
    "beta": 0.01,
}


def assert_trained(output_dir, start_folder):
    """Four steps were logged with finite losses, and the saved weights differ from the start's."""
    metrics = read_metrics(output_dir)
    assert [line["step"] for line in metrics if "loss" in line] == [1, 2, 3, 4]
    assert all(torch.tensor(line["grad_norm"]).isfinite() for line in metrics if "loss" in line)
    assert any(line["grad_norm"] > 0 for line in metrics if "loss" in line)
    start, trained = load_policy(start_folder), load_policy(output_dir)
    assert any(
        not torch.equal(a, b) for a, b in zip(start.parameters(), trained.parameters(), strict=True)
    )
    return metrics


def assert_signals(metrics, compares_gradients=True):
    """Tokens were measured and selected, and the loss terms at selected tokens are there."""
    generated = [line for line in metrics if "reward" in line]
    assert all(line["rewards/token_entropy/mean"] < 0 for line in generated)
    assert all(0 < line["signal/selected_frac"] < 1 for line in generated)
    ratios = [line.get("signal/band_gradient_ratio", 0) for line in metrics if "loss" in line]
    assert any(ratio > 0 for ratio in ratios) == compares_gradients
    assert any(line["kl"] > 0 for line in metrics if "loss" in line)


def assert_samplers_agree(metrics):
    """vLLM and trainer agree on the untouched model and, after a sync, on the updated one."""
    gaps = [line["sampling/sampling_logp_difference/max"] for line in metrics if "reward" in line]
    assert len(gaps) == 2
    assert max(gaps) < 1e-4
    assert metrics[0]["signal/start_sampling_logp_gap"] < 1e-4


def test_vllm_colocated_on_two_ranks(recipe, tmp_path, tiny_model_folder):
    # With votes that stop once they are decided; three random tokens often agree on a number.
    launch(
        ranks(2),
        recipe,
        tmp_path / "run",
        use_vllm=True,
        num_votes={"min": 8, "max": 24, "confidence": 0.6, "chunk": 4},
        answer_methods=["last_number"],
        max_completion_length=3,
    )
    assert_samplers_agree(assert_trained(tmp_path / "run", tiny_model_folder))
    num_votes = Counter((line["step"], line["visit"]) for line in read_rollouts(tmp_path / "run"))
    assert 8 <= min(num_votes.values()) < 24


SLOW = pytest.mark.slow


@pytest.mark.parametrize("staleness", [0, pytest.param(1, marks=SLOW), pytest.param(2, marks=SLOW)])
def test_vllm_server_with_folder_sync(recipe, tmp_path, tiny_model_folder, free_port, staleness):
    launch(
        one_process(),
        recipe,
        tmp_path / "run",
        use_vllm=True,
        vllm_mode="server",
        vllm_launch_server=True,
        vllm_server_port=free_port,
        vllm_server_timeout=400,
        max_staleness=staleness,
    )
    metrics = assert_trained(tmp_path / "run", tiny_model_folder)
    if staleness:
        # Two updates a batch: the second batch was sampled before both, and no third asks more.
        assert [m["sampling/stale_steps"] for m in metrics if "reward" in m] == [0, 2]
    else:
        assert_samplers_agree(metrics)
    assert list((tmp_path / "run" / "vllm_weights").iterdir()) == []


def test_zero2_on_two_ranks(recipe, tmp_path, tiny_model_folder):
    launch(zero(2), recipe, tmp_path / "run", **SIGNALS)
    assert_signals(assert_trained(tmp_path / "run", tiny_model_folder), compares_gradients=False)


@pytest.mark.parametrize("use_vllm", [False, True])
def test_zero3_on_two_ranks(recipe, tmp_path, tiny_model_folder, use_vllm):
    # One rank has two prompts to sample, the other one.
    uneven = {} if use_vllm else {"num_prompts": 3, "num_updates": 1}
    launch(zero(3), recipe, tmp_path / "run", use_vllm=use_vllm, **uneven, **SIGNALS)
    metrics = assert_trained(tmp_path / "run", tiny_model_folder)
    assert_signals(metrics, compares_gradients=False)
    if use_vllm:
        assert_samplers_agree(metrics)


def test_fsdp2_on_two_ranks(recipe, tmp_path, tiny_model_folder):
    launch(fsdp2(), recipe, tmp_path / "run", use_vllm=True, **SIGNALS)
    metrics = assert_trained(tmp_path / "run", tiny_model_folder)
    assert_signals(metrics)
    assert_samplers_agree(metrics)
    # What only a sharded model leaves.
    assert (tmp_path / "run" / "checkpoint-2" / "pytorch_model_fsdp.bin").is_file()


@pytest.mark.parametrize("use_vllm", [False, True])
def test_lora(recipe, tmp_path, tiny_model_folder, use_vllm):
    launch(one_process(), recipe, tmp_path / "run", lora=LORA, use_vllm=use_vllm, **SIGNALS)
    assert (tmp_path / "run" / "adapter_model.safetensors").is_file()
    metrics = assert_trained(tmp_path / "run", tiny_model_folder)
    assert_signals(metrics)
    if use_vllm:
        assert_samplers_agree(metrics)
