from dataclasses import replace

import pytest

from rl.evaluation.grading import grade
from rl.evaluation.records import SampleRecord
from rl.evaluation.referee import judge

SAMPLE = SampleRecord(
    problem_id="p",
    sample=0,
    seed=None,
    prompt_id="",
    completion="",
    num_tokens=None,
    truncated=None,
    label=r"\frac{1}{2}",
)
COMPLETIONS = [
    r"So \boxed{0.5}.",  # both: right
    r"So \boxed{2}.",  # both: wrong
    "which makes $1/2$",  # no box and no phrase: only the referee takes the last expression
    r"\boxed{9^{9^{9^{9}}}}",  # must not hold anything up, here or there
]


@pytest.mark.medium
def test_the_referee_judges_whole_completions_in_a_killable_worker(monkeypatch, tmp_path):
    monkeypatch.setattr("rl.evaluation.referee._DEADLINE_SECONDS", 3.0)
    samples = [replace(SAMPLE, sample=i, completion=text) for i, text in enumerate(COMPLETIONS)]
    letter = replace(SAMPLE, problem_id="choice", choices="AB", label="A", completion="Answer: A")
    words = replace(SAMPLE, problem_id="who", rule="exact", label="A", completion="Answer: A")
    report = judge([*grade(samples), *grade([letter]), *grade([words])])
    assert report.num_samples == 4  # letters and words are no maths
    [one] = report.disagreements
    assert (one.sample, one.answer, one.correct) == (2, None, False)
    assert one.kind == "we find no answer, the referee takes one from the text"
    assert report.agreement == 3 / 4
    assert report.write(tmp_path).read_text().count('"kind"') == 1
    assert judge(grade([letter])).agreement == 1.0  # nothing to disagree about
