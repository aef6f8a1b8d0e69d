import logging
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from rl.data import saved_images
from rl.data.images import read_image
from rl.data.saved_images import SavedImages, saved_image


def picture(shade, size=(4, 3)):
    return read_image(Image.new("RGB", size, (shade, 0, 0)), "here")


def noise(side):
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return read_image(Image.fromarray(pixels), "here")


def names(folder):
    return sorted(path.name for path in (folder / "images").iterdir())


def test_each_image_is_saved_once_under_its_digest(tmp_path):
    one, other = picture(1), picture(2)
    saved = SavedImages(tmp_path)
    assert saved.missing([one.digest, other.digest]) == [one.digest, other.digest]
    saved.save([one, other, one])
    assert names(tmp_path) == sorted([f"{one.digest}.png", f"{other.digest}.png"])
    assert saved_image(tmp_path, one.digest) == one
    assert saved.missing([one.digest]) == []
    # A run that goes on finds them, and writes none of them again.
    path = tmp_path / "images" / f"{one.digest}.png"
    before = path.stat().st_mtime_ns
    again = SavedImages(tmp_path)
    assert again.missing([one.digest, picture(3).digest]) == [picture(3).digest]
    again.save([one])
    assert path.stat().st_mtime_ns == before


def test_without_images_there_is_no_folder(tmp_path):
    SavedImages(tmp_path).save([])
    assert list(tmp_path.iterdir()) == []


def test_a_large_image_is_kept_as_a_smaller_copy_under_its_own_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_images, "MAX_FILE_BYTES", 20_000)
    monkeypatch.setattr(saved_images, "COPY_SIDE", 40)
    large = noise(100)  # 30 kB of numbers without any order
    SavedImages(tmp_path).save([large])
    [name] = names(tmp_path)
    assert name.startswith(large.digest)
    found = saved_image(tmp_path, large.digest)
    assert (found.width, found.height) == (40, 40)
    assert found.decode().size == (40, 40)


@pytest.mark.parametrize(("bound", "value"), [("MAX_IMAGES", 2), ("MAX_FOLDER_BYTES", 200)])
def test_a_full_folder_takes_no_more_and_says_so_once(tmp_path, monkeypatch, caplog, bound, value):
    monkeypatch.setattr(saved_images, bound, value)
    pictures = [picture(shade) for shade in range(5)]
    assert 60 < len(pictures[0].data) < 100
    with caplog.at_level(logging.WARNING):
        saved = SavedImages(tmp_path)
        for one in pictures:
            saved.save([one])
    assert len(names(tmp_path)) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'images'}: full with 2 images; further ones are left out, their digests are "
        "kept."
    ]
    assert saved.missing([pictures[4].digest]) == []
    assert saved_image(tmp_path, pictures[4].digest) is None


def test_what_lies_there_is_read_as_any_image_of_unknown_origin(tmp_path):
    one = picture(1)
    SavedImages(tmp_path).save([one])
    path = tmp_path / "images" / f"{one.digest}.png"
    for bad in (b"", b"<svg/>", path.read_bytes()[:40]):
        path.write_bytes(bad)
        assert saved_image(tmp_path, one.digest) is None
    path.unlink()
    (tmp_path / "secret.png").write_bytes(one.data)
    path.symlink_to(tmp_path / "secret.png")
    assert saved_image(tmp_path, one.digest) is None
    for name in ("../secret", "", one.digest[:8], "0" * 16, one.digest + "\n"):
        assert saved_image(tmp_path, name) is None


def test_a_half_written_file_is_none(tmp_path):
    one = picture(1)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{one.digest}.png.unfinished").write_bytes(one.data[:20])
    saved = SavedImages(tmp_path)
    assert saved.missing([one.digest]) == [one.digest]
    saved.save([one])
    assert BytesIO(saved_image(tmp_path, one.digest).data).getvalue() == one.data


def test_a_copy_may_be_thinner_than_an_image_of_a_data_set(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_images, "MAX_FILE_BYTES", 0)
    monkeypatch.setattr(saved_images, "COPY_SIDE", 256)
    thin = picture(1, (400, 2))
    SavedImages(tmp_path).save([thin])
    found = saved_image(tmp_path, thin.digest)
    assert (found.width, found.height) == (256, 1)
