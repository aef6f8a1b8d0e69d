"""Programs of completions, and T3RL's verifier, in real runs: alike on any rank layout."""

from pathlib import Path

import pytest
from launching import launch, one_process, ranks, read_metrics, read_rollouts

PROGRAM = f"{Path(__file__).parent / 'first_character_program.py'}:first_character_program"
SETTINGS = {
    "rewards": {
        "tool_verified_vote": {"max_program_tokens": 4, "prompt": "{{problem}}{{solution}}"},
        PROGRAM: {"weight": 0.5},
    },
    "answer_methods": ["last_number"],
    "num_updates": 1,
    "num_votes": 8,
    "max_steps": 1,
    "save_strategy": "no",
}


@pytest.mark.usefixtures("namespaces")
def test_ranks_run_the_same_programs(recipe, tmp_path):
    whole = launch(
        one_process(), recipe, tmp_path / "one", per_device_train_batch_size=16, **SETTINGS
    )
    [metrics] = [line for line in read_metrics(whole) if "loss" in line]
    lines = read_rollouts(whole)
    sums = [line["rewards"][PROGRAM] for line in lines]
    assert sums == [sum(line["completion"][:1].encode()) % 5 for line in lines]
    assert len(set(sums)) > 1
    # The verifier was asked and wrote no program: votes count alike.
    asked = [line["asked"]["tool_verified_vote"] for line in lines if "asked" in line]
    assert metrics["reward/tool_verified_vote/num_questions"] == sum(map(len, asked)) > 0
    assert metrics["reward/tool_verified_vote/program_frac"] == 0.0
    assert metrics["reward/tool_verified_vote/verified_frac"] == 0.0
    assert metrics["grad_norm"] > 0
    split = launch(ranks(2), recipe, tmp_path / "two", per_device_train_batch_size=8, **SETTINGS)
    assert read_rollouts(split) == lines
