"""Questions with images from a data set to the update: any ranks, sharded, stopped, with vLLM."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from launching import (
    fsdp2,
    launch,
    one_process,
    ranks,
    read_metrics,
    read_rollouts,
    zero,
)
from transformers import AutoProcessor

sys.path.insert(0, str(Path(__file__).parents[1] / "rl"))
import tiny_vision

from rl.data.pil_processors import show_pil_processors

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")

# One picture, two, none; rows of the third prompt lie on two ranks, and on three.
ROWS = [("1+1=", [0]), ("2+2=", [1, 2]), ("3+3=", []), ("4+4=", [0]), ("5+5=", [3]), ("6=", [4])]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe of one step on a tiny vision-language model of random weights."""
    folder = tmp_path_factory.mktemp("pictures")
    tiny_vision.save(folder / "model")
    vote = f"{Path(__file__).parent / 'first_character_vote.py'}:first_character_vote"
    settings = {
        "model": str(folder / "model"),
        "dataset": tiny_vision.write_dataset(folder, ROWS),
        "rewards": {vote: {}},
        "num_prompts": 3,
        "num_generations": 8,
        "num_updates": 1,
        "per_device_train_batch_size": 4,
        "shuffle_dataset": False,
        "max_completion_length": 8,
        "max_steps": 1,
        "learning_rate": 1e-2,
        "max_sampling_logp_gap": 0.2,  # a random model's image token is as likely as any other
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="module")
def one(recipe, tmp_path_factory):
    """A run of one process that shares no prompt, evaluated on its own prompts."""
    evaluated = {"eval_prompts": [str(recipe.parent / "pictures.jsonl")], "eval_num_samples": 2}
    folder = tmp_path_factory.mktemp("one")
    return launch(one_process(), recipe, folder, shared_prompts=False, **evaluated)


def gradient_norm(folder):
    return next(line["grad_norm"] for line in read_metrics(folder) if "grad_norm" in line)


def same_as_one(launcher, recipe, one, folder, **settings):
    """A launch of several ranks samples, scores and updates as one process does.

    The ranks run a prompt and its pictures once for the completions that they have of it.
    """
    launch(launcher, recipe, folder, **settings)
    assert read_rollouts(folder) == read_rollouts(one)
    assert gradient_norm(folder) == pytest.approx(gradient_norm(one), rel=1e-4)


def test_two_ranks_do_what_one_does(recipe, one, tmp_path):
    same_as_one(ranks(2), recipe, one, tmp_path)
    assert gradient_norm(one) > 0
    lines = read_rollouts(one)
    assert {line["prompt"]: len(line.get("images", ())) for line in lines} == {
        "<image>1+1=": 1,
        "<image><image>2+2=": 2,
        "3+3=": 0,
    }
    assert any("eval/majority_ratio" in line for line in read_metrics(one))
    # Each picture is kept once, by the main process alone.
    digests = {digest for line in lines for digest in line.get("images", ())}
    assert {path.stem for path in (one / "images").iterdir()} == digests
    # What is saved can be loaded, processor and all.
    show_pil_processors()
    assert type(AutoProcessor.from_pretrained(one)).__name__ == "Idefics3Processor"


@pytest.mark.slow
def test_three_ranks_do_what_one_does(recipe, one, tmp_path):
    same_as_one(ranks(3), recipe, one, tmp_path)


# Where ranks wait for each other in the vision tower: the third prompt's rows, all on one rank,
# have no image. Without one that stands in these tests do not end.


def test_zero3_on_two_ranks_does_what_one_does(recipe, one, tmp_path):
    same_as_one(zero(3), recipe, one, tmp_path)


@pytest.fixture(scope="module")
def one_with_trained_tower(recipe, tmp_path_factory):
    """A run of one process that trains the vision tower too."""
    return launch(one_process(), recipe, tmp_path_factory.mktemp("tower"), **TRAINED_TOWER)


