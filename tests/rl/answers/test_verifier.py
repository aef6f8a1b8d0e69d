"""Math-Verify's verdict in both directions, on fixed text only: hostile text stays in workers."""

from rl.answers.verifier import is_same


def test_either_direction_counts():
    # Math-Verify compares a set with an inequality only if the set is the prediction.
    assert is_same("x>2", r"(2,\infty)")
    assert is_same(r"(2,\infty)", "x>2")


def test_different_and_unparsable_answers():
    assert not is_same("|x|", "x")
    assert not is_same("", "")
    assert not is_same(r"\frac{", "1")
