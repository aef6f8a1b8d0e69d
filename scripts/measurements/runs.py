"""Whole training runs on the testbed: where a step's time goes, what a level of pass@1 costs."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measurements.ratios import Measurement
from tqdm import tqdm

from rl.errors import InputError
from rl.training.recipe import as_arguments

ROOT = Path(__file__).parents[2]
PHASES = ("sample", "sync", "score", "log")
_WARM_UP_STEPS = 2
_MEASURED_STEPS = 8


def require_testbed(testbed: Path, option: str = "--testbed") -> None:
    """Check that a testbed is there.

    Args:
        testbed: Its folder.
        option: That named it: --testbed for the one of slips, else --strategies or --pictures.

    Raises:
        InputError: If it is not.
    """
    if not (testbed / "model" / "config.json").is_file():
        kind = "" if option == "--testbed" else f"{option} "
        raise InputError(
            f"{option}: got {testbed}, expected a folder with the testbed. Run "
            f"`python scripts/build_testbed.py {kind}--output_dir {testbed}` first."
        )


def train_on_testbed(
    testbed: Path, output_dir: Path, num_ranks: int = 1, **settings: Any
) -> list[dict[str, Any]]:
    """Run the testbed's recipe on the easy tier (see `run_recipe`)."""
    settings = {
        "model": str(testbed / "model"),
        "dataset": str(testbed / "easy" / "train.jsonl"),
    } | settings
    return run_recipe("recipes/ttrl/ttrl_testbed.yaml", output_dir, num_ranks, **settings)


def run_recipe(
    recipe: str, output_dir: Path, num_ranks: int = 1, **settings: Any
) -> list[dict[str, Any]]:
    """Run scripts/train.py; return the lines of metrics.jsonl.

    Raises:
        RuntimeError: If the run fails; the message ends with its output.
    """
    settings = {
        "output_dir": str(output_dir),
        "disable_tqdm": True,
        "save_strategy": "no",
        "save_rollouts": False,
    } | settings
    launcher = [sys.executable]
    if num_ranks > 1:
        torchrun = str(Path(sys.executable).parent / "torchrun")
        launcher = [torchrun, "--standalone", f"--nproc_per_node={num_ranks}"]
    result = subprocess.run(
        [*launcher, "scripts/train.py", recipe, "--allow_code", *as_arguments(settings)],
        cwd=ROOT,
        env={"OMP_NUM_THREADS": "1", **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"the run in {output_dir} failed:\n{result.stderr[-2000:]}")
    lines = (output_dir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def measure_steps(testbed: Path, output_dir: Path, ranks: Sequence[int]) -> list[Measurement]:
    """Measure the wall time of a training step and the share of each phase.

    One value per step, the first ones left out; `scoring` is everything between text and reward.
    """
    found = []
    for num_ranks in tqdm(ranks, desc="steps", leave=False):
        lines = train_on_testbed(
            testbed,
            output_dir / f"steps_{num_ranks}",
            num_ranks,
            max_steps=_WARM_UP_STEPS + _MEASURED_STEPS,
            eval_benchmarks=[],
            per_device_train_batch_size=128 // num_ranks,
        )
        steps = [line for line in lines if "loss" in line][_WARM_UP_STEPS:]
        phases = [phase_seconds(line) for line in steps]
        on = f"{num_ranks} rank{'s' if num_ranks > 1 else ''}"
        seconds = [line["step_time"] for line in steps]
        found.append(Measurement(name=f"a step on {on}, seconds", values=seconds))
        for name in phases[0]:
            shares = [p[name] / line["step_time"] for p, line in zip(phases, steps, strict=True)]
            target = "<= 0.02" if name == "score" else ""
            found.append(
                Measurement(name=f"a step on {on}: share of {name}", values=shares, target=target)
            )
    return found


def phase_seconds(line: Mapping[str, Any]) -> dict[str, float]:
    """Split a logged step into its phases; what is in none of them is the update.

    Example:
        >>> phase_seconds({"step_time": 2.0, "cost/sample_seconds": 1.5})
        {'sample': 1.5, 'sync': 0.0, 'score': 0.0, 'log': 0.0, 'update': 0.5}
    """
    known = {name: line.get(f"cost/{name}_seconds", 0.0) for name in PHASES}
    return known | {"update": line["step_time"] - sum(known.values())}


def measure_adaptive_votes(
    testbed: Path, output_dir: Path, target: float, num_seeds: int
) -> list[Measurement]:
    """Measure the sampled tokens that adaptive votes need to a held-out pass@1, per fixed 64.

    Both runs of a seed are evaluated every 10 steps, 4 samples a problem; the first evaluation at
    or above the target counts. A run that never gets there is left out and counted.
    """
    budgets = {"fixed": 64, "adaptive": {"min": 16, "max": 64, "confidence": 0.95}}
    tokens: dict[str, list[float | None]] = {name: [] for name in budgets}
    bar = tqdm(total=num_seeds * len(budgets), desc="adaptive votes", leave=False)
    for seed in range(num_seeds):
        for name, num_votes in budgets.items():
            lines = train_on_testbed(
                testbed,
                output_dir / f"{name}_{seed}",
                seed=seed,
                num_votes=num_votes,
                max_steps=150,
                eval_every=10,
                eval_num_samples=4,
                eval_benchmarks=[str(testbed / "easy" / "heldout.jsonl")],
            )
            tokens[name].append(tokens_to_target(lines, target))
            bar.update()
    bar.close()
    pairs = list(zip(tokens["adaptive"], tokens["fixed"], strict=True))
    ratios = [a / b for a, b in pairs if a is not None and b is not None]
    if not ratios:
        return []
    return [
        Measurement(
            name=f"sampled tokens to a held-out pass@1 of {target}: adaptive / fixed 64 votes",
            values=ratios,
            target="<= 0.5",
            details={"tokens": tokens, "median": statistics.median(ratios)},
        )
    ]


def tokens_to_target(lines: Sequence[Mapping[str, Any]], target: float) -> float | None:
    """Return what a run had sampled when its evaluation first reached a pass@1; None if never.

    Example:
        >>> line = {"eval/pass@1": 0.8, "eval/sampled_tokens": 100.0}
        >>> tokens_to_target([{"loss": 0.0}, line], 0.7), tokens_to_target([line], 0.9)
        (100.0, None)
    """
    for line in lines:
        if line.get("eval/pass@1", -1.0) >= target:
            return line["eval/sampled_tokens"]
    return None
