"""A real pretrained model, SmolLM2-135M-Instruct, through every engine and launch a CPU can run."""

import base64
import gzip
import json
import re
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from launching import ROOT, launch, one_process, ranks, read_metrics, read_rollouts, zero

LORA = {"r": 8, "target_modules": "all-linear"}


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    """The folder that scripts/fetch_smollm2.py fills, by the command a user types."""
    folder = tmp_path_factory.mktemp("smollm2")
    run_script("fetch_smollm2.py", "--output_dir", folder)
    return folder


@pytest.fixture(scope="module")
def recipe(smollm2):
    """The shipped recipe on that folder, cut down to two steps of four prompts."""
    shipped = yaml.safe_load((ROOT / "recipes/ttrl/ttrl_smollm2_words.yaml").read_text())
    settings = {
        **{key: value for key, value in shipped.items() if key != "lora"},
        "model": str(smollm2 / "model"),
        "dataset": str(smollm2 / "words" / "train.jsonl"),
        "eval_benchmarks": [],
        "num_prompts": 4,
        "num_generations": 4,
        "per_device_train_batch_size": 8,
        "max_steps": 2,
    }
    path = smollm2 / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="module")
def chats(smollm2):
    """64 chats of about 86 tokens each: more than vLLM's CPU engine reads in one step."""
    words = smollm2.parent / "chats.jsonl"
    rows = (smollm2 / "words" / "heldout.jsonl").read_text().splitlines()[:64]
    lines = []
    for row in map(json.loads, rows):
        text = "Continue this list with one word or two, as in the examples. " * 3 + row["prompt"]
        messages = [{"role": "user", "content": text}]
        lines.append(json.dumps({"prompt": messages, "label": row["label"]}))
    words.write_text("\n".join(lines) + "\n")
    return words


def run_script(name, *arguments):
    command = [sys.executable, f"scripts/{name}", *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, (run.stdout + run.stderr)[-4000:]
    return run.stdout


def assert_two_steps(output_dir):
    metrics = [line for line in read_metrics(output_dir) if "loss" in line]
    assert [line["step"] for line in metrics] == [1, 2]
    assert all(line["grad_norm"] > 0 for line in metrics)
    lines = read_rollouts(output_dir)
    assert len(lines) == 2 * 16
    assert sum(line["answer"] is not None for line in lines) > len(lines) / 2
    return metrics


def test_lora(recipe, tmp_path):
    assert_two_steps(launch(one_process(), recipe, tmp_path / "run", lora=LORA))
    assert (tmp_path / "run" / "adapter_model.safetensors").is_file()


def assert_samplers_agree(metrics):
    assert metrics[0]["signal/start_sampling_logp_gap"] < 1e-3
    assert metrics[1]["sampling/sampling_logp_difference/mean"] < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, LORA])
def test_vllm_colocated(recipe, tmp_path, lora):
    run = launch(one_process(), recipe, tmp_path / "run", use_vllm=True, lora=lora)
    assert_samplers_agree(assert_two_steps(run))


@pytest.mark.slow
def test_vllm_server(recipe, tmp_path, free_port):
    server = {"vllm_mode": "server", "vllm_launch_server": True, "vllm_server_port": free_port}
    run = launch(
        one_process(), recipe, tmp_path / "run", use_vllm=True, vllm_server_timeout=400, **server
    )
    assert_samplers_agree(assert_two_steps(run))


@pytest.mark.slow
def test_zero2_on_two_ranks(recipe, tmp_path):
    assert_two_steps(launch(zero(2), recipe, tmp_path / "run"))


@pytest.mark.slow
def test_two_ranks_sample_and_train_as_one(recipe, tmp_path):
    one = launch(one_process(), recipe, tmp_path / "one", lora=LORA)
    two = launch(ranks(2), recipe, tmp_path / "two", lora=LORA)
    first = [[line["completion"] for line in read_rollouts(run)[:16]] for run in (one, two)]
    assert first[0] == first[1]
    norms = [assert_two_steps(run)[0]["grad_norm"] for run in (one, two)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


@pytest.mark.slow
def test_resume(recipe, tmp_path):
    settings = {"lora": LORA, "save_strategy": "steps", "save_steps": 1}
    whole = launch(one_process(), recipe, tmp_path / "whole", **settings)
    parts = launch(one_process(), recipe, tmp_path / "parts", max_steps=1, **settings)
    meant = {"accept_changes": ["max_steps"]}  # the rate falls over as many steps as there are
    launch(one_process(), recipe, parts, resume_from_checkpoint=True, **meant, **settings)
    assert read_rollouts(parts) == read_rollouts(whole)
    assert_two_steps(parts)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_evaluate_chats(smollm2, chats, tmp_path, engine):
    run_script(
        "evaluate.py",
        *("--model", smollm2 / "model", "--benchmark", chats, "--engine", engine),
        *("--num_samples", 8, "--max_completion_length", 8, "--output_dir", tmp_path / "eval"),
    )
    samples = (tmp_path / "eval" / "samples.jsonl").read_text().splitlines()
    assert len(samples) == 64 * 8
    assert len({json.loads(sample)["completion"] for sample in samples}) > 64


@pytest.mark.slow
def test_solve_and_report(smollm2, recipe, tmp_path):
    questions = tmp_path / "questions.jsonl"
    rows = (smollm2 / "words" / "train.jsonl").read_text().splitlines()[:4]
    questions.write_text("\n".join(rows) + "\n")
    run_script(
        "solve.py",
        *(questions, "--model", smollm2 / "model", "--output", tmp_path / "answers.jsonl"),
        *("--num_samples", 4, "--adapt", recipe, "--max_steps", 1),
    )
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert Counter(line["num_votes"] for line in answers) == {4: 4}
    page = tmp_path / "report.html"
    run_script("report.py", tmp_path / "answers-adapted", "--output", page)
    packed = re.search(r'id="rollouts-0-1"[^>]*>([^<]*)<', page.read_text())
    shown = gzip.decompress(base64.b64decode(packed[1])).decode()
    assert all(json.dumps(json.loads(row)["prompt"]) in shown for row in rows)
