"""What a guard is shown: no label, and numbers only."""

import math

from rl.training.guards.contract import without_labels


def test_nothing_that_saw_a_label_reaches_a_guard():
    shown = {
        "entropy": 0.1,
        "vote/kappa": 1,
        "eval/majority_ratio": 0.5,
        "eval/heldout/kappa": 0.4,
    }
    hidden = {
        "audit/accuracy": 0.9,
        "eval/pass@1": 0.9,
        "eval/heldout/maj@16": 0.9,
        "kl": None,
        "loss": math.nan,
        "grad_norm": math.inf,
        "supervised": True,
    }
    assert without_labels(shown | hidden) == shown
