"""Loggers get our groups by their names, and TRL's metrics as they always were."""

from transformers.integrations.integration_utils import TensorBoardCallback, WandbCallback

from rl.training.callbacks.loggers import logged_names, use_logged_names


def test_groups_keep_their_names_and_the_rest_is_transformers_own():
    logs = {
        "reward": 0.5,
        "reward/unscorable_frac": 0.0,
        "rewards/majority_vote/mean": 0.5,
        "vote/majority_ratio": 0.75,
        "eval/pass@1": 0.25,
        "eval_loss": 1.0,
    }
    assert logged_names(logs) == {
        "train/reward": 0.5,
        "reward/unscorable_frac": 0.0,
        "train/rewards/majority_vote/mean": 0.5,
        "vote/majority_ratio": 0.75,
        "eval/pass@1": 0.25,
        "eval/loss": 1.0,
    }


def test_every_logger_asks_for_these_names(monkeypatch):
    # They look the function up where they stand; wandb, trackio and TensorBoard stand together.
    names = WandbCallback.on_log.__globals__
    assert names is TensorBoardCallback.on_log.__globals__
    monkeypatch.setitem(names, "rewrite_logs", None)
    use_logged_names()
    assert names["rewrite_logs"] is logged_names
    assert "rewrite_logs" in WandbCallback.on_log.__code__.co_names
