"""Choose the groups of a training run that a report shows: for what they show, within bytes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from rl.report.byte_budget import spread_order
from rl.report.embedding import compressed_sizes, to_json
from rl.report.rollout_groups import Group, majority_answer, reasons_to_look

FLIP = "majority flips"
# Reason -> the words of the sentence that says how groups were chosen.
REASONS = {
    FLIP: "before or after a flip of their prompt's majority",
    "paid outside the majority": "with the best paid completion outside the majority",
    "odd rewards": "with odd rewards (the best for no answer or a cut one, or some without any)",
    "no answers": "of which at least half have no answer",
}

# A step's part of the page has a head and an end, and a group is marked with its reasons.
_EXTRA_BYTES = 80


@dataclass(kw_only=True)
class Candidate:
    """A group that could be shown.

    Attributes:
        step: Its step.
        position: Its place among the groups of the step.
        prompt: Names its prompt and role.
        majority: Its majority answer as it is written; None if there is none.
        num_bytes: What it takes, compressed alone.
        num_bytes_in_step: What it adds to the groups before it, if its step is shown whole.
        reasons: What it shows, keys of `REASONS`.
    """

    step: int
    position: int
    prompt: tuple[str, str]
    majority: str | None
    num_bytes: int
    num_bytes_in_step: int
    reasons: list[str] = field(default_factory=list)


def candidates_of_step(step: int, groups: Sequence[Group]) -> list[Candidate]:
    """Say of each group of a step what the choice needs to know."""
    texts = [to_json(group) for group in groups]
    found = []
    for position, in_step in enumerate(compressed_sizes(texts)):
        group = groups[position]
        majority = majority_answer(group["rollouts"])
        one = Candidate(
            step=step,
            position=position,
            prompt=(group["prompt_id"], group["role"]),
            majority=majority and majority[1],
            num_bytes=sum(compressed_sizes(texts[position : position + 1])) + _EXTRA_BYTES,
            num_bytes_in_step=in_step + _EXTRA_BYTES,
            reasons=reasons_to_look(group["rollouts"]),
        )
        found.append(one)
    return found


def mark_flips(candidates: Sequence[Candidate]) -> list[tuple[Candidate, Candidate]]:
    """Find successive visits of a prompt whose majority answers differ, and mark both.

    Answers are compared as they are written. Visits without a majority are passed over.

    Args:
        candidates: Groups in the order of training; their `reasons` are added to.

    Returns:
        The pairs, in the order of the later visit.
    """
    last: dict[tuple[str, str], Candidate] = {}
    flips = []
    for one in candidates:
        if one.majority is None:
            continue
        before = last.get(one.prompt)
        if before is not None and before.majority != one.majority:
            flips.append((before, one))
            for side in (before, one):
                if FLIP not in side.reasons:
                    side.reasons.insert(0, FLIP)
        last[one.prompt] = one
    return flips


def choose_groups(candidates: Sequence[Candidate], max_bytes: int) -> list[Candidate]:
    """Choose groups until the bytes are spent, in turn one of each reason and an evenly spaced one.

    Of each reason those come first that are spread over the whole run; a flip brings both its
    visits. What does not fit is passed over.

    Args:
        candidates: All groups in the order of training; flips are marked in their `reasons`.
        max_bytes: Bytes to spend; the first group is taken in any case.

    Returns:
        The chosen ones in the order of training; all of them if they fit.
    """
    flips = mark_flips(candidates)
    if sum(one.num_bytes_in_step for one in candidates) <= max_bytes:
        return list(candidates)
    queues = _queues(candidates, flips)
    chosen: set[int] = set()
    while any(queues):
        for queue in queues:
            new: list[int] = []
            while queue and not new:
                new = [i for i in queue.pop() if i not in chosen]
            cost = sum(candidates[i].num_bytes for i in new)
            if new and (cost <= max_bytes or not chosen):
                chosen |= set(new)
                max_bytes -= cost
    return [one for i, one in enumerate(candidates) if i in chosen]


def choice_note(candidates: Sequence[Candidate], chosen: Sequence[Candidate]) -> str:
    """Say which groups are shown and how they were chosen; "" if all of them are."""
    if len(chosen) == len(candidates):
        return ""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for which, groups in enumerate((chosen, candidates)):
        for one in groups:
            for reason in one.reasons:
                counts[reason][which] += 1
    told = [
        f"{counts[reason][0]:,} of {counts[reason][1]:,} {words}"
        for reason, words in REASONS.items()
        if reason in counts
    ]
    steps = [len({one.step for one in groups}) for groups in (chosen, candidates)]
    return (
        f"{len(chosen):,} of {len(candidates):,} groups are shown, from {steps[0]:,} of "
        f"{steps[1]:,} steps, chosen in turn: {', '.join([*told, 'and evenly spaced ones'])}."
    )


def _queues(
    candidates: Sequence[Candidate], flips: Sequence[tuple[Candidate, Candidate]]
) -> list[list[tuple[int, ...]]]:
    """Return for no reason, and for each, the positions to show together, the first ones last."""
    place = {id(one): i for i, one in enumerate(candidates)}
    found: list[list[tuple[int, ...]]] = [[(i,) for i in range(len(candidates))]]
    found.append([(place[id(before)], place[id(after)]) for before, after in flips])
    found += [
        [(i,) for i, one in enumerate(candidates) if reason in one.reasons]
        for reason in REASONS
        if reason != FLIP
    ]
    return [[queue[i] for i in reversed(spread_order(len(queue)))] for queue in found]
