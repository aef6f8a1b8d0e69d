"""The update phase, stock TRL's against ours, on the same made-up rollouts."""

import math
import random
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from datasets import Dataset
from measurements.ratios import Measurement
from transformers import Qwen3Config, Qwen3ForCausalLM
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from rl.rollouts.engine import Images, Sample, SamplingSettings
from rl.testbed.model import make_tokenizer
from rl.training.config import LabelFreeConfig
from rl.training.host import LabelFreeTrainer
from rl.training.prepare import add_prompt_ids
from rl.training.prompt_source import PromptSource

# Lengths of 9,920 completions of Qwen2.5-Math-7B models at 33 even quantiles, mean 1, cut at
# 3072 tokens of a mean of 600.
LENGTH_QUANTILES = (
    *(0.047, 0.314, 0.346, 0.401, 0.446, 0.476, 0.502, 0.526, 0.544, 0.563, 0.58, 0.599),
    *(0.626, 0.649, 0.675, 0.703, 0.729, 0.757, 0.792, 0.826, 0.881, 0.91, 0.965, 1.035),
    *(1.093, 1.159, 1.245, 1.39, 1.569, 1.953, 2.593, 3.556, 5.12),
)
# Completions from half as long to as long as `mean_length`.
EVEN_QUANTILES = tuple(0.5 + i / 64 for i in range(33))
UNANIMOUS = {"early": 0.23, "late": 0.7}  # shares of groups whose rewards are all equal
TARGETS = {"early": "<= 0.35", "late": "<= 0.15"}
VOCABULARY = 4096
# Prompt tokens, completion tokens, completions of a prompt -> target; two prompts in a batch.
SHARED = {
    (64, 32, 8): "",
    (64, 64, 8): "",
    (256, 64, 8): "<= 0.15",
    (512, 64, 16): "<= 0.08",
    (1024, 128, 8): "",
    (2048, 512, 8): "",
}


@dataclass(frozen=True, kw_only=True)
class UpdateSizes:
    """Sizes of the model and of the batch of rollouts an update is measured with.

    Attributes:
        num_prompts: Groups in the batch.
        num_generations: Completions of a group.
        micro_batch: Rows of a forward pass.
        mean_length: Mean tokens of a completion; the longest has 5.12 times as many.
        quantiles: Lengths of completions over `mean_length`.
        prompt_length: Tokens of a prompt.
        hidden_size: Of the model, a multiple of 64.
        num_layers: Of the model.
    """

    num_prompts: int = 8
    num_generations: int = 8
    micro_batch: int = 8
    mean_length: int = 30
    quantiles: tuple[float, ...] = LENGTH_QUANTILES
    prompt_length: int = 4
    hidden_size: int = 128
    num_layers: int = 2


def measure_updates(sizes: UpdateSizes, repetitions: int) -> list[Measurement]:
    """Measure time of ours / time of stock TRL, early and late in training."""
    return [
        Measurement(
            name=f"update phase, {when} ({share:.0%} of the groups unanimous): ours / stock TRL",
            target=TARGETS[when],
            **_compare(sizes, share, repetitions),
        )
        for when, share in UNANIMOUS.items()
    ]


def measure_growth(sizes: UpdateSizes, repetitions: int) -> list[Measurement]:
    """Measure ours / stock with one size doubled and redoubled at a time, early in training."""
    found = []
    for name in ("num_generations", "mean_length", "num_prompts"):
        for factor in (2, 4):
            value = factor * getattr(sizes, name)
            larger = replace(sizes, **{name: value})
            found.append(
                Measurement(
                    name=f"update phase, early, {name} {value}: ours / stock TRL",
                    **_compare(larger, UNANIMOUS["early"], repetitions),
                )
            )
    return found


def measure_shared_prompts(sizes: UpdateSizes, repetitions: int) -> list[Measurement]:
    """Measure ours / stock where prompts are long and every group teaches, at growing lengths."""
    found = []
    for (prompt, completion, group_size), target in SHARED.items():
        these = long_prompts(sizes, prompt, completion, group_size)
        name = (
            f"update phase, prompts of {prompt}, {group_size} completions of {completion // 2} to"
        )
        found.append(
            Measurement(
                name=f"{name} {completion}: ours / stock TRL",
                target=target,
                **_compare(these, 0.0, repetitions),
            )
        )
    return found


