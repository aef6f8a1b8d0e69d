"""The testbed: a tiny base model and its problems on disk, made without a network.

    DIR/model/                 Qwen3 causal LM (under 1M parameters, float32) and its tokenizer
    DIR/<tier>/train.jsonl     one {"prompt"} per line, no label
    DIR/<tier>/labelled.jsonl  the same prompts, one {"prompt", "label"} per line: for audits and
                               supervised controls
    DIR/<tier>/heldout.jsonl   one {"prompt", "label"} per line
    DIR/testbed.json           settings, library versions, parameter count; its presence says that
                               the testbed is finished

The tiers are `easy` (the base model's majority is right), `hard` (its majority is confidently
wrong) and `mixed` (one hard prompt in eight); all of them are for the same model. No prompt occurs
twice, be it in one file, in two files or in the corpus of the model. `rl.testbed.problems` says
what the problems are, `rl.testbed.model` how the model is trained on them.
"""

import json
import random
from collections.abc import Container
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from transformers import Qwen3ForCausalLM

from rl.data.json_lines import write_json_lines
from rl.testbed.folder import check_numbers, write_folder
from rl.testbed.model import pretrain
from rl.testbed.parts import Part
from rl.testbed.problems import (
    BORROW_ERROR_PROB,
    MAX_TOTAL,
    SLIP_PROB,
    is_hard,
    make_prompt,
    solve,
    write_solution,
)

NUM_TRAIN_PROMPTS = 320
NUM_HELDOUT_PROMPTS = 128
DEFAULT_NUM_PRETRAINING_STEPS = 1500


@dataclass(frozen=True)
class Tier:
    """A kind of problem set.

    Attributes:
        hard_frac: Share of prompts whose majority answer is wrong, in [0, 1].
        chain_lengths: Steps per chain, each equally frequent.
    """

    hard_frac: float
    chain_lengths: tuple[int, ...] = (2, 3)


TIERS = {"easy": Tier(hard_frac=0.0), "mixed": Tier(hard_frac=0.125), "hard": Tier(hard_frac=1.0)}


@dataclass(frozen=True)
class Testbed:
    """A finished testbed on disk.

    Attributes:
        output_dir: Its folder.
        reused: Whether the folder held it already, so that nothing was built.
    """

    __test__ = False  # pytest takes a class of this name for a test

    output_dir: Path
    reused: bool

    @property
    def model_dir(self) -> Path:
        """Folder of the base model and its tokenizer."""
        return self.output_dir / "model"

    def train_file(self, tier: str) -> Path:
        """Prompts without labels of a tier in `TIERS`."""
        return self.output_dir / tier / "train.jsonl"

    def labelled_file(self, tier: str) -> Path:
        """The prompts of `train_file` with labels, for audits and supervised controls."""
        return self.output_dir / tier / "labelled.jsonl"

    def heldout_file(self, tier: str) -> Path:
        """Prompts with labels of a tier in `TIERS`."""
        return self.output_dir / tier / "heldout.jsonl"


def build_testbed(
    output_dir: Path | str,
    *,
    seed: int = 0,
    num_pretraining_steps: int = DEFAULT_NUM_PRETRAINING_STEPS,
    show_progress: bool = True,
) -> Testbed:
    """Build the testbed in a folder, or reuse it if it is there with the same settings.

    The same settings give the same bytes on the same machine. Building takes about a minute. A
    build that is stopped early leaves no testbed.

    Args:
        output_dir: A new or empty folder, or one that holds this testbed.
        seed: Fixes the problems, the initial weights and the corpus, in 0..2**32-1.
        num_pretraining_steps: At least 1; few steps give a model that cannot calculate.
        show_progress: Whether to show a progress bar with the pretraining loss.

    Raises:
        InputError: If a number is out of range, or if the folder holds anything else.
    """
    check_numbers(seed, num_pretraining_steps)
    testbed = Testbed(Path(output_dir), reused=False)

    def write(folder: Path) -> Qwen3ForCausalLM:
        unfinished = Testbed(folder, reused=False)
        taken = _write_problems(unfinished, seed)
        model, tokenizer = pretrain(
            partial(_draw_example, taken=taken),
            seed=seed,
            num_steps=num_pretraining_steps,
            show_progress=show_progress,
        )
        model.save_pretrained(unfinished.model_dir)
        tokenizer.save_pretrained(unfinished.model_dir)
        return model

    reused = write_folder(testbed.output_dir, _settings(seed, num_pretraining_steps), write)
    return replace(testbed, reused=reused)


def draw_prompts(rng: random.Random, num_prompts: int, tier: Tier, taken: set[str]) -> list[str]:
    """Draw prompts of a tier that are not in `taken`, and add them to it.

    Exactly round(hard_frac * num_prompts) of them are hard, and within both kinds the chain
    lengths take turns; the order is random.

    Example:
        >>> taken = {"8+4-5="}
        >>> prompts = draw_prompts(random.Random(0), 10, Tier(hard_frac=0.2), taken)
        >>> sum(is_hard(prompt) for prompt in prompts), len(taken)
        (2, 11)
    """
    num_hard = round(tier.hard_frac * num_prompts)
    prompts = []
    for want_hard, num_wanted in ((True, num_hard), (False, num_prompts - num_hard)):
        for index in range(num_wanted):
            num_steps = tier.chain_lengths[index % len(tier.chain_lengths)]
            prompt = make_prompt(rng, num_steps)
            while prompt in taken or is_hard(prompt) != want_hard:
                prompt = make_prompt(rng, num_steps)
            taken.add(prompt)
            prompts.append(prompt)
    rng.shuffle(prompts)
    return prompts


def _write_problems(testbed: Testbed, seed: int) -> set[str]:
    """Write the files of every tier and return all their prompts."""
    rng = random.Random(f"problems {seed}")
    taken: set[str] = set()
    for name, tier in TIERS.items():
        heldout = draw_prompts(rng, NUM_HELDOUT_PROMPTS, tier, taken)
        train = draw_prompts(rng, NUM_TRAIN_PROMPTS, tier, taken)
        (testbed.output_dir / name).mkdir()
        write_json_lines(testbed.heldout_file(name), _with_labels(heldout))
        write_json_lines(testbed.labelled_file(name), _with_labels(train))
        write_json_lines(testbed.train_file(name), [{"prompt": prompt} for prompt in train])
    return taken


def _with_labels(prompts: list[str]) -> list[dict[str, str]]:
    return [{"prompt": prompt, "label": solve(prompt)} for prompt in prompts]


def _draw_example(rng: random.Random, taken: Container[str]) -> tuple[str, list[Part]]:
    lengths = sorted({length for tier in TIERS.values() for length in tier.chain_lengths})
    while True:
        prompt = make_prompt(rng, rng.choice(lengths))
        if prompt not in taken:
            return prompt, write_solution(prompt, rng)


def _settings(seed: int, num_pretraining_steps: int) -> dict[str, Any]:
    """Collect what decides the testbed's content, as JSON gives it back."""
    settings = {
        "seed": seed,
        "num_pretraining_steps": num_pretraining_steps,
        "num_train_prompts": NUM_TRAIN_PROMPTS,
        "num_heldout_prompts": NUM_HELDOUT_PROMPTS,
        "tiers": {name: asdict(tier) for name, tier in TIERS.items()},
        "max_total": MAX_TOTAL,
        "slip_prob": SLIP_PROB,
        "borrow_error_prob": BORROW_ERROR_PROB,
    }
    return json.loads(json.dumps(settings))
