"""Recipes: all parse, say what they are, and mean the batch sizes that were published."""

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig

from rewards import get_reward
from rl.answer_extraction import METHODS

ROOT = Path(__file__).parents[1]
RECIPES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "recipes").rglob("*.yaml")
    if path.parent.name != "accelerate"
)
TESTBED = [recipe for recipe in RECIPES if recipe.endswith(("demo.yaml", "_testbed.yaml"))]
LARGE = [recipe for recipe in RECIPES if recipe not in TESTBED]
TTRL = [recipe for recipe in RECIPES if recipe.startswith("recipes/ttrl/")]
CONTROLS = [recipe for recipe in RECIPES if recipe.startswith("recipes/controls/")]
CONTROLLED = {
    "_testbed.yaml": "recipes/demo.yaml",
    "_qwen2.5_math_7b_math500.yaml": "recipes/ttrl/ttrl_qwen2.5_math_7b_math500.yaml",
}
ONE_LINE_CHANGES = {
    "clip-high": ["--epsilon_high", "0.28"],
    "entropy": ["--entropy_coef", "0.003"],
    "paper": ["--rewards", '{"majority_vote": {"preset": "paper"}}'],
}
NUM_PROCESSES = {1: 16, 8: 2, 16: 1}  # -> gradient accumulation steps
LAUNCH_CONFIGS = {  # file -> kind, machines, processes
    "single_gpu.yaml": ("NO", 1, 1),
    "multi_gpu.yaml": ("MULTI_GPU", 1, 8),
    "zero2.yaml": ("DEEPSPEED", 1, 8),
    "zero3.yaml": ("DEEPSPEED", 1, 8),
    "fsdp2.yaml": ("FSDP", 1, 8),
    "two_nodes.yaml": ("DEEPSPEED", 2, 16),
}


def configure(recipe: str, num_processes: int, overrides: list[str]) -> dict[str, Any]:
    """Make a recipe's config as rank 0 of `num_processes`."""
    import torch.distributed as dist
    from accelerate.state import AcceleratorState
    from torch.testing._internal.distributed.fake_pg import FakeStore

    from rl.errors import InputError
    from rl.recipe import load_recipe, make_config, parse_overrides

    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(num_processes)}
    os.environ |= {"MASTER_ADDR": "localhost", "OMP_NUM_THREADS": "1"}
    # PyTorch's own stand-in for a process group: it has a size, and nobody waits for the others.
    dist.init_process_group("fake", rank=0, world_size=num_processes, store=FakeStore())
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        settings = load_recipe(ROOT / recipe) | parse_overrides(overrides)
        config = make_config({"output_dir": "runs/test", **settings})
    except InputError as error:
        return {"error": str(error)}
    finally:
        dist.destroy_process_group()
    values = {f.name: getattr(config, f.name) for f in fields(config)}
    return values | {"world_size": config.world_size, "geometry": config.geometry}


@pytest.fixture(scope="module")
def configured():
    """Returns configs by recipe, processes and overrides, all made in a process of their own.

    Ranks and environment of that process leave the other tests alone; it runs this file.
    """
    requests = [(recipe, 1, []) for recipe in TESTBED]
    requests += [(recipe, n, []) for recipe in LARGE for n in NUM_PROCESSES]
    requests += [(TTRL[0], 8, overrides) for overrides in ONE_LINE_CHANGES.values()]
    # Without -P, tests/rl and tests/rewards would be found before the packages they test.
    process = subprocess.run(
        [sys.executable, "-P", __file__],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    configs = json.loads(process.stdout.splitlines()[-1])

    def find(recipe, num_processes, overrides=()):
        config = configs[requests.index((recipe, num_processes, list(overrides)))]
        assert "error" not in config, config
        return config

    return find


def read_header(recipe: str) -> dict[str, str]:
    """Read `# key: text` lines and the lines that go on from them."""
    header, key = {}, None
    for line in (ROOT / recipe).read_text().splitlines():
        if not line.startswith("#"):
            break
        if match := re.match(r"# ([a-z]+): +(\S.*)", line):
            key = match[1]
            header[key] = match[2]
        elif key:
            header[key] += " " + line.strip("# ")
    return header


def read_settings(recipe: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / recipe).read_text())


def test_each_published_model_and_benchmark_has_a_recipe():
    names = [
        f"qwen2.5_math_{size}_{b}" for size in ("1.5b", "7b") for b in ("aime24", "amc", "math500")
    ]
    assert [f"recipes/ttrl/ttrl_{name}.yaml" for name in names] == TTRL
    # Two rewards without a signal, on the testbed and at full size.
    assert len(CONTROLS) == 4


def test_output_folders_differ():
    # A run goes to runs/<name of the recipe file>.
    stems = [Path(recipe).stem for recipe in RECIPES]
    assert len(set(stems)) == len(stems)


@pytest.mark.parametrize("recipe", RECIPES)
def test_header_says_what_the_recipe_is(recipe):
    header = read_header(recipe)
    expected = {"method", "paper", "hardware", "ours", "run"}
    if recipe in TTRL + CONTROLS:
        expected.add("ran")
    assert expected <= header.keys()
    assert recipe in header["run"]
    for path in re.findall(
        r"\b(?:recipes|scripts)/[\w./-]+\.(?:yaml|md)", " ".join(header.values())
    ):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("recipe", RECIPES)
