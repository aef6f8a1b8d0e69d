"""Settings together: the batch's geometry by hand, and each contradiction's one line."""

import pytest
import torch

from rl.errors import InputError
from rl.training.batch_sizes import set_accumulation
from rl.training.recipe import make_config

GROUPS = {"num_prompts": 3, "num_generations": 4}

# The batch.


@pytest.mark.parametrize(
    ("settings", "num_prompts", "accumulation", "steps_per_generation"),
    [
        # 8 x 16 = 128 rows in one forward pass.
        (
            {"num_prompts": 8, "num_generations": 16, "per_device_train_batch_size": 128},
            8,
            1,
            1,
        ),
        # 128 rows over 2 updates, 64 each, 32 per forward pass: 2 passes an update.
        (
            {
                "num_prompts": 8,
                "num_generations": 16,
                "num_updates": 2,
                "per_device_train_batch_size": 32,
            },
            8,
            2,
            4,
        ),
        # The least whole groups of 4 that fill forward passes of 6 rows: 3 groups, 2 passes.
        ({"num_generations": 4, "per_device_train_batch_size": 6}, 3, 2, 2),
        # The least whole groups of 4 that fill 3 updates of 8 rows: 6 groups.
        ({"num_generations": 4, "per_device_train_batch_size": 8, "num_updates": 3}, 6, 1, 3),
    ],
)
def test_geometry_by_hand(settings, num_prompts, accumulation, steps_per_generation):
    config = make_config(settings)
    assert config.num_prompts == num_prompts
    assert config.gradient_accumulation_steps == accumulation
    assert config.steps_per_generation == steps_per_generation
    # TRL derives the same batch from what we hand it.
    assert config.generation_batch_size == num_prompts * config.num_generations


def test_the_context_of_vllm_follows_from_the_limits():
    limits = {"max_prompt_length": 512, "max_completion_length": 3072}
    assert make_config(limits).vllm_max_model_length == 3584
    assert make_config({**limits, "vllm_max_model_length": 4096}).vllm_max_model_length == 4096
    assert make_config({"max_completion_length": 3072}).vllm_max_model_length is None
    with pytest.raises(InputError, match="max_prompt_length: got -1"):
        make_config({"max_prompt_length": -1})


def test_geometry_says_what_a_batch_holds():
    config = make_config(
        {
            **GROUPS,
            "num_votes": 10,
            "num_updates": 2,
            "num_iterations": 2,
            "per_device_train_batch_size": 6,
            "max_completion_length": 48,
        }
    )
    assert config.geometry == {
        "processes": 1,
        "prompts per generation batch": 3,
        "completions sampled (votes)": 30,
        "completions trained": 12,
        "optimizer steps per generation batch": 4,
        "rows per optimizer step": 6,
        "rows per device and forward pass": 6,
        "gradient accumulation steps": 1,
        "max completion length": 48,
    }


def test_more_processes_change_the_accumulation_not_the_batch(monkeypatch):
    config = make_config({**GROUPS, "per_device_train_batch_size": 2})
    assert (config.gradient_accumulation_steps, config.steps_per_generation) == (6, 6)
    config.gradient_accumulation_steps = 1
    config.steps_per_generation, config.generation_batch_size = 0, None
    monkeypatch.setenv("WORLD_SIZE", "3")
    set_accumulation(config)
    assert config.num_prompts == 3
    assert (config.gradient_accumulation_steps, config.steps_per_generation) == (2, 2)


def test_defaults():
    config = make_config({"num_generations": 4})
    assert config.num_votes == 4
    assert config.rewards == {"majority_vote": {}}
    assert config.report_to == []


# Contradictions.

