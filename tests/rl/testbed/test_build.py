import json
import random

import pytest
import torch

from rl.errors import InputError
from rl.testbed.build import TIERS, build_testbed
from rl.testbed.model import make_model, make_tokenizer, solution_targets
from rl.testbed.problems import is_hard, solve, write_solution


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def build(folder, **settings):
    return build_testbed(folder, num_pretraining_steps=2, show_progress=False, **settings)


@pytest.fixture(scope="module")
def testbed(tmp_path_factory):
    return build(tmp_path_factory.mktemp("testbed") / "testbed")


def test_no_prompt_occurs_twice_and_train_files_have_no_label(testbed):
    prompts = []
    for tier in TIERS:
        assert all(set(row) == {"prompt"} for row in read(testbed.train_file(tier)))
        prompts += [row["prompt"] for row in read(testbed.train_file(tier))]
        prompts += [row["prompt"] for row in read(testbed.heldout_file(tier))]
    assert len(prompts) == len(set(prompts)) == 3 * (320 + 128)


@pytest.mark.parametrize(("tier", "num_hard"), [("easy", 0), ("mixed", 16), ("hard", 128)])
def test_labels_are_right_and_tiers_are_what_they_say(testbed, tier, num_hard):
    rows = read(testbed.heldout_file(tier))
    assert all(row["label"] == solve(row["prompt"]) for row in rows)
    assert sum(is_hard(row["prompt"]) for row in rows) == num_hard


def test_same_seed_gives_the_same_bytes(testbed, tmp_path):
    again = build(tmp_path / "again")
    other = build(tmp_path / "other", seed=1)
    for name in ("model/model.safetensors", "easy/train.jsonl", "mixed/heldout.jsonl"):
        first = (testbed.output_dir / name).read_bytes()
        assert (again.output_dir / name).read_bytes() == first
        assert (other.output_dir / name).read_bytes() != first


def test_a_finished_testbed_is_reused_and_others_are_refused(testbed, tmp_path):
    assert build(testbed.output_dir).reused
    with pytest.raises(InputError, match="testbed with other settings"):
        build(testbed.output_dir, seed=1)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        build(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_building_leaves_torch_as_it_was(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    num_threads = torch.get_num_threads()
    build(tmp_path / "t")
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == num_threads


def test_the_saved_model_loads_and_is_small(testbed):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(testbed.model_dir)
    tokenizer = AutoTokenizer.from_pretrained(testbed.model_dir)
    assert model.num_parameters() < 1_000_000
    assert model.config.head_dim >= 32  # vLLM's CPU backend serves nothing smaller
    text = r"4+1=5;5+16=21\boxed{21}"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    chat = [{"role": "user", "content": "4+1="}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert rendered == "4+1="
    assert tokenizer.eos_token_id == model.generation_config.eos_token_id


def test_targets_give_the_drawn_tokens_probability():
    tokenizer = make_tokenizer()
    input_ids, targets = solution_targets(
        "4+1-5=", write_solution("4+1-5=", random.Random(0)), tokenizer
    )
    assert len(input_ids) == len(targets)
    prompt = tokenizer.encode("4+1-5=")
    assert input_ids[: len(prompt)] == prompt
    assert targets[: len(prompt)] == [{}] * len(prompt)
    for token_id, target in zip(input_ids[len(prompt) :], targets[len(prompt) :], strict=True):
        assert target[token_id] > 0
        assert sum(target.values()) == pytest.approx(1.0)
    assert input_ids[-1] == tokenizer.eos_token_id


def test_the_model_size_is_stated():
    assert make_model(make_tokenizer()).num_parameters() == pytest.approx(0.45e6, rel=0.05)
