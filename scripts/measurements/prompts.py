"""Sampling with transformers: every prompt run once, against once per sample."""

import statistics
import time
from pathlib import Path

from measurements.ratios import Measurement
from measurements.runs import run_recipe
from tqdm import tqdm

from rl.data.model_files import load_tokenizer
from rl.data.prompts import load_prompts, tokenize_prompt
from rl.errors import InputError
from rl.rollouts.engine import SamplingSettings, derive_seed
from rl.rollouts.engines import StoredModel
from rl.rollouts.transformers_engine import TransformersEngine

COMPLETION_LENGTH = 48
NUM_STEPS = 4
PER_COMPLETION = {
    "shared_prompts": False,
    "engine": "scripts/measurements/prompts.py:PromptPerSample",
}


class PromptPerSample(TransformersEngine):
    """The engine without its saving: `generate` runs a prompt anew for each of its samples."""

    @staticmethod
    def prompt_cache(*_: object) -> None:
        """Keep nothing."""


def require_smollm2(folder: Path) -> None:
    """Check that the pretrained model and its word problems are there.

    Raises:
        InputError: If they are not.
    """
    if not (folder / "model" / "config.json").is_file():
        raise InputError(
            f"--smollm2: got {folder}, expected a folder with the model. Run "
            f"`python scripts/fetch_smollm2.py --output_dir {folder}` first."
        )


def measure_pretrained_steps(folder: Path, output_dir: Path, repetitions: int) -> list[Measurement]:
    """Measure steps of the recipe for SmolLM2, with each prompt run once against once a completion.

    Both in sampling and in the update; all else, silent rows left out included, is the same. The
    first step of a run does not count.
    """
    ratios, seconds = [], []
    for repetition in tqdm(range(repetitions), desc="pretrained", leave=False):
        medians = {}
        for name, settings in (("once", {}), ("per completion", PER_COMPLETION)):
            lines = run_recipe(
                "recipes/ttrl/ttrl_smollm2_words.yaml",
                output_dir / f"{name.replace(' ', '_')}_{repetition}",
                model=str(folder / "model"),
                dataset=str(folder / "words" / "train.jsonl"),
                eval_benchmarks=[],
                max_steps=NUM_STEPS + 1,
                seed=repetition,
                **settings,
            )
            steps = [line["step_time"] for line in lines if "loss" in line]
            medians[name] = statistics.median(steps[1:])
        ratios.append(medians["once"] / medians["per completion"])
        seconds.append(medians)
    return [
        Measurement(
            name="a TTRL step of SmolLM2: prompts run once / once a completion",
            values=ratios,
            target="<= 0.33",
            details={"seconds": seconds},
        )
    ]


def measure_prompts(
    folder: Path, num_prompts: int, num_samples: int, repetitions: int
) -> list[Measurement]:
    """Measure seconds of sampling: prompts run once / once per sample.

    Word problems as chats of 40 to 42 tokens, `COMPLETION_LENGTH` tokens at temperature 1. The two
    take turns with the same seeds, after a small batch that warms up. Their completions differ only
    where rounding decides between two tokens.
    """
    tokenizer = load_tokenizer(str(folder / "model"), "--smollm2")
    problems = load_prompts(str(folder / "words" / "train.jsonl")).dataset["prompt"][:num_prompts]
    prompts = [
        tokenize_prompt([{"role": "user", "content": problem}], tokenizer) for problem in problems
    ]
    once = TransformersEngine.for_model(
        StoredModel(
            model=str(folder / "model"),
            tokenizer=tokenizer,
            settings=SamplingSettings(max_completion_length=COMPLETION_LENGTH),
        )
    )
    per_sample = PromptPerSample(once.model, once.tokenizer, once.settings, once.batch_size)
    once.generate(prompts[:1], 2, [0])
    seconds: dict[str, list[float]] = {"once": [], "per sample": []}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in seconds}
    equal = []
    for repetition in tqdm(range(repetitions), desc="prompts", leave=False):
        seeds = [derive_seed("prompts", repetition, number) for number in range(len(prompts))]
        sampled = []
        for name, engine in (("once", once), ("per sample", per_sample)):
            start, cpu_start = time.perf_counter(), time.process_time()
            groups = engine.generate(prompts, num_samples, seeds)
            seconds[name].append(time.perf_counter() - start)
            cpu_seconds[name].append(time.process_time() - cpu_start)
            sampled.append([sample.completion_ids for group in groups for sample in group])
        pairs = zip(*sampled, strict=True)
        equal.append(statistics.mean(left == right for left, right in pairs))
    what = f"sampling {num_samples} x {len(prompts)} completions"
    ratios = [a / b for a, b in zip(seconds["once"], seconds["per sample"], strict=True)]
    return [
        Measurement(
            name=f"{what}: prompts run once / once per sample",
            values=ratios,
            details={"seconds": seconds, "cpu_seconds": cpu_seconds},
        ),
        Measurement(name=f"{what}: the same completions, share", values=equal),
        Measurement(name=f"{what}, prompts run once: seconds", values=seconds["once"]),
    ]
