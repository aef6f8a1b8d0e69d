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

from rewards import get_reward_for_run, get_token_selector
from rl.answers.extraction import METHODS

ROOT = Path(__file__).parents[1]
RECIPES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "recipes").rglob("*.yaml")
    if path.parent.name not in ("accelerate", "studies")
)
SMALL = ("demo.yaml", "_testbed.yaml", "_smollm2_words.yaml")
TESTBED = [recipe for recipe in RECIPES if recipe.endswith(SMALL)]
SELFPLAY = [name for name in RECIPES if name.startswith(("recipes/spell/", "recipes/r_zero/"))]
LARGE = [recipe for recipe in RECIPES if recipe not in TESTBED]
# What another recipe, which the header names, is measured against.
CONTROLS = [
    recipe for recipe in RECIPES if recipe.startswith(("recipes/controls/", "recipes/spine/base"))
]
PAPERS = [recipe for recipe in LARGE if recipe not in CONTROLS and "/baselines/" not in recipe]
MODELS: dict[str, tuple[list[str], dict[str, int]]] = {  # folder -> models; benchmark -> epochs
    "ttrl": (
        ["qwen2.5_math_1.5b", "qwen2.5_math_7b"],
        {"aime24": 80, "amc": 30, "math500": 10},
    ),
    # The script's 3 epochs of 480 rows are 180 batches of 8, and so are 60 of 30 rows.
    "evol_rl": (["qwen3_4b_base", "qwen3_8b_base"], {"aime24": 60, "math500": 3, "math_train": 3}),
    # "A few rounds": the numbers are ours.
    "spine": (["qwen2.5_math_1.5b", "qwen3_1.7b"], {"aime25": 30, "amc": 10, "math500": 3}),
}
BATCHES = {  # where -> prompts, votes and trained rollouts of each, optimizer steps
    "ttrl/.*_math500": (32, 64, 32, 32),
    "ttrl/": (8, 64, 32, 8),
    "evol_rl/": (8, 64, 32, 8),
    "format_length/": (128, 8, 8, 1),
    "certainty/self_certainty": (128, 7, 7, 1),
    "certainty/semantic_entropy": (112, 5, 5, 1),
    "certainty/token_entropy": (480, 5, 5, 2),
    "spine/": (8, 8, 8, 1),  # the number of prompts is ours
    "spell/": (176, 8, 8, 1),  # 1024 + 256 + 128 episodes of the three roles
}
VERL = {  # of TTRL's and EVOL-RL's code alike
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
    "delta": 3.0,
    "beta": 0.001,
    "use_bias_correction_kl": False,
    "loss_type": "bnpo",
    "advantage": "normalized",
    "trained_subset": "first",
    "mask_truncated_completions": False,
    "vllm_importance_sampling_correction": False,
    "num_iterations": 1,
    "prompt_suffix": None,
    "token_selector": None,
}
ON_POLICY = {
    "learning_rate": 1e-6,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "temperature": 1.0,
    "top_p": 1.0,
    "epsilon": 0.2,
    "epsilon_high": None,
    "entropy_coef": 0.0,
    "advantage": "normalized",
    "vllm_importance_sampling_correction": False,
    "num_iterations": 1,
}
PUBLISHED: dict[str, dict[str, Any]] = {  # where -> settings
    "ttrl/": VERL
    | {
        "rewards": {"majority_vote": {"preset": "reference_code"}},
        "max_completion_length": 3072,
        "epsilon_high": None,
        "entropy_coef": 0.0,
        "system_prompt": "",
    },
    "evol_rl/": VERL
    | {
        "rewards": {"evol_rl": {"preset": "reference_code", "embedder": "Qwen/Qwen3-Embedding-4B"}},
        "max_completion_length": 12288,
        "epsilon_high": 0.28,
        "entropy_coef": 0.003,
        "system_prompt": r"Please reason step by step, and put your final answer within \boxed{}.",
    },
    "format_length/": ON_POLICY
    | {
        "rewards": {"format_length": {"preset": "reference_code"}},
        "max_completion_length": 3072,
        "temperature": 0.6,
        "weight_decay": 0.01,
        "entropy_coef": 0.001,
        "beta": 0.001,
    },
    "certainty/self_certainty": ON_POLICY
    | {
        "rewards": {"self_certainty": {}},
        "max_completion_length": 3072,
        "num_train_epochs": 1,
        "learning_rate": 3e-6,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "beta": 0.005,
    },
    "certainty/semantic_entropy": ON_POLICY
    | {"rewards": {"semantic_entropy": {}}, "max_completion_length": 2048, "beta": 0.0},
    "certainty/token_entropy": ON_POLICY
    | {
        "rewards": {"token_entropy": {}},
        "max_completion_length": 3072,
        "weight_decay": 0.01,
        "beta": 0.001,
        "delta": 3.0,
    },
    "spine/": ON_POLICY
    | {
        "rewards": {"majority_vote": {}},
        "token_selector": {
            "entropy_band": {"preset": "v2", "low_weight": 0.01, "high_weight": 0.01}
        },
        "temperature": 0.7,
        "top_p": 0.95,
        "max_completion_length": 2048,
        "beta": 0.01,  # as the rest of the loss from an independent implementation
        "loss_type": "dapo",  # the mean over all sampled tokens of a step
    },
}
SPELL = {"learning_rate": 2e-6, "weight_decay": 0.01, "temperature": 0.7, "top_p": 0.95}
PUBLISHED["spell/"] = ON_POLICY | SPELL | {"beta": 0.0, "loss_type": "dapo"}
MAY_DIFFER = {"rewards", "answer_methods", "supervised", "token_selector", "advantage"}
MAY_DIFFER |= {"dataset", "label_column"}  # the same prompts, with labels
ONE_LINE_CHANGES = {
    "clip-high": ["--epsilon_high", "0.28"],
    "entropy": ["--entropy_coef", "0.003"],
    "paper": ["--rewards", '{"majority_vote": {"preset": "paper"}}'],
}
ONE_LINE_BASE = "recipes/ttrl/ttrl_qwen2.5_math_1.5b_aime24.yaml"
SPINE = [recipe for recipe in PAPERS if recipe.startswith("recipes/spine/")]
SPINE_V1 = ["--token_selector", "{entropy_band: {preset: v1}}"]
NUM_PROCESSES = (1, 8, 16)
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
    from rl.training.recipe import load_recipe, make_config, parse_overrides

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
    requests += [(ONE_LINE_BASE, 8, overrides) for overrides in ONE_LINE_CHANGES.values()]
    requests += [(recipe, 8, SPINE_V1) for recipe in SPINE]
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

    def find(recipe, num_processes, overrides=(), fits=True):
        config = configs[requests.index((recipe, num_processes, list(overrides)))]
        assert ("error" not in config) == fits, config
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


