"""Recipes and settings: what is read, and the one line for each setting that cannot be."""

from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from rl.errors import InputError
from rl.settings import check_settings
from rl.training.config import LabelFreeConfig
from rl.training.recipe import as_arguments, load_recipe, make_config, parse_overrides

# Reading a file.


def write_recipe(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_recipe_is_read(tmp_path):
    path = write_recipe(tmp_path, "# a comment\nmodel: m\nrewards: {random: {weight: 0.5}}\n")
    assert load_recipe(path) == {"model": "m", "rewards": {"random": {"weight": 0.5}}}
    assert load_recipe(str(path)) == load_recipe(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got None, expected `key: value` lines"),
        ("- a\n- b\n", r"got \['a', 'b'\], expected `key: value` lines"),
        ("model: [1, 2\n", "got invalid YAML"),
        ("model: !!python/object/apply:os.getcwd []\n", "got invalid YAML"),
        (b"model: \xff\n", "got invalid YAML"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_recipe(write_recipe(tmp_path, text))


def test_no_file(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError, match=r"recipe: got .*, expected a YAML file"):
            load_recipe(path)


# The command line.


def test_a_setting_is_taken_back_with_null():
    # Without its selector a recipe of SPINE is its baseline.
    folder = Path(__file__).parents[3] / "recipes/spine"
    spine = load_recipe(folder / "spine_qwen2.5_math_1.5b_math500.yaml")
    baseline = load_recipe(folder / "baselines/ttrl_8_votes_qwen2.5_math_1.5b_math500.yaml")
    changed = spine | parse_overrides(["--token_selector", "null"])
    assert changed == baseline | {"token_selector": None}
    assert check_setting("token_selector", None) is None


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], {}),
        (["--use_vllm"], {"use_vllm": True}),
        (["--use_vllm", "--beta", "0.5"], {"use_vllm": True, "beta": 0.5}),
        (["--num-votes=8"], {"num_votes": 8}),
        (["--vllm_mode", "server"], {"vllm_mode": "server"}),
        (["--top_k", "-1"], {"top_k": -1}),
        (["--prompt_suffix=--x=1"], {"prompt_suffix": "--x=1"}),
        (["--eval_benchmarks", "[a.json, b.json]"], {"eval_benchmarks": ["a.json", "b.json"]}),
        (["--rewards", '{"random": {"seed": 3}}'], {"rewards": {"random": {"seed": 3}}}),
        (["--beta", "0.5", "--beta", "0.0"], {"beta": 0.0}),
    ],
)
def test_overrides(arguments, settings):
    assert parse_overrides(arguments) == settings


def test_bad_overrides():
    with pytest.raises(InputError, match="argument: got 'beta', expected --field value"):
        parse_overrides(["beta", "0.5"])
    with pytest.raises(InputError, match=r"--rewards: got invalid YAML"):
        parse_overrides(["--rewards", "{random"])


@pytest.mark.parametrize(("text", "value"), [("true", True), ("runs/a/checkpoint-3",) * 2])
def test_resume_can_be_asked_for_on_the_command_line(text, value):
    config = make_config(parse_overrides(["--resume_from_checkpoint", text]))
    assert config.resume_from_checkpoint == value


# Names and types.


def check_setting(name, value):
    return check_settings("", LabelFreeConfig, {name: value})[name]


def test_every_default_is_of_its_type():
    for field in fields(LabelFreeConfig):
        make = field.default_factory
        default = field.default if make is MISSING else make()
        assert check_setting(field.name, default) == default


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("learning_rate", "1e-4", 1e-4),
        ("learning_rate", 1, 1.0),
        ("max_steps", "80", 80),
        ("rewards", {"random": None}, {"random": None}),
        ("label_column", None, None),
        ("report_to", ["tensorboard"], ["tensorboard"]),
    ],
)
def test_exact_conversions(name, value, read):
    found = check_setting(name, value)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lerning_rate": 1e-4}, "got 'lerning_rate', .* Did you mean 'learning_rate'?"),
        ({"zzzzqqq": 1}, r"got 'zzzzqqq', expected a field of .*\. Remove it"),
        ({1: 2}, "recipe key: got 1, expected a field"),
        ({"learning_rate": "fast"}, "learning_rate: got 'fast', expected a valid number"),
        ({"num_generations": 8.5}, "num_generations: got 8.5, expected a valid integer"),
        ({"use_vllm": "maybe"}, "use_vllm: got 'maybe', expected a valid boolean"),
        ({"rewards": ["random"]}, r"rewards: got \['random'\], expected a valid dictionary"),
        ({"rewards": {"random": 1}}, "rewards.random: got 1, expected a valid dictionary"),
        (
            {"advantage": "best"},
            "advantage: got 'best', expected one of centered, clipped, disagreement, ",
        ),
        ({"trained_subset": "last"}, "trained_subset: got 'last', expected 'first' or 'random'"),
        ({"eval_benchmarks": "a.json"}, "eval_benchmarks: got 'a.json', expected a valid list"),
    ],
)
def test_a_wrong_key_or_type(settings, message):
    with pytest.raises(InputError, match=message):
        make_config(settings)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # YAML 1.1 would read the first ten as text, text, 15, -15, 90, text, a date, 1000, no, yes.
        ("1e-3", 1e-3),
        ("0o17", 15),
        ("017", 17),
        ("-017", -17),
        ("1:30", "1:30"),
        ("1.e+2", 100.0),
        ("2025-01-02", "2025-01-02"),
        ("1_000", "1_000"),
        ("no", "no"),
        ("on", "on"),
        ("0x1F", 31),
        ("+1", 1),
        ("0b1", "0b1"),
        (".5", 0.5),
        ("-.inf", -float("inf")),
        ("~", None),
        ("Null", None),
        ("TRUE", True),
        ('"1e-3"', "1e-3"),
        ("1e", "1e"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path, text, value):
    for found in (
        load_recipe(write_recipe(tmp_path, f"value: {text}\n"))["value"],
        parse_overrides([f"--value={text}"])["value"],
    ):
        assert found == value
        assert type(found) is type(value)


def test_keys_stand_once_and_may_be_merged(tmp_path):
    for text, key, line in (
        ("model: a\nseed: 1\nmodel: b\n", "model", 3),
        ("rewards: {random: {}, random: {}}\n", "random", 1),
    ):
        message = f"got invalid YAML, the key '{key}' a second time in line {line}. Mend it"
        with pytest.raises(InputError, match=message):
            load_recipe(write_recipe(tmp_path, text))
    with pytest.raises(InputError, match=r"--rewards: got .* the key 'a' a second time"):
        parse_overrides(["--rewards={a: 1, a: 2}"])
    merged = "a: {b: &b {x: 1, y: 2}, c: &c {<<: *b, y: 3}}\nd: {<<: *c, x: 4}\n"
    found = load_recipe(write_recipe(tmp_path, merged))
    assert (found["a"]["c"], found["d"]) == ({"x": 1, "y": 3}, {"x": 4, "y": 3})


def test_arguments_are_read_as_they_were():
    settings = {"learning_rate": 1e-5, "rewards": {"random": None}, "prompt_suffix": "\n1e-3 no"}
    assert parse_overrides(as_arguments(settings)) == settings
