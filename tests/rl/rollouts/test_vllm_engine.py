"""A real vLLM engine on a tiny model: samples, log-probabilities and weights are the trainer's."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny_vision

from rl.errors import InputError
from rl.rollouts.engine import SamplingSettings
from rl.rollouts.vllm_engine import check_fingerprint, request_settings, require_vllm

SESSION = Path(__file__).with_name("vllm_session.py")
# Rounding of the logits apart, vLLM and transformers compute the same.
EXACT = 1e-5

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def session(request, save_tiny_model):
    """What one engine did; in its own process, which vLLM's global state makes necessary."""
    return run_session(save_tiny_model(tied=request.param))


def run_session(*arguments):
    result = subprocess.run(
        [sys.executable, SESSION, *arguments],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env={**os.environ, "VLLM_LOGGING_LEVEL": "ERROR"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


@needs_vllm
def test_it_keeps_the_contract_of_engines(session):
    assert set(session["contract"].values()) == {None}


@needs_vllm
def test_seeded_prompts_that_need_several_scheduler_steps(session):
    # vLLM 0.31 on a CPU: "CPU Generator does not use offset", were a prompt cut into chunks.
    assert session["long"]["together"] == session["long"]["alone"]
    assert len({tuple(ids) for group in session["long"]["together"] for ids in group}) > 64


@needs_vllm
def test_sampling_logps_are_those_of_the_sampled_distribution(session):
    # Under the temperature and the cut, where there are any.
    assert session["gaps"].keys() == {"loaded", "temperature", "top_k"}
    assert max(session["gaps"].values()) < EXACT


@needs_vllm
def test_a_sync_brings_the_new_weights(session):
    gaps = session["synced"]["gaps"]
    assert gaps["synced_unchanged"] < EXACT
    # The check has teeth: stale weights are far off.
    assert gaps["changed_not_synced"] > 0.05
    assert gaps["changed_and_synced"] < EXACT


@needs_vllm
def test_a_sync_that_leaves_out_a_parameter_stops_the_run(session):
    raised = session["synced"]["raised"]
    assert len(raised) == 3
    assert all(message and "weights held by vLLM: got" in message for message in raised.values())
    # After that a whole sync works again.
    assert session["synced"]["gaps"]["mended"] < EXACT


@needs_vllm
def test_an_engine_without_parameters_keeps_its_weights(session):
    assert session["synced"]["gaps"]["nothing_to_sync"] > 0.05


@needs_vllm
@pytest.mark.medium
@pytest.mark.parametrize("splits", [pytest.param(False, marks=pytest.mark.slow), True])
def test_images_are_seen_as_the_trainer_sees_them(tmp_path, splits):
    tiny_vision.save(tmp_path, splits=splits)
    seen = run_session(str(tmp_path), "--images")
    # The trainer's distribution without the image's token, which is never sampled.
    assert seen["loaded"] < EXACT
    assert seen["alone"]
    assert seen["changed_not_synced"] > 0.05
    assert seen["changed_and_synced"] < EXACT


# Without an engine.


def test_no_vllm_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)  # as Python marks a module that is not there
    with pytest.raises(InputError, match=r"vllm: got no installation, .* sample with transformers"):
        require_vllm()


def test_settings_under_the_names_of_vllm():
    settings = SamplingSettings(max_completion_length=7, temperature=0.5, top_k=3, min_p=0.1)
    assert request_settings(settings) == {
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 1.0,
        "top_k": 3,
        "min_p": 0.1,
        "repetition_penalty": 1.0,
    }


def test_fingerprints_must_agree_where_they_are_comparable():
    check_fingerprint([1.0, 100.0], {"sums": [1.0 + 1e-9, 100.0], "num_shards": 1})
    with pytest.raises(RuntimeError, match=r"weights held by vLLM: got the sums \[1.1, 100.0\]"):
        check_fingerprint([1.0, 100.0], {"sums": [1.1, 100.0], "num_shards": 1})
    # A shard's sums are those of a part of the model.
    check_fingerprint([1.0, 100.0], {"sums": [0.3, 50.0], "num_shards": 2})
