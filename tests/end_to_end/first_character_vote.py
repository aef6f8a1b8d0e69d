"""A reward for tests: like a majority vote, but it scores what an untrained model writes."""

from collections import Counter


def first_character_vote(group):
    """Pay the share of the group whose completion starts alike; None for an empty completion."""
    first = [rollout.completion[:1] for rollout in group.rollouts]
    counts = Counter(first)
    return [counts[c] / len(first) if c else None for c in first]
