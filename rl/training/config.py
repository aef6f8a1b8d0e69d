"""Every setting of a training run: ours, with TRL's `GRPOConfig` beneath.

All checks across settings happen in `__post_init__`, before a model is loaded.
"""

import os
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from trl.trainer.grpo_config import GRPOConfig

from rl.groups.advantages import reads_entropies
from rl.rollouts.adaptive_votes import VoteBudget, read_vote_budget
from rl.settings import (
    Count,
    CountOrNone,
    Length,
    Named,
    NonNegative,
    Positive,
    StepsOrNone,
    checked,
)
from rl.training.batch_sizes import batch_sizes, set_accumulation
from rl.training.checks import check_combinations
from rl.training.evaluation_settings import EvaluationSettings
from rl.training.prompt_settings import PromptSettings
from rl.training.ranges import GroupSize, Staleness, check_ranges


@checked
@dataclass
class LabelFreeConfig(PromptSettings, EvaluationSettings, GRPOConfig):
    """Settings of one label-free training run.

    Each of our settings is described by its `help`; those of prompts and evaluations are in files
    of their own, every other field is TRL's. The batch is given in prompts, so that a recipe means
    the same on any number of devices: `num_prompts` prompts of `num_generations` trained rollouts
    make one generation batch, which is used in `num_updates` optimizer steps. TRL's
    `gradient_accumulation_steps` and `steps_per_generation` follow.

    Raises:
        InputError: If settings contradict each other; the message names the way out.
    """

    model: str = field(default="", metadata={"help": "Model folder or hub id."})
    lora: dict[str, Any] | None = field(
        default=None,
        metadata={
            "help": "Settings of `peft.LoraConfig`, such as {r: 16}; none trains all weights."
        },
    )
    freeze_vision_tower: bool = field(
        default=True,
        metadata={
            "help": "Train of a vision-language model the language part alone, also with lora."
        },
    )
    rewards: Named = field(
        default_factory=lambda: {"majority_vote": {}},
        metadata={"help": "Reward name -> its settings; `weight` (default 1) is one of them."},
    )
    num_votes: CountOrNone | dict[str, Any] = field(
        default=0,
        metadata={
            "help": "Completions sampled per prompt, which all vote; 0: num_generations. {min: 16, "
            "max: 64, confidence: 0.95} samples until the leading answer is that certain."
        },
    )
    trained_subset: Literal["first", "random"] = field(
        default="first",
        metadata={"help": "Which num_generations of the num_votes rollouts are trained."},
    )
    branching: Named | None = field(
        default=None,
        metadata={
            "help": "How completions branch off others, to save tokens, such as {entropy_fork: "
            "{num_trees: 12, num_forks: 2, num_branches: 2}}; none: all begin at the prompt."
        },
    )
    num_prompts: CountOrNone = field(
        default=0,
        metadata={"help": "Prompts per generation batch, over all devices; 0: as few as fit."},
    )
    num_updates: Count = field(
        default=1, metadata={"help": "Optimizer steps per pass over a generation batch."}
    )
    max_sampled_tokens: Annotated[int, Field(ge=0, lt=2**63)] = field(
        default=0,
        metadata={"help": "Stop once so many tokens were sampled, over all devices; 0: no limit."},
    )
    guards: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "What watches the run, name -> settings or the word for an action (warn, "
            "lower_learning_rate, roll_back, stop): {collapse: roll_back, budget: {max_tokens: "
            "1e6}}; collapse (warn) and non_finite are on unless set to false."
        },
    )
    teacher: dict[str, Any] | None = field(
        default=None,
        metadata={
            "help": "A copy of the policy that answers too, for rewards to see: {kind: ema, decay: "
            "0.99}, {kind: frozen} or {kind: offline} (rl/training/teacher_settings.py)."
        },
    )
    advantage: str | Named = field(
        default="normalized",
        metadata={
            "help": "How a group's rewards become advantages: normalized, centered, leave_one_out, "
            "pass_at_k, restrain, diversity_density, disagreement, entropy_reshaped or clipped; "
            "with settings as {pass_at_k: {k: 4}}."
        },
    )
    token_selector: Named | None = field(
        default=None,
        metadata={
            "help": "Which tokens are trained, such as {entropy_band: {preset: v2}}; none: all."
        },
    )
    loss_terms: Named = field(
        default_factory=dict,
        metadata={
            "help": "Further terms of the loss, such as {entropy_minimisation: {coef: 1.0}}."
        },
    )
    curriculum: Named = field(
        default_factory=dict,
        metadata={
            "help": "Which prompts come next and which groups teach, such as {easy_first: {share: "
            "0.3}} or {majority_band: {low: 0.3, num_tries: 3}}."
        },
    )
    gradient_mask: Named | None = field(
        default=None,
        metadata={
            "help": "Which rows an update changes, such as {migu: {threshold: 0.7}}; none: all."
        },
    )
    gradient_ratio_every: StepsOrNone = field(
        default=10,
        metadata={
            "help": "Optimizer steps between two in which a token selector's band and KL gradients "
            "are compared with the policy's; 0: never, as under DeepSpeed."
        },
    )
    selfplay: dict[str, Any] | None = field(
        default=None,
        metadata={
            "help": "A game in place of prompts and rewards: {game: spell, documents: FOLDER, "
            "...}; recipes/spell/ shows its settings."
        },
    )
    supervised: bool = field(
        default=False,
        metadata={"help": "Allow a control whose reward sees labels; everything is stamped so."},
    )
    max_staleness: Staleness = field(
        default=0,
        metadata={
            "help": "Batches by which completions may be older than the policy they train: 1 "
            "samples the next batch while this one trains, on a vLLM server; with more, groups "
            "that are finished are trained first, long ones carried over; 0: none."
        },
    )
    stop_strings: list[Annotated[str, Field(min_length=1)]] = field(
        default_factory=list,
        metadata={
            "help": "End a completion where one of these is written; a completion's text ends "
            "before it."
        },
    )
    skip_silent_rows: bool = field(
        default=True,
        metadata={
            "help": "Leave rows with an advantage of zero out of the model's passes; the gradient "
            "is the same, but what a gradient_mask sums of outputs is of the rows that are run."
        },
    )
    trim_micro_batches: bool = field(
        default=True,
        metadata={"help": "Put rows of one length together and pad them no further than needed."},
    )
    shared_prompts: bool = field(
        default=True,
        metadata={
            "help": "Run a prompt, its images with it, once for all of its completions in a "
            "micro-batch, where the model's attention allows it."
        },
    )
    max_tokens_per_micro_batch: StepsOrNone = field(
        default=0,
        metadata={
            "help": "Most positions of a micro-batch, in place of "
            "per_device_train_batch_size rows (set that to 1); 0: count rows."
        },
    )
    save_rollouts: bool = field(
        default=True, metadata={"help": "Write every sampled rollout to rollouts/."}
    )
    steps_per_generation: int = field(
        default=0, metadata={"help": "Follows from num_prompts and num_updates; leave it unset."}
    )
    engine: str | None = field(
        default=None,
        metadata={
            "help": "What samples, such as an engine of your own as file.py:Class "
            "(rl/rollouts/engines.py); none: transformers, or vLLM as use_vllm and vllm_mode say."
        },
    )
    vllm_weight_sync: Literal["folder", "nccl"] = field(
        default="folder",
        metadata={"help": "How a vLLM server takes new weights: a shared folder, or NCCL (GPUs)."},
    )
    vllm_sync_dir: str | None = field(
        default=None,
        metadata={"help": "That folder, seen by trainer and server (<output_dir>/vllm_weights)."},
    )
    vllm_launch_server: bool = field(
        default=False,
        metadata={
            "help": "Start the vLLM server with the run and end it with it; of the GPUs that both "
            "share it takes vllm_gpu_memory_utilization of the memory (0.3)."
        },
    )
    max_sampling_logp_gap: NonNegative = field(
        default=0.05,
        metadata={"help": "Largest mean gap, in nats, between sampler and trainer at the start."},
    )

    # TRL allows None for these and then fails later; here they always have a value.
    output_dir: Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*$")] = field(
        default="runs/run", metadata={"help": "Where the run's files go."}
    )
    num_generations: GroupSize = field(
        default=8, metadata={"help": "Completions of a prompt that are trained: the group size."}
    )
    max_completion_length: Length = field(
        default=256, metadata={"help": "Most tokens per completion."}
    )
    per_device_train_batch_size: Count = field(
        default=8, metadata={"help": "Rows of a device's forward pass."}
    )
    temperature: Positive = field(
        default=1.0, metadata={"help": "Of sampling; 1.0 samples from the policy itself."}
    )
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"] = (
        field(default="dapo", metadata={"help": "Form and normaliser of the policy loss."})
    )
    vllm_mode: Literal["colocate", "server"] = field(
        default="colocate", metadata={"help": "vLLM in each training process, or a server."}
    )
    shuffle_dataset: bool = field(
        default=True, metadata={"help": "Whether prompts are visited in another order each epoch."}
    )
    model_init_kwargs: dict[str, Any] | None = field(
        default=None, metadata={"help": "Further arguments of `from_pretrained`."}
    )
    resume_from_checkpoint: bool | str | None = field(
        default=None,
        metadata={
            "help": "Go on from a checkpoint folder; true: from the run's newest whole one; auto: "
            "the same, or start where there is none."
        },
    )
    accept_changes: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Settings that are meant to differ from those of the checkpoint that is gone "
            "on from, such as [learning_rate]; others that change what is computed are refused."
        },
    )
    max_reward_seconds: NonNegative = field(
        default=3600.0,
        metadata={"help": "Most seconds a reward may take for a group, then the run ends; 0: any."},
    )
    max_sampling_seconds: NonNegative = field(
        default=14400.0,
        metadata={"help": "Most seconds of one call to sample completions; 0: any."},
    )
    max_step_seconds: NonNegative = field(
        default=21600.0,
        metadata={"help": "Most seconds of an optimizer step with its rollouts; 0: any."},
    )
    logging_steps: float = field(default=1, metadata={"help": "Optimizer steps between two logs."})
    report_to: str | list[str] = field(
        default="none", metadata={"help": "Loggers: tensorboard, wandb, trackio, none."}
    )

    def __post_init__(self) -> None:
        if not torch.accelerator.is_available():
            # Only with this does a launcher's second process on a CPU become a second rank.
            self.use_cpu = True
            self.dataloader_pin_memory = False
        if self.bf16 is None:
            self.bf16 = (
                not self.fp16 and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
            )
        if self.use_cpu and not (self.bf16 or self.fp16):
            # Launch configs for GPUs name bf16, which is 20 to 40 times slower on a CPU.
            os.environ["ACCELERATE_MIXED_PRECISION"] = "no"
        check_ranges(self)
        self.num_votes = self.num_votes or self.num_generations
        check_combinations(self)
        if self.selfplay is not None:
            self.rewards = {}  # a game has its own
        if self.max_prompt_length and self.vllm_max_model_length is None:
            self.vllm_max_model_length = self.max_prompt_length + self.max_completion_length
        set_accumulation(self)
        super().__post_init__()

    @property
    def engine_name(self) -> str:
        """Name of the rollout engine, as `rl.rollouts.engines` has it."""
        by_mode = {"colocate": "vllm", "server": "vllm_server"}
        return self.engine or (by_mode[self.vllm_mode] if self.use_vllm else "transformers")

    @property
    def vote_budget(self) -> VoteBudget:
        """How many completions of a prompt vote."""
        return read_vote_budget(self.num_votes)

    @property
    def measures_tokens(self) -> bool:
        """Whether a batch is sampled or weighed by what the policy thought of its tokens."""
        return self.branching is not None or reads_entropies(self.advantage)

    @property
    def geometry(self) -> dict[str, int]:
        """The sizes of one generation batch and of one optimizer step, for people to check."""
        return batch_sizes(self)
