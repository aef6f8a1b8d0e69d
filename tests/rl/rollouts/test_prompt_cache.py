"""Prompts run once: how much is computed, and that samples are those of a prompt run by itself."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3TextConfig,
    Lfm2Config,
    MambaConfig,
    Qwen3NextConfig,
)

from rl.rollouts.engine import SamplingSettings
from rl.rollouts.prompt_cache import repeated_prompt_cache
from rl.rollouts.transformers_engine import TransformersEngine

PROMPTS = [[3, 4, 5, 7, 8, 9, 3], [6, 7, 8, 9, 10], [11]]
SEEDS = [11, 12, 13]
SMALL = {
    "vocab_size": 24,
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "intermediate_size": 96,
    "max_position_embeddings": 64,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "tie_word_embeddings": False,
}
CONFIGS = {
    # A window of four positions, shorter than prompts.
    "sliding window": Gemma3TextConfig(
        **SMALL, sliding_window=4, layer_types=["sliding_attention", "full_attention"] * 2
    ),
    # No position ids; positions follow from the mask.
    "no positions": BloomConfig(
        vocab_size=24, hidden_size=64, n_layer=2, n_head=2, tie_word_embeddings=False
    ),
    "convolution": Lfm2Config(**SMALL, layer_types=["conv", "full_attention"] * 2),
    "linear attention": Qwen3NextConfig(
        **SMALL,
        layer_types=["linear_attention", "full_attention"] * 2,
        num_experts=2,
        num_experts_per_tok=1,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
        linear_num_value_heads=2,
        linear_num_key_heads=2,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
    ),
    "no cache of positions": MambaConfig(
        vocab_size=24, hidden_size=64, num_hidden_layers=2, tie_word_embeddings=False
    ),
}


def make_engine(model, tokenizer):
    # Random weights give nearly equal logits; larger ones tell tokens apart.
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(8.0)
    return TransformersEngine(model.eval(), tokenizer, SamplingSettings(max_completion_length=8))


def assert_samples_are_those_of_lone_prompts(engine):
    """Compare with one sample of one prompt at a time, for which `generate` runs the prompt."""
    together = engine.generate(PROMPTS, 3, SEEDS)
    for prompt, seed, samples in zip(PROMPTS, SEEDS, together, strict=True):
        for i, sample in enumerate(samples):
            assert engine.generate([prompt], 1, [seed], first_sample=i) == [[sample]]
    assert len({tuple(s.completion_ids) for group in together for s in group}) > 5


@pytest.mark.parametrize("name", CONFIGS)
def test_samples_are_those_of_a_lone_prompt(name, tiny_tokenizer):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[name])
    assert_samples_are_those_of_lone_prompts(make_engine(model, tiny_tokenizer))


def test_adapters_stay_in_effect(make_tiny_model, tiny_tokenizer):
    model = make_tiny_model(tied=False)
    plain = make_engine(model, tiny_tokenizer).generate(PROMPTS, 3, SEEDS)
    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    engine = TransformersEngine(
        get_peft_model(model, lora).eval(),
        tiny_tokenizer,
        SamplingSettings(max_completion_length=8),
    )
    assert_samples_are_those_of_lone_prompts(engine)
    assert engine.generate(PROMPTS, 3, SEEDS) != plain


def test_each_prompt_runs_once_and_the_head_at_one_position(make_tiny_model, tiny_tokenizer):
    model = make_tiny_model(tied=False).eval()
    seen = {"layers": [], "head": []}
    for module, name in ((model.model.layers[0], "layers"), (model.lm_head, "head")):
        module.register_forward_pre_hook(
            lambda _, inputs, name=name: seen[name].append(tuple(inputs[0].shape[:2]))
        )
    engine = TransformersEngine(model, tiny_tokenizer, SamplingSettings(max_completion_length=2))
    engine.generate([PROMPTS[0], PROMPTS[1], PROMPTS[0]], 4, SEEDS)
    # Two different prompts of at most seven tokens, up to the last; then a token for each of the
    # 12 samples at a time.
    assert seen["layers"] == [(2, 6), (12, 1), (12, 1)]
    assert seen["head"] == [(2, 1), (12, 1), (12, 1)]


def test_nothing_to_save(make_tiny_model):
    model = make_tiny_model()
    ids, mask = torch.tensor([[3, 4], [5, 6]]), torch.ones(2, 2, dtype=torch.long)
    assert repeated_prompt_cache(model, ids, mask, torch.tensor([0, 1])) is None
    assert repeated_prompt_cache(model, ids[:, :1], mask[:, :1], torch.tensor([0, 0, 1])) is None
    cache = repeated_prompt_cache(model, ids, mask, torch.tensor([0, 1, 1]))
    assert cache.layers[0].keys.shape[:3] == (3, 1, 1)  # samples, heads, positions
    assert torch.equal(cache.layers[0].keys[1], cache.layers[0].keys[2])
