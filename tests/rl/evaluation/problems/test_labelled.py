import json

import pytest

from rl.errors import InputError
from rl.evaluation.problems.labelled import Problem, load_benchmark


def write(tmp_path, *rows):
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(rows))
    return str(path)


@pytest.mark.parametrize("prompt_column", ["prompt", "problem", "question", "Problem"])
@pytest.mark.parametrize("label_column", ["label", "answer", "final_answer", "Answer"])
def test_the_columns_are_found(tmp_path, prompt_column, label_column):
    benchmark = load_benchmark(write(tmp_path, {prompt_column: "1+1=", label_column: 2}))
    assert benchmark.problems == [Problem(id="0", prompt="1+1=", label="2")]
    assert (benchmark.prompt_column, benchmark.label_column) == (prompt_column, label_column)


def test_a_column_that_is_named_goes_before_one_that_is_found(tmp_path):
    path = write(tmp_path, {"prompt": "a", "task": "b", "label": 1, "gold": 2})
    benchmark = load_benchmark(path, prompt_column="task", label_column="gold")
    assert benchmark.problems == [Problem(id="0", prompt="b", label="2")]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [(["x", "y"], ["x", "y"]), ([7, 8], ["7", "8"]), (["x", "x"], ["0", "1"])],
)
def test_ids_are_the_column_s_where_they_are_unique(tmp_path, ids, expected):
    rows = [{"prompt": "a", "label": 1, "id": name} for name in ids]
    assert [p.id for p in load_benchmark(write(tmp_path, *rows)).problems] == expected


def test_system_prompt_and_suffix_reach_the_prompt(tmp_path):
    path = write(tmp_path, {"prompt": "1+1=", "label": 2})
    [problem] = load_benchmark(path, system_prompt="Add.", prompt_suffix="!").problems
    assert problem.prompt == [
        {"role": "system", "content": "Add."},
        {"role": "user", "content": "1+1=!"},
    ]


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        ({"text": "a", "label": 1}, {}, r"prompt_column: got none .* own \(label, text\)"),
        ({"prompt": "a", "gold": 1}, {}, r"label_column: got none .* own \(gold, prompt\)"),
        (
            {"prompt": "a", "label": None},
            {},
            r"label in row 0 \(from 0\), column 'label': got none",
        ),
        ({"prompt": "a", "label": 1}, {"label_column": "lable"}, "Did you mean 'label'"),
    ],
)
def test_missing_columns_and_labels_are_refused(tmp_path, row, settings, message):
    with pytest.raises(InputError, match=message):
        load_benchmark(write(tmp_path, row), **settings)
