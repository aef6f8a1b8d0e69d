import gc
import os
import tempfile

import pytest
from PIL import Image

from rl.data import image_file
from rl.data.image_file import ImageFile
from rl.data.images import read_image
from rl.errors import InputError


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return [read_image(Image.new("RGB", (n, 2), "red"), "here") for n in range(1, 4)]


def test_images_are_read_as_they_were_written_each_once(images):
    file = ImageFile()
    places = [file.add(image) for image in [*images, images[0]]]
    assert places[0] == places[3]
    assert [file.read(place) for place in places[:3]] == images
    assert file.path.stat().st_size == sum(len(image.data) for image in images)
    again = ImageFile(file.path)
    assert [again.read(place) for place in places[:3]] == images


def test_nothing_is_left_of_it_and_it_is_read_without_its_name(images, tmp_path):
    file = ImageFile()
    other = ImageFile(file.path)
    file.remove_name()
    assert list(tmp_path.iterdir()) == []
    place = file.add(images[1])  # written after the others have opened it
    assert other.read(place) == images[1]
    gc.collect()  # of what other tests left
    num_open = len(os.listdir("/proc/self/fd"))
    del file, other
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == num_open - 2


def test_a_copy_has_images_where_the_first_has_them(images):
    first, copy = ImageFile(has_copies=True), ImageFile()
    places = list(map(first.add, images))
    for place, image in zip(places, images, strict=True):
        copy.keep(place, image.data)
    assert [copy.read(place) for place in places] == images
    reader = ImageFile(first.path)
    reader.keep(places[0], b"ignored: it does not write")
    assert reader.read(places[0]) == images[0]


def test_no_room_is_said_in_one_line(images, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    file = ImageFile.without_name()
    monkeypatch.setattr(image_file.os, "pwrite", full)
    with pytest.raises(InputError, match=r"TMPDIR: got .* \(No space left on device\)\. Name"):
        file.add(images[0])
