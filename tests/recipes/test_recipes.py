"""Recipes: each says what it is, runs, and means the batches and numbers that were published."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.config.config_args import ClusterConfig
from published import BATCHES, IN_ALL, NUMBERS, OF_SOME, PUBLISHED

from rewards import get_reward_for_run, get_token_selector
from rl.answers.extraction import METHODS
from rl.training.losses.terms import build_loss_terms
from rl.training.recipe import load_recipe

ROOT = Path(__file__).parents[2]
README = (ROOT / "recipes/README.md").read_text()
RECIPES = {
    path.relative_to(ROOT / "recipes").as_posix(): load_recipe(path)
    for path in sorted((ROOT / "recipes").rglob("*.yaml"))
    if path.parent.name not in ("accelerate", "studies")
}
LARGE = [name for name, settings in RECIPES.items() if settings.get("use_vllm")]
SMALL = [name for name in RECIPES if name not in LARGE]
SELFPLAY = [name for name, settings in RECIPES.items() if "selfplay" in settings]
WITHOUT_REWARD = [name for name, settings in RECIPES.items() if settings.get("rewards") == {}]
CONTROLS = [name for name in RECIPES if name.startswith(("controls/", "spine/baselines/"))]
BASELINES = [name for name in RECIPES if name.startswith("evol_rl/baselines/")]
OURS = [  # in sizes of our own
    "weighted_vote/weighted_vote_self_certainty_qwen2.5_math_1.5b_aime24.yaml",
    "migu/migu_stream_qwen2.5_math_1.5b_aime24_amc.yaml",
    "mixed_rewards/mixed_rewards_qwen2.5_math_1.5b_math500.yaml",
    "self_verification/self_verification_qwen3_8b_aime24.yaml",
    "spell/spell_single_gpu.yaml",
    "weighted_vote/weighted_vote_own_code_qwen2.5_math_1.5b_instruct_aime24.yaml",
    "weighted_vote/weighted_vote_program_votes_qwen2.5_math_1.5b_instruct_aime24.yaml",
]
PAPERS = [name for name in LARGE if name not in CONTROLS + BASELINES + OURS]
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
SIGNALS = {  # in a recipe's name -> its reward, where they are not the same word
    "demo|(e|div_)?ttrl|echo|ttpo|select_ttrl|spine|mm_upt|srt_(?!offline)|mixed_rewards|migu": (
        "majority_vote"
    ),
    "empo": "semantic_entropy",
    "format_only": "boxed_format",
    "co_rewarding_1": "cross_view_vote",
    "co_rewarding_2|srt_offline": "teacher_vote",
    "self_harmony": "harmonic_vote",
}
MAY_DIFFER = {"rewards", "answer_methods", "supervised", "token_selector"}
MAY_DIFFER |= {"dataset", "label_column"}  # the same prompts, with labels
ONE_LINE_BASE = "ttrl/ttrl_qwen2.5_math_1.5b_aime24.yaml"
ONE_LINE_CHANGES = [
    ["--epsilon_high", "0.28"],
    ["--entropy_coef", "0.003"],
    ["--rewards", '{"majority_vote": {"preset": "paper"}}'],
]
SPINE = [name for name in PAPERS if name.startswith("spine/")]
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


@pytest.fixture(scope="module")
def configured():
    """Returns configs by recipe, processes and overrides, all made in a process of their own."""
    requests = [(name, 1, []) for name in SMALL]
    requests += [(name, n, []) for name in LARGE for n in NUM_PROCESSES]
    requests += [(ONE_LINE_BASE, 8, overrides) for overrides in ONE_LINE_CHANGES]
    requests += [(name, 8, SPINE_V1) for name in SPINE]
    process = subprocess.run(
        # Without -P, tests/rl and tests/rewards would be found before the packages they test.
        [sys.executable, "-P", Path(__file__).with_name("configuring.py")],
        input=json.dumps([(f"recipes/{name}", *rest) for name, *rest in requests]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    configs = json.loads(process.stdout.splitlines()[-1])

    def find(name, num_processes, overrides=(), fits=True):
        config = configs[requests.index((name, num_processes, list(overrides)))]
        assert ("error" not in config) == fits, config
        return config

    return find


def read_header(name: str) -> dict[str, str]:
    """Read `# key: text` lines and the lines that go on from them."""
    header, key = {}, None
    for line in (ROOT / "recipes" / name).read_text().splitlines():
        if not line.startswith("#"):
            break
        if match := re.match(r"# ([a-z]+): +(\S.*)", line):
            key = match[1]
            header[key] = match[2]
        elif key:
            header[key] += " " + line.strip("# ")
    return header


def controlled_by(control: str) -> str:
    """Return the recipe that a control's header names."""
    header = (ROOT / "recipes" / control).read_text().partition("\nmodel:")[0]
    named = set(re.findall(r"recipes/([\w./-]+\.yaml)", header)) - {control}
    [base] = [name for name in named if not name.startswith("accelerate/")]
    return base


def differing(left: dict[str, Any], right: dict[str, Any]) -> set[str]:
    return {name for name in left | right if left.get(name) != right.get(name)}


