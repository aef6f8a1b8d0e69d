"""What one step's groups say about themselves, and what labels would have said about them."""

from collections.abc import Hashable, Mapping, Sequence
from operator import eq
from statistics import fmean

from rl.answers import same_answer
from rl.answers.keys import answer_key
from rl.answers.repetition import repeated_ngram_share
from rl.answers.votes import Vote, count_votes
from rl.groups.kappa import fleiss_kappa
from rl.groups.scoring import ScoredGroup
from rl.types import Group

# Of a group, whose texts are read for repetition: enough for a mean over groups.
NUM_READ = 4


def group_metrics(scored_groups: Sequence[ScoredGroup]) -> dict[str, float]:
    """Average what each group's votes and rewards look like, without any label.

    The votes are those of the reward that votes, `ScoredGroup.vote`, with its classes and tie rule;
    without one, the plain votes over classes of equal answers.

    Args:
        scored_groups: All groups of a generation batch, at least one.

    Returns:
        vote/majority_ratio: votes of the leading answer / all votes, or its weight / all weight.
        vote/num_clusters: different answers in a group.
        vote/kappa: how far answers depend on the prompt (`rl.groups.kappa`); left out of a batch of
            one group.
        vote/repetition: share of a completion's 20-grams that repeat earlier ones, mean over the
            first four rollouts of each group.
        vote/abstained_frac, vote/truncated_frac: shares of rollouts.
        vote/teacher_agrees_frac, vote/teacher_majority_ratio: with a teacher (`_teacher_metrics`).
        vote/tie_frac, vote/unanimous_frac, vote/no_label_frac: shares of groups whose first place
            is tied, whose votes all agree, or that have no pseudo-label.
        reward/mean, reward/unscorable_frac: over all rollouts; the mean skips unscorable ones.
        reward/<name>/seconds, reward/<name>/unscorable_frac: time over all groups; share.
        reward/<name>/group_weight: mean over the groups, of a reward that weighs whole groups.
        reward/<name>/<what it measures>: mean over the groups of which it measured that.
        reward/<name>/num_not_finite: values that are no numbers, left out where there are none.
    """
    rollouts = [rollout for scored in scored_groups for rollout in scored.group.rollouts]
    votes = [scored.vote.vote if scored.vote else _plain_vote(scored) for scored in scored_groups]
    rewards = [reward for scored in scored_groups for reward in scored.reward]
    known = [reward for reward in rewards if reward is not None]
    metrics = {
        "vote/majority_ratio": fmean(vote.majority_ratio for vote in votes),
        "vote/num_clusters": fmean(len(vote.counts) for vote in votes),
        "vote/abstained_frac": fmean(rollout.answer is None for rollout in rollouts),
        "vote/truncated_frac": fmean(rollout.truncated for rollout in rollouts),
        "vote/tie_frac": fmean(vote.is_tie for vote in votes),
        "vote/unanimous_frac": fmean(vote.majority_ratio == 1.0 for vote in votes),
        "vote/no_label_frac": fmean(vote.winner is None for vote in votes),
        "vote/repetition": fmean(
            repeated_ngram_share(rollout.completion)
            for scored in scored_groups
            for rollout in scored.group.rollouts[:NUM_READ]
        ),
        "reward/unscorable_frac": 1 - len(known) / len(rewards),
    }
    metrics |= _teacher_metrics(scored_groups)
    kappa = fleiss_kappa([answer_keys(scored.group) for scored in scored_groups])
    if kappa is not None:
        metrics["vote/kappa"] = kappa
    if known:
        metrics["reward/mean"] = fmean(known)
    return metrics | _metrics_of_rewards(scored_groups)


