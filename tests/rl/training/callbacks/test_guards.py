"""Guards in real runs: what their answers do to weights, learning rate, files and status."""

import json
import signal
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from rewards import get_reward
from rl.errors import InputError, RunFailed, RunStopped
from rl.training.callbacks.guards import checked, gravest_last, newest_checkpoint
from rl.training.config import LabelFreeConfig
from rl.training.guards.contract import Verdict
from rl.training.prepare import prepare_run
from rl.training.rollout_files import read_rollout_file
from rl.training.run import train
from rl.training.sampling import Sampling
from rl.training.stopping import StopSignals

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
        names = set(report.metrics)
        assert not [name for name in names if name.startswith("audit/")]
        assert names >= {"entropy", "grad_norm"}, names
        assert report.step > 1 or names >= {"vote/majority_ratio", "completions/mean_length"}
        return self.verdict if report.step == self.step else GO_ON


class FromStep(AtStep):
    def check(self, report):
        return self.verdict if report.step >= self.step else GO_ON


class Broken:
    def check(self, report):
        return 1 / 0
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

    def run(guard=None, reward="random", kind="AtStep", signals=None, **settings):
        guards = {f"{tmp_path}/guard.py:{kind}": guard} if guard is not None else {}
        config = LabelFreeConfig(
            label_column="label",
            guards={**guards, **settings.pop("guards", {})},
            num_prompts=2,
            num_generations=4,
            max_completion_length=3,
            lr_scheduler_type="constant",
            gradient_checkpointing=False,
            disable_tqdm=True,
            **{
                "dataset": str(tmp_path / "train.jsonl"),
                "model": tiny_model_folder,
                "output_dir": str(tmp_path / "run"),
                "learning_rate": 1e-3,
                "max_steps": 4,
                "save_steps": 1,
                "per_device_train_batch_size": 8,
                **settings,
            },
        )
        return train(prepare_run(config, {reward: (get_reward(reward), 1.0)}), signals)

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
def test_a_run_that_is_stopped_ends_with_the_last_good_policy(run_training, tmp_path, monkeypatch):
    folder, given_up = tmp_path / "run", []
    monkeypatch.setattr(Sampling, "give_up", lambda self, **_: given_up.append(self.synced_step))
    summary = run_training({"step": 2, "action": "stop", "healthy_step": 0})
    # What was asked ahead is given up, by going back and by the end.
    assert given_up == [-1, -1]
    assert summary["verdict"].endswith("stopped with the policy of checkpoint-0.")
    assert list(lines_of(folder)) == [1, 2]
    assert same(weights(folder), weights(folder / "checkpoint-0"))
    assert not same(weights(folder), weights(folder / "checkpoint-1"))
    assert json.loads((folder / "summary.json").read_text())["verdict"] == summary["verdict"]


@pytest.mark.medium
def test_a_stream_of_data_sets_goes_on_where_a_run_goes_back(run_training, tmp_path):
    """Each file once: its place is not that of the checkpoint, as that of the prompts is not."""
    for name, first in (("a", 1), ("b", 5), ("c", 9)):
        rows = [{"prompt": f"{number}+1=", "label": "2"} for number in range(first, first + 4)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # Two batches a file: step 3 is the first of the second file.
    run_training(
        {"step": 3, "action": "roll_back", "healthy_step": 1},
        dataset=[str(tmp_path / f"{name}.jsonl") for name in "abc"],
        curriculum={"data_stream": {}},
        max_steps=6,
    )
    visits = {
        (line.value["step"], line.value["prompt"])
        for path in (tmp_path / "run" / "rollouts").glob("step_*.jsonl.gz")
        for line in read_rollout_file(path)
    }
    visited = [int(prompt.split("+")[0]) for _, prompt in sorted(visits)]
    assert [sorted(visited[start : start + 4]) for start in (0, 4, 8)] == [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10, 11, 12],
    ]


@pytest.mark.medium
@pytest.mark.parametrize("logging", [{"logging_strategy": "no"}, {"logging_steps": 3}])
def test_guards_are_asked_after_every_step_whatever_is_logged(run_training, tmp_path, logging):
    summary = run_training({"step": 2, "action": "stop", "healthy_step": 1}, **logging)
    assert summary["verdict"].startswith("stopped at step 2: ")
    folder = tmp_path / "run"
    assert same(weights(folder), weights(folder / "checkpoint-1"))


