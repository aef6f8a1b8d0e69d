"""Shared prompts: the values and gradients of full rows, in real models of many architectures."""

import logging
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from vision_architectures import TEXT

from rl.groups.raw_entropies import return_raw_entropies
from rl.groups.token_statistics import add_token_statistics
from rl.training.shared_prompts import ARCHITECTURES, share_prompts, why_not
from rl.trl_internals import add_fused_lm_head

WINDOW = {"sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"]}
VARIANTS = {
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "mixtral": {"num_local_experts": 3},
    "qwen3_moe": {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 8},
    "qwen2 windows": {"use_sliding_window": True, "max_window_layers": 0, "sliding_window": 3},
    "qwen3 windows": {"use_sliding_window": True, **WINDOW},
    "mistral windows": {"sliding_window": 3},
    "mixtral windows": {"num_local_experts": 3, "sliding_window": 3},
    "phi3 windows": {"sliding_window": 3},
    "gemma3_text windows": WINDOW,
    "smollm3 windows": {"use_sliding_window": True, **WINDOW},
    "qwen3_moe windows": {
        **{"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 8},
        **{"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 0},
    },
}
MAIN = SimpleNamespace(is_main_process=True)


def build(architecture, **changes):
    settings = {**TEXT, **VARIANTS.get(architecture, {}), **changes}
    if architecture.startswith("phi3"):
        settings.pop("head_dim")
    config = AutoConfig.for_model(architecture.split()[0], **settings)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    with torch.no_grad():  # so that positions and prompts matter
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.dim() > 1 else 1)
    add_fused_lm_head(model, temperature=0.7, outputs=("log_probs", "entropy"))
    return model.eval()


def make_rows():
    """Three prompts of 6, 2 and 4 tokens; completions of 1 to 9 tokens; rows of all mixed up."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 30, (9, 15), generator=generator)
    prompt_lengths = torch.tensor([6, 2, 4])[torch.arange(9) % 3]
    ids[:, :6] = ids[:3, :6].repeat(3, 1)
    lengths = torch.tensor([9, 1, 3, 5, 1, 2, 1, 1, 7])
    columns = torch.arange(15)
    mask = (columns >= 6 - prompt_lengths[:, None]) & (columns < 6 + lengths[:, None])
    labels = ids.masked_fill(~mask | (columns < 6), -100)
    return {"input_ids": ids, "attention_mask": mask.long(), "labels": labels}


def make_rows_that_begin_alike():
    """Prompts of 64, 128 + 3, 128 + 2, 64 + 5, 2 and 128 + 3 tokens of one beginning, but the 2."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 30, (6, 140), generator=generator)
    prompt_lengths = torch.tensor([64, 131, 130, 69, 2, 131])
    beginning = ids[0, :128].clone()
    lengths = torch.tensor([5, 4, 1, 3, 2, 6])
    for row, (prompt_length, shared) in enumerate(
        zip(prompt_lengths, (64, 128, 128, 64, 0, 128), strict=True)
    ):
        ids[row, 131 - prompt_length :][:shared] = beginning[:shared]
    ids[5, :131] = ids[1, :131]
    columns = torch.arange(140)
    mask = (columns >= 131 - prompt_lengths[:, None]) & (columns < 131 + lengths[:, None])
    labels = ids.masked_fill(~mask | (columns < 131), -100)
    return {"input_ids": ids, "attention_mask": mask.long(), "labels": labels}


def loss(outputs, rows):
    weights = torch.linspace(-1, 1, outputs.log_probs.numel()).view_as(outputs.log_probs)
    scored = rows["labels"][:, 1:] != -100
    return (scored * (weights * outputs.log_probs + 0.3 * outputs.entropy)).sum()


def gradient(model, rows=None, **kwargs):
    model.zero_grad()
    rows = rows or make_rows()
    loss(model(**rows, **kwargs, fused_lm_head=True), rows).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("make", [make_rows, make_rows_that_begin_alike])
@pytest.mark.parametrize("architecture", sorted({*ARCHITECTURES, *VARIANTS}))
def test_values_and_gradients_are_those_of_full_rows(architecture, make):
    whole, shared = build(architecture), build(architecture)
    assert share_prompts([shared], MAIN)
    rows = make()
    scored = rows["labels"][:, 1:] != -100
    # Where positions are absolute, as gpt2's, padding must not count.
    positions = {"position_ids": (rows["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)}
    with torch.no_grad():
        expected = whole(**rows, **positions, fused_lm_head=True)
        found = shared(**rows, fused_lm_head=True)
    for name in ("log_probs", "entropy"):
        torch.testing.assert_close(found[name][scored], expected[name][scored], atol=2e-5, rtol=0)
    expected = gradient(whole, rows, **positions)
    assert (gradient(shared, rows) - expected).norm() < 2e-5 * expected.norm()


def test_fewer_tokens_are_run():
    model, seen = build("llama"), []
    share_prompts([model], MAIN)
    model.model.layers[0].register_forward_hook(lambda m, a, output: seen.append(output.shape[1]))
    gradient(model)
    # 6 + 2 + 4 of prompts, 8 + 0 + 2 + 4 + 0 + 1 + 0 + 0 + 6 of completions, instead of 9 x 15.
    assert seen == [33]
    gradient(model, make_rows_that_begin_alike())
    # 64 + 64 + 3 + 2 + 5 + 2 of prompts, 4 + 3 + 0 + 2 + 1 + 5 of completions, instead of 6 x 140.
    assert seen == [33, 155]


def test_gradient_checkpointing_keeps_the_gradient():
    expected = gradient(build("qwen3"))
    model = build("qwen3")
    share_prompts([model], MAIN)
    model.train()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    assert (gradient(model) - expected).norm() < 1e-5 * expected.norm()


def test_raw_entropies_and_token_statistics():
    whole, shared = build("qwen3"), build("qwen3")
    for model in (whole, shared):
        return_raw_entropies(model)
        add_token_statistics(model, 0.7)
    assert share_prompts([shared], MAIN)
    rows = make_rows()
    scored = rows["labels"][:, 1:] != -100
    with torch.no_grad():
        raw = [model(**rows, fused_lm_head=True).entropy[scored] for model in (whole, shared)]
        asked = {"token_statistics": True, "with_confidence": True}
        statistics = [model(**rows, **asked)[:, scored] for model in (whole, shared)]
    torch.testing.assert_close(raw[1], raw[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(statistics[1], statistics[0], atol=1e-5, rtol=0)
    assert len(statistics[1]) == 4
    # The entropy of the distribution that tokens come from is the statistics' second.
    assert (raw[0] - statistics[0][1]).abs().max() > 0.01


def test_other_calls_are_as_before():
    whole, shared = build("mistral"), build("mistral")
    share_prompts([shared], MAIN)
    rows = make_rows()
    inputs = {name: rows[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        logits = [model(**inputs).logits for model in (whole, shared)]
        texts = [
            model.generate(**inputs, do_sample=False, max_new_tokens=8) for model in (whole, shared)
        ]
    assert torch.equal(*logits)
    assert torch.equal(*texts)


def test_nothing_to_score_runs_as_before():
    model = build("llama")
    share_prompts([model], MAIN)
    rows = {**make_rows(), "labels": torch.full((9, 15), -100)}
    outputs = model(**rows, fused_lm_head=True)
    outputs.log_probs.sum().backward()
    assert outputs.log_probs.shape == (9, 14)


def test_a_saved_model_does_not_know(tmp_path):
    model = build("llama")
    share_prompts([model], MAIN)
    model.save_pretrained(tmp_path)
    assert "shared" not in (tmp_path / "config.json").read_text()
    assert why_not(AutoModelForCausalLM.from_pretrained(tmp_path)) is None


def test_models_that_cannot_say_why(caplog):
    eager = build("llama")
    eager.set_attn_implementation("eager")
    recurrent = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "state_size": 4}
    mamba = AutoModelForCausalLM.from_config(AutoConfig.for_model("mamba", **recurrent))
    hybrid = build(
        "qwen3_next",
        layer_types=["linear_attention", "full_attention"],
        num_experts=2,
        num_experts_per_tok=1,
        moe_intermediate_size=8,
        shared_expert_intermediate_size=8,
    )
    assert why_not(eager) == "its attn_implementation is eager, not sdpa"
    assert why_not(mamba) == "not shown to be right for the architecture mamba"
    assert why_not(hybrid) == "not shown to be right for the architecture qwen3_next"
    assert "output_router_logits is on" in why_not(build("mixtral", output_router_logits=True))
    with caplog.at_level(logging.WARNING):
        assert not share_prompts([build("llama"), eager], MAIN)
        assert not share_prompts([build("mixtral")], MAIN, has_router_loss=True)
    assert "a prompt is computed for each of its completions: its attn_impl" in caplog.text
    assert "the router's loss" in caplog.text