def audit_metrics(
    scored_groups: Sequence[ScoredGroup], labels: Mapping[int, str]
) -> dict[str, float]:
    """Average what the labels would have said of what was paid. Never feed this into training.

    What was paid is the vote of the reward that votes, `ScoredGroup.vote`: its pseudo-label, and
    the rollouts it takes for right.

    Args:
        scored_groups: All groups of a generation batch, at least one.
        labels: Row of the training set -> label; groups of rows without one are left out.

    Returns:
        Nothing if no group has a label, otherwise:
        audit/accuracy: share of rollouts whose answer equals the label.
        audit/majority_accuracy: share of groups whose most common answer equals the label, the
            first of several; whatever the reward.
        And if a reward votes:
        audit/label_accuracy: share of groups whose pseudo-label equals the label, of all groups.
        audit/reward_accuracy: share of rollouts on which vote and label agree whether the rollout
            is right (TTRL, arXiv 2504.16084, section 4.2: high even where the vote is wrong).
    """
    right, majority_right, label_right, verdicts_agree = [], [], [], []
    for scored in scored_groups:
        label = labels.get(scored.row)
        if label is None:
            continue
        clusters = [rollout.cluster for rollout in scored.group.rollouts]
        # One comparison per class: its first answer stands for all.
        answers = {r.cluster: r.answer for r in reversed(scored.group.rollouts) if r.answer}
        correct = {c for c, answer in answers.items() if answer and same_answer(answer, label)}
        verdicts = [cluster in correct for cluster in clusters]
        right += verdicts
        majority_right.append(_plain_vote(scored).winner in correct)
        if scored.vote is not None:
            label_right.append(same_answer(scored.vote.pseudo_label, label))
            verdicts_agree += map(eq, scored.vote.selected, verdicts)
    found = {
        "audit/accuracy": right,
        "audit/majority_accuracy": majority_right,
        "audit/label_accuracy": label_right,
        "audit/reward_accuracy": verdicts_agree,
    }
    return {name: fmean(values) for name, values in found.items() if values}


def answer_keys(group: Group) -> list[Hashable | None]:
    """Name each rollout's class of answers alike in all groups: by the key of its first answer."""
    first = {
        r.cluster: r.answer
        for r in reversed(group.rollouts)
        if r.cluster is not None and r.answer is not None
    }
    keys = {cluster: answer_key(answer) for cluster, answer in first.items()}
    return [None if r.cluster is None else keys.get(r.cluster) for r in group.rollouts]


def _metrics_of_rewards(scored_groups: Sequence[ScoredGroup]) -> dict[str, float]:
    """What is told of each reward by its name: reward/<name>/..."""
    metrics: dict[str, float] = {}
    for name in scored_groups[0].rewards:
        scores = [score for scored in scored_groups for score in scored.rewards[name]]
        metrics[f"reward/{name}/seconds"] = sum(s.reward_seconds[name] for s in scored_groups)
        metrics[f"reward/{name}/unscorable_frac"] = fmean(score is None for score in scores)
        if count := sum(scored.num_not_finite.get(name, 0) for scored in scored_groups):
            metrics[f"reward/{name}/num_not_finite"] = count
    for name in scored_groups[0].measured:
        told = [scored.measured[name] for scored in scored_groups]
        for key in sorted({key for of_group in told for key in of_group}):
            values = [of_group[key] for of_group in told if key in of_group]
            metrics[f"reward/{name}/{key}"] = fmean(values)
    for name in scored_groups[0].group_weights:
        weights = [scored.group_weights[name] for scored in scored_groups]
        metrics[f"reward/{name}/group_weight"] = fmean(weights)
    return metrics


def _teacher_metrics(scored_groups: Sequence[ScoredGroup]) -> dict[str, float]:
    """Share of groups whose plain vote has the teacher's leading answer, and the share of it."""
    taught = [(s, s.group.teacher) for s in scored_groups if s.group.teacher is not None]
    if not taught:
        return {}
    votes = [count_votes([r.cluster for r in teacher.rollouts]) for _, teacher in taught]
    agreeing = [
        vote.winner == _plain_vote(scored).winner
        for vote, (scored, _) in zip(votes, taught, strict=True)
    ]
    return {
        "vote/teacher_agrees_frac": fmean(agreeing),
        "vote/teacher_majority_ratio": fmean(vote.majority_ratio for vote in votes),
    }


def _plain_vote(scored: ScoredGroup) -> Vote:
    return count_votes([rollout.cluster for rollout in scored.group.rollouts])
