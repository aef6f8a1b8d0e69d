import json
import random

import pytest

from rl.errors import InputError
from rl.testbed.model import make_model, make_tokenizer, solution_targets
from rl.testbed.strategies import write_prompt, write_solution
from rl.testbed.strategies_build import HELDOUT, NUM_LAYERS, build_strategies


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def build(folder, seed=0):
    return build_strategies(folder, seed=seed, num_pretraining_steps=2, show_progress=False)


@pytest.fixture(scope="module")
def testbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strategies") / "testbed"
    assert not build(folder)
    return folder


def test_no_prompt_occurs_twice_and_labels_stand_apart(testbed):
    train = read(testbed / "train.jsonl")
    assert all(set(row) == {"prompt"} for row in train)
    labelled = read(testbed / "labelled.jsonl")
    assert [row["prompt"] for row in labelled] == [row["prompt"] for row in train]
    heldout = [row for name in HELDOUT for row in read(testbed / "heldout" / f"{name}.jsonl")]
    prompts = [row["prompt"] for row in [*train, *heldout]]
    assert len(prompts) == len(set(prompts)) == 320 + 7 * 96


def test_the_mixture_is_as_stated(testbed):
    prompts = [row["prompt"] for row in read(testbed / "train.jsonl")]
    assert sum(prompt.startswith("add") for prompt in prompts) == 64
    assert sum(" = " in prompt for prompt in prompts) == 96
    assert not any("plus" in prompt for prompt in prompts)
    assert len(read(testbed / "heldout.jsonl")) == 3 * 96
    assert all(
        row["prompt"].count(",") == 4 for row in read(testbed / "heldout" / "long.jsonl")[2::3]
    )


def test_wordings_are_added_where_they_are_missing(testbed):
    path = testbed / "wordings.jsonl"
    rows = read(path)
    assert len(rows) > 300
    assert all(1 <= len(row["paraphrases"]) <= 2 for row in rows)
    path.unlink()
    assert build(testbed)
    assert read(path) == rows


def test_the_training_prompts_are_there_by_wording_and_by_kind(testbed):
    sizes = {path.stem: len(read(path)) for path in (testbed / "train").iterdir()}
    assert sizes == {
        "compact": 160,
        "spaced": 96,
        "listed": 64,
        "plain": 160,
        "dips": 80,
        "peaks": 80,
    }


def test_the_same_seed_gives_the_same_bytes(testbed, tmp_path):
    build(tmp_path / "again")
    build(tmp_path / "other", seed=1)
    for name in ("model/model.safetensors", "train.jsonl", "heldout.jsonl"):
        first = (testbed / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == first
        assert (tmp_path / "other" / name).read_bytes() != first


def test_a_finished_testbed_is_used_again_and_another_refused(testbed):
    assert build(testbed)
    with pytest.raises(InputError, match="testbed with other settings"):
        build(testbed, seed=1)


def test_every_choice_of_the_teacher_is_one_token():
    tokenizer = make_tokenizer()
    prompt = write_prompt([3, 5, -2], "compact")
    for seed in range(20):
        parts = write_solution([3, 5, -2], "compact", random.Random(seed))
        input_ids, targets = solution_targets(prompt, parts, tokenizer)
        choices = [part for part in parts if part.alternatives]
        assert sum(len(target) > 1 for target in targets) == len(choices)
        assert all(sum(target.values()) == pytest.approx(1.0) for target in targets if target)
        assert input_ids.count(tokenizer.eos_token_id) == 1
        assert input_ids[-1] == tokenizer.eos_token_id


def test_the_model_size_is_stated():
    assert make_model(make_tokenizer(), NUM_LAYERS).num_parameters() == pytest.approx(
        0.66e6, rel=0.05
    )
