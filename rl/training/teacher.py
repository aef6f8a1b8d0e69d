"""A teacher with weights of its own: a frozen or slowly moving copy of the policy, which votes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from rl.groups.scoring import make_group
from rl.groups.visits import VisitKey
from rl.rollouts.engine import RolloutEngine, derive_seed, images_argument
from rl.rollouts.transformers_engine import TransformersEngine
from rl.rollouts.weights import full_parameters, trained_parameters
from rl.training.source import Policy
from rl.training.teacher_settings import TeacherSettings, decay_at
from rl.training.visit_sampling import Prompt
from rl.types import Group
from rl.watchdog import sampling_deadline

TEACHER_FILE = "teacher.safetensors"
_UPDATED = "updated"  # number of the last batch before which the average moved


class Teacher(Protocol):
    """Answers prompts beside the policy."""

    def answer(
        self,
        keys: Sequence[VisitKey],
        prompts: Mapping[VisitKey, Prompt],
        policy: Policy,
        index: int,
    ) -> list[Group]:
        """Give its completions of this rank's visits; every rank must call it.

        Args:
            keys: The visits.
            prompts: What is sampled at each of all visits.
            policy: The policy as it is, and its run.
            index: Number of the batch.

        Returns:
            A group for each visit, whose answers may not have been looked for.
        """
        ...

    def save(self, folder: Path, accelerator: Accelerator) -> None:
        """Write what it knows into a checkpoint; every rank must call it."""
        ...

    def load(self, folder: Path) -> None:
        """Read it back."""
        ...


class WeightsTeacher:
    """A copy of the policy that samples at every batch, whole on every rank under any launch.

    With an engine that holds weights of its own (vLLM) these are exchanged for the teacher's and
    back, so that no second engine is needed; otherwise transformers samples from the copy.

    An average moves before it samples, as in Co-rewarding-II (arXiv 2508.00410, algorithm 2):

        teacher <- d * teacher + (1 - d) * policy

    over the parameters that are trained, in float32; d is `decay_at`. Differs: where a batch has
    several optimizer steps it moves once for all of them.

    Args:
        settings: Of the teacher.
        engine: Samples from the copy, and holds it.
        num_votes: Completions of a prompt.
        num_batches: Of the run.
    """

    def __init__(
        self,
        settings: TeacherSettings,
        engine: TransformersEngine,
        num_votes: int,
        num_batches: int,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.num_votes = num_votes
        self.num_batches = num_batches
        self.updated = -1  # it does not know the policy yet

    def answer(
        self,
        keys: Sequence[VisitKey],
        prompts: Mapping[VisitKey, Prompt],
        policy: Policy,
        index: int,
    ) -> list[Group]:
        """Sample, after the average has moved."""
        config = policy.config
        if self.settings.kind == "ema":
            self.follow(policy, index)
        limit = sampling_deadline(config.max_sampling_seconds)
        with policy.costs.time("teacher_seconds"), limit, self._holding(policy) as engine:
            samples = engine.generate(
                [prompts[key].ids for key in keys],
                self.num_votes,
                [derive_seed(config.seed, "teacher", *key) for key in keys],
                **images_argument([policy.images_of(prompts[key].example) for key in keys]),
            )
        return [
            make_group(
                key,
                prompts[key].example["rendered_prompt"],
                votes,
                (),
                policy.tokenizer,
                stop_strings=config.stop_strings,
                view=prompts[key].example.get("view", 0),
                images=prompts[key].example.get("image_digests", ()),
            )
            for key, votes in zip(keys, samples, strict=True)
        ]

    def follow(self, policy: Policy, index: int) -> None:
        """Move the average before a batch: to the policy at first, then by its schedule.

        Every rank must call it: of weights that are sharded each has a part.
        """
        if index <= self.updated:
            return
        is_first = self.updated < 0
        if not is_first and index % self.settings.every:
            return
        decay = 0.0 if is_first else decay_at(self.settings, index, self.num_batches)
        newest = trained_parameters(policy.model, policy.accelerator)
        move(self.engine.model, newest, decay)
        self.updated = index

    @contextmanager
    def _holding(self, policy: Policy) -> Iterator[RolloutEngine]:
        """Lend an engine that holds the teacher's weights."""
        engine: Any = policy.engine
        if not hasattr(engine, "parameters"):
            yield self.engine
            return
        own = engine.parameters
        policy.accelerator.wait_for_everyone()  # nobody samples from the policy any more
        engine.parameters = partial(full_parameters, self.engine.model, policy.accelerator)
        engine.sync_weights()
        yield engine
        policy.accelerator.wait_for_everyone()
        engine.parameters = own
        engine.sync_weights()

    def save(self, folder: Path, accelerator: Accelerator) -> None:
        """Write an average's trained parameters into a checkpoint; all ranks have the same."""
        if self.settings.kind == "ema" and self.updated >= 0 and accelerator.is_main_process:
            tensors = {name: p.detach().cpu() for name, p in _trained(self.engine.model).items()}
            save_file(tensors, folder / TEACHER_FILE, metadata={_UPDATED: str(self.updated)})

    def load(self, folder: Path) -> None:
        """Read them back; a checkpoint from before the first batch has none, and none is needed."""
        if self.settings.kind != "ema":
            return
        path = folder / TEACHER_FILE
        self.updated = -1
        if not path.is_file():
            return
        saved = load_file(path)
        with torch.no_grad():
            for name, parameter in _trained(self.engine.model).items():
                parameter.copy_(saved[name])
        with safe_open(path, framework="pt") as file:
            self.updated = int(file.metadata()[_UPDATED])


def move(teacher: torch.nn.Module, newest: Iterable[tuple[str, Tensor]], decay: float) -> None:
    """Move a teacher's parameters towards the policy's, in place.

    teacher <- decay * teacher + (1 - decay) * policy

    Args:
        teacher: Has at least the policy's parameters, under the same names.
        newest: The policy's that are trained, in full.
        decay: 0.0 copies the policy exactly.
    """
    own = dict(teacher.named_parameters())
    with torch.no_grad():
        for name, parameter in newest:
            average = own[name]
            value = parameter.detach().to(average.device, average.dtype)
            if decay:
                average.mul_(decay).add_(value, alpha=1.0 - decay)
            else:
                average.copy_(value)


def _trained(model: torch.nn.Module) -> Mapping[str, Tensor]:
    """Parameters by name; with LoRA those it may train, the others never move."""
    parameters = dict(model.named_parameters())
    if not any("lora_" in name for name in parameters):
        return parameters
    words = ("lora_", "modules_to_save.", "trainable_tokens_")
    return {
        name: parameter
        for name, parameter in parameters.items()
        if any(word in name for word in words) or name.endswith(".bias")
    }
