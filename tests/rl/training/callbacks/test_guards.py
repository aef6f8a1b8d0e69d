"""Guards in real runs: what their answers do to weights, learning rate, files and status."""

import json
from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file

from rewards import get_reward
from rl.errors import InputError, RunFailed
from rl.training.callbacks.guards import newest_checkpoint
from rl.training.config import LabelFreeConfig
from rl.training.prepare import prepare_run
from rl.training.run import train

GUARD = """
from rl.training.guards.contract import GO_ON, Verdict

class AtStep:
    goes_back = True

    def __init__(self, step, action, healthy_step=None, failed=False):
        self.step, self.action = step, action
        self.verdict = Verdict(
            action=action, cause="the time has come", healthy_step=healthy_step,
            learning_rate_factor=0.25, failed=failed,
        )

    def check(self, report):
        assert not [name for name in report.metrics if name.startswith("audit/")]
        return self.verdict if report.step == self.step else GO_ON
"""
REWARD = """
def huge(group):
    return [1e38 if i % 2 else -1e38 for i in range(len(group.rollouts))]

def broken(group):
    return [float("nan") if i % 2 else float("inf") for i in range(len(group.rollouts))]
"""


@pytest.fixture
def run_training(tmp_path, tiny_model_folder):
    (tmp_path / "guard.py").write_text(GUARD)
    (tmp_path / "reward.py").write_text(REWARD)
    (tmp_path / "train.jsonl").write_text(
        "".join(json.dumps({"prompt": f"{a}+1=", "label": "2"}) + "\n" for a in range(4))
    )

    def run(guard=None, reward="random", **settings):
        guards = {f"{tmp_path}/guard.py:AtStep": guard} if guard else {}
        config = LabelFreeConfig(
            dataset=str(tmp_path / "train.jsonl"),
            label_column="label",
            output_dir=str(tmp_path / "run"),
            guards={**guards, **settings.pop("guards", {})},
            num_prompts=2,
            num_generations=4,
            max_completion_length=3,
            learning_rate=1e-3,
            lr_scheduler_type="constant",
            gradient_checkpointing=False,
            disable_tqdm=True,
            **{
                "model": tiny_model_folder,
                "max_steps": 4,
                "save_steps": 1,
                "per_device_train_batch_size": 8,
                **settings,
            },
        )
        return train(prepare_run(config, {reward: (get_reward(reward), 1.0)}))

    return run


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


def lines_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if "loss" in line}


@pytest.mark.medium
def test_a_run_goes_back_and_on_more_gently(run_training, tmp_path, tiny_model_folder):
    folder = tmp_path / "run"
    summary = run_training({"step": 3, "action": "roll_back", "healthy_step": 1})
    [event] = summary["guards"]
    assert (event["step"], event["checkpoint"], event["learning_rate_factor"]) == (3, 1, 0.25)
    assert summary["verdict"].startswith("healthy at step 4, after trouble. Step 3, ")
    # Saved after the roll-back, in the same step: the weights and moments of checkpoint-1.
    one, three = folder / "checkpoint-1", folder / "checkpoint-3"
    assert same(weights(one), weights(three))
    assert not same(weights(folder / "checkpoint-2"), weights(three))
    first, third = (
        torch.load(c / "optimizer.pt", weights_only=True)["state"] for c in (one, three)
    )
    assert all(torch.equal(first[i]["exp_avg"], third[i]["exp_avg"]) for i in first)
    # Steps go on, with a quarter of the learning rate.
    lines = lines_of(folder)
    assert list(lines) == [1, 2, 3, 4]
    rates = [line["learning_rate"] for line in lines.values()]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 2.5e-4])
    assert not same(weights(folder), weights(three))
    # A run that is resumed behind it takes the same last step, at the same rate.
    fourth = weights(folder)
    resumed = run_training(
        {"step": 3, "action": "roll_back", "healthy_step": 1}, resume_from_checkpoint=str(three)
    )
    assert resumed["guards"] == summary["guards"]
    assert lines_of(folder)[4]["learning_rate"] == pytest.approx(2.5e-4)
    assert same(weights(folder), fourth)
    # The untouched policy is a checkpoint too.
    assert same(weights(folder / "checkpoint-0"), weights(Path(tiny_model_folder)))
    assert newest_checkpoint(folder, 2, [(2, 3)]) == 1
    assert newest_checkpoint(folder, 0, []) == 0


@pytest.mark.medium
def test_a_run_that_is_stopped_ends_with_the_last_good_policy(run_training, tmp_path):
    folder = tmp_path / "run"
    summary = run_training({"step": 2, "action": "stop", "healthy_step": 0})
    assert summary["verdict"].endswith("stopped with the policy of checkpoint-0.")
    assert list(lines_of(folder)) == [1, 2]
    assert same(weights(folder), weights(folder / "checkpoint-0"))
    assert not same(weights(folder), weights(folder / "checkpoint-1"))
    assert json.loads((folder / "summary.json").read_text())["verdict"] == summary["verdict"]


@pytest.mark.medium
def test_adapters_go_back_too(run_training, tmp_path):
    folder = tmp_path / "run"
    lora = {"r": 2, "target_modules": "all-linear"}
    run_training({"step": 3, "action": "stop", "healthy_step": 1}, lora=lora)
    final, one, two = (
        load_file(place / "adapter_model.safetensors")
        for place in (folder, folder / "checkpoint-1", folder / "checkpoint-2")
    )
    assert same(final, one)
    assert not same(final, two)


@pytest.mark.medium
@pytest.mark.parametrize(("name", "num_updates"), [("huge", 1), ("broken", 2)])
def test_updates_that_are_no_numbers_are_not_made_and_end_the_run(
    run_training, tmp_path, tiny_model_folder, name, num_updates
):
    folder = tmp_path / "run"
    reward = f"{tmp_path}/reward.py:{name}"
    settings = {"advantage": "centered", "guards": {"non_finite": {"max_in_a_row": 1}}}
    culprit = f"reward {reward!r} and so " if name == "broken" else ""
    with pytest.raises(RunFailed, match=f"failed at step 2: non_finite: {culprit}the gradient was"):
        run_training(
            reward=reward,
            save_steps=10,
            num_updates=num_updates,
            **{**settings, "per_device_train_batch_size": 4},
        )
    lines = lines_of(folder)
    assert [line["signal/update_skipped"] for line in lines.values()] == [1.0, 1.0]
    summary = json.loads((folder / "summary.json").read_text())
    assert [event["action"] for event in summary["guards"]] == ["warn", "stop"]
    # The weights are still those before the first update.
    assert same(weights(folder), weights(Path(tiny_model_folder)))


def test_a_model_of_no_numbers_is_refused(run_training, tmp_path, tiny_model_folder):
    folder = Path(copytree(tiny_model_folder, tmp_path / "broken"))
    broken = load_file(folder / "model.safetensors")
    next(iter(broken.values())).view(-1)[0] = torch.nan
    save_file(broken, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"model: got weights in .* that are not finite"):
        run_training(model=str(folder))


def test_going_back_needs_checkpoints(tmp_path):
    with pytest.raises(InputError, match=r"guards\.collapse: got the action roll_back beside"):
        LabelFreeConfig(
            output_dir=str(tmp_path), guards={"collapse": "roll_back"}, save_strategy="no"
        )


def test_without_a_whole_checkpoint_there_is_nothing_to_go_back_to(tmp_path):
    assert newest_checkpoint(tmp_path, 5, []) is None
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-old").mkdir()
    assert newest_checkpoint(tmp_path, 5, []) is None
