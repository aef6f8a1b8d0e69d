"""Engines by name: where a run, an evaluation or a question gets its completions from.

To add one, write a class as `rl.rollouts.engine.RolloutEngine` has it, with one or both of the last
two class methods below, and a line in `ENGINES`; `rl.rollouts.contract` says whether it keeps to
what is asked. A class of one's own goes by `package.module:Class` or `path/to/file.py:Class`.

    require()                       refuses with one line where a package is missing
    for_run(policy, settings)       samples under the policy of a training run
    for_model(model)                samples a model that does not change

One that samples without the trainer's model, and may be called from several threads at once, has a
true attribute `samples_beside_updates`: runs with `max_staleness` above 0 ask it ahead. With a
method `abort_requests()`, which ends all calls of `generate` under way, of any rank, with whatever
they have, a run that stops or rolls back does not wait for them. One whose `generate`, or
`complete`, has the argument `images` has a true attribute `takes_images`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rl.errors import InputError
from rl.plugins import find
from rl.rollouts.engine import SamplingSettings

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from rl.data.image_inputs import ImageInputs

ENGINES = {
    "transformers": "rl.rollouts.transformers_engine:TransformersEngine",
    "vllm": "rl.rollouts.vllm_engine:VLLMEngine",
    "vllm_server": "rl.rollouts.vllm_server_engine:VLLMServerEngine",
    "openai": "rl.rollouts.openai_engine:OpenAIEngine",
}


@dataclass(frozen=True, kw_only=True)
class TrainedPolicy:
    """What a training run hands to its engine.

    Attributes:
        config: Settings of the run (`rl.training.config.LabelFreeConfig`).
        model: The policy, as the trainer wrapped it or not.
        tokenizer: The policy's.
        accelerator: Knows the ranks.
        generation_context: Makes the policy ready to generate, and undoes it; yields it.
        parameters: Yields its full parameters under their checkpoint names, on every rank.
        image_inputs: Reads prompts with images; None for a model of text alone.
    """

    config: Any
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    accelerator: "Accelerator"
    generation_context: Callable[[], AbstractContextManager]
    parameters: "Callable[[], Iterator[tuple[str, Tensor]]]"
    image_inputs: "ImageInputs | None" = None


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A model that an evaluation samples.

    Attributes:
        model: Folder, hub id, or the name an endpoint knows it by.
        tokenizer: The model's; None for an endpoint, which takes text.
        settings: How completions are sampled.
        longest_prompt: Tokens of the longest prompt.
        batch_size: Completions sampled at a time.
        revision: Branch, tag or commit of a hub model.
        endpoint: Further arguments of an engine that asks an endpoint.
        image_inputs: Reads prompts with images; None for a model of text alone.
    """

    model: str
    tokenizer: "PreTrainedTokenizerBase | None"
    settings: SamplingSettings
    longest_prompt: int = 0
    batch_size: int = 64
    revision: str | None = None
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    image_inputs: "ImageInputs | None" = None


def check_takes_images(engine: Any, name: str, what: str) -> None:
    """Check that an engine's class takes prompts with images.

    Raises:
        InputError: If it does not.
    """
    if not getattr(engine, "takes_images", False):
        raise InputError(
            f"{what}: got {name!r} for prompts with images, expected an engine that takes them. "
            "Sample with transformers or vLLM, or set image_column to an empty text."
        )


def engine_class(name: str, method: str, what: str) -> Any:
    """Find an engine's class by its name, and check that it can be used.

    Args:
        name: A key of `ENGINES`, `package.module:Class` or `path/to/file.py:Class`.
        method: "for_run" or "for_model", which it has to have.
        what: The setting that holds the name, for messages.

    Raises:
        InputError: If there is none of that name, it lacks the method, or a package is missing.
    """
    found: Any = find(name, ENGINES, what)
    if not hasattr(found, method):
        purpose = "a training run" if method == "for_run" else "a model that does not change"
        raise InputError(
            f"{what}: got {name!r}, expected an engine for {purpose}, which has a class method "
            f"{method}. Name another engine."
        )
    if hasattr(found, "require"):
        found.require()
    return found
