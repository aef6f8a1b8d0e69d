"""Whether answers depend on the prompt: agreement within groups, corrected for chance."""

from collections import Counter
from collections.abc import Hashable, Sequence


def fleiss_kappa(groups: Sequence[Sequence[Hashable | None]]) -> float | None:
    """Say how much more two answers to one prompt agree than two answers to different prompts.

    kappa = (within - across) / (1 - across)

    within is the share of pairs of one group that agree, across that of pairs of different groups;
    both over all pairs, without putting an answer back. An answer of None agrees with nothing.

    A policy that grows sure of itself raises kappa; one that gives every prompt the same answer,
    none, or a random one has a kappa of about 0, however sure it is.

    Source: Fleiss, Psychological Bulletin 76 (1971), with samples as raters. Differs: chance
    agreement is counted over pairs of different groups alone, so that the expectation is 0 for
    answers that do not depend on the prompt, whatever the size of the groups.

    Args:
        groups: Answers of each group, equal where they mean the same, None for no answer.

    Returns:
        At most 1; slightly below 0 by chance; 0.0 where all answers of all groups are the same.
        None where there is no pair of one group, or none of different groups.

    Example:
        >>> fleiss_kappa([["3", "3"], ["5", "5"]]), fleiss_kappa([["3", "3"], ["3", "3"]])
        (1.0, 0.0)
    """
    sizes = [len(group) for group in groups]
    total = sum(sizes)
    pairs_within = sum(size * (size - 1) for size in sizes)
    pairs_across = sum(size * (total - size) for size in sizes)
    if not pairs_within or not pairs_across:
        return None
    counts = [Counter(answer for answer in group if answer is not None) for group in groups]
    overall: Counter[Hashable] = Counter()
    for found in counts:
        overall.update(found)
    within = sum(n * (n - 1) for found in counts for n in found.values()) / pairs_within
    across = sum(n * (overall[a] - n) for found in counts for a, n in found.items()) / pairs_across
    return (within - across) / (1 - across) if across < 1 else 0.0
