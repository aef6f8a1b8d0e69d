"""What a run loads beside its policy."""

from types import SimpleNamespace

import torch

from rl.training.recipe import make_config
from rl.training.run import build_frozen_engine


def test_the_frozen_policy_samples_short_prompts_in_one_batch_and_long_ones_by_the_group(
    tmp_path, make_tiny_model, tiny_tokenizer
):
    make_tiny_model().to(torch.bfloat16).save_pretrained(tmp_path)
    config = make_config(
        {
            "model": str(tmp_path),
            "dataset": "unused",
            "output_dir": str(tmp_path),
            "num_generations": 8,
            "per_device_train_batch_size": 1,
            "max_completion_length": 1,
        }
    )
    engine = build_frozen_engine(
        SimpleNamespace(config=config, tokenizer=tiny_tokenizer, images=None)
    )
    assert {(p.dtype, p.requires_grad) for p in engine.model.parameters()} == {
        (torch.float32, False)
    }
    seen = []
    engine.model.model.layers[0].register_forward_pre_hook(
        lambda _, inputs: seen.append(tuple(inputs[0].shape[:2]))
    )
    # A group of 8 as long as the context, 128 tokens, is 1024 positions: 204 rows of 4 + 1.
    engine.generate([[3, 4, 5, 6], [7, 8, 9]], 8, [0, 1])
    assert seen == [(2, 3), (16, 1)]
    seen.clear()
    engine.generate([[3] * 127, [4] * 127], 8, [0, 1])
    assert seen == [(1, 126), (8, 1), (1, 126), (8, 1)]
