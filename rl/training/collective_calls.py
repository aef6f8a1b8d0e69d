"""What a model's calls need where ranks wait for each other: the same layers, and a whole head."""

from collections.abc import Sequence

from transformers import PreTrainedModel

from rl.training.config import LabelFreeConfig
from rl.training.run_images import RunImages
from rl.training.sharded_head import gather_heads
from rl.training.sharding import sharding_of
from rl.training.stand_in_image import add_stand_in


def run_together(
    models: Sequence[PreTrainedModel],
    images: RunImages | None,
    config: LabelFreeConfig,
    shares_prompts: bool = False,
) -> None:
    """Prepare models for ranks that share their layers.

    Args:
        models: The policy, and the reference model if there is one, without wrappers, after what
            else changes their forward passes.
        images: Those of the prompts.
        config: Settings of the run.
        shares_prompts: Whether the models run a prompt once for all of its rows.
    """
    add_stand_in(models, images, config, shares_prompts)
    if sharding_of(config) == "FSDP":
        gather_heads(models)
