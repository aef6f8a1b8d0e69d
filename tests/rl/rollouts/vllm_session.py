"""Everything one vLLM engine is asked in test_vllm_engine.py, in a process of its own.

Usage: python vllm_session.py MODEL_FOLDER; the last line it prints is what was seen, as JSON. With
`--images` the model is one of tiny_vision.py.
"""

import json
import sys
from pathlib import Path

PROMPTS = [[3, 4, 5], [6, 7, 8, 9, 10], [11]]
SEEDS = [11, 12, 2**63 - 1]
LENGTH = 24


sys.path.insert(0, str(Path(__file__).parents[1]))  # tiny_vision.py


def main(folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rl.rollouts.contract import check_engine
    from rl.rollouts.engine import SamplingSettings
    from rl.rollouts.vllm_engine import VLLMEngine

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    engine = VLLMEngine.from_pretrained(
        folder,
        SamplingSettings(max_completion_length=LENGTH),
        max_model_len=64,
        parameters=model.named_parameters,
        dtype="float32",
    )
    try:
        seen = {
            "contract": check_engine(engine, PROMPTS, SEEDS, [1], tokenizer.decode),
            "long": sample_in_several_steps(engine),
            "gaps": {"loaded": largest_gap(engine, model)},
        }
        for name, settings in {
            "temperature": {"temperature": 0.5},
            "top_k": {"temperature": 0.7, "top_k": 4},
        }.items():
            engine.settings = SamplingSettings(max_completion_length=LENGTH, **settings)
            seen["gaps"][name] = largest_gap(engine, model, **settings)
        engine.settings = SamplingSettings(max_completion_length=LENGTH)
        seen |= sync_changed_weights(engine, model)
    finally:
        engine.close()
    print(json.dumps(seen))


def look_at_pictures(folder):
    """Sample prompts with one, no and two pictures; report gaps, before and after a sync."""
    import torch
    from tiny_vision import largest_gap, read_prompts
    from transformers import AutoModelForImageTextToText

    from rl.data.model_files import load_image_inputs, load_tokenizer
    from rl.rollouts.engine import SamplingSettings
    from rl.rollouts.vllm_engine import VLLMEngine

    torch.set_num_threads(1)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    inputs = load_image_inputs(folder, "model", load_tokenizer(folder, "model"))
    prompts, images = read_prompts(inputs)
    engine = VLLMEngine.from_pretrained(
        folder,
        SamplingSettings(max_completion_length=LENGTH),
        max_model_len=128,
        parameters=model.named_parameters,
        image_inputs=inputs,
    )

    def sample(which):
        ids, own = [prompts[i] for i in which], [images[i] for i in which]
        return engine.generate(ids, 4, [SEEDS[i] for i in which], images=own)

    def gap():
        return largest_gap(model, engine, prompts, images, sample([0, 1, 2]))

    def drawn(which):
        return [[one.completion_ids for one in group] for group in sample(which)]

    try:
        seen = {"loaded": gap(), "alone": [drawn([i])[0] for i in range(3)] == drawn([0, 1, 2])}
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))
        seen["changed_not_synced"] = gap()
        engine.sync_weights()
        seen["changed_and_synced"] = gap()
    finally:
        engine.close()
    print(json.dumps(seen))


def sample_in_several_steps(engine):
    """Sample more tokens of prompts than a step of the scheduler takes, 4096, together and alone.

    16 prompts x 8 samples x 40 tokens = 5120; the 103rd sample would be cut at the limit.
    """
    prompts = [[2 + (i + j) % 20 for j in range(40)] for i in range(16)]
    seeds = list(range(0, 1600, 100))

    def ids(prompts, seeds):
        samples = engine.generate(prompts, 8, seeds)
        return [[sample.completion_ids for sample in group] for group in samples]

    alone = [ids([prompt], [seed])[0] for prompt, seed in zip(prompts, seeds, strict=True)]
    return {"together": ids(prompts, seeds), "alone": alone}


def largest_gap(engine, model, temperature=1.0, top_k=None):
    """Largest difference of a token's log-probability between vLLM and the model, in nats."""
    import torch

    gap = 0.0
    samples = engine.generate(PROMPTS, 8, SEEDS)
    for prompt, group in zip(PROMPTS, samples, strict=True):
        for sample in group:
            tokens = torch.tensor([prompt + sample.completion_ids])
            with torch.no_grad():
                logits = model(tokens).logits[0, len(prompt) - 1 : -1] / temperature
            if top_k is not None:
                least = logits.topk(top_k).values[:, -1:]
                logits = logits.masked_fill(logits < least, -torch.inf)
            logps = logits.log_softmax(-1).gather(1, tokens[0, len(prompt) :, None])[:, 0]
            gaps = logps - torch.tensor(sample.sampling_per_token_logps)
            gap = max(gap, gaps.abs().max().item())
    return gap


def sync_changed_weights(engine, model):
    """Sync unchanged, changed and incomplete weights; report gaps and what was raised."""
    import torch

    generator = torch.Generator().manual_seed(0)

    def change():
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))

    engine.sync_weights()
    gaps = {"synced_unchanged": largest_gap(engine, model)}
    change()
    gaps["changed_not_synced"] = largest_gap(engine, model)
    engine.sync_weights()
    gaps["changed_and_synced"] = largest_gap(engine, model)
    raised = {}
    every = list(model.named_parameters())
    for left_out, _ in (every[0], every[len(every) // 2], every[-1]):
        change()
        engine.parameters = lambda left_out=left_out: (
            (name, parameter) for name, parameter in every if name != left_out
        )
        try:
            engine.sync_weights()
        except RuntimeError as error:
            raised[left_out] = str(error)
        else:
            raised[left_out] = None
    engine.parameters = model.named_parameters
    engine.sync_weights()
    gaps["mended"] = largest_gap(engine, model)
    engine.parameters = None
    change()
    engine.sync_weights()
    gaps["nothing_to_sync"] = largest_gap(engine, model)
    return {"synced": {"gaps": gaps, "raised": raised}}


if __name__ == "__main__":
    (look_at_pictures if "--images" in sys.argv else main)(sys.argv[1])
