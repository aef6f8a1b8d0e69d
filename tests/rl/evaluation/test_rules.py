"""Rules on whole completions: what is read, what is one class, what is right."""

import json

import pytest

from rl.evaluation.grading import grade, grader_version
from rl.evaluation.records import SampleRecord
from rl.evaluation.rules import RULES, read_short_answer


def graded(completions, *, rule, label, aliases=(), **fields):
    samples = [
        SampleRecord(
            problem_id="p",
            sample=i,
            seed=0,
            prompt_id="x",
            completion=text,
            num_tokens=1,
            truncated=False,
            label=label,
            aliases=tuple(aliases),
            rule=rule,
            **fields,
        )
        for i, text in enumerate(completions)
    ]
    return grade(samples)


@pytest.mark.parametrize("rule", RULES)
def test_without_an_answer_a_sample_is_wrong_and_scores_nothing(rule):
    for sample in graded(["", "No idea", "The correct answer is "], rule=rule, label="7"):
        assert (sample.answer, sample.cluster, sample.correct) == (None, None, False)
        assert set(sample.scores.values()) <= {0.0}


def test_an_answer_that_equals_one_of_several_is_right():
    found = graded(
        ["The correct answer is K. Holm.", "answer: the k holm", "The correct answer is Kai."],
        rule="exact",
        label="Kai Holm",
        aliases=["K Holm"],
    )
    assert [sample.correct for sample in found] == [True, True, False]
    assert [sample.cluster for sample in found] == [0, 0, 1]  # one vote, written in two ways
    # kai is 1 word in common with the 2 of the label: 2 * 1 / 3.
    assert [sample.scores["f1"] for sample in found] == pytest.approx([1, 1, 2 / 3])


def test_exact_and_cover_differ_in_what_is_right_and_score_alike():
    text = ["The correct answer is Kai Holm of Ulm."]
    [exact], [cover] = (graded(text, rule=rule, label="Kai Holm") for rule in ("exact", "cover"))
    assert (exact.correct, cover.correct) == (False, True)
    # 2 words in common of 4 and 2.
    assert exact.scores == cover.scores == {"exact_match": 0, "cover_match": 1, "f1": 4 / 6}


def test_numbers_are_one_class_if_they_are_read_alike():
    found = graded(
        [r"\boxed{12.5\%}", "the answer is 12.5.", "the answer is 12.51", "the answer is 9^9^9"],
        rule="docmath",
        label="0.125",
    )
    assert [sample.cluster for sample in found] == [0, 0, 1, None]
    assert [sample.correct for sample in found] == [True, True, True, False]
    assert found[0].scores == {}


def test_an_unfinished_thought_has_no_answer():
    thought = "The correct answer is Kai Holm."
    [sample] = graded([thought], rule="exact", label="Kai Holm", must_close_thought=True)
    assert (sample.answer, sample.correct) == (None, False)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The correct answer is (Paris, France).\nBye", "(Paris, France)"),
        (r"So \boxed{Paris}", "Paris"),
        ("Paris", None),
    ],
)
def test_where_a_short_answer_stands(text, answer):
    assert read_short_answer(text) == answer


def test_the_grader_s_version_covers_the_rules(monkeypatch, tmp_path):
    import rl.evaluation.metrics.short_answers as module

    grader_version.cache_clear()
    before = grader_version()
    changed = tmp_path / "short_answers.py"
    changed.write_text("other")
    monkeypatch.setattr(module, "__file__", str(changed))
    grader_version.cache_clear()
    assert grader_version() != before
    grader_version.cache_clear()


def test_completions_over_documents_are_scored_as_published(evaluate, tmp_path):
    # By hand: the label, an alias in other words, a wrong one that contains neither.
    lines = [
        {"problem_id": name, "completion": text, "label": label, "aliases": aliases, "rule": rule}
        for name, text, label, aliases, rule in (
            ("a", "The correct answer is the River Lin.", "River Lin", ["Lin"], "cover"),
            ("b", "The correct answer is Lin, in Ost.", "River Lin", ["Lin"], "cover"),
            ("c", "The correct answer is Ost.", "River Lin", ["Lin"], "cover"),
        )
    ]
    path = tmp_path / "completions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    evaluate(["--score", str(path), "--output_dir", str(tmp_path / "out")])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["pass@1"]["value"] == summary["cover_match"]["value"] == pytest.approx(2 / 3)
    assert summary["exact_match"]["value"] == pytest.approx(1 / 3)
    # b: lin in common of 3 words and 1, 2 / 4.
    assert summary["f1"]["value"] == pytest.approx((1 + 0.5 + 0) / 3)