CONTRADICTIONS = [
    ({"num_generations": 1}, "num_generations: got 1, expected at least 2"),
    ({"num_generations": 4, "num_votes": 2}, r"num_votes: got 2, expected at least .*\(4\)"),
    ({"num_votes": -1}, "num_votes: got -1, expected at least 0 or a valid dictionary. Raise it"),
    ({"num_votes": {"min": 8}}, "num_votes.max: got none, expected a value. Set it"),
    ({"rewards": {}}, "rewards: got none beside no loss_terms, expected at least"),
    ({"scale_rewards": "batch"}, "scale_rewards, reward_weights: got a value, .* `advantage`"),
    ({"reward_weights": [1.0]}, "scale_rewards, reward_weights: got a value, .* `weight`"),
    ({"max_completion_length": 0}, "max_completion_length: got 0, expected at least 1"),
    ({"max_completion_length": None}, "max_completion_length: got None, expected a valid integer"),
    ({"temperature": 0}, "temperature: got 0, expected above 0"),
    ({"temperature": -0.5}, "temperature: got -0.5, expected above 0"),
    ({"temperature": float("nan")}, "temperature: got nan, expected a finite number"),
    ({"generation_kwargs": {"a": 1}}, "generation_kwargs: got .*, expected it unset"),
    ({"cache_implementation": "static"}, "cache_implementation: got 'static', expected it unset"),
    ({"vllm_enable_sleep_mode": True}, "vllm_enable_sleep_mode: got True, expected it unset"),
    ({"vllm_structured_outputs_regex": "a"}, "vllm_structured_outputs_regex: got 'a', expected"),
    (
        {"vllm_mode": "colocate", "vllm_tensor_parallel_size": 2},
        "vllm_tensor_parallel_size: got 2 colocated, expected 1",
    ),
    ({"eval_strategy": "steps"}, "eval_strategy: got 'steps', expected 'no'"),
    ({"generation_batch_size": 8}, "generation_batch_size: got 8, expected it unset"),
    ({"steps_per_generation": 2}, "steps_per_generation: got 2, expected it unset"),
    ({"gradient_accumulation_steps": 4}, "gradient_accumulation_steps: got 4, expected it unset"),
    ({"num_prompts": -1}, "num_prompts: got -1, expected"),
    ({"num_updates": 0}, "num_updates: got 0, expected"),
    ({"num_updates": -1}, "num_updates: got -1, expected"),
    ({"per_device_train_batch_size": 0}, "per_device_train_batch_size: got 0, expected"),
    (
        {**GROUPS, "num_updates": 5},
        r"num_updates: got 5, expected a divisor of .*\(3 x 4\)",
    ),
    (
        {**GROUPS, "per_device_train_batch_size": 8},
        r"per_device_train_batch_size: got 8 on 1 process\(es\), .* divides the 12 rows",
    ),
    (
        {**GROUPS, "num_updates": 2, "per_device_train_batch_size": 4},
        "per_device_train_batch_size: got 4 .* divides the 6 rows",
    ),
    (
        {"max_staleness": 1, "num_votes": {"min": 8, "max": 16}},
        "max_staleness: got 1 beside num_votes",
    ),
    (
        {"max_staleness": 1, "vllm_importance_sampling_correction": False},
        "max_staleness: got 1 beside vllm_importance_sampling_correction False, expected true",
    ),
    ({"max_staleness": 4}, "max_staleness: got 4"),
    ({"sync_ref_model": True, "beta": 0.1}, "sync_ref_model: got True, expected false"),
    (
        {"max_tokens_per_micro_batch": 99, "router_aux_loss_coef": 0.1},
        "max_tokens_per_micro_batch: got 99 beside router_aux_loss_coef 0.1, which fixes the rows",
    ),
    ({"answer_methods": ["boxd"]}, "answer_methods: got 'boxd', expected one of .*boxed"),
    ({"answer_methods": []}, "answer_methods: got"),
    ({"eval_num_samples": 0}, "eval_num_samples: got 0, expected at least 1"),
    ({"loss_type": "grppo"}, "loss_type: got 'grppo', expected"),
    ({"vllm_mode": "sever"}, "vllm_mode: got 'sever', expected"),
    ({"fp16": True, "bf16": True}, "At most one of fp16 and bf16"),
]


@pytest.mark.parametrize(
    ("settings", "message"), CONTRADICTIONS, ids=[str(c[0]) for c in CONTRADICTIONS]
)
def test_a_contradiction_is_one_line(settings, message):
    with pytest.raises(InputError, match=message) as raised:
        make_config(settings)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="CPUs only")
@pytest.mark.parametrize(("settings", "expected"), [({}, "no"), ({"bf16": True}, "bf16")])
def test_a_launch_config_for_gpus_does_not_slow_a_cpu(monkeypatch, settings, expected):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")  # as `mixed_precision: bf16` does
    config = make_config({"output_dir": "runs/x", "model": "m", "dataset": "d", **settings})
    assert config.mixed_precision == expected
