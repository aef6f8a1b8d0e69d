"""Gradients of two FSDP2 ranks, one with an image and one without, beside those of one process.

Usage: torchrun --nproc_per_node 2 tests/rl/training/fsdp_gradients.py
"""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
sys.path[:0] = [str(TESTS / "rl"), str(TESTS / "end_to_end")]

import fsdp_on_cpu  # noqa: E402
import tiny_vision  # noqa: E402
import torch  # noqa: E402
from accelerate import Accelerator, FullyShardedDataParallelPlugin  # noqa: E402
from accelerate.state import AcceleratorState  # noqa: E402

from rl.data.image_inputs import ImageInputs  # noqa: E402
from rl.data.images import read_image  # noqa: E402
from rl.processes import end_rank  # noqa: E402
from rl.training.sharded_head import gather_heads  # noqa: E402
from rl.training.stand_in_image import StandIn, give_stand_in  # noqa: E402
from rl.trl_internals import add_fused_lm_head  # noqa: E402

NUM_BATCHES = 2


def build(inputs):
    model = tiny_vision.make_model().train()
    add_fused_lm_head(model)
    give_stand_in(model, StandIn(inputs), is_sharded=True)
    gather_heads([model])
    return model


def call(model, inputs, rank, batch):
    """The mean log-probability of a rank's row; the first rank's has an image."""
    ids = [3 + batch, 4 + rank, 5, 6, 7]
    pixels = {}
    if rank == 0:
        ids = inputs.image_tokens(20, 12) + ids
        pixels = inputs.pixels([read_image(tiny_vision.picture(batch), "here")])
    row = torch.tensor([ids])
    asked = {"input_ids": row, "attention_mask": torch.ones_like(row), "labels": row}
    return model(**asked, **pixels, fused_lm_head=True).log_probs.mean() / NUM_BATCHES


def main():
    inputs = ImageInputs(tiny_vision.make_processor())
    alone = build(inputs)
    for batch in range(NUM_BATCHES):
        for rank in range(2):
            (call(alone, inputs, rank, batch) / 2).backward()
    AcceleratorState.__init__ = fsdp_on_cpu.initialize
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", cpu_ram_efficient_loading=False
    )
    accelerator = Accelerator(cpu=True, fsdp_plugin=plugin)
    sharded = build(inputs)
    optimizer = torch.optim.SGD(sharded.parameters(), lr=0.0)
    sharded, optimizer = accelerator.prepare(sharded, optimizer)
    rank = accelerator.process_index
    with torch.no_grad():  # as before a loss
        call(sharded, inputs, rank, 0)
    for batch in range(NUM_BATCHES):
        accelerator.backward(call(sharded, inputs, rank, batch))
    expected = dict(alone.named_parameters())
    worst = 0.0
    for name, parameter in sharded.named_parameters():
        if expected[name].grad is None:
            assert parameter.grad is None, name
            continue
        own = parameter.grad.full_tensor()
        difference = (own - expected[name].grad).norm() / expected[name].grad.norm().clamp(min=1e-6)
        worst = max(worst, difference.item())
    if rank == 0:
        kind = type(sharded.get_output_embeddings()).__name__
        print(f"{kind}: {worst:.1e}", flush=True)
    end_rank()


if __name__ == "__main__":
    main()
