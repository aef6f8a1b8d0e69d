"""Exact estimators over the samples of one problem; numbers in, numbers out."""

from collections.abc import Collection, Sequence
from math import ceil, comb, fsum


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Estimate without bias the probability that at least one of k samples is correct.

    pass@k = 1 - C(n - c, k) / C(n, k)

    Source: "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, eq. 1.
    Differs: in whole numbers instead of a product of floats, so that pass@1 is c / n to the last
    digit; refuses k > n, where there is no unbiased estimate.

    Args:
        num_samples: n, samples of the problem.
        num_correct: c, the correct ones among them, in [0, n].
        k: Size of the draw, in [1, n].

    Returns:
        A probability; 0.0 if c = 0, 1.0 if fewer than k samples are wrong.

    Raises:
        ValueError: If k or num_correct is out of range.

    Example:
        >>> pass_at_k(num_samples=4, num_correct=1, k=2)
        0.5
    """
    _check_draw(num_samples, k)
    avg_at_n(num_samples, num_correct)
    num_draws = comb(num_samples, k)
    return (num_draws - comb(num_samples - num_correct, k)) / num_draws


def pass_hat_k(num_samples: int, num_correct: int, k: int) -> float:
    """Estimate without bias the probability that all of k samples are correct.

    pass^k = C(c, k) / C(n, k)

    Source: "tau-bench", arXiv 2406.12045.

    Args:
        num_samples: n, samples of the problem.
        num_correct: c, the correct ones among them, in [0, n].
        k: Size of the draw, in [1, n].

    Returns:
        A probability; 0.0 if fewer than k samples are correct, 1.0 if all n are.

    Raises:
        ValueError: If k or num_correct is out of range.

    Example:
        >>> pass_hat_k(num_samples=4, num_correct=2, k=1), pass_hat_k(4, 3, 2)
        (0.5, 0.5)
    """
    _check_draw(num_samples, k)
    avg_at_n(num_samples, num_correct)
    return comb(num_correct, k) / comb(num_samples, k)


def g_pass_at_k(num_samples: int, num_correct: int, k: int, threshold: float) -> float:
    """Estimate without bias the probability that at least a share of k samples is correct.

    G-Pass@k_t = sum over j from max(1, ceil(t k)) to k of C(c, j) C(n - c, k - j) / C(n, k)

    With t = 1 it is pass^k; a t of at most 1 / k gives pass@k.

    Source: "Are Your LLMs Capable of Stable Reasoning?", arXiv 2412.13147.

    Args:
        num_samples: n, samples of the problem.
        num_correct: c, the correct ones among them, in [0, n].
        k: Size of the draw, in [1, n].
        threshold: t, least share of correct samples, in (0, 1].

    Returns:
        A probability.

    Raises:
        ValueError: If k, num_correct or the threshold is out of range.

    Example:
        Two of the three pairs of {right, right, wrong} hold a wrong sample; one is all right.
        >>> round(g_pass_at_k(3, 2, k=2, threshold=1.0), 4), g_pass_at_k(3, 2, 2, threshold=0.5)
        (0.3333, 1.0)
    """
    _check_draw(num_samples, k)
    avg_at_n(num_samples, num_correct)
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold: got {threshold}, expected above 0 and at most 1. Correct it.")
    # 0.1 * 30 is a little more than 3 in floats; what is meant is 3.
    least = max(1, ceil(threshold * k - 1e-9))
    ways = sum(
        comb(num_correct, j) * comb(num_samples - num_correct, k - j)
        for j in range(least, min(num_correct, k) + 1)
    )
    return ways / comb(num_samples, k)


def avg_at_n(num_samples: int, num_correct: int) -> float:
    """Return the share of correct samples, c / n.

    Raises:
        ValueError: If num_samples < 1 or num_correct is not in [0, num_samples].
    """
    if not 0 <= num_correct <= num_samples or num_samples < 1:
        raise ValueError(
            f"num_correct: got {num_correct} of {num_samples} samples, expected between 0 and the "
            "number of samples, which is at least 1. Count them again."
        )
    return num_correct / num_samples


def maj_at_k(
    class_counts: Sequence[int], correct_classes: Collection[int], num_abstained: int, k: int
) -> float:
    """Return the probability that the plurality answer of k samples is correct.

    The k samples are drawn without replacement from the n given ones, so that

    maj@k = sum over k-subsets S of [share of the correct classes among S's first places] / C(n, k)

    A tie for first place is split evenly. "No answer" never wins: a subset without any answer
    counts as wrong. Exact: with m draws of a correct class, the ways to fill the other k - m places
    are counted by dynamic programming over the classes that have at least m samples; the rest,
    abstentions included, cannot reach it and is one binomial.

    Source: the vote is self-consistency, arXiv 2203.11171. Differs: the expectation over all
    subsets replaces one draw, and ties do not depend on an order.

    Args:
        class_counts: Samples per answer class.
        correct_classes: Positions of the correct classes in `class_counts`; may be empty.
        num_abstained: Samples without an answer.
        k: Size of the draw, in [1, n], n = sum(class_counts) + num_abstained.

    Returns:
        A probability; 0.0 if no class is correct.

    Raises:
        ValueError: If k is not in [1, n].

    Example:
        Of the three pairs from {A, A, B}, {A, A} is won by A, and {A, B}, twice, is a tie.
        >>> round(maj_at_k([2, 1], correct_classes=[0], num_abstained=0, k=2), 4)
        0.6667
    """
    num_samples = sum(class_counts) + num_abstained
    _check_draw(num_samples, k)
    return fsum(
        _win_probability(
            class_counts[correct],
            [count for i, count in enumerate(class_counts) if i != correct],
            num_abstained,
            k,
        )
        for correct in correct_classes
    )


def _win_probability(count: int, rivals: Sequence[int], num_abstained: int, k: int) -> float:
    total = comb(count + sum(rivals) + num_abstained, k)
    probability = 0.0
    for draws in range(1, min(count, k) + 1):
        able = [rival for rival in rivals if rival >= draws]
        num_unable = num_abstained + sum(rivals) - sum(able)
        for (drawn, num_ties), ways in _ways_below(able, draws, k - draws).items():
            ways *= comb(count, draws) * comb(num_unable, k - draws - drawn)
            probability += ways / (total * (num_ties + 1))
    return probability


def _ways_below(rivals: Sequence[int], limit: int, room: int) -> dict[tuple[int, int], int]:
    """Count the draws of at most `limit` each: (drawn in all, rivals at the limit) -> ways."""
    ways = {(0, 0): 1}
    for rival in rivals:
        extended: dict[tuple[int, int], int] = {}
        for (drawn, num_ties), count in ways.items():
            for more in range(min(limit, room - drawn) + 1):
                key = (drawn + more, num_ties + (more == limit))
                extended[key] = extended.get(key, 0) + count * comb(rival, more)
        ways = extended
    return ways


def _check_draw(num_samples: int, k: int) -> None:
    if not 1 <= k <= num_samples:
        raise ValueError(
            f"k: got {k}, expected between 1 and the number of samples ({num_samples}). Lower k or "
            "sample more completions."
        )
