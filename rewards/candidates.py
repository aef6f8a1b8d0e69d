"""What the policy is shown of a group when it is asked: a rollout for each answer, or each text."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rl.answers import group_clusters
from rl.data.slots import fill_slots
from rl.questions import Question
from rl.types import Group, Rollout

# Whether a question is about a candidate of each class, or about each different completion.
Per: TypeAlias = Literal["answer", "completion"]
SLOTS = {"problem", "solution", "answer"}  # of a prompt that asks about one of them


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


def shown_completions(group: Group, per: Per) -> dict[str, tuple[str, str]]:
    """Return key -> answer and completion of what is asked about, in the order of the keys."""
    if per == "answer":
        return {c.key: (c.answer, c.completion) for c in candidates(group)}
    found = {completion_key(r): (r.answer, r.completion) for r in group.rollouts if r.answer}
    return dict(sorted(found.items()))


def shown_keys(group: Group, per: Per) -> list[str | None]:
    """Return the key of what is asked about in place of each rollout; None without an answer."""
    if per == "completion":
        return [completion_key(r) if r.answer else None for r in group.rollouts]
    keys = {candidate.cluster: candidate.key for candidate in candidates(group)}
    return [None if c is None else keys[c] for c in group_clusters(group)]


def questions_about(
    group: Group,
    per: Per,
    prompt: str,
    what: str,
    *,
    max_tokens: int | None,
    num_samples: int = 1,
) -> list[Question]:
    """Ask about each of what is shown, in one round.

    Args:
        group: Rollouts of one prompt.
        per: What is shown of it.
        prompt: With some of `SLOTS`.
        what: Name of the setting that holds the prompt.
        max_tokens: See `Question`.
        num_samples: See `Question`.
    """
    problem = group.problem_text or group.prompt
    return [
        Question(
            key=key,
            prompt=fill_slots(
                prompt, {"problem": problem, "solution": completion, "answer": answer}, what
            ),
            num_samples=num_samples,
            max_tokens=max_tokens,
        )
        for key, (answer, completion) in shown_completions(group, per).items()
    ]


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
