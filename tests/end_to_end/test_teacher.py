"""A teacher on one rank and on two, after a stop, and with each engine: the same answers."""

import shutil
from pathlib import Path

import pytest
from killed_runs import comparable
from launching import fsdp2, launch, one_process, ranks, read_metrics, read_rollouts, zero
from safetensors.torch import load_file

TAUGHT = {
    "teacher": {"kind": "ema", "decay": 0.5, "final_decay": 0.9},
    "rewards": {"teacher_vote": {}},
    "answer_methods": ["last_number"],
    "max_completion_length": 3,  # of random tokens, so that answers agree now and then
    "num_prompts": 3,
    "num_generations": 16,
    "num_votes": 16,
    "num_updates": 1,
    "per_device_train_batch_size": 8,
}


def test_a_teacher_does_not_depend_on_ranks(recipe, tmp_path):
    found = {}
    for num_ranks in (1, 2):
        launcher = one_process() if num_ranks == 1 else ranks(num_ranks)
        found[num_ranks] = launch(
            launcher, recipe, tmp_path / str(num_ranks), max_steps=2, save_steps=1, **TAUGHT
        )
    one, two = (read_rollouts(found[num_ranks]) for num_ranks in (1, 2))
    first = [line for line in one if line["step"] == 1]
    assert [line for line in two if line["step"] == 1] == first
    assert {0.0, 1.0} <= {line["reward"] for line in first}
    costs = [read_metrics(folder)[0] for folder in found.values()]
    assert costs[0]["cost/num_teacher_tokens"] == costs[1]["cost/num_teacher_tokens"] > 0
    assert (
        sum(line["num_tokens"] for line in first) + costs[0]["cost/num_teacher_tokens"]
        == costs[0]["cost/num_sampled_tokens"]
    )
    # The second batch is sampled after a step; the average has moved on both alike, up to rounding.
    averages = [load_file(f / "checkpoint-2" / "teacher.safetensors") for f in found.values()]
    start = load_file(found[1] / "checkpoint-1" / "teacher.safetensors")
    for name, weight in averages[0].items():
        assert averages[1][name].allclose(weight, atol=1e-5), name
    assert any(not weight.equal(start[name]) for name, weight in averages[0].items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ema", "offline"])
@pytest.mark.parametrize("lora", [None, {"r": 4, "target_modules": "all-linear"}])
def test_a_stopped_run_goes_on_with_its_teacher(recipe, tmp_path, kind, lora):
    settings = {**TAUGHT, "max_steps": 6, "save_steps": 3, "lora": lora}
    if kind == "offline":
        settings["teacher"] = {"kind": "offline", "num_votes": 8}
    whole = launch(one_process(), recipe, tmp_path / "whole", **settings)
    stopped = tmp_path / "stopped"
    shutil.copytree(whole, stopped)
    shutil.rmtree(stopped / "checkpoint-6")
    (stopped / "summary.json").unlink()
    launch(one_process(), recipe, stopped, resume_from_checkpoint="auto", **settings)
    assert comparable(read_metrics(stopped)) == comparable(read_metrics(whole))
    assert read_rollouts(stopped) == read_rollouts(whole)
    if kind == "ema":
        one, two = (
            load_file(run / "checkpoint-6" / "teacher.safetensors") for run in (whole, stopped)
        )
        assert one.keys() == two.keys()
        assert all(two[name].equal(weight) for name, weight in one.items())


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "kind"), [(2, "ema"), (3, "ema"), (3, "frozen"), (3, "offline")])
def test_a_teacher_under_deepspeed(recipe, tmp_path, stage, kind):
    teacher = {"kind": "offline", "num_votes": 16} if kind == "offline" else {"kind": kind}
    teacher = TAUGHT["teacher"] if kind == "ema" else teacher
    settings = {**TAUGHT, "teacher": teacher, "max_steps": 2, "save_steps": 2}
    found = launch(zero(stage), recipe, tmp_path / "zero", **settings)
    plain = launch(one_process(), recipe, tmp_path / "plain", **settings)
    lines = [[r for r in read_rollouts(f) if r["step"] == 1] for f in (found, plain)]
    assert lines[0] == lines[1]
    if kind == "ema":
        assert_same_averages(found, plain)


def assert_same_averages(found, plain):
    """The averages of two runs before their second step, which moved them."""
    averages = [load_file(f / "checkpoint-2" / "teacher.safetensors") for f in (found, plain)]
    assert averages[0].keys() == averages[1].keys()
    assert all(averages[0][n].allclose(w, atol=1e-5) for n, w in averages[1].items())


@pytest.mark.slow
def test_a_teacher_under_fsdp(recipe, tmp_path):
    engine = f"{Path(__file__).parent / 'stored_policy.py'}:StoredPolicy"
    settings = {**TAUGHT, "engine": engine, "max_steps": 2, "save_steps": 2}
    found = launch(fsdp2(), recipe, tmp_path / "fsdp", **settings)
    plain = launch(one_process(), recipe, tmp_path / "plain", **settings)
    lines = [[r for r in read_rollouts(f) if r["step"] == 1] for f in (found, plain)]
    assert lines[0] == lines[1]
    assert_same_averages(found, plain)


@pytest.mark.slow
def test_vllm_samples_from_the_teacher_and_gives_the_policy_back(recipe, tmp_path):
    # Weights of both are proved by their fingerprints at each exchange.
    settings = {**TAUGHT, "max_steps": 3, "use_vllm": True, "vllm_gpu_memory_utilization": 0.3}
    found = launch(one_process(), recipe, tmp_path / "vllm", **settings)
    lines = [line for line in read_metrics(found) if "loss" in line]
    assert len(lines) == 3
    assert all(line["cost/num_teacher_tokens"] > 0 for line in lines)
    # The policy samples what the trainer holds, after the teacher did.
    assert max(line["sampling/sampling_logp_difference/mean"] for line in lines) < 1e-3