def find(table: dict[str, Any], name: str) -> Any:
    """Return the first entry of a table that is about a recipe, or about what it controls."""
    base = controlled_by(name) if name in CONTROLS else name
    found = [entry for where, entry in table.items() if re.match(where, base)]
    assert found, f"{name}: what was published for it stands nowhere in this file"
    return found[0]


# What is there, and what it says.


@pytest.mark.parametrize("folder", MODELS)
def test_each_published_model_and_benchmark_has_a_recipe(folder):
    models, benchmarks = MODELS[folder]
    names = {f"{folder}/{folder}_{m}_{b}.yaml": b for m in models for b in benchmarks}
    assert [name for name in PAPERS if Path(name).parent.name == folder] == list(names)
    for name, benchmark in names.items():
        assert RECIPES[name]["num_train_epochs"] == benchmarks[benchmark]


def test_output_folders_differ():
    # A run goes to runs/<name of the recipe file>.
    assert len({Path(name).stem for name in RECIPES}) == len(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_header_says_what_the_recipe_is(name):
    header = read_header(name)
    expected = {"method", "paper", "hardware", "ours", "run", "ran"}
    assert expected - ({"ran"} if name == "demo.yaml" else set()) <= header.keys()
    if name in PAPERS:
        sources = header["method"] + header["paper"]
        assert re.search(r"arXiv \d{4}\.\d{5}|github\.com/[\w-]+/[\w-]+", sources)
    assert f"recipes/{name}" in header["run"]
    for path in re.findall(
        r"\b(?:recipes|scripts)/[\w./-]+\.(?:yaml|md)", " ".join(header.values())
    ):
        assert (ROOT / path).is_file(), path


def test_readme_lists_every_recipe_and_launch_config():
    named = set(re.findall(r"[\w./-]+\.yaml", README))
    assert named >= {*RECIPES, *(f"accelerate/{name}" for name in LAUNCH_CONFIGS)}


@pytest.mark.parametrize("path", sorted((ROOT / "recipes/accelerate").glob("*.yaml")), ids=str)
def test_launch_configs_load_in_accelerate(path):
    config = ClusterConfig.from_yaml_file(str(path))
    found = (config.distributed_type.value, config.num_machines, config.num_processes)
    assert found == LAUNCH_CONFIGS[path.name]
    assert config.mixed_precision == "bf16"


# What is rewarded.


@pytest.mark.parametrize("name", WITHOUT_REWARD)
def test_without_reward_there_is_a_term_of_the_loss(name):
    assert build_loss_terms(RECIPES[name]["loss_terms"])


@pytest.mark.parametrize("name", sorted(RECIPES.keys() - {*SELFPLAY, *WITHOUT_REWARD}))
def test_the_signal_exists_and_is_the_one_in_the_name(name):
    settings = RECIPES[name]
    [(reward, given)] = settings["rewards"].items()
    stem = Path(name).stem
    assert [reward] == [r for words, r in SIGNALS.items() if re.match(words, stem)] or (
        stem.startswith(reward)
    )
    run_settings = {"max_completion_length": settings["max_completion_length"]}
    assert callable(get_reward_for_run(reward, given or {}, run_settings)[0])
    # Numbers that the authors' code made are reproduced with its reading.
    if re.match("(ttrl|evol_rl|format_length)/", name) and name in LARGE:
        assert given["preset"] == "reference_code"
    for selector, given in settings.get("token_selector", {}).items():
        assert callable(get_token_selector(selector, **(given or {})))
    assert set(settings.get("answer_methods", [])) <= set(METHODS)


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_differ_from_what_they_control_in_the_signal_alone(name):
    # What counts as a format is part of the format-only reward.
    found = differing(RECIPES[name], RECIPES[controlled_by(name)])
    assert found
    assert found <= MAY_DIFFER


def test_there_are_controls_without_a_signal():
    # Two rewards, on the testbed and at full size.
    rewards = [list(RECIPES[name]["rewards"]) for name in CONTROLS]
    assert rewards.count(["random"]) >= 2
    assert rewards.count(["boxed_format"]) >= 2


def test_every_evol_rl_recipe_has_its_ttrl():
    plain = [name.removeprefix("evol_rl/baselines/") for name in BASELINES if "clip" not in name]
    evol_rl = [Path(name).name for name in PAPERS if name.startswith("evol_rl/")]
    assert [name.replace("ttrl_", "evol_rl_") for name in plain] == evol_rl


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_match_the_recipe_they_are_a_baseline_of(name):
    stem = re.sub("ttrl_(clip_high_entropy_)?", "evol_rl_", Path(name).name)
    without = {"rewards"} if "clip_high" in name else {"rewards", "epsilon_high", "entropy_coef"}
    assert differing(RECIPES[name], RECIPES[f"evol_rl/{stem}"]) == without


@pytest.mark.parametrize("name", SPINE)
def test_every_spine_recipe_has_ttrl_with_as_many_votes(name):
    baseline = f"spine/baselines/{Path(name).name.replace('spine_', 'ttrl_8_votes_')}"
    assert differing(RECIPES[baseline], RECIPES[name]) == {"token_selector"}


@pytest.mark.parametrize("overrides", ONE_LINE_CHANGES, ids=lambda change: change[0])
def test_one_line_changes(configured, overrides):
    plain, changed = configured(ONE_LINE_BASE, 8), configured(ONE_LINE_BASE, 8, overrides)
    assert differing(plain, changed) == {overrides[0].removeprefix("--")}
    assert " ".join(overrides) in README.replace("'", "")


@pytest.mark.parametrize("name", SPINE)
def test_spine_version_one_is_one_changed_setting(configured, name):
    assert f"{SPINE_V1[0]} '{SPINE_V1[1]}'" in read_header(name)["method"]
    plain, changed = configured(name, 8), configured(name, 8, SPINE_V1)
    assert differing(plain, changed) == {"token_selector"}
    assert list(plain["token_selector"]) == list(changed["token_selector"]) == ["entropy_band"]


# What is computed.


@pytest.mark.parametrize("name", sorted({*SMALL} - {*SELFPLAY}))
def test_testbed_recipes_run_on_one_process(configured, name):
    config, settings = configured(name, 1), RECIPES[name]
    rows = settings["num_prompts"] * settings["num_generations"]
    rows_per_step = rows // settings.get("num_updates", 1)
    assert config["world_size"] == 1
    assert config["generation_batch_size"] == rows
    per_forward = settings["per_device_train_batch_size"]
    assert config["gradient_accumulation_steps"] == rows_per_step // per_forward


# Such as TTRL on AMC: 8 prompts x 64 = 512 votes, 8 x 32 = 256 trained, 8 steps of 256 / 8 = 32
# rows; 2 rows at a time, so 16 accumulation steps on one process, 2 on eight, 1 on sixteen.
@pytest.mark.parametrize("num_processes", NUM_PROCESSES)
@pytest.mark.parametrize("name", LARGE)
def test_batches_are_as_published_on_any_number_of_devices(configured, name, num_processes):
    prompts, votes, trained, steps = find(BATCHES, name)
    rows = prompts * trained // steps
    rows_at_once = num_processes * RECIPES[name]["per_device_train_batch_size"]
    if rows % rows_at_once:
        assert num_processes == 16, "8 devices must do"
        assert "rows of one optimizer step" in configured(name, 16, fits=False)["error"]
        return
    config = configured(name, num_processes)
    assert config["world_size"] == num_processes
    geometry = config["geometry"]
    assert geometry["completions sampled (votes)"] == prompts * votes
    assert geometry["completions trained"] == prompts * trained == config["generation_batch_size"]
    assert geometry["optimizer steps per generation batch"] == steps
    assert geometry["rows per optimizer step"] == rows
    assert config["gradient_accumulation_steps"] == rows // rows_at_once
    assert config["steps_per_generation"] == rows // rows_at_once * steps


@pytest.mark.parametrize("name", PAPERS)
def test_numbers_are_the_published_ones(configured, name):
    config, expected = configured(name, 8), dict(zip(NUMBERS, find(PUBLISHED, name), strict=True))
    expected |= IN_ALL | {"top_p": 0.95 if expected["temperature"] == 0.7 else 1.0}
    expected |= find(OF_SOME, name)
    assert {key: config[key] for key in expected} == expected


@pytest.mark.parametrize("name", [name for name in PAPERS if re.match("ttrl/|evol_rl/", name)])
def test_settings_stand_for_those_of_verl_as_the_readme_says(configured, name):
    config = configured(name, 8)
    section = README.partition("What every TTRL recipe sets")[2].partition("Not reproduced")[0]
    said = dict(re.findall(r"`(\w+): ([^`]+)`", section))
    assert {"num_votes", "loss_type", "delta", "beta", "warmup_steps"} <= said.keys()
    if name.startswith("evol_rl/"):
        said["system_prompt"] = RECIPES[name]["system_prompt"]
    assert {key: str(config[key]).lower() for key in said} == {
        key: value.strip('"').lower() for key, value in said.items()
    }


@pytest.mark.parametrize("name", sorted({*LARGE} - {*SELFPLAY}))
def test_the_prompt_is_limited_as_published(name):
    # SPINE's limit is ours; the others' are in the scripts and files that the headers name.
    short = "ttrl/.*aime24|evol_rl/|certainty/self|certainty/semantic|scope/|dare/|em_ft/|rlsc/"
    short += "|co_rewarding/|tool_verified_vote/|weighted_vote/|ettrl/|echo/"
    limit = 512 if re.match(short, name) else 1024
    if RECIPES[name].get("freeze_vision_tower") is False:  # pictures are many tokens
        limit = 2048 if name.startswith("mm_upt/") else 4096
    assert RECIPES[name]["max_prompt_length"] == limit
    # vLLM's context follows from it, but for questions; what is longer is dropped.
    asks = re.match("reflected_vote/|self_verification/|tool_verified_vote/", name)
    assert ("vllm_max_model_length" in RECIPES[name]) == bool(asks)
    assert "overlong_prompts" not in RECIPES[name]
