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
import platform
import random
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rl.data.json_lines import write_json_lines
from rl.errors import InputError
from rl.testbed.model import pretrain
from rl.testbed.problems import BORROW_ERROR_PROB, MAX_TOTAL, SLIP_PROB, is_hard, make_prompt, solve

NUM_TRAIN_PROMPTS = 320
NUM_HELDOUT_PROMPTS = 128
DEFAULT_NUM_PRETRAINING_STEPS = 1500
_UNFINISHED_PREFIX = ".building-"


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
    if not 0 <= seed < 2**32:
        raise InputError(f"seed: got {seed}, expected 0..{2**32 - 1}. Choose another seed.")
    if num_pretraining_steps < 1:
        raise InputError(
            f"num_pretraining_steps: got {num_pretraining_steps}, expected at least 1. Raise it."
        )
    output_dir = Path(output_dir)
    settings = _settings(seed, num_pretraining_steps)
    if _holds_testbed(output_dir, settings):
        return Testbed(output_dir, reused=True)
    output_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output_dir, prefix=_UNFINISHED_PREFIX) as name:
        unfinished = Testbed(Path(name), reused=False)
        prompts = _write_problems(unfinished, seed)
        model, tokenizer = pretrain(
            seed=seed,
            num_steps=num_pretraining_steps,
            chain_lengths=_corpus_chain_lengths(),
            excluded_prompts=prompts,
            show_progress=show_progress,
        )
        model.save_pretrained(unfinished.model_dir)
        tokenizer.save_pretrained(unfinished.model_dir)
        for entry in sorted(unfinished.output_dir.iterdir()):
            entry.rename(output_dir / entry.name)
    packages = ("torch", "transformers", "tokenizers")
    record = {
        "settings": settings,
        "num_parameters": model.num_parameters(),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
    }
    (output_dir / "testbed.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return Testbed(output_dir, reused=False)


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


def _corpus_chain_lengths() -> tuple[int, ...]:
    return tuple(sorted({length for tier in TIERS.values() for length in tier.chain_lengths}))


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


def _holds_testbed(output_dir: Path, settings: dict[str, Any]) -> bool:
    """Say whether the folder holds the testbed (True) or is free (False); refuse anything else."""
    if not output_dir.exists():
        return False
    if not output_dir.is_dir():
        raise InputError(f"output_dir: got the file {output_dir}, expected a folder. Name another.")
    if all(entry.name.startswith(_UNFINISHED_PREFIX) for entry in output_dir.iterdir()):
        return False
    try:
        record = json.loads((output_dir / "testbed.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        record = None
    if not isinstance(record, dict) or "settings" not in record:
        raise InputError(
            f"output_dir: got {output_dir}, which holds other files, expected a new or empty "
            "folder or a finished testbed. Choose another folder or empty this one."
        )
    if record["settings"] != settings:
        raise InputError(
            f"output_dir: got {output_dir}, which holds a testbed with other settings "
            f"({_differences(record['settings'], settings)}), expected a new or empty folder. "
            "Choose another folder or delete this testbed."
        )
    return True


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {found.get(key)!r} instead of {wanted.get(key)!r}"
        for key in sorted({*found, *wanted})
        if found.get(key) != wanted.get(key)
    )
