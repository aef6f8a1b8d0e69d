import json

import pytest
from PIL import Image

from rl.errors import InputError
from rl.testbed.pictures_build import HELDOUT, TRAIN, build_pictures


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def build(folder, seed=0):
    return build_pictures(folder, seed=seed, num_pretraining_steps=2, show_progress=False)


@pytest.fixture(scope="module")
def testbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "testbed"
    assert not build(folder)
    return folder


def pixels(folder, row):
    return tuple(Image.open(folder / path).convert("RGB").tobytes() for path in row["images"])


def test_labels_stand_apart_and_pictures_lie_where_rows_say(testbed):
    train = read(testbed / "train.jsonl")
    labelled = read(testbed / "labelled.jsonl")
    assert all(set(row) == {"prompt", "images"} for row in train)
    assert [{**row, "label": None} for row in labelled] == [{**row, "label": None} for row in train]
    for folder, name in ((testbed, "train"), (testbed, "heldout"), *by_kind(testbed)):
        for row in read(folder / f"{name}.jsonl"):
            assert all(Image.open(folder / path).size == (24, 24) for path in row["images"])
            assert len(row["images"]) == (2 if "differ" in row["prompt"] else 1)


def by_kind(testbed):
    return [(testbed / "heldout", name) for name in HELDOUT]


def test_no_question_is_asked_twice(testbed):
    asked = [(row["prompt"], pixels(testbed, row)) for row in read(testbed / "train.jsonl")]
    for folder, name in by_kind(testbed):
        asked += [(row["prompt"], pixels(folder, row)) for row in read(folder / f"{name}.jsonl")]
    assert len(asked) == len(set(asked)) == sum(TRAIN.values()) + 4 * 96


def test_the_mixture_is_as_stated(testbed):
    prompts = [row["prompt"] for row in read(testbed / "train.jsonl")]
    assert sum("differ" in prompt for prompt in prompts) == TRAIN["comparing"]
    assert sum("digits" in prompt for prompt in prompts) == TRAIN["digits"]
    assert not any("triangle" in prompt for prompt in prompts)
    assert all("triangle" in row["prompt"] for row in read(testbed / "heldout/triangles.jsonl"))
    as_trained = read(testbed / "heldout.jsonl")
    assert len(as_trained) == 3 * 96
    labels = [row["label"] for name in TRAIN for row in read(testbed / f"heldout/{name}.jsonl")]
    assert [row["label"] for row in as_trained] == labels


def test_the_same_seed_gives_the_same_bytes(testbed, tmp_path):
    build(tmp_path / "again")
    build(tmp_path / "other", seed=1)
    names = ("model/model.safetensors", "labelled.jsonl", "pictures/train_000_0.png")
    for name in names:
        first = (testbed / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == first
        assert (tmp_path / "other" / name).read_bytes() != first


def test_a_finished_testbed_is_used_again_and_another_refused(testbed):
    assert build(testbed)
    with pytest.raises(InputError, match="testbed with other settings"):
        build(testbed, seed=1)
