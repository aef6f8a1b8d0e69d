"""Mean entropies of trained completions, against the model's own logits."""

from dataclasses import replace
from statistics import fmean

import pytest
from accelerate import Accelerator

from rl.groups.mean_entropies import add_mean_entropies
from rl.groups.token_statistics import add_token_statistics, measure_tokens
from rl.rollouts.engine import Sample


def test_trained_rollouts_get_theirs(make_tiny_model, make_group):
    model, accelerator = make_tiny_model(), Accelerator(cpu=True)
    add_token_statistics(model, temperature=0.7)
    rows = [[5, 6, 1], [7, 1], [8, 9, 2, 1]]
    samples = [Sample(completion_ids=ids, truncated=False) for ids in rows]
    group = make_group(["1", "2", "3"], trained=[0, 2])
    [found] = add_mean_entropies(
        [group],
        [([2, 3], samples)],
        model=model,
        accelerator=accelerator,
        pad_token_id=0,
        batch_size=2,
    )
    measured = measure_tokens(model, accelerator, [([2, 3], ids) for ids in rows], 0, 1)
    expected = [fmean(statistics[1]) for statistics in measured]
    entropies = [rollout.entropy for rollout in found.rollouts]
    assert entropies[1] is None
    assert [entropies[0], entropies[2]] == pytest.approx([expected[0], expected[2]], abs=1e-5)
    assert replace(found.rollouts[0], entropy=None) == group.rollouts[0]