def test_rewards_and_answer_methods_exist(recipe):
    settings = read_settings(recipe)
    for name, given in settings["rewards"].items():
        assert callable(get_reward(name, **{k: v for k, v in given.items() if k != "weight"}))
    assert set(settings.get("answer_methods", [])) <= set(METHODS)


@pytest.mark.parametrize("recipe", TESTBED)
def test_testbed_recipes_run_on_one_process(configured, recipe):
    config = configured(recipe, 1)
    assert config["world_size"] == 1
    # 8 prompts x 16 rollouts = 128 rows, all in one optimizer step and one forward pass.
    assert config["generation_batch_size"] == 128
    assert config["gradient_accumulation_steps"] == 1


# Optimizer steps of 32 rows (one prompt's worth) whatever the number of prompts; each process
# takes 2 rows at a time: 32 = 2 rows x 1 process x 16 = 2 x 8 x 2 = 2 x 16 x 1.
@pytest.mark.parametrize(("num_processes", "accumulation"), NUM_PROCESSES.items())
@pytest.mark.parametrize("recipe", LARGE)
def test_batches_are_as_published_on_any_number_of_devices(
    configured, recipe, num_processes, accumulation
):
    config = configured(recipe, num_processes)
    assert config["world_size"] == num_processes
    # AIME24 and AMC: 8 prompts x 64 = 512 votes, 8 x 32 = 256 trained, 8 steps of 32.
    # MATH-500: 32 prompts x 64 = 2048 votes, 32 x 32 = 1024 trained, 32 steps of 32.
    votes, trained, steps = (2048, 1024, 32) if "math500" in recipe else (512, 256, 8)
    geometry = config["geometry"]
    assert geometry["completions sampled (votes)"] == votes
    assert geometry["completions trained"] == trained == config["generation_batch_size"]
    assert geometry["optimizer steps per generation batch"] == steps
    assert geometry["rows per optimizer step"] == 32
    assert config["gradient_accumulation_steps"] == accumulation
    assert config["steps_per_generation"] == accumulation * steps


@pytest.mark.parametrize("recipe", TTRL)
def test_ttrl_settings_are_the_published_ones(configured, recipe):
    config = configured(recipe, 8)
    epochs = {"aime24": 80, "amc": 30, "math500": 10}
    benchmark = Path(recipe).stem.rpartition("_")[2]
    assert config["num_train_epochs"] == epochs[benchmark]
    # The published limits on the prompt: 512 tokens on AIME24, 1024 on the others.
    room = config["vllm_max_model_length"] - config["max_completion_length"]
    assert (room, config["max_completion_length"]) == (512 if benchmark == "aime24" else 1024, 3072)
    published = {
        "learning_rate": 5e-7,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.03,
        "weight_decay": 0.01,
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "max_grad_norm": 1.0,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "epsilon": 0.2,
        "epsilon_high": None,
        "delta": 3.0,
        "beta": 0.001,
        "use_bias_correction_kl": False,
        "entropy_coef": 0.0,
        "loss_type": "bnpo",
        "advantage": "normalized",
        "trained_subset": "first",
        "mask_truncated_completions": False,
        "vllm_importance_sampling_correction": False,
        "num_iterations": 1,
        "system_prompt": "",
        "prompt_suffix": None,
    }
    assert {name: config[name] for name in published} == published


@pytest.mark.parametrize("change", ONE_LINE_CHANGES)
def test_one_line_changes(configured, change):
    overrides = ONE_LINE_CHANGES[change]
    field = overrides[0].removeprefix("--")
    plain, changed = configured(TTRL[0], 8), configured(TTRL[0], 8, overrides)
    assert [name for name in plain if plain[name] != changed[name]] == [field]
    assert " ".join([overrides[0], overrides[1].replace('"', "")]) in (
        (ROOT / "recipes/README.md").read_text().replace('"', "").replace("'", "")
    )


@pytest.mark.parametrize("recipe", CONTROLS)
def test_controls_differ_from_what_they_control_in_the_reward_alone(recipe):
    [controlled] = [base for ending, base in CONTROLLED.items() if recipe.endswith(ending)]
    control, base = read_settings(recipe), read_settings(controlled)
    differing = {name for name in control | base if control.get(name) != base.get(name)}
    # What counts as a format is part of the format-only reward.
    assert {"rewards"} <= differing <= {"rewards", "answer_methods"}
    assert controlled in " ".join(read_header(recipe).values()) or "_testbed" in recipe


@pytest.mark.parametrize("path", sorted((ROOT / "recipes/accelerate").glob("*.yaml")), ids=str)
def test_launch_configs_load_in_accelerate(path):
    config = ClusterConfig.from_yaml_file(str(path))
    found = (config.distributed_type.value, config.num_machines, config.num_processes)
    assert found == LAUNCH_CONFIGS[path.name]
    assert config.mixed_precision == "bf16"


def test_readme_lists_every_recipe_and_launch_config():
    readme = (ROOT / "recipes/README.md").read_text()
    named = re.findall(r"[\w./-]+\.yaml", readme)
    for recipe in RECIPES:
        assert recipe.removeprefix("recipes/") in named
    for name in LAUNCH_CONFIGS:
        assert f"accelerate/{name}" in named


if __name__ == "__main__":
    print(json.dumps([configure(*request) for request in json.load(sys.stdin)], default=str))
