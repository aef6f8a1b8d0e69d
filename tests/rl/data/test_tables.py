import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from rl.data.tables import load_table
from rl.errors import InputError

ROWS = [{"prompt": "1+1=", "label": 2}, {"prompt": "a, \u00e9", "label": 3}]
JSON_LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
CSV = 'prompt,label\n1+1=,2\n"a, \u00e9",3\n'


def write(path, text):
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz", "t.JSONL", "t.json", "t.json.gz"])
def test_json_files_give_their_columns(tmp_path, name):
    text = JSON_LINES if "jsonl" in name.lower() else json.dumps(ROWS)
    table = load_table(write(tmp_path / name, text))
    assert table == {"prompt": ["1+1=", "a, \u00e9"], "label": [2, 3]}


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_csv_values_stay_text_as_written(tmp_path, name):
    table = load_table(write(tmp_path / name, CSV.replace("2", "02.0")))
    assert table == {"prompt": ["1+1=", "a, \u00e9"], "label": ["02.0", "3"]}


def test_parquet_and_a_folder_as_load_dataset_sees_it(tmp_path):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "train.parquet")
    assert load_table(str(tmp_path / "train.parquet")) == {
        "prompt": ["1+1=", "a, \u00e9"],
        "label": [2, 3],
    }
    folder = load_table(str(tmp_path), split="train")
    assert list(folder["label"]) == [2, 3]


def test_rows_without_a_column_have_none_and_blank_lines_are_skipped(tmp_path):
    path = write(tmp_path / "t.jsonl", '{"prompt": "a"}\n\n{"prompt": "b", "label": "x"}')
    assert load_table(path) == {"prompt": ["a", "b"], "label": [None, "x"]}


def test_byte_order_mark_and_windows_line_ends_are_read_over(tmp_path):
    path = write(tmp_path / "t.jsonl", '\ufeff{"prompt": "a"}\r\n{"prompt": "b"}\r\n')
    assert load_table(path) == {"prompt": ["a", "b"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", "", "no rows"),
        ("t.json", "", "no rows"),
        ("t.json", "[]", "no rows"),
        ("t.csv", "prompt,label\n", "no rows"),
        ("t.jsonl", '{"prompt": "a"}\n{"prompt":\n', r"line 2: got invalid JSON"),
        ("t.jsonl", '{"prompt": "a"}\n[1]\n', r"line 2: got \[1\], expected a JSON object"),
        ("t.json", JSON_LINES, r"got invalid JSON \(Extra data.*one list in a .json file"),
        ("t.json", '{"prompt": "a"}', "got a JSON dict, expected a list"),
        ("t.json", '["a"]', r"row 0 \(from 0\): got 'a'"),
        ("t.json", "[" * 100_000, "got invalid JSON"),
        ("t.csv", "prompt,label\na,b,c\n", "expected 2"),
        ("t.csv", "prompt,label\na\n", "expected 2"),
        ("t.csv", 'prompt\n"a', "expected a readable .csv"),
        ("t.parquet", "not parquet", "expected a readable .parquet"),
        ("t.txt", "a", r"expected a file that ends in .jsonl, "),
    ],
)
def test_bad_files_say_what_is_wrong_and_where(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        load_table(write(tmp_path / name, content))


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz"])
def test_bytes_of_another_format_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="expected a readable"):
        load_table(str(tmp_path / name))


@pytest.mark.parametrize("name", ["missing.jsonl", "some/where/missing", "/nowhere/x", "my data"])
def test_a_missing_file_is_not_looked_for_on_the_hub(name):
    with pytest.raises(InputError, match=f"got '{name}', expected a file that exists"):
        load_table(name)


def test_a_folder_without_data_names_the_way_out(tmp_path):
    with pytest.raises(InputError, match=r"give the path of its .jsonl"):
        load_table(str(tmp_path))


def test_an_unknown_split_lists_the_known_ones(tmp_path):
    write(tmp_path / "train.jsonl", JSON_LINES)
    with pytest.raises(InputError, match=r"got split 'test'.*\['train'\]"):
        load_table(str(tmp_path), split="test")