def controlled_by(control: str) -> str:
    """Return the recipe that a control's header names."""
    header = (ROOT / control).read_text().partition("\nmodel:")[0]
    named = set(re.findall(r"recipes/[\w./-]+\.yaml", header)) - {control}
    [base] = [recipe for recipe in named if "/accelerate/" not in recipe]
    return base


def find(table: dict[str, Any], recipe: str) -> Any:
    """Return the first entry of a table that is about a recipe, or about what it controls."""
    base = controlled_by(recipe) if recipe in CONTROLS else recipe
    found = [entry for where, entry in table.items() if re.match(f"recipes/{where}", base)]
    assert found, f"{recipe}: what was published for it stands nowhere in this file"
    return found[0]


@pytest.mark.parametrize("folder", MODELS)
def test_each_published_model_and_benchmark_has_a_recipe(configured, folder):
    models, benchmarks = MODELS[folder]
    names = {f"recipes/{folder}/{folder}_{m}_{b}.yaml": b for m in models for b in benchmarks}
    assert [recipe for recipe in PAPERS if Path(recipe).parent.name == folder] == list(names)
    for recipe, benchmark in names.items():
        assert configured(recipe, 8)["num_train_epochs"] == benchmarks[benchmark]


def test_output_folders_differ():
    # A run goes to runs/<name of the recipe file>.
    stems = [Path(recipe).stem for recipe in RECIPES]
    assert len(set(stems)) == len(stems)


@pytest.mark.parametrize("recipe", RECIPES)
def test_header_says_what_the_recipe_is(recipe):
    header = read_header(recipe)
    expected = {"method", "paper", "hardware", "ours", "run", "ran"}
    assert expected - ({"ran"} if recipe == "recipes/demo.yaml" else set()) <= header.keys()
    if recipe in PAPERS:
        assert re.search(r"arXiv \d{4}\.\d{5}", header["method"] + header["paper"])
    assert recipe in header["run"]
    for path in re.findall(
        r"\b(?:recipes|scripts)/[\w./-]+\.(?:yaml|md)", " ".join(header.values())
    ):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("recipe", RECIPES)
