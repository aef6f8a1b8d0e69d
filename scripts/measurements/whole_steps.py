"""Whole training steps with vLLM in the process: stock TRL's against ours, on one recipe."""

import os
import random
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from measurements.alone import alone
from measurements.engines import COMPLETION_LENGTH, NUM_PROMPTS, NUM_SAMPLES, bare_tokens
from measurements.overlap import Clock
from measurements.ratios import Measurement

NUM_STEPS = 6
WARM_UP_STEPS = 2
SETTINGS: dict[str, Any] = {
    "num_generations": NUM_SAMPLES,
    "per_device_train_batch_size": 128,
    "max_completion_length": COMPLETION_LENGTH,
    "max_steps": NUM_STEPS + WARM_UP_STEPS,
    "learning_rate": 1e-6,
    "lr_scheduler_type": "constant",
    "beta": 0.0,
    "use_vllm": True,
    "vllm_mode": "colocate",
    "vllm_max_model_length": 96,
    "gradient_checkpointing": False,
    "save_strategy": "no",
    "logging_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}


def measure_whole_steps(testbed: Path, repetitions: int) -> list[Measurement]:
    """Measure seconds of a step for each sampled token, ours / stock; and ours / its two parts.

    A batch is 16 prompts x 16 completions of the testbed of strategies, every row teaches. The two
    trainers take turns, each in a process of its own, since each fills it with a vLLM engine. On a
    CPU stock's steps lack the hand-over of weights, which fails there.

    Args:
        testbed: Folder of a testbed with strategies.
        repetitions: Runs of each.
    """
    ratios, parts, details = [], [], []
    for repetition in range(repetitions):
        stock = alone(stock_steps, testbed, repetition)
        ours = alone(our_steps, testbed, repetition)
        ratios.append(ours["step"] / ours["tokens"] / (stock["step"] / stock["tokens"]))
        parts.append(ours["step"] / (ours["bare sampling"] + ours["update"]))
        details.append({"stock": stock, "ours": ours})
    return [
        Measurement(
            name="a step with vLLM, seconds for each sampled token: ours / stock TRL",
            values=ratios,
            details={"runs": details},
        ),
        Measurement(
            name="a step with vLLM: ours / (vllm.LLM.generate of its prompts + update)",
            values=parts,
            target="<= 1.05",
        ),
    ]


def stock_steps(testbed: Path, seed: int) -> dict[str, float]:
    """Train with `trl.GRPOTrainer`; return mean seconds of a step and its sampled tokens."""
    from datasets import load_dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    from rl.trl_internals import create_model_from_path

    _environment()
    generator = random.Random(seed)
    num_tokens: list[int] = []

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float | None]:
        num_tokens.append(sum(map(len, completion_ids)))
        return [generator.random() for _ in completion_ids]

    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=create_model_from_path(str(testbed / "model")),
            reward_funcs=[reward],
            args=GRPOConfig(
                output_dir=folder,
                gradient_accumulation_steps=2,
                bf16=_on_gpu(),
                use_cpu=not _on_gpu(),
                seed=seed,
                **SETTINGS,
            ),
            train_dataset=load_dataset(
                "json", data_files=str(testbed / "train.jsonl"), split="train", cache_dir=folder
            ),
        )
        if not _on_gpu():
            # It hands weights over in a way that vLLM's CPU kernels refuse: stock trains without.
            trainer.vllm_generation.sync_weights = lambda: None
        return _train(trainer, num_tokens)


def our_steps(testbed: Path, seed: int) -> dict[str, float]:
    """Train with ours; then measure its parts alone, on as many prompts."""
    from measurements.updates import micro_batches, time_update

    from rl.answers import close_verifier
    from rl.data.model_files import load_tokenizer
    from rl.data.prompts import load_prompts, tokenize_prompt
    from rl.training.config import LabelFreeConfig
    from rl.training.host import LabelFreeTrainer
    from rl.training.prepare import add_prompt_ids
    from rl.training.prompt_source import PromptSource
    from rl.trl_internals import create_model_from_path

    generator = random.Random(seed)
    num_tokens: list[int] = []

    def reward(group: Any) -> list[float | None]:
        num_tokens.append(sum(rollout.num_tokens for rollout in group.rollouts))
        return [generator.random() for _ in group.rollouts]

    model = str(testbed / "model")
    tokenizer = load_tokenizer(model, "--strategies")
    with tempfile.TemporaryDirectory() as folder:
        config = LabelFreeConfig(
            output_dir=folder, model=model, num_prompts=NUM_PROMPTS, seed=seed, **SETTINGS
        )
        dataset = load_prompts(str(testbed / "train.jsonl")).dataset
        rows = add_prompt_ids(dataset, tokenizer)
        trainer = LabelFreeTrainer(
            model=create_model_from_path(model),
            config=config,
            source=PromptSource({"random": reward}),
            train_dataset=rows,
            tokenizer=tokenizer,
        )
        found = _train(trainer, [])
        measured = num_tokens[-NUM_STEPS * NUM_PROMPTS :]
        found["tokens"] = sum(measured) / NUM_STEPS
        engine: Any = trainer.engine
        prompts = [tokenize_prompt(text, tokenizer) for text in dataset["prompt"][:NUM_PROMPTS]]
        trainer.train_dataset = rows.select(range(NUM_PROMPTS))
        batches = micro_batches(trainer)
        bare, update = [], []
        for _ in range(NUM_STEPS):
            start = time.perf_counter()
            bare_tokens(engine.llm, prompts)
            bare.append(time.perf_counter() - start)
            update.append(time_update(trainer, batches))
        engine.close()
        close_verifier()
    return {
        **found,
        "bare sampling": statistics.median(bare),
        "update": statistics.median(update),
    }


def _train(trainer: Any, num_tokens: list[int]) -> dict[str, float]:
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    seconds = [end - start for start, end in pairwise(clock.ends)][WARM_UP_STEPS - 1 :]
    tokens = num_tokens[-len(seconds) :]
    return {"step": statistics.median(seconds), "tokens": sum(tokens) / max(1, len(tokens))}


def _on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _environment() -> None:
    """Let vLLM share this process."""
    os.environ |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