def long_prompts(sizes: UpdateSizes, prompt: int, completion: int, group_size: int) -> UpdateSizes:
    """Return sizes of two groups in one micro-batch, completions from half to all of a length."""
    return replace(
        sizes,
        num_prompts=2,
        num_generations=group_size,
        micro_batch=2 * group_size,
        prompt_length=prompt,
        mean_length=completion,
        quantiles=EVEN_QUANTILES,
    )


def _compare(sizes: UpdateSizes, unanimous_share: float, repetitions: int) -> dict[str, Any]:
    """Time one pass over a batch of rollouts, stock and ours in turns."""
    with tempfile.TemporaryDirectory() as folder:
        full = make_trainer(sizes, unanimous_share, folder, is_compact=False)
        ours = make_trainer(sizes, unanimous_share, folder, is_compact=True)
        # What TRL's own path makes of these rollouts is the stock trainer's work too.
        work = {
            "stock": (make_stock_trainer(sizes, full, folder), micro_batches(full)),
            "ours": (ours, micro_batches(ours)),
        }
        seconds: dict[str, list[float]] = {"stock": [], "ours": []}
        for repetition in range(repetitions + 1):
            for name, (trainer, batches) in work.items():
                elapsed = time_update(trainer, batches)
                if repetition:  # the first warms up
                    seconds[name].append(elapsed)
    num_tokens = sum(int(batch["completion_mask"].sum()) for batch in work["stock"][1])
    details: dict[str, Any] = {
        f"seconds of {name}": statistics.median(times) for name, times in seconds.items()
    }
    details["completion tokens in the batch"] = num_tokens
    if torch.cuda.is_available():
        details["peak memory in bytes"] = torch.cuda.max_memory_allocated()
        details |= _utilisation(sizes, work["stock"][1], details["seconds of stock"])
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["stock"], strict=True)]
    return {"values": ratios, "details": details}


def _utilisation(
    sizes: UpdateSizes, batches: list[dict[str, Any]], seconds: float
) -> dict[str, float]:
    """Positions per second of the stock update and the FLOPs they take: 6 per weight, position."""
    num_positions = sum(b["prompt_ids"].numel() + b["completion_ids"].numel() for b in batches)
    num_weights = sum(p.numel() for p in make_model(sizes).parameters())
    return {
        "positions per second of stock": num_positions / seconds,
        "model FLOPs per second of stock": 6 * num_weights * num_positions / seconds,
    }


def make_stock_trainer(sizes: UpdateSizes, ours: Any, folder: str) -> Any:
    """Build TRL's own trainer with the settings of one of ours."""
    return GRPOTrainer(
        model=make_model(sizes),
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
        args=GRPOConfig(
            output_dir=folder,
            num_generations=sizes.num_generations,
            per_device_train_batch_size=sizes.micro_batch,
            gradient_accumulation_steps=ours.args.gradient_accumulation_steps,
            gradient_checkpointing=False,
            bf16=ours.args.bf16,
            report_to="none",
            use_cpu=ours.args.use_cpu,
        ),
        train_dataset=ours.train_dataset,
        processing_class=ours.processing_class,
    )


def time_update(trainer: Any, batches: list[dict[str, Any]]) -> float:
    """Time forward and backward passes over all micro-batches and one optimizer step."""
    trainer.current_gradient_accumulation_steps = len(batches)
    optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.0)
    trainer.model.train()
    start = time.perf_counter()
    for batch in batches:
        with trainer.accelerator.autocast():  # bfloat16 on a GPU, as in a step
            loss = trainer._compute_loss(trainer.model, dict(batch))
        loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def micro_batches(trainer: Any) -> list[dict[str, Any]]:
    """Let a trainer sample, score and cut up one batch; return what its loss is called with."""
    rows = [row for row in trainer.train_dataset for _ in range(trainer.args.num_generations)]
    trainer.model.train()
    trainer._prepare_inputs(rows)
    return trainer._buffered_inputs


