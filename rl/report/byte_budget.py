"""Spend a number of bytes evenly: over runs, over problems, over the length of a run."""

from collections.abc import Sequence
from math import sqrt


def share_budget(wanted: Sequence[int], total: int) -> list[int]:
    """Divide bytes among those who want them, in proportion to the square roots of their wants.

    Nobody gets more than wanted; what is left goes to the others. Under the square root one who
    wants a hundred times as much gets ten times as much: a large evaluation is not cut down to what
    a small run needs, and a small run is not crowded out.

    Args:
        wanted: Bytes each could use.
        total: Bytes to divide.

    Example:
        100 has twice the root of 25, which gets 33 at most and wants no more than its 25.
        >>> share_budget([100, 25], 60), share_budget([100, 25], 100)
        ([40, 20], [75, 25])
    """
    shares = [0] * len(wanted)
    roots = sum(sqrt(want) for want in wanted)
    # Those who want least are the first that a share in proportion to the root satisfies.
    for i in sorted(range(len(wanted)), key=lambda i: wanted[i]):
        if wanted[i]:
            shares[i] = min(wanted[i], round(total * sqrt(wanted[i]) / roots))
            total -= shares[i]
            roots -= sqrt(wanted[i])
    return shares


def fill_evenly(costs: Sequence[Sequence[int]], budget: int) -> list[int]:
    """Take the first items of many lists, as many of each as fit, one of every list at a time.

    Where a round does not fit as a whole, the lists that still get an item are spread evenly. A
    list whose next item is too large gets no more.

    Args:
        costs: Bytes of the items of each list, in the order they are wanted.
        budget: Bytes to spend.

    Returns:
        How many items are taken of each list.

    Example:
        The first round costs 1 + 2 + 1; of the second one only the first list's item fits.
        >>> fill_evenly([[1, 3], [2, 9], [1]], 8)
        [2, 1, 1]
    """
    taken = [0] * len(costs)
    open_lists = [i for i in spread_order(len(costs)) if costs[i]]
    while open_lists:
        still_open = []
        for i in open_lists:
            cost = costs[i][taken[i]]
            if cost > budget:
                continue
            budget -= cost
            taken[i] += 1
            if taken[i] < len(costs[i]):
                still_open.append(i)
        open_lists = still_open
    return taken


def spread_order(count: int) -> list[int]:
    """Order positions so that every first few of them are spread evenly over all.

    The first, the last, then the middle of every gap, the widest gaps first.

    Example:
        >>> spread_order(5), spread_order(6)
        ([0, 4, 2, 1, 3], [0, 5, 2, 1, 3, 4])
    """
    if count < 2:
        return list(range(count))
    order = [0, count - 1]
    gaps = [(0, count - 1)]
    while gaps:
        halves = []
        for low, high in gaps:
            middle = (low + high) // 2
            if middle > low:
                order.append(middle)
                halves += [(low, middle), (middle, high)]
        gaps = halves
    return order
