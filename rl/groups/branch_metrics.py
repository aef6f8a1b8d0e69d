"""What branching saved and what it changed: branches/ metrics of a step's groups."""

from collections.abc import Sequence
from statistics import fmean

from rl.types import Group


def branch_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Count tokens that were not sampled again, and branches that came to another answer.

    Args:
        groups: All groups of a batch of a run with `branching`, at least one; answers looked for.

    Returns:
        branches/saved_tokens: tokens that branches share with their roots.
        branches/saved_frac: these / tokens of all completions, those that were cut off included.
        branches/branch_frac: share of completions that are branches.
        branches/pruned_frac: share of completions that were cut short; branches/pruned_tokens: the
            tokens that were cut off.
        branches/fork_depth: shared tokens / tokens of the root, mean over branches.
        branches/changed_answer_frac: share of branches whose answer is not their root's; no answer
            counts as one. Both are left out where nothing branched.
    """
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    pairs = [
        (group.rollouts[rollout.branch.root], rollout, rollout.branch.position)
        for group in groups
        for rollout in group.rollouts
        if rollout.branch is not None
    ]
    num_tokens = sum(rollout.num_tokens + rollout.num_pruned for rollout in rollouts)
    num_saved = sum(position for _, _, position in pairs)
    metrics = {
        "branches/saved_tokens": num_saved,
        "branches/saved_frac": num_saved / max(1, num_tokens),
        "branches/branch_frac": len(pairs) / len(rollouts),
        "branches/pruned_frac": fmean(r.num_pruned > 0 for r in rollouts),
        "branches/pruned_tokens": sum(r.num_pruned for r in rollouts),
    }
    if pairs:
        depths = (at / (root.num_tokens + root.num_pruned) for root, _, at in pairs)
        metrics["branches/fork_depth"] = fmean(depths)
        changed = (root.cluster != branch.cluster for root, branch, _ in pairs)
        metrics["branches/changed_answer_frac"] = fmean(changed)
    return {name: float(value) for name, value in metrics.items()}
