"""Votes that are timed are the votes that are cast."""

from measurements.votes import measure_votes, percentile, vote


def test_the_timed_vote():
    # One half has two votes, in two spellings; 2 has one.
    assert vote([r"\boxed{1/2}", r"\boxed{2}", r"\boxed{0.5}", "nothing"]) == "1/2"
    assert vote(["nothing"]) is None


def test_percentiles():
    assert percentile([5.0], 0.99) == 5.0
    assert percentile([float(i) for i in range(100, 0, -1)], 0.99) == 99.0
    assert percentile([1.0, 2.0, 3.0], 1.0) == 3.0


def test_every_line_of_the_table_has_its_repetitions():
    groups = [[r"\boxed{x+1}", r"\boxed{1+x}"], [r"\boxed{3}"] * 2]
    found = measure_votes(groups, repetitions=2)
    assert [len(measurement.values) for measurement in found] == [2, 2, 2, 2]
    assert all(value > 0 for measurement in found[:3] for value in measurement.values)
