"""Files that are whole or not there; a disk that is full."""

import errno
import os
import resource

import pytest
import torch
from safetensors.torch import save_file

from rl.data.whole_files import check_output, disk_problem, replacing, write_whole, writing_into
from rl.errors import InputError


def test_a_file_is_replaced_or_stays(tmp_path):
    path = tmp_path / "file.txt"
    write_whole(path, "old")
    with pytest.raises(FileExistsError), replacing(path) as unfinished:
        unfinished.write_text("half") and unfinished.touch(exist_ok=False)
    assert path.read_text() == "old"
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_a_file_comes_in_place_of_nothing_or_a_file(tmp_path):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    check_output(tmp_path / "file")
    check_output(tmp_path / "new")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputError, match=f"--output: got {path}, expected the name of a file"):
            check_output(path)
    with pytest.raises(InputError, match=r"--out: got .*/none/new, expected a file in an existing"):
        check_output(tmp_path / "none" / "new", "--out")


def test_what_is_no_fault_of_the_disk_is_a_bug(tmp_path):
    assert disk_problem(KeyError("x")) is None
    assert disk_problem(RuntimeError("shapes do not match")) is None
    with pytest.raises(FileNotFoundError), writing_into(tmp_path):
        (tmp_path / "none" / "file").write_text("x")
    with pytest.raises(ZeroDivisionError), writing_into(tmp_path):
        raise ZeroDivisionError


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_the_disk_s_words_are_one_line(tmp_path, code):
    with pytest.raises(InputError) as raised, writing_into(tmp_path):
        raise OSError(code, os.strerror(code))
    assert str(raised.value).startswith(f"output_dir: got {os.strerror(code)} in {tmp_path}, exp")
    assert "--resume_from_checkpoint auto" in str(raised.value)


def write_text(path):
    path.write_text("x" * 100_000)


def write_tensors(path):
    save_file({"weight": torch.zeros(100_000)}, path)


def write_pickle(path):
    torch.save(torch.zeros(100_000), path)


@pytest.mark.parametrize("write", [write_text, write_tensors, write_pickle])
def test_every_library_s_way_to_say_that_nothing_fits(tmp_path, write):
    """A limit on the size of files stands for a full disk; each library writes on its own."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(InputError, match="output_dir: got "), writing_into(tmp_path):
            write(tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_device(tmp_path):
    with (
        pytest.raises(InputError, match="No space left on device"),
        writing_into(tmp_path),
        open("/dev/full", "w") as file,
    ):
        file.write("x" * 100_000)
