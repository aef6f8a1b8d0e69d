"""Trees of completions in a trainer with a real model: forks, tokens, entropies, advantages."""

import pytest
import torch
from tiny_trainer import rows_of

from rl.groups.advantages import entropy_reshaped_advantages
from rl.rollouts.branching.entropy_fork import highest_entropy_positions
from rl.training.engines import build_engine

TREES = {"entropy_fork": {"num_trees": 2, "num_forks": 1, "num_branches": 2}}
PRUNED = {
    "entropy_confidence": {
        **{"num_roots": 4, "min_depth": 1, "entropy_high": 2.0, "entropy_low": 0.0},
        **{"entropy_delta_threshold": 0.0, "branch_threshold": 9.0, "prune_threshold": 2.86},
    }
}


def pay_digits(group):
    return [float(rollout.completion[:1].isdigit()) for rollout in group.rollouts]


@pytest.fixture
def sample(make_trainer):
    """A batch of two prompts, eight votes each, and what it cost."""

    def make(num_votes=8, num_generations=8, **settings):
        texts = ["1"] * num_generations
        trainer = make_trainer(texts, {"digits": pay_digits}, num_votes=num_votes, **settings)
        trainer.engine = build_engine(
            trainer.args,
            trainer.model,
            trainer.processing_class,
            trainer.accelerator,
            trainer.generation_context,
        )
        batch = trainer.next_batch(rows_of(trainer))
        return trainer, batch, list(batch.rollout_lines), trainer.costs.finish_step()

    return make


def entropies_of(trainer, row):
    """Entropies of a row's tokens, from the model's own logits."""
    ids, start = row.prompt_ids + row.sample.completion_ids, len(row.prompt_ids) - 1
    with torch.no_grad():
        logits = trainer.model(torch.tensor([ids])).logits[0, start:-1]
    return torch.distributions.Categorical(logits=logits).entropy().tolist()


def test_trees_fork_where_the_policy_is_least_sure(sample):
    trainer, batch, lines, costs = sample(branching=TREES)
    for start in (0, 8):
        rows, group = batch.rows[start : start + 8], lines[start : start + 8]
        branches = [(line["branch"]["root"], line["branch"]["position"]) for line in group[2:6]]
        expected = []
        for root in (0, 1):
            is_over = not rows[root].sample.truncated
            entropies = entropies_of(trainer, rows[root])
            [position] = highest_entropy_positions(entropies[: len(entropies) - is_over], 1)
            expected += [(root, position)] * 2
        assert branches == expected
        # The last two are sampled from the prompt on, as the two roots are.
        assert all("branch" not in group[i] for i in (0, 1, 6, 7))
    num_shared = sum(line["branch"]["position"] for line in lines if "branch" in line)
    assert num_shared > 0
    assert costs["cost/num_saved_tokens"] == batch.metrics["branches/saved_tokens"] == num_shared
    sampled = sum(line["num_tokens"] for line in lines) - num_shared
    assert costs["cost/num_sampled_tokens"] == sampled
    assert costs["cost/num_sampled_completions"] == 16
    assert costs["cost/branching_seconds"] > 0


def test_without_forks_a_batch_is_that_of_plain_sampling(sample):
    _, _, plain, _ = sample()
    forkless = {"entropy_fork": {"num_trees": 3, "num_forks": 0, "num_branches": 1}}
    _, batch, lines, _ = sample(branching=forkless)
    assert lines == plain
    assert batch.metrics["branches/saved_tokens"] == 0.0


def test_entropies_of_trained_rollouts_reach_the_advantage(sample):
    trainer, batch, lines, costs = sample(
        num_votes=10, trained_subset="random", branching=TREES, advantage="entropy_reshaped"
    )
    trained = [line for line in lines if line["trained"]]
    assert {"entropy" in line for line in lines if not line["trained"]} == {False}
    for row, line in zip(batch.rows, trained, strict=True):
        entropies = entropies_of(trainer, row)
        assert line["entropy"] == pytest.approx(sum(entropies) / len(entropies), abs=1e-4)
    expected = entropy_reshaped_advantages(
        torch.tensor([line["reward"] for line in trained]).view(2, 8),
        torch.tensor([line["entropy"] for line in trained]).view(2, 8),
    )
    assert batch.advantages.tolist() == pytest.approx(expected.flatten().tolist(), abs=1e-4)
    assert costs["cost/token_statistics_seconds"] > 0


def test_pruned_completions_are_cut_and_their_tokens_counted(sample):
    _, batch, lines, costs = sample(branching=PRUNED)
    pruned = [line for line in lines if "num_pruned" in line]
    assert 0 < len(pruned) < len(lines)
    assert all(line["truncated"] for line in pruned)
    assert any("branch" in line for line in lines)
    num_shared = sum(line["branch"]["position"] for line in lines if "branch" in line)
    num_pruned = sum(line["num_pruned"] for line in pruned)
    sampled = sum(line["num_tokens"] for line in lines) - num_shared + num_pruned
    assert costs["cost/num_sampled_tokens"] == sampled
    assert batch.metrics["branches/pruned_tokens"] == num_pruned
    assert all(len(row.sample.completion_ids) <= 16 for row in batch.rows)
