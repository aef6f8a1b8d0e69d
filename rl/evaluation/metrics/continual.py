"""Continual learning: how much of each data set of a stream is kept, from accuracies after each.

A stream of T data sets has a matrix of accuracies: A[i][j] after training on the i-th data set, on
the benchmark of the j-th. The functions look at the k rows that there are, so the same numbers can
be had after each data set. Columns beyond the k-th are of data sets that were not seen yet; they
count in `forward_transfer` of later rows alone.
"""

from collections.abc import Sequence
from statistics import fmean

Accuracies = Sequence[Sequence[float]]


def average_accuracy(accuracies: Accuracies) -> float:
    """Average the accuracy over the data sets seen so far, after the newest of them.

    ACC = 1/k sum_{j=1..k} A[k][j]

    Source: Gradient Episodic Memory, arXiv 1706.08840, equation 2.

    Args:
        accuracies: A, k rows of at least k columns, k >= 1.

    Returns:
        In [0, 1] for accuracies in [0, 1].

    Raises:
        ValueError: If there is no row, or a row has fewer than k columns.

    Example:
        >>> average_accuracy([[0.8, 0.1], [0.6, 1.0]])
        0.8
    """
    newest = _checked(accuracies)[-1]
    return fmean(newest[: len(accuracies)])


def forgetting(accuracies: Accuracies) -> float | None:
    """Average what was lost of earlier data sets against the best that was ever reached on them.

    F = 1/(k-1) sum_{j<k} (max_{i<k} A[i][j] - A[k][j])

    Source: the forgetting measure of Riemannian Walk for Incremental Learning, arXiv 1801.10112. As
    there the best is looked for among all earlier rows, those before data set j among them.

    Args:
        accuracies: As in `average_accuracy`.

    Returns:
        In [-1, 1] for accuracies in [0, 1], below 0 where later data sets helped; None for k = 1.

    Raises:
        ValueError: As `average_accuracy`.

    Example:
        >>> forgetting([[0.75, 0.25], [0.5, 1.0]])
        0.25
    """
    *earlier, newest = _checked(accuracies)
    if not earlier:
        return None
    return fmean(max(row[j] for row in earlier) - newest[j] for j in range(len(earlier)))


def backward_transfer(accuracies: Accuracies) -> float | None:
    """Average how later data sets changed what was learned of a data set when it was its turn.

    BWT = 1/(k-1) sum_{j<k} (A[k][j] - A[j][j])

    Source: Gradient Episodic Memory, arXiv 1706.08840, equation 3.

    Args:
        accuracies: As in `average_accuracy`.

    Returns:
        In [-1, 1], below 0 where it was forgotten; None for k = 1.

    Raises:
        ValueError: As `average_accuracy`.

    Example:
        >>> backward_transfer([[0.75, 0.25], [0.5, 1.0]])
        -0.25
    """
    *earlier, newest = _checked(accuracies)
    if not earlier:
        return None
    return fmean(newest[j] - row[j] for j, row in enumerate(earlier))


def forward_transfer(accuracies: Accuracies, base: Sequence[float]) -> float | None:
    """Average how earlier data sets changed the accuracy on a data set before its turn.

    FWT = 1/(k-1) sum_{j=2..k} (A[j-1][j] - base[j])

    Source: Gradient Episodic Memory, arXiv 1706.08840, equation 4. Differs: the base is the
    pretrained model before the stream, where the paper takes random weights.

    Args:
        accuracies: As in `average_accuracy`.
        base: Accuracies before the first data set, as many as a row has.

    Returns:
        In [-1, 1]; None for k = 1.

    Raises:
        ValueError: As `average_accuracy`, and if the base has fewer than k entries.

    Example:
        >>> forward_transfer([[0.75, 0.5], [0.5, 1.0]], base=[0.25, 0.25])
        0.25
    """
    if len(base) < len(_checked(accuracies)):
        raise ValueError(
            f"base: got {len(base)} accuracies, expected one for each of the {len(accuracies)} "
            "data sets seen."
        )
    changes = [row[j] - base[j] for j, row in enumerate(accuracies[:-1], start=1)]
    return fmean(changes) if changes else None


def _checked(accuracies: Accuracies) -> Accuracies:
    if not accuracies or any(len(row) < len(accuracies) for row in accuracies):
        raise ValueError(
            f"accuracies: got rows of {[len(row) for row in accuracies]} columns, expected at "
            "least one row, and as many columns in each as there are rows."
        )
    return accuracies
