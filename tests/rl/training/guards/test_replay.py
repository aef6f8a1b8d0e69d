"""A run asked again: the reports are those the run gave, and so are the answers."""

from rl.training.guards.budget import BudgetGuard
from rl.training.guards.collapse import CollapseGuard
from rl.training.guards.replay import first_answer, replayed_reports

LINES = [
    {"step": 0, "eval/pass@1": 0.5, "eval/kappa": 0.3, "cost/eval_seconds": 1.0},
    {"step": 1, "loss": 0.1, "grad_norm": 1.0, "cost/num_sampled_tokens": 100, "kl": None},
    {"step": 2, "eval/num_settled": 40, "eval/settled_flips": 20, "eval/settled_gap": 1.0},
    {"step": 2, "loss": 0.1, "grad_norm": 1.0, "cost/num_sampled_tokens": 50},
    {"step": 2, "train_runtime": 9.0},
]


def test_an_evaluation_belongs_to_the_step_that_is_logged_next():
    first, second = replayed_reports(LINES, 48)
    assert (first.step, first.sampled_tokens, first.max_completion_length) == (1, 100, 48)
    assert "eval/kappa" in first.metrics
    assert "eval/pass@1" not in first.metrics
    assert (second.step, second.sampled_tokens) == (2, 150)
    assert second.metrics["eval/num_settled"] == 40
    hidden = list(replayed_reports(LINES, 48, held_out=False))
    assert [name for report in hidden for name in report.metrics if name.startswith("eval")] == []


def test_the_first_answer():
    step, verdict = first_answer(CollapseGuard(), replayed_reports(LINES, 48))
    assert (step, verdict.healthy_step) == (2, 0)
    assert first_answer(CollapseGuard(), replayed_reports(LINES, 48, held_out=False)) is None
    step, verdict = first_answer(BudgetGuard(max_tokens=120), replayed_reports(LINES, 48))
    assert (step, verdict.action) == (2, "stop")