TRAINED_TOWER = {"freeze_vision_tower": False}
LAUNCHERS = {
    "DDP": ranks(2),
    "ZeRO-2": zero(2),
    "ZeRO-3": zero(3),
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_trained_tower_is_updated_on_two_ranks_as_on_one(
    recipe, one, one_with_trained_tower, tmp_path, launcher
):
    launched = LAUNCHERS[launcher]
    same_as_one(launched, recipe, one_with_trained_tower, tmp_path, **TRAINED_TOWER)
    assert gradient_norm(one_with_trained_tower) > 1.01 * gradient_norm(one)


@pytest.mark.slow
def test_zero2_on_two_ranks_does_what_one_does(recipe, one, tmp_path):
    same_as_one(zero(2), recipe, one, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.parametrize("settings", [{}, TRAINED_TOWER], ids=["frozen", "trained"])
def test_fsdp2_on_two_ranks_does_what_one_does(recipe, tmp_path, settings):
    settings = {**settings, "use_vllm": True}
    one = launch(one_process(), recipe, tmp_path / "one", **settings)
    same_as_one(fsdp2(), recipe, one, tmp_path / "two", **settings)


@pytest.mark.slow
def test_zero3_with_adapters_goes_on_from_a_checkpoint(recipe, tmp_path):
    settings = {"max_steps": 3, "num_updates": 1, "save_steps": 1, "lora": {"r": 2}, "beta": 0.1}
    launcher = zero(3)
    one = launch(one_process(), recipe, tmp_path / "one", **settings)
    two = launch(launcher, recipe, tmp_path / "two", **settings)
    norms = [line["grad_norm"] for line in read_metrics(one) if "grad_norm" in line]
    assert len(norms) == 3
    for step in (2, 3):
        shutil.rmtree(two / f"checkpoint-{step}")
    launch(launcher, recipe, two, resume_from_checkpoint=True, **settings)
    found = [line["grad_norm"] for line in read_metrics(two) if "grad_norm" in line]
    assert found == pytest.approx(norms, rel=1e-3)
    assert read_rollouts(two) == read_rollouts(one)


@pytest.mark.slow
def test_a_run_goes_on_from_within_a_batch_as_if_it_had_not_been_stopped(recipe, tmp_path):
    settings = {"max_steps": 4, "num_updates": 2, "save_steps": 1, "lora": {"r": 2}, "beta": 0.1}
    whole = launch(one_process(), recipe, tmp_path / "whole", **settings)
    stopped = tmp_path / "stopped"
    shutil.copytree(whole, stopped)
    for step in (2, 3, 4):
        shutil.rmtree(stopped / f"checkpoint-{step}")
    launch(one_process(), recipe, stopped, resume_from_checkpoint=True, **settings)
    norms = [
        [line["grad_norm"] for line in read_metrics(folder) if "grad_norm" in line]
        for folder in (whole, stopped)
    ]
    assert len(norms[0]) == 4
    assert norms[0] == norms[1]
    assert read_rollouts(stopped) == read_rollouts(whole)
    kept = [
        sorted(path.name for path in (folder / "images").iterdir()) for folder in (stopped, whole)
    ]
    assert kept[0] == kept[1]


def read_steps(folder):
    """The metrics of each step of a run that was sampled by vLLM, once they are as they should."""
    metrics = [line for line in read_metrics(folder) if "grad_norm" in line]
    # The trainer's distribution has the image's token too, one of 66: log(66 / 65) = 0.015.
    assert metrics[0]["signal/start_sampling_logp_gap"] < 0.05
    assert metrics[1]["grad_norm"] > 0
    return metrics


@needs_vllm
@pytest.mark.slow
def test_vllm_samples_what_the_trainer_scores(recipe, tmp_path):
    read_steps(launch(one_process(), recipe, tmp_path, use_vllm=True, max_steps=2))


@needs_vllm
@pytest.mark.slow
@pytest.mark.parametrize("staleness", [0, 1, 2])
def test_a_vllm_server_samples_what_the_trainer_scores(recipe, tmp_path, free_port, staleness):
    folder = launch(
        one_process(),
        recipe,
        tmp_path,
        use_vllm=True,
        vllm_mode="server",
        vllm_launch_server=True,
        vllm_server_port=free_port,
        vllm_server_timeout=400,
        max_staleness=staleness,
        max_steps=3,
        eval_prompts=[str(recipe.parent / "pictures.jsonl")],
        eval_num_samples=2,
    )
    metrics = read_steps(folder)
    if staleness < 2:
        stale = [m.get("sampling/stale_steps", 0) for m in metrics]
        assert stale == [0, staleness, staleness]
        # New weights and new pictures' embeddings reach the server: no gap but that of the token.
        gaps = [m["sampling/sampling_logp_difference/mean"] for m in metrics]
        assert max(gaps) < (0.05 if staleness == 0 else 1)
    assert {len(line.get("images", ())) for line in read_rollouts(folder)} == {0, 1, 2}
    assert any("eval/majority_ratio" in line for line in read_metrics(folder))
    assert list((folder / "vllm_weights").iterdir()) == []
