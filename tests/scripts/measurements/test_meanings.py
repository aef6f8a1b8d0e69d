"""How the threshold of votes over meanings is chosen and tried; numbers by hand."""

import pytest
from measurements.meanings import (
    PAIRS,
    Pair,
    best_threshold,
    main,
    scores,
    wrong_by_category,
)


def pair(is_same, similarity, category="x", is_for_choice=True):
    return Pair(
        is_same=is_same,
        category=category,
        is_for_choice=is_for_choice,
        cosine=similarity,
        similarity=similarity,
    )


# Called the same from 0.6 on: three of four, two of them rightly; of three that are the same two.
FOUR = [pair(True, 0.9), pair(True, 0.8), pair(False, 0.7, "y"), pair(True, 0.5)]


def test_precision_counts_twice():
    found = scores(FOUR, "similarity", 0.6)
    assert (found["precision"], found["recall"]) == (0.667, 0.667)
    # 1.25 p r / (0.25 p + r) with p = r = 2/3 is 2/3; from 0.75 on p = 1: 1.25 * 2/3 / (11/12).
    assert found["f0.5"] == 0.6667
    assert scores(FOUR, "similarity", 0.75)["f0.5"] == 0.9091
    assert scores([], "similarity", 0.5)["precision"] == 1.0


def test_the_best_threshold_is_the_highest_of_equal_ones():
    # Two are called the same and right from 0.71 to 0.80; at 0.81 one of three is left.
    assert best_threshold(FOUR, "similarity") == 0.8


def test_wrong_pairs_are_counted_by_category():
    assert wrong_by_category(FOUR, "similarity", 0.6) == {"x": "1 of 3", "y": "1 of 1"}


def test_the_pairs_are_whole_and_no_pair_stands_twice():
    rows = [line.split("\t") for line in PAIRS.read_text().splitlines()]
    assert rows[0] == ["verdict", "category", "left", "right"]
    assert {len(row) for row in rows} == {4}
    pairs = {frozenset(row[2:]) for row in rows[1:]}
    assert len(pairs) == len(rows) - 1 == 244
    assert sum(row[0] == "same" for row in rows) == 120


@pytest.mark.parametrize("text", ["", "verdict\tleft\tright\nperhaps\ta\tb\n", "verdict\nsame\n"])
def test_a_file_that_holds_no_pairs_is_refused(text, tmp_path, capsys):
    path = tmp_path / "pairs.tsv"
    if text:
        path.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        main(["--pairs", str(path)])
    assert stopped.value.code == 2
    assert "--pairs" in capsys.readouterr().err
