"""One rollout for each different answer of a group: what the policy is shown when it is asked."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

from rl.answers import group_clusters
from rl.types import Group, Rollout


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A class of equal answers, and the rollout that stands for it.

    Attributes:
        key: Hash of the answer and of the completion: the same whatever the order of the group.
        cluster: Number of the class.
        answer: As the rollout writes it.
        completion: The rollout's.
        num_votes: Rollouts of the class.
    """

    key: str
    cluster: int
    answer: str
    completion: str
    num_votes: int


def candidates(group: Group) -> list[Candidate]:
    """Choose a rollout for each class of answers: one that ended by itself, then the shortest.

    Returns:
        A candidate a class, in an order that depends on no rollout's place and on no vote, since a
        policy that chooses has a taste for what stands first; none where nobody answered.
    """
    classes: dict[int, list[Rollout]] = defaultdict(list)
    for rollout, cluster in zip(group.rollouts, group_clusters(group), strict=True):
        if cluster is not None:
            classes[cluster].append(rollout)
    found = [_candidate(cluster, members) for cluster, members in classes.items()]
    return sorted(found, key=lambda candidate: candidate.key)


def completion_key(rollout: Rollout) -> str:
    """Hash the answer and the completion of a rollout to 16 hex digits."""
    text = f"{rollout.answer}\x1f{rollout.completion}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _candidate(cluster: int, members: list[Rollout]) -> Candidate:
    shown = min(members, key=lambda r: (r.truncated, r.num_tokens, r.completion, r.answer or ""))
    return Candidate(
        key=completion_key(shown),
        cluster=cluster,
        answer=shown.answer or "",
        completion=shown.completion,
        num_votes=len(members),
    )
