"""A testbed's folder on a disk that is full; test_build.py has the rest, with a real testbed."""

import resource

import pytest
import torch
from safetensors.torch import save_file

from rl.errors import InputError
from rl.testbed.folder import write_folder


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands for it."""

    def write(folder):
        save_file({"weight": torch.zeros(100_000)}, folder / "model.safetensors")

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(
            InputError, match=r"output_dir: got .*; then give the same command again"
        ):
            write_folder(tmp_path / "new", {"seed": 0}, write)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "new").iterdir()) == []