def test_rewards_selectors_and_answer_methods_exist(recipe):
    settings = read_settings(recipe)
    for name, given in settings.get("rewards", {}).items():
        given = {k: v for k, v in (given or {}).items() if k != "weight"}
        run_settings = {"max_completion_length": settings["max_completion_length"]}
        assert callable(get_reward_for_run(name, given, run_settings)[0])
    for name, given in settings.get("token_selector", {}).items():
        assert callable(get_token_selector(name, **(given or {})))
    assert set(settings.get("answer_methods", [])) <= set(METHODS)


@pytest.mark.parametrize("recipe", sorted({*TESTBED} - {*SELFPLAY}))
def test_testbed_recipes_run_on_one_process(configured, recipe):
    config = configured(recipe, 1)
    assert config["world_size"] == 1
    # 8 prompts x 16 rollouts = 128 rows, or 8 x 8, in one optimizer step and one forward pass; the
    # demo's 16 x 16 take two.
    rows = 64 if "smollm2" in recipe else 256 if recipe == "recipes/demo.yaml" else 128
    assert config["generation_batch_size"] == rows
    assert config["gradient_accumulation_steps"] == (2 if rows == 256 else 1)


# Such as TTRL on AMC: 8 prompts x 64 = 512 votes, 8 x 32 = 256 trained, 8 steps of 256 / 8 = 32
# rows; 2 rows at a time, so 16 accumulation steps on one process, 2 on eight, 1 on sixteen.
@pytest.mark.parametrize("num_processes", NUM_PROCESSES)
@pytest.mark.parametrize("recipe", LARGE)
def test_batches_are_as_published_on_any_number_of_devices(configured, recipe, num_processes):
    prompts, votes, trained, steps = find(BATCHES, recipe)
    rows = prompts * trained // steps
    rows_at_once = num_processes * read_settings(recipe)["per_device_train_batch_size"]
    if rows % rows_at_once:
        assert num_processes == 16, "8 devices must do"
        assert "rows of one optimizer step" in configured(recipe, 16, fits=False)["error"]
        return
    config = configured(recipe, num_processes)
    assert config["world_size"] == num_processes
    geometry = config["geometry"]
    assert geometry["completions sampled (votes)"] == prompts * votes
    assert geometry["completions trained"] == prompts * trained == config["generation_batch_size"]
    assert geometry["optimizer steps per generation batch"] == steps
    assert geometry["rows per optimizer step"] == rows
    assert config["gradient_accumulation_steps"] == rows // rows_at_once
    assert config["steps_per_generation"] == rows // rows_at_once * steps


@pytest.mark.parametrize("recipe", PAPERS)
def test_settings_are_the_published_ones(configured, recipe):
    config = configured(recipe, 8)
    published = find(PUBLISHED, recipe)
    assert {name: config[name] for name in published} == published


@pytest.mark.parametrize("recipe", SPINE)
def test_spine_version_one_is_one_changed_setting(configured, recipe):
    assert f"{SPINE_V1[0]} '{SPINE_V1[1]}'" in read_header(recipe)["method"]
    plain, changed = configured(recipe, 8), configured(recipe, 8, SPINE_V1)
    assert [name for name in plain if plain[name] != changed[name]] == ["token_selector"]
    assert changed["token_selector"] == {"entropy_band": {"preset": "v1"}}


@pytest.mark.parametrize("change", ONE_LINE_CHANGES)
def test_one_line_changes(configured, change):
    overrides = ONE_LINE_CHANGES[change]
    field = overrides[0].removeprefix("--")
    plain, changed = configured(ONE_LINE_BASE, 8), configured(ONE_LINE_BASE, 8, overrides)
    assert [name for name in plain if plain[name] != changed[name]] == [field]
    assert " ".join([overrides[0], overrides[1].replace('"', "")]) in (
        (ROOT / "recipes/README.md").read_text().replace('"', "").replace("'", "")
    )


@pytest.mark.parametrize("recipe", CONTROLS)
def test_controls_differ_from_what_they_control_in_the_signal_alone(recipe):
    control, base = read_settings(recipe), read_settings(controlled_by(recipe))
    differing = {name for name in control | base if control.get(name) != base.get(name)}
    # What counts as a format is part of the format-only reward.
    assert differing
    assert differing <= MAY_DIFFER


def test_there_are_controls_without_a_signal():
    # Two rewards, on the testbed and at full size.
    rewards = [list(read_settings(recipe)["rewards"]) for recipe in CONTROLS]
    assert rewards.count(["random"]) >= 2
    assert rewards.count(["boxed_format"]) >= 2


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
