"""Rollout lines joined to groups, and what a group shows that is worth a look."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MAX_CHARACTERS = 20_000
GROUP_KEYS = ("prompt_id", "visit", "prompt", "role")
_OF_GROUP = {*GROUP_KEYS, "images", "step"}

Group = dict[str, Any]
Rollout = Mapping[str, Any]


def group_lines(lines: Iterable[Rollout]) -> list[Group]:
    """Join rollout lines into groups by prompt, visit and role, in order of first appearance.

    Keys of a line that nobody knows here stay with the rollout.
    """
    groups: dict[tuple[str, str, str], Group] = {}
    for line in lines:
        prompt_id, visit, prompt, role = (str(line.get(key) or "") for key in GROUP_KEYS)
        empty: Group = {"prompt_id": prompt_id, "visit": visit, "prompt": prompt, "role": role}
        empty |= {"images": image_digests(line), "rollouts": []}
        group = groups.setdefault((prompt_id, visit, role), empty)
        rollout = {key: value for key, value in line.items() if key not in _OF_GROUP}
        group["rollouts"].append(cut_completion(rollout))
    for group in groups.values():
        if all(isinstance(rollout.get("rollout"), int) for rollout in group["rollouts"]):
            group["rollouts"].sort(key=lambda rollout: rollout["rollout"])
    return list(groups.values())


def image_digests(line: Mapping[str, Any]) -> list[str]:
    """Return the digests of a line's images; what is none is passed over."""
    found = line.get("images")
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def cut_completion(rollout: dict[str, Any]) -> dict[str, Any]:
    """Return a rollout whose completion has lost its middle if it was above `MAX_CHARACTERS`.

    What is left is still above that, by the words that stand for the middle.
    """
    text = rollout.get("completion")
    if not isinstance(text, str) or len(text) <= MAX_CHARACTERS:
        return rollout
    # The end holds the answer, the beginning the plan.
    half = MAX_CHARACTERS // 2
    left_out = f"\n\n[… {len(text) - 2 * half:,} characters left out …]\n\n"
    return {**rollout, "completion": f"{text[:half]}{left_out}{text[-half:]}"}


def is_cut(rollout: Rollout) -> bool:
    """Tell whether `cut_completion` has cut a rollout."""
    return len(str(rollout.get("completion") or "")) > MAX_CHARACTERS


def majority_answer(rollouts: Sequence[Rollout]) -> tuple[int, str] | None:
    """Return the class of most votes and its answer.

    Returns:
        None where nobody has an answer or two classes share the first place.
    """
    members = _members(rollouts)
    most = max(map(len, members.values()), default=0)
    first = [cluster for cluster, inside in members.items() if len(inside) == most]
    if len(first) != 1:
        return None
    return first[0], str(members[first[0]][0].get("answer") or "")


def leading_share(rollouts: Sequence[Rollout]) -> float:
    """Return the votes of a class with most votes / rollouts; 0.0 where nobody has an answer."""
    most = max(map(len, _members(rollouts).values()), default=0)
    return most / len(rollouts) if rollouts else 0.0


def _members(rollouts: Sequence[Rollout]) -> dict[int, list[Rollout]]:
    members: dict[int, list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        cluster = rollout.get("cluster")
        if isinstance(cluster, int):
            members[cluster].append(rollout)
    return members


def reasons_to_look(rollouts: Sequence[Rollout]) -> list[str]:
    """Return what a group of a training run shows, as far as it alone tells.

    - "paid outside the majority": rewards differ and no rollout of the best one is in the majority;
    - "odd rewards": the best reward, above another one, goes to a rollout without an answer or cut
      off at the length limit, or some trained rollouts have a reward and others have none;
    - "no answers": at least half of the rollouts have none.
    """
    found = []
    paid = [rollout for rollout in rollouts if _is_number(rollout.get("reward"))]
    best = max((rollout["reward"] for rollout in paid), default=0.0)
    first = [rollout for rollout in paid if rollout["reward"] == best]
    majority = majority_answer(rollouts)
    if len(first) < len(paid):
        if majority and all(rollout.get("cluster") != majority[0] for rollout in first):
            found.append("paid outside the majority")
        if any(r.get("cluster") is None or r.get("truncated") is True for r in first):
            found.append("odd rewards")
    trained = [rollout for rollout in rollouts if rollout.get("trained") is True]
    num_paid = sum(_is_number(rollout.get("reward")) for rollout in trained)
    if 0 < num_paid < len(trained) and "odd rewards" not in found:
        found.append("odd rewards")
    unanswered = sum(rollout.get("cluster") is None for rollout in rollouts)
    if rollouts and 2 * unanswered >= len(rollouts):
        found.append("no answers")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
