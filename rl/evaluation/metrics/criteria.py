"""Which metrics of an evaluation can choose the best of several policies."""

from rl.evaluation.metrics.summary import default_ks

# The higher the better, and no label is needed.
LABEL_FREE_CRITERIA = ("majority_ratio",)
# What else an evaluation measures without a label.
LABEL_FREE_METRICS = (
    *LABEL_FREE_CRITERIA,
    "num_distinct_answers",
    "no_answer_frac",
    "truncated_frac",
    "cut_prompt_frac",
    "mean_length",
    # Of a run's evaluations alone: `rl.groups.kappa`, `rl.groups.leaders`.
    "kappa",
    "flip_frac",
    "num_settled",
    "settled_flips",
    "settled_gap",
)


def criteria(num_samples: int) -> list[str]:
    """Name the metrics that can choose the best policy, given the samples per problem.

    Example:
        >>> criteria(4)
        ['majority_ratio', 'pass@1', 'pass@4', 'maj@1', 'maj@4', 'avg@4']
    """
    labelled = [f"{name}@{k}" for name in ("pass", "maj") for k in default_ks(num_samples)]
    return [*LABEL_FREE_CRITERIA, *labelled, f"avg@{num_samples}"]
