import json
from dataclasses import replace

import pytest

from rl.errors import InputError
from rl.evaluation.records import (
    Estimate,
    SampleRecord,
    append_samples,
    read_samples,
    write_samples,
    write_summary,
)


def record(sample, completion="4"):
    return SampleRecord(
        problem_id="p",
        sample=sample,
        seed=2**62,
        prompt_id="00",
        completion=completion,
        num_tokens=1,
        truncated=False,
        label="4",
    )


def test_what_few_benchmarks_have_is_written_where_there_is_some(tmp_path):
    facts = {"aliases": ("b",), "rule": "exact", "scores": {"f1": 0.0}, "strata": {"type": "x"}}
    records = [record(0), replace(record(1), **facts, prompt_cut=True)]
    write_samples(tmp_path, records)
    assert read_samples(tmp_path) == records
    plain, rich = map(json.loads, (tmp_path / "samples.jsonl").read_text().splitlines())
    assert rich.keys() - plain.keys() == {*facts, "prompt_cut"}


def test_records_come_back_as_they_were(tmp_path):
    # A line separator and half a surrogate pair are what breaks line-based files.
    records = [record(0, "a\nb\u2028c\ud800"), record(1, "")]
    append_samples(tmp_path, records[:1])
    append_samples(tmp_path, records[1:])
    assert read_samples(tmp_path) == records
    write_samples(tmp_path, records[::-1])
    assert read_samples(tmp_path) == records[::-1]


def test_without_a_file_there_are_no_records(tmp_path):
    assert read_samples(tmp_path) == []


def test_a_half_written_last_line_is_cut_off(tmp_path):
    append_samples(tmp_path, [record(0), record(1)])
    path = tmp_path / "samples.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    assert read_samples(tmp_path) == [record(0)]
    append_samples(tmp_path, [record(1)])
    assert read_samples(tmp_path) == [record(0), record(1)]


@pytest.mark.parametrize("line", ["{", "[]", '{"problem_id": "p"}', "\\xff"])
def test_a_complete_line_that_is_no_record_is_named(tmp_path, line):
    append_samples(tmp_path, [record(0)])
    with open(tmp_path / "samples.jsonl", "a") as lines:
        lines.write(line + "\n")
    with pytest.raises(InputError, match=r"samples.jsonl, line 2: got .* expected a sample"):
        read_samples(tmp_path)


def test_the_summary_maps_a_metric_to_its_estimate(tmp_path):
    write_summary(tmp_path, {"pass@1": Estimate(value=0.5, ci_low=0.4, ci_high=0.6, n=3)})
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "pass@1": {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 3, "standard_error": None}
    }
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
