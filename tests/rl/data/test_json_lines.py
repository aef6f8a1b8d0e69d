"""JSON lines from plain and compressed files, whole and damaged."""

import gzip

import pytest

from rl.data.json_lines import read_json_lines, write_json_lines
from rl.errors import InputError


def read(path):
    with path.open("rb") as file:
        return list(read_json_lines(file, path))


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_blank_lines_count_but_hold_nothing(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    text = b'{"a": 1}\n\n[2]'
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    assert read(path) == [(1, {"a": 1}, b'{"a": 1}\n'), (3, [2], b"[2]")]


def test_an_empty_file_holds_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    path.touch()
    assert read(path) == []


@pytest.mark.parametrize("line", [b"{", b'"\xff"', b"[" * 100_000])
def test_a_bad_line_is_named(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n" + line + b"\n")
    with pytest.raises(InputError, match=r"a\.jsonl line 2: got .*, expected one JSON object"):
        read(path)


def test_a_file_that_breaks_off_is_named(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"1\n")[:-4])
    with pytest.raises(InputError, match=r"after line 1: got .*, expected a complete gzip file"):
        read(path)


def test_what_is_written_is_read(tmp_path):
    path, rows = tmp_path / "rows.jsonl", [{"prompt": "a\nb\u2028\ud83d"}, {}]
    write_json_lines(path, [{"old": 1}])
    write_json_lines(path, rows)
    with path.open("rb") as file:
        assert [line.value for line in read_json_lines(file, path)] == rows
    write_json_lines(path, [])
    assert path.read_bytes() == b""
