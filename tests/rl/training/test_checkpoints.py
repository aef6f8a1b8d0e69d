"""Checkpoints that are whole or not there, and every way they can be damaged."""

import json
import shutil

import pytest
import torch
from accelerate import Accelerator

from rl.errors import InputError
from rl.training.checkpoints import (
    MANIFEST_FILE,
    Checkpoints,
    checkpoint_problem,
    checkpoint_step,
    list_checkpoints,
    newest_whole_checkpoint,
    set_aside,
)

FILES = ("model.safetensors", "optimizer.pt", "trainer_state.json", "signal_state.json")


@pytest.fixture
def write(tmp_path):
    """Write a checkpoint of some small files."""

    def write(step, limit=None, output_dir=tmp_path):
        with Checkpoints(output_dir, Accelerator(cpu=True), limit).writing(step) as folder:
            for name in FILES:
                (folder / name).write_text(f"{name} of step {step}")
            (folder / "global_step").mkdir()
            torch.save({"shard": torch.arange(step)}, folder / "global_step" / "shard.pt")
        return output_dir / f"checkpoint-{step}"

    return write


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_is_there_once_it_is_whole(tmp_path):
    checkpoints = Checkpoints(tmp_path, Accelerator(cpu=True), None)
    assert checkpoints.unfinished_dir is None
    with checkpoints.writing(3) as folder:
        assert folder == checkpoints.unfinished_dir / "checkpoint-3"
        assert list_checkpoints(tmp_path) == []
        (folder / "file").write_text("x")
    assert checkpoints.unfinished_dir is None
    assert names(tmp_path) == ["checkpoint-3"]
    assert names(tmp_path / "checkpoint-3") == ["file", MANIFEST_FILE]
    manifest = json.loads((tmp_path / "checkpoint-3" / MANIFEST_FILE).read_text())
    assert (manifest["step"], manifest["ranks"]) == (3, 1)
    # sha256 of "x"
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert manifest["files"] == {"file": {"bytes": 1, "sha256": digest}}


def test_an_error_leaves_what_was_there(tmp_path, write):
    write(2)
    with (
        pytest.raises(ZeroDivisionError),
        Checkpoints(tmp_path, Accelerator(cpu=True), None).writing(4),
    ):
        raise ZeroDivisionError
    assert newest_whole_checkpoint(tmp_path) == (tmp_path / "checkpoint-2", {})
    # What it left is gone with the next one.
    assert "unfinished" in names(tmp_path)
    write(4)
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-4"]


def test_a_full_disk_leaves_the_older_ones_and_no_half_one(tmp_path, write):
    write(2)
    with (
        pytest.raises(InputError, match=r"output_dir: got No space left on device in .*, expected"),
        Checkpoints(tmp_path, Accelerator(cpu=True), None).writing(4) as folder,
        (folder / "file").open("w"),
        open("/dev/full", "w") as full,
    ):
        full.write("x" * 100_000)
    assert names(tmp_path) == ["checkpoint-2"]


def test_the_newest_are_kept(tmp_path, write):
    for step in (2, 4, 10):
        write(step, limit=2)
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-4"]


def test_fallbacks_are_kept_beside_the_newest(tmp_path, write):
    accelerator = Accelerator(cpu=True)
    checkpoints = Checkpoints(tmp_path, accelerator, 1)
    checkpoints.num_fallbacks = 2
    checkpoints.abandoned = [(25, 39)]
    for step in range(0, 70, 10):
        with checkpoints.writing(step):
            pass
    # Gap of the neighbours / age: 40 (50 - 0) / 20, 50 (60 - 40) / 10, which is less.
    assert names(tmp_path) == ["checkpoint-0", "checkpoint-40", "checkpoint-60"]
    checkpoints.protected = [40]
    for step in (70, 80, 90):
        with checkpoints.writing(step):
            pass
    assert names(tmp_path) == ["checkpoint-0", "checkpoint-40", "checkpoint-80", "checkpoint-90"]


def test_a_folder_of_another_name_takes_the_place_of_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path, Accelerator(cpu=True), 1)
    for step in (1, 2, 3):
        with checkpoints.writing(
            step, "best", tmp_path / "before" if step == 2 else None
        ) as folder:
            (folder / "file").write_text(str(step))
    assert names(tmp_path) == ["before", "best"]
    assert [checkpoint_step(tmp_path / name) for name in ("before", "best")] == [1, 3]


def test_a_damaged_one_is_replaced(tmp_path, write):
    (write(2) / "optimizer.pt").write_text("")
    write(2)
    assert names(tmp_path) == ["checkpoint-2"]
    assert checkpoint_problem(tmp_path / "checkpoint-2") is None
    assert checkpoint_step(tmp_path / "checkpoint-2") == 2


# Damage.


@pytest.mark.parametrize("name", [*FILES, "global_step/shard.pt"])
def test_no_file_may_be_missing_cut_off_or_changed(tmp_path, write, name):
    path = write(3) / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    size = len(whole)
    assert checkpoint_problem(path.parents[name.count("/")]) == (
        f"whose {name} has {size - 1} bytes instead of {size}"
    )
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])  # one bit
    assert checkpoint_problem(tmp_path / "checkpoint-3") == f"whose {name} is damaged"
    path.unlink()
    assert checkpoint_problem(tmp_path / "checkpoint-3") == f"whose {name} is missing"
    path.write_bytes(whole)
    assert checkpoint_problem(tmp_path / "checkpoint-3") is None


def test_no_bit_of_the_manifest_may_change(tmp_path, write):
    path = write(3) / MANIFEST_FILE
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        problem = checkpoint_problem(path.parent)
        # White space may differ: nothing is read from it.
        assert problem == "whose manifest.json is damaged" or whole[place : place + 1].isspace()
    for text in ("", "{}", "[]", "1", '{"seal": 1}', "[" * 100_000, "\udcff"):
        path.write_text(text, errors="surrogateescape")
        assert checkpoint_problem(path.parent) == "whose manifest.json is damaged"
    path.unlink()
    assert "has no manifest.json" in (checkpoint_problem(path.parent) or "")
    assert checkpoint_problem(tmp_path / "none") == "which is no folder"


# Which one.


def test_the_newest_whole_one(tmp_path, write):
    assert newest_whole_checkpoint(tmp_path) == (None, {})
    for step in (9, 10, 11):
        write(step)
    (tmp_path / "checkpoint-12").write_text("a file")
    shutil.copytree(tmp_path / "checkpoint-11", tmp_path / "checkpoint-13-copy")
    (tmp_path / "checkpoint-11" / "optimizer.pt").unlink()
    found = newest_whole_checkpoint(tmp_path)
    # 10 is newer than 9 although "9" sorts behind "10".
    assert found.checkpoint == tmp_path / "checkpoint-10"
    assert found.skipped == {
        "checkpoint-12": "which is no folder",
        "checkpoint-11": "whose optimizer.pt is missing",
    }


def test_later_ones_are_set_aside(tmp_path, write):
    for step in (2, 4, 6):
        write(step)
    assert set_aside(tmp_path, 6) == []
    assert [path.name for path in set_aside(tmp_path, 2)] == [
        "dropped-checkpoint-4",
        "dropped-checkpoint-6",
    ]
    write(4)
    set_aside(tmp_path, 2)  # again, in place of the first
    assert names(tmp_path) == ["checkpoint-2", "dropped-checkpoint-4", "dropped-checkpoint-6"]
    assert newest_whole_checkpoint(tmp_path).checkpoint == tmp_path / "checkpoint-2"
