import pytest

from rl.report.budgets import Spending, at_equal_budgets, read_spending


def step(number, tokens, skipped):
    return {
        "step": number,
        "loss": 0.0,
        "cost/num_sampled_tokens": tokens,
        "cost/rows_skipped_frac": skipped,
    }


def test_nothing_to_compare():
    assert at_equal_budgets([]) == []
    assert at_equal_budgets([read_spending([], 8)]) == [{}]


def test_what_a_run_spent_until_each_evaluation():
    lines = [
        {"step": 0, "eval/a/pass@1": 0.0, "eval/b/pass@1": 0.2},
        step(1, 100.0, 0.5),
        {"step": 1, "eval/a/pass@1": 0.25, "eval/b/pass@1": 0.5},  # logged before or after
        step(2, 50.0, 0.25),
        step(3, 50.0, 1.0),
        {"step": 3, "eval/a/pass@1": 0.5, "eval/b/pass@1": 0.75, "eval/a/maj@8": 1.0},
    ]
    # Of 8 rows 4, 6 and none were trained.
    assert read_spending(lines, 8) == Spending(
        pass_at_1=[0.375, 0.625], sampled_tokens=[100.0, 200.0], trained_rows=[4.0, 10.0]
    )


def test_a_run_is_read_off_where_the_most_frugal_ended():
    frugal = Spending(pass_at_1=[0.5], sampled_tokens=[150.0], trained_rows=[40.0])
    other = Spending(
        pass_at_1=[0.25, 0.75], sampled_tokens=[100.0, 300.0], trained_rows=[20.0, 30.0]
    )
    late = Spending(pass_at_1=[1.0], sampled_tokens=[400.0], trained_rows=[30.0])
    found = at_equal_budgets([frugal, other, late])
    # 150 tokens are a quarter of the way from 100 to 300; 30 rows are all that `other` trained.
    tokens, rows = "at equal sampled tokens", "at equal trained rows"
    assert found[1] == {tokens: pytest.approx(0.375), rows: 0.75}
    assert found[0] == {tokens: 0.5}  # its first evaluation came after 30 rows
    assert found[2] == {rows: 1.0}
