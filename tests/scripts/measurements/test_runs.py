"""What is read out of a run's metrics, by hand."""

import pytest
from measurements.runs import phase_seconds, require_testbed, tokens_to_target

from rl.errors import InputError


def test_what_is_in_no_phase_is_the_update():
    line = {
        "step_time": 4.0,
        "cost/sample_seconds": 2.0,
        "cost/sync_seconds": 0.5,
        "cost/score_seconds": 0.25,
        "cost/log_seconds": 0.25,
    }
    phases = phase_seconds(line)
    assert phases == {"sample": 2.0, "sync": 0.5, "score": 0.25, "log": 0.25, "update": 1.0}


def test_the_first_evaluation_at_the_target_counts():
    levels = {0: 0.6, 100: 0.7, 200: 0.85, 300: 0.8}
    lines = [{"loss": 0.1}] + [
        {"eval/pass@1": level, "eval/sampled_tokens": tokens} for tokens, level in levels.items()
    ]
    assert tokens_to_target(lines, 0.8) == 200
    assert tokens_to_target(lines, 0.6) == 0
    assert tokens_to_target(lines, 0.9) is None
    assert tokens_to_target([], 0.9) is None


def test_a_missing_testbed_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"--testbed: got .*, expected a folder with the testbed"):
        require_testbed(tmp_path)
