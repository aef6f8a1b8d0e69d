"""What is odd is said, and nothing is said of what is not."""

import pytest

from rl.evaluation.records import SampleRecord
from rl.evaluation.remarks import label_remarks, sample_remarks


def sample(completion="so 4", answer="4", **facts):
    return SampleRecord(
        problem_id="p",
        sample=0,
        seed=0,
        prompt_id="",
        completion=completion,
        num_tokens=1,
        label="4",
        answer=answer,
        **{"truncated": False, **facts},
    )


@pytest.mark.parametrize(
    "label", ["4", "-1", r"\frac{1}{2}", "A", "[0, 1)", r"\{1, 2\}", "(1, 2)", "x = 3", "Nancy"]
)
def test_labels_that_are_answers_are_passed_over(label):
    assert label_remarks({"p": label}) == []


@pytest.mark.parametrize(
    ("label", "what"),
    [
        ("nan", "missing value"),
        ("None", "missing value"),
        ("#### 12", "pass --answer_kind hashes"),
        ("['4', '5']", "list or an object"),
        ("So it is 4. " * 20, "longer than 200 characters"),
    ],
)
def test_odd_labels_are_counted_and_the_first_is_named(label, what):
    [remark] = label_remarks({"p": "4", "q": label, "r": label})
    assert remark.startswith("2 of 3 labels")
    assert what in remark
    assert "problem 'q' has" in remark


def test_empty_completions_are_said_once():
    assert sample_remarks([sample(" ", None)] * 4) == [
        "all completions are empty: check the model, its prompt template and its limits"
    ]


def test_half_without_an_answer_is_said_with_what_may_be_the_reason():
    good, silent = sample(), sample("hm", None)
    assert sample_remarks([good, good, silent]) == []
    [remark] = sample_remarks([good, silent])
    assert remark == ("1 of 2 completions hold no answer: see --answer_methods and --template")
    cut_off = sample("<think>hm", None, truncated=True)
    [remark] = sample_remarks([good, cut_off, sample("", None)])
    assert remark == (
        "2 of 3 completions hold no answer: 1 of these are empty; 1 of these were cut off at the "
        "length limit; 1 of these hold no </think>"
    )


def test_completions_that_answer_but_are_cut_off():
    [remark] = sample_remarks([sample(truncated=True), sample(truncated=True), sample()])
    assert remark.startswith("2 of 3 completions were cut off")
    assert sample_remarks([sample(truncated=None)]) == []
