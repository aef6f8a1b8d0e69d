"""Recipes, prompts, models and folders that are not what they should be."""

import pytest

LONG = "a" * 5000
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{n}: &{n} [*{m}, *{m}, *{m}, *{m}, *{m}, *{m}, *{m}, *{m}, *{m}]\n"
    for m, n in zip("abcdefgh", "bcdefghi", strict=True)
)
RECIPES = {
    "empty": "",
    "list": "[1, 2]",
    "text": "just text",
    "unclosed": "model: [unclosed\n",
    "deep_flow": "model: " + "[" * 500,
    "deep_block": "".join("  " * depth + "a:\n" for depth in range(500)),
    "huge_integer": "seed: " + "9" * 5000,
    "huge_hexadecimal": "seed: 0x" + "f" * 50_000,
    "key_twice": "seed: 1\nseed: 2\n",
    "key_that_is_a_list": "? [a, b]\n: 1\n",
    "key_that_is_a_number": "5: 1\n",
    "key_that_is_null": "~: 1\n",
    "python_tag": "model: !!python/object/apply:os.system ['touch was_run']\n",
    "unknown_tag": "model: !own value\n",
    "bad_merge": "<<: 5\nseed: 1\n",
    "unknown_alias": "seed: *nobody\n",
    "alias_of_itself": "rewards: &a {majority_vote: *a}\n",
    "aliases_that_multiply": BOMB,
    "tabs": "model:\n\t- a\n",
    "two_documents": "seed: 1\n---\nseed: 2\n",
    "binary": bytes(range(256)),
    "utf16": "seed: 1\n".encode("utf-16"),
    "latin1": 'system_prompt: "é"\n'.encode("latin-1"),
    "nul": b"seed: 1\0\n",
    "bad_timestamp": "seed: !!timestamp nope\n",
    "bad_bytes": "seed: !!binary '*'\n",
}
# What stands in place of the recipe's file.
RECIPE_PATHS = [
    "no_such.yaml",
    "{world}",
    "{world}/loop.jsonl",
    "{world}/unreadable.jsonl",
    LONG,
    "{world}/photo.png",
]
DATASETS = [
    "no_such.jsonl",
    "{world}/empty.jsonl",
    "{world}/blank.jsonl",
    "{world}/binary.jsonl",
    "{world}/utf16.jsonl",
    "{world}/latin1.jsonl",
    "{world}/deep.jsonl",
    "{world}/list.jsonl",
    "{world}/no_columns.jsonl",
    "{world}/not_gzip.jsonl.gz",
    "{world}/half.jsonl.gz",
    "{world}/half.parquet",
    "{world}/ragged.csv",
    "{world}/photo.png",
    "{world}/loop.jsonl",
    "{world}/unreadable.jsonl",
    "{world}/huge_integer.jsonl",
    "{world}/folder.jsonl",
    "{world}/empty_folder",
    "{world}/scripts",
    "a\0b.jsonl",
    LONG + ".jsonl",
    "{world}/mixed_folder",
    " ",
]
MODELS = [
    "no/such/folder",
    "{world}/train.jsonl",
    "{world}/empty_folder",
    "{world}/config_is_empty",
    "{world}/config_is_binary",
    "{world}/config_is_a_list",
    "{world}/config_is_deep",
    "{world}/config_of_an_unknown_type",
    "{world}/config_of_an_encoder",
    "{world}/config_with_text_for_sizes",
    "{world}/config_with_a_small_vocabulary",
    "{world}/config_with_custom_code",
    "{world}/no_config",
    "{world}/no_tokenizer",
    "{world}/tokenizer_is_binary",
    "{world}/no_weights",
    "{world}/weights_are_binary",
    "a\0b",
    LONG,
    "",
    5,
]
EVALUATED = ["nowhere.jsonl", "{world}/binary.jsonl", "{world}/empty.jsonl", "{world}/folder.jsonl"]
OUTPUT_DIRS = [
    "{world}/train.jsonl",
    "{world}/train.jsonl/run",
    "{world}/loop.jsonl",
    LONG,
    "",
    "a\0b",
]
CHECKPOINTS = ["no/such", "{world}/empty_folder", "{world}/train.jsonl", "{world}/loop.jsonl", LONG]
ARGUMENTS = [
    ["stray"],
    ["--"],
    ["--=5"],
    ["---seed=5"],
    ["--learning_rate"],
    ["--rewards", "["],
    ["--rewards", "[" * 500],
    ["--seed", "9" * 5000],
    ["--seed", "1", "--sed", "2"],
    ["--seed", "*nobody"],
    ["--rewards", "{a: 1, a: 2}"],
]


def short(value):
    return repr(value)[:40]


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(refused_recipe, name):
    assert refused_recipe(RECIPES[name], "--dry_run")


@pytest.mark.parametrize("path", RECIPE_PATHS, ids=short)
def test_recipe_path(refused, path):
    refused("train.py", path)


@pytest.mark.parametrize("dataset", DATASETS, ids=short)
def test_dataset(refused_recipe, dataset):
    refused_recipe({"dataset": dataset, "num_prompts": 1}, "--dry_run")


@pytest.mark.parametrize("model", MODELS, ids=short)
def test_model(refused_recipe, model):
    assert "model" in refused_recipe({"model": model}, "--dry_run")


@pytest.mark.parametrize("field", ["eval_benchmarks", "eval_prompts"])
@pytest.mark.parametrize("file", EVALUATED, ids=short)
def test_evaluated_file(refused_recipe, field, file):
    refused_recipe({field: [file]}, "--dry_run")


@pytest.mark.parametrize("folder", OUTPUT_DIRS, ids=short)
def test_output_dir(refused_recipe, folder):
    refused_recipe({"output_dir": folder})


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=short)
def test_checkpoint(refused_recipe, checkpoint):
    refused_recipe({"resume_from_checkpoint": checkpoint}, "--dry_run")


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=short)
def test_arguments(refused_recipe, arguments):
    assert refused_recipe({}, "--dry_run", *arguments)
