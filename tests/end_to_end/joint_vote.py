"""A reward of one's own over all wordings of a problem, as rewards/README.md shows it."""


def joint_vote(group):
    """Pay the answer that most completions of all wordings of the problem agree on."""
    votes = [rollout.cluster for view in group.problem for rollout in view.rollouts]
    voted = [cluster for cluster in votes if cluster is not None]
    if not voted:
        return [None] * len(group.rollouts)
    winner = max(sorted(set(voted)), key=voted.count)
    return [float(rollout.cluster == winner) for rollout in group.rollouts]
