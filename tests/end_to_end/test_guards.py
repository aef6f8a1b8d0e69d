"""Going back to a checkpoint on several ranks, replicated and sharded."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from killed_runs import RUN, difference, finish, run_whole, settings_of, start
from launching import ROOT, fsdp2, launch, load_policy, ranks, read_metrics, zero

GUARD = f"{Path(__file__).parent / 'guard_at_step.py'}:AtStep"


def weights(folder):
    return torch.cat([p.detach().flatten() for p in load_policy(folder).parameters()])


@pytest.mark.parametrize(
    ("launcher", "settings"),
    [
        pytest.param(ranks(2), {}, id="ddp", marks=pytest.mark.medium),
        pytest.param(zero(2), {}, id="zero2", marks=pytest.mark.slow),
        pytest.param(zero(3), {}, id="zero3", marks=pytest.mark.slow),
        pytest.param(fsdp2(), {"use_vllm": True}, id="fsdp2", marks=pytest.mark.slow),
    ],
)
def test_all_ranks_go_back_to_one_policy(recipe, tmp_path, launcher, settings):
    folder = tmp_path / "run"
    guards = {GUARD: {"step": 3, "action": "roll_back", "healthy_step": 1}}
    launch(
        launcher,
        recipe,
        folder,
        guards=guards,
        max_steps=4,
        save_steps=1,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        **settings,
    )
    [event] = json.loads((folder / "summary.json").read_text())["guards"]
    assert (event["step"], event["action"], event["checkpoint"]) == (3, "roll_back", 1)
    rates = [line["learning_rate"] for line in read_metrics(folder) if "loss" in line]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4])
    # Checkpoint-3 was saved in the step that went back. FSDP's are sharded, and not loaded here.
    if "use_vllm" not in settings:
        one, two, three = (weights(folder / f"checkpoint-{step}") for step in (1, 2, 3))
        assert torch.equal(one, three)
        assert not torch.equal(two, three)
        assert not torch.equal(three, weights(folder))


@pytest.mark.parametrize(
    "name",
    [
        "two ranks",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("self-play", "adaptive votes", "guarded vote", "LoRA", "samples ahead")
        ),
    ],
)
def test_a_signal_in_the_step_in_which_a_run_goes_back(recipe, tmp_path, name):
    settings, num_ranks = settings_of(yaml.safe_load(recipe.read_text()), name)
    whole, stopped, marker = tmp_path / "whole", tmp_path / "stopped", tmp_path / "signalled"
    # Of two updates a batch step 3 is the first of its batch, whose rows are given up.
    guard = {"step": 3, "action": "roll_back", "healthy_step": 1, "signalled": str(marker)}
    settings |= {"guards": {GUARD: guard}, "save_steps": 2}
    if name == "samples ahead":  # whose prompts are asked for again
        settings["num_updates"] = 2
    if num_ranks > 1:  # a policy that step 2 found the best is given up, too
        settings |= {"eval_prompts": [settings["dataset"]], "eval_every": 1, "eval_num_samples": 2}
        settings |= {"keep_best": "majority_ratio", "answer_methods": ["last_number"]}
    assert finish(start(settings, num_ranks, stopped)) == [75] * num_ranks
    assert "stopped by SIGTERM after step 3, which is saved" in (stopped / "log.txt").read_text()
    run_whole(settings, num_ranks, whole)
    assert finish(start(settings, num_ranks, stopped)) == [0] * num_ranks
    assert difference(stopped, whole) is None
    first, second = (
        json.loads((folder / RUN / "summary.json").read_text()) for folder in (stopped, whole)
    )
    assert (first["guards"], first.get("best")) == (second["guards"], second.get("best"))
    assert [event["checkpoint"] for event in first["guards"]] == [0]


BROKEN = """
def broken(group):
    # Numbers for the made-up completions alone, on which it is tried before the run.
    texts = [rollout.completion for rollout in group.rollouts]
    return [1.0 if "So" in text or "know" in text else float("nan") for text in texts]
"""


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [zero(2), zero(3)], ids=["zero2", "zero3"])
def test_sharded_optimizers_make_no_update_with_what_is_no_number(recipe, tmp_path, launcher):
    (tmp_path / "reward.py").write_text(BROKEN)
    folder = tmp_path / "run"
    settings = {
        "rewards": {f"{tmp_path}/reward.py:broken": {}},
        "guards": {"non_finite": {"max_in_a_row": 2}},
        "output_dir": str(folder),
    }
    arguments = [f"--{name}={json.dumps(value)}" for name, value in settings.items()]
    result = subprocess.run(
        [*launcher, "scripts/train.py", str(recipe), "--allow_code", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "error: failed at step 3: non_finite: reward" in result.stderr, result.stderr[-3000:]
    untouched = yaml.safe_load(recipe.read_text())["model"]
    assert torch.equal(weights(folder), weights(untouched))
