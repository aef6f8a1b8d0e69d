"""What loggers call a run's metrics: wandb, trackio and TensorBoard show them in our groups.

`transformers` puts every metric below `train/`, `eval_` ones apart: `vote/majority_ratio` would be
`train/vote/majority_ratio`, and the evaluation's `eval/pass@1` a training metric. Loggers make a
section of what stands before the first `/`, so ours keep their names, and TRL's stay as they are.
"""

from collections.abc import Mapping
from typing import Any

from transformers.integrations import integration_utils

GROUPS = (
    "audit/",
    "branches/",
    "cost/",
    "eval/",
    "reward/",
    "selfplay/",
    "signal/",
    "vote/",
)
_rewrite_logs = integration_utils.rewrite_logs


def logged_names(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics under the names loggers are given.

    Example:
        >>> sorted(logged_names({"vote/majority_ratio": 0.5, "reward": 0.5, "eval/pass@1": 0.1}))
        ['eval/pass@1', 'train/reward', 'vote/majority_ratio']
    """
    ours = {name: value for name, value in logs.items() if name.startswith(GROUPS)}
    others = {name: value for name, value in logs.items() if name not in ours}
    return {**_rewrite_logs(others), **ours}


def use_logged_names() -> None:
    """Let the loggers of `transformers`, each of which asks this one function, use our names."""
    integration_utils.rewrite_logs = logged_names