def make_trainer(
    sizes: UpdateSizes,
    unanimous_share: float,
    folder: str,
    is_compact: bool,
    seconds: float = 0.0,
    **settings: Any,
) -> Any:
    """Build our trainer on made-up rollouts, with or without compact micro-batches.

    Args:
        sizes: Of the model and the batch.
        unanimous_share: Share of the groups whose rewards are all equal.
        folder: Where a run would write.
        is_compact: Whether silent rows, padding and repeated prompts are left out.
        seconds: What sampling a batch takes.
        settings: Further ones of the run.
    """
    num_unanimous = round(unanimous_share * sizes.num_prompts)
    length = sizes.prompt_length  # a character is a token
    prompts = [(f"{i}+" * length)[:length] for i in range(sizes.num_prompts)]

    def reward(group: Any) -> list[float | None]:
        if prompts.index(group.prompt) < num_unanimous:
            return [1.0] * len(group.rollouts)
        return [float(g % 3 == 0) for g in range(len(group.rollouts))]

    config = LabelFreeConfig(
        output_dir=folder,
        model="made up",
        num_prompts=sizes.num_prompts,
        num_generations=sizes.num_generations,
        per_device_train_batch_size=sizes.micro_batch,
        max_completion_length=round(sizes.mean_length * sizes.quantiles[-1]),
        gradient_checkpointing=False,
        skip_silent_rows=is_compact,
        trim_micro_batches=is_compact,
        shared_prompts=is_compact,
        max_sampling_logp_gap=1e9,  # made-up tokens have made-up probabilities
        **settings,
    )
    tokenizer = make_tokenizer()
    dataset = Dataset.from_dict({"prompt": prompts, "row": list(range(len(prompts)))})
    return LabelFreeTrainer(
        model=make_model(sizes),
        config=config,
        source=PromptSource({"made up": reward}),
        train_dataset=add_prompt_ids(dataset, tokenizer),
        tokenizer=tokenizer,
        engine=MadeUpRollouts(sizes.mean_length, sizes.quantiles, seconds),
    )


class MadeUpRollouts:
    """An engine whose completions have the lengths of real ones; their tokens mean nothing.

    Args:
        mean_length: Mean tokens of a completion.
        quantiles: Lengths over it.
        seconds: What a call takes, as on a device of its own.
    """

    def __init__(self, mean_length: int, quantiles: tuple[float, ...], seconds: float) -> None:
        longest = round(mean_length * quantiles[-1])
        self.settings = SamplingSettings(max_completion_length=longest)
        self.mean_length, self.quantiles = mean_length, quantiles
        self.seconds = seconds

    def generate(
        self,
        prompt_ids: list[list[int]],
        num_samples: int,
        seeds: list[int],
        first_sample: int = 0,
        images: Images = None,
    ) -> list[list[Sample]]:
        """Return completions of random length and random tokens, the same for the same seed."""
        time.sleep(self.seconds)
        found = []
        for seed in range(len(seeds)):  # both trainers are to see the same
            rng = random.Random(seed)
            lengths = rng.choices(self.quantiles, k=num_samples)
            tokens = [
                rng.choices(range(3, 190), k=max(1, round(length * self.mean_length)))
                for length in lengths
            ]
            found.append(
                [
                    Sample(
                        completion_ids=ids,
                        truncated=False,
                        sampling_per_token_logps=[-math.log(VOCABULARY)] * len(ids),
                    )
                    for ids in tokens
                ]
            )
        return found

    def sync_weights(self) -> None:
        """Do nothing: no weights were used."""

    def close(self) -> None:
        """Do nothing."""


def make_model(sizes: UpdateSizes) -> Any:
    """Build an untrained Qwen3 of the sizes asked for."""
    torch.manual_seed(0)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=VOCABULARY,
            hidden_size=sizes.hidden_size,
            intermediate_size=3 * sizes.hidden_size,
            num_hidden_layers=sizes.num_layers,
            num_attention_heads=max(1, sizes.hidden_size // 64),
            num_key_value_heads=max(1, sizes.hidden_size // 64),
            head_dim=64,
            eos_token_id=1,
            pad_token_id=0,
        )
    )
