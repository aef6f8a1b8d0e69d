import json

import pytest

from rl.errors import InputError
from rl.evaluation.metrics.comparison import (
    compare,
    majority_is_right,
    paired_difference,
    read_evaluation,
    sign_flip_test,
    sign_test,
)
from rl.evaluation.saved_completions import score_file


def evaluation(folder, answers, labels=None):
    """Score written-down answers, {problem: [answers]}; every label is 1."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "problem_id": name,
            "completion": rf"\boxed{{{a}}}",
            "label": (labels or {}).get(name, "1"),
        }
        for name, given in answers.items()
        for a in given
    ]
    path = folder / "lines.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    score_file(path, folder / "out")
    return read_evaluation(folder / "out")


BASE = {"kept": [1, 1, 2, 1], "learned": [2, 2, 1, 2], "lost": [1, 1, 1, 2], "never": [2, 3, 2, 3]}
TRAINED = {
    "kept": [1, 1, 1, 1],
    "learned": [1, 1, 1, 2],
    "lost": [2, 2, 1, 1],  # a tie for the first place is not right
    "never": [2, 2, 2, 2],
}


def test_two_evaluations_by_hand(tmp_path):
    a, b = evaluation(tmp_path / "a", BASE), evaluation(tmp_path / "b", TRAINED)
    found = compare(a, b)
    assert found["transitions"] == {name: [name] for name in ("kept", "learned", "lost", "never")}
    one = found["metrics"]["pass@1"]
    # Shares of A: 3/4, 1/4, 3/4, 0; of B: 1, 3/4, 1/2, 0. Differences +1/4, +1/2, -1/4, 0.
    assert (one["a"], one["b"], one["difference"]) == pytest.approx((7 / 16, 9 / 16, 1 / 8))
    assert (one["num_better"], one["num_worse"]) == (2, 1)
    # Two of three signs: at least as uneven in all 8 cases.
    assert one["sign_test_p"] == 1.0
    assert one["ci_low"] < 1 / 8 < one["ci_high"]
    # s of the differences: mean 1/8, squares 1/64, 9/64, 9/64, 1/64, sum 20/64, / 3, / 4.
    assert one["standard_error"] == pytest.approx((20 / 64 / 3 / 4) ** 0.5)
    anchor = found["anchor"]
    # maj@4 of A: kept and lost are won.
    assert (anchor["k"], anchor["a"]) == (4, pytest.approx((1 + 0 + 1 + 0) / 4))
    assert anchor["b"] == pytest.approx(9 / 16)
    assert anchor["difference"] == pytest.approx(1 / 16)
    assert anchor["ci_low"] < 0 < anchor["ci_high"]
    assert anchor["verdict"] == "are level with"
    assert found["metrics"].keys() == compare(a, b)["metrics"].keys()
    assert (found["budget"], found["num_problems"]) == (4, 4)
    assert "mean_length" not in found["metrics"]
    assert json.loads(json.dumps(found)) == found


def test_an_evaluation_compared_with_itself(tmp_path):
    a = evaluation(tmp_path / "a", BASE)
    found = compare(a, a)
    assert found["transitions"]["learned"] == found["transitions"]["lost"] == []
    for one in found["metrics"].values():
        assert (one["difference"], one["sign_test_p"], one["permutation_p"]) == (0.0, 1.0, 1.0)
        assert one["ci_low"] <= 0.0 <= one["ci_high"]
    assert found["notes"] == []


def test_different_numbers_of_samples_are_compared_at_the_smaller_one(tmp_path):
    a = evaluation(tmp_path / "a", {"p": [1, 1], "q": [2, 1]})
    b = evaluation(tmp_path / "b", {"p": [1, 1, 1, 2], "q": [1, 1, 1, 1]})
    found = compare(a, b)
    assert found["budget"] == 2
    names = found["metrics"].keys()
    assert {"pass@1", "pass@2", "maj@2", "pass^2"} <= names
    assert not {"pass@4", "majority_ratio", "num_distinct_answers", "avg@2", "avg@4"} & names
    assert any("samples per problem differ: 2 and 4" in note for note in found["notes"])
    with pytest.raises(InputError, match=r"--k: got \[3\], expected sizes between 1 and 2"):
        compare(a, b, [3])


def test_other_problems_or_labels_are_refused(tmp_path):
    a = evaluation(tmp_path / "a", {"p": [1], "q": [1]})
    with pytest.raises(InputError, match=r"got 1 that are in one evaluation only \('q' is not in"):
        compare(a, evaluation(tmp_path / "b", {"p": [1]}))
    other = evaluation(tmp_path / "c", {"p": [1], "q": [1]}, labels={"q": "2"})
    with pytest.raises(InputError, match=r"label of problem 'q': got '2' in .* expected '1' as in"):
        compare(a, other)


def test_an_unfinished_evaluation_is_refused(tmp_path):
    evaluation(tmp_path / "a", BASE)
    path = tmp_path / "a" / "out" / "samples.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="got 3 finished problems, expected 4 with 4 samples each"):
        read_evaluation(tmp_path / "a" / "out")
    with pytest.raises(InputError, match=r"expected a folder with the manifest.json"):
        read_evaluation(tmp_path / "missing")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [([1], True), ([2], False), ([1, 2], False), ([1, 2, 1], True), ([1, 2, 3, 2], False)],
)
def test_a_vote_is_right_if_it_alone_is_first(tmp_path, answers, expected):
    groups = evaluation(tmp_path, {"p": answers}).groups
    assert majority_is_right(groups["p"]) == expected


def test_nobody_answering_is_not_right(tmp_path):
    assert not majority_is_right(evaluation(tmp_path, {"p": ["", ""]}).groups["p"])


# Tests of signs.


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 32),  # one of 32 on either side
        (7, 1, 2 * (1 + 8) / 256),
        (3, 3, 1.0),
    ],
)
def test_the_sign_test(better, worse, p):
    assert sign_test(better, worse) == sign_test(worse, better) == pytest.approx(p)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([], 1.0),
        ([0.0, 0.0], 1.0),
        ([0.5], 1.0),  # either sign is as far from zero
        ([1, 1, 1], 2 / 8),  # only all equal signs are as far
        ([1, 2, 3, 0], 2 / 8),
        # Of the 16 sums of +-1 +-1 +-1 +-2, 3 is reached or passed by 5, 3 (three times), and so
        # on the other side.
        ([1, 1, -1, 2], 8 / 16),
    ],
)
def test_the_sign_flip_test_counts_all_signs(differences, p):
    assert sign_flip_test(differences) == pytest.approx(p)


def test_many_differences_take_random_flips_that_repeat():
    differences = [1.0] * 20 + [-1.0] * 6
    found = sign_flip_test(differences, seed=3)
    assert found == sign_flip_test(differences, seed=3)
    # The sum is 14; the exact value is that of the sign test, 20 against 6.
    assert found == pytest.approx(sign_test(20, 6), abs=0.005)


def test_rounding_is_no_difference():
    found = paired_difference([0.1 + 0.2, 0.5], [0.3, 0.5], (0.0, 0.0))
    assert (found.num_better, found.num_worse, found.permutation_p) == (0, 0, 1.0)
