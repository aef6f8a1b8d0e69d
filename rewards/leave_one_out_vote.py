r"""Leave-one-out vote as a reward: pays each rollout for the answer that the others agree on.

Source: SPINE, arXiv 2511.17938, version 1, its optional target a*_{-i}, as read by a public survey
    note: a rollout's own vote must not make its answer the one it is paid for.
Differs: votes are cast for classes of equal answers; a rollout without an answer abstains. Ties,
    which the note says nothing of and which are common once one vote is missing, are split: each of
    n leading answers pays 1 / n, whatever the order of the rollouts.
Fails when: the majority is confidently wrong, as with a majority vote; and in small groups without
    a clear majority it pays nobody: of two against two each sees the other side lead.
"""

from rl.answers import group_clusters
from rl.answers.votes import count_votes
from rl.types import Group


def leave_one_out_vote(group: Group) -> list[float | None]:
    """Pay 1.0 for the most common answer of the group's other rollouts, 0.0 for any other.

    r_i = 1[cluster_i in L_i] / |L_i|,  L_i = argmax_c |{j != i : cluster_j = c}|

    All rollouts vote and all are scored, trained or not.

    Args:
        group: Rollouts of one prompt; reads `cluster` and `answer`. If no rollout has a cluster
            but some have answers, the clusters are computed.

    Returns:
        One reward per rollout, in [0, 1]; 0.0 without an answer. None where none of the others
        answered.

    Example:
        >>> from rl.types import Rollout
        >>> rollouts = [Rollout(completion="", answer=a) for a in ("2", "2.0", "2", "3", None)]
        >>> leave_one_out_vote(Group(prompt_id="p", prompt="1+1=", rollouts=tuple(rollouts)))
        [1.0, 1.0, 1.0, 0.0, 0.0]
    """
    clusters = group_clusters(group)
    counts = count_votes(clusters).counts
    return [_score(cluster, counts) for cluster in clusters]


def _score(own: int | None, counts: dict[int, int]) -> float | None:
    of_others = {cluster: count - (cluster == own) for cluster, count in counts.items()}
    most = max(of_others.values(), default=0)
    if most == 0:
        return None
    leaders = [cluster for cluster, count in of_others.items() if count == most]
    return 1 / len(leaders) if own in leaders else 0.0