@pytest.mark.medium
def test_a_run_killed_after_it_went_back_goes_on_as_if_it_had_not_been(run_training, tmp_path):
    folder, killed = tmp_path / "run", tmp_path / "killed"
    guard = {"step": 3, "action": "roll_back", "healthy_step": 1}
    settings = {"max_steps": 6, "save_steps": 2, "num_updates": 2}
    settings |= {"per_device_train_batch_size": 4}
    whole = run_training(guard, **settings)
    assert [event["checkpoint"] for event in whole["guards"]] == [0]
    for last in (2, 4):  # before and behind the step that went back, in the middle of its batch
        copytree(folder, killed)
        for step in range(last + 2, 7, 2):
            rmtree(killed / f"checkpoint-{step}")
        resumed = run_training(
            guard,
            **settings,
            output_dir=str(killed),
            resume_from_checkpoint="auto",
            save_total_limit=1,
        )
        assert resumed["guards"] == whole["guards"]
        # Older ones are kept beside the limit, but not of the stretch that was given up.
        assert sorted(path.name for path in killed.glob("checkpoint-*")) == [
            "checkpoint-0",
            "checkpoint-4",
            "checkpoint-6",
        ]
        assert same(weights(killed), weights(folder))
        assert list(lines_of(killed)) == list(lines_of(folder)) == [1, 2, 3, 4, 5, 6]
        rmtree(killed)


@pytest.mark.medium
def test_trouble_outlasts_a_kill(run_training, tmp_path):
    guard = {"step": 2, "action": "warn", "healthy_step": 1}
    settings = {"kind": "FromStep", "save_total_limit": 1}
    whole = run_training(guard, **settings)
    folder = tmp_path / "run"
    assert [event["step"] for event in whole["guards"]] == [2]
    assert f"{folder / 'checkpoint-1'} is still good" in whole["verdict"]
    # What it called good is never deleted.
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == [
        "checkpoint-1",
        "checkpoint-4",
    ]
    resumed = run_training(
        guard,
        **{**settings, "max_steps": 6, "save_total_limit": 2},
        resume_from_checkpoint="auto",
    )
    # It is told once.
    assert resumed["guards"] == whole["guards"]
    # The command that the verdict names.
    gentler = run_training(
        guard,
        **{**settings, "learning_rate": 1e-4, "accept_changes": ["learning_rate", "max_steps"]},
        resume_from_checkpoint=str(folder / "checkpoint-1"),
    )
    assert lines_of(folder)[2]["learning_rate"] == pytest.approx(1e-4)
    assert [event["step"] for event in gentler["guards"]] == [2]


@pytest.mark.medium
def test_a_signal_in_the_step_that_stops(run_training, tmp_path):
    guard = {"step": 2, "action": "stop", "healthy_step": 1}

    class Arrives(StopSignals):
        """Receives a signal with the second step."""

        @property
        def received(self):
            number = len(lines_of(folder)) if (folder / "metrics.jsonl").exists() else 0
            return signal.SIGTERM if number >= 1 else None

        @received.setter
        def received(self, value):
            pass

    folder = tmp_path / "run"
    with pytest.raises(RunStopped):
        run_training(guard, signals=Arrives())
    assert not (folder / "summary.json").exists()
    resumed = run_training(guard, resume_from_checkpoint="auto")
    assert resumed["verdict"].startswith("stopped at step 2: ")
    assert list(lines_of(folder)) == [1, 2]
    assert same(weights(folder), weights(folder / "checkpoint-1"))


def test_a_guard_that_raises_is_named(run_training):
    with pytest.raises(
        InputError, match=r"guard '.*guard.py:Broken': got ZeroDivisionError: .* at"
    ):
        run_training({}, kind="Broken", save_strategy="no")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("stop", "got 'stop', expected a Verdict with one of the actions"),
        (None, "got None, expected a Verdict"),
        ({"action": "rest"}, "got Verdict.*rest.*expected a Verdict with one of the actions"),
        ({"action": "roll_back"}, "got the action roll_back without a healthy_step"),
        ({"action": "warn", "learning_rate_factor": 0.0}, r"a learning_rate_factor in \(0, 1\]"),
        ({"action": "warn", "healthy_step": "1"}, "a whole healthy_step or None"),
        ({"action": "warn", "cause": None}, "expected a Verdict"),
    ],
)
def test_a_guard_that_breaks_its_contract_is_named(answer, message):
    verdict: Any = Verdict(**answer) if isinstance(answer, dict) else answer
    with pytest.raises(InputError, match=f"guard 'mine': .*{message}"):
        checked("mine", verdict)


def test_of_several_answers_the_gravest_is_followed():
    assert gravest_last({}) == {}
    warning = Verdict(action="warn", healthy_step=3)
    lower = Verdict(action="lower_learning_rate", healthy_step=5, learning_rate_factor=0.5)
    stop = Verdict(action="stop", cause="spent")
    found = gravest_last({"a": stop, "b": lower, "c": warning})
    # Stopping for want of money goes back nowhere, and warnings of others do not make it.
    assert list(found) == ["c", "b", "a"]
    assert (found["b"].action, found["b"].healthy_step, found["a"]) == ("warn", 5, stop)


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
