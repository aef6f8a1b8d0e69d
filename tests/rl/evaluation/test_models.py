"""What an evaluation loads a model as."""

import pytest
import torch

from rl.rollouts.engine import SamplingSettings
from rl.rollouts.engines import StoredModel
from rl.rollouts.transformers_engine import TransformersEngine


@pytest.mark.skipif(torch.accelerator.is_available(), reason="CPUs only")
def test_a_bfloat16_checkpoint_is_float32_on_a_cpu(tmp_path, make_tiny_model, tiny_tokenizer):
    make_tiny_model().to(torch.bfloat16).save_pretrained(tmp_path)
    stored = StoredModel(
        model=str(tmp_path),
        tokenizer=tiny_tokenizer,
        settings=SamplingSettings(max_completion_length=2),
        batch_size=2,
    )
    engine = TransformersEngine.for_model(stored)
    assert {p.dtype for p in engine.model.parameters()} == {torch.float32}
    [[sample]] = engine.generate([[3, 4, 5]], 1, [0])
    assert 1 <= len(sample.completion_ids) <= 2
