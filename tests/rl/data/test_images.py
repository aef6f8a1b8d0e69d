import base64
import hashlib
import os
from io import BytesIO
from pathlib import Path

import datasets.config
import huggingface_hub.constants
import pytest
from PIL import Image

from rl.data import images
from rl.data.images import PromptImage, image_folders, read_image
from rl.errors import InputError

WHERE = "images of row 3 (from 0)"


def png(colour="red", size=(3, 2)):
    data = BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def folder(tmp_path):
    """A data set's folder with an image further down in it, and an image beside the folder."""
    (tmp_path / "set" / "pictures").mkdir(parents=True)
    (tmp_path / "set" / "pictures" / "red.png").write_bytes(png())
    (tmp_path / "secret.png").write_bytes(png())
    return tmp_path / "set"


def refused(value, *words, **options):
    with pytest.raises(InputError) as error:
        read_image(value, WHERE, **options)
    message = str(error.value)
    assert message.startswith(WHERE)
    assert "\n" not in message
    assert len(message) < 500
    for word in words:
        assert word in message


def test_every_way_to_write_an_image_gives_the_same_one(folder):
    data = png()
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    ways = [
        "pictures/red.png",
        "./pictures/../pictures/red.png",
        str(folder / "pictures" / "red.png"),
        Path("pictures/red.png"),
        data,
        bytearray(data),
        {"bytes": data, "path": None},
        {"bytes": data, "path": "/elsewhere/name.png"},
        {"bytes": None, "path": "pictures/red.png"},
        {"path": "pictures/red.png"},
        {"bytes": data},
        url,
        url.replace("data:", "DATA:"),
    ]
    found = [read_image(way, WHERE, folder=folder) for way in ways]
    digest = hashlib.sha256(data).hexdigest()[:16]
    assert found == [PromptImage(data, digest, 3, 2)] * len(ways)


def test_an_image_in_memory_has_the_pixels_of_the_file(folder):
    with Image.open(folder / "pictures" / "red.png") as image:
        found = read_image(image, WHERE)
    assert found.decode().getpixel((0, 0)) == (255, 0, 0)
    assert (found.width, found.height, found.suffix) == (3, 2, "png")


def test_other_pixels_have_another_digest():
    assert read_image(png("red"), WHERE).digest != read_image(png("blue"), WHERE).digest


def test_the_name_of_a_file_decides_nothing(folder):
    (folder / "red.txt").write_bytes(png())
    assert read_image("red.txt", WHERE, folder=folder).suffix == "png"
    (folder / "text.png").write_text("What is in the picture?")
    refused("text.png", "'text.png', 23 bytes of no kind that is known", folder=folder)


@pytest.mark.parametrize(
    ("kind", "suffix", "mime"),
    [
        ("PNG", "png", "png"),
        ("JPEG", "jpg", "jpeg"),
        ("WEBP", "webp", "webp"),
        ("GIF", "png", "png"),
    ],
)
def test_suffix_and_data_url_say_what_it_is(kind, suffix, mime):
    data = BytesIO()
    Image.new("RGB", (4, 4)).save(data, kind)
    found = read_image(data.getvalue(), WHERE)
    assert found.suffix == suffix
    assert found.data_url.startswith(f"data:image/{mime};base64,")
    assert read_image(found.data_url, WHERE) == found


def test_a_thumbnail_is_small_and_holds_pixels_alone():
    drawing = read_image(png(size=(400, 100)), WHERE).thumbnail(40)
    assert Image.open(BytesIO(drawing)).size == (40, 10)
    assert drawing.startswith(b"\x89PNG")
    noise = BytesIO()
    Image.effect_noise((80, 60), 60).convert("RGB").save(noise, "JPEG", comment=b"secret")
    photograph = read_image(noise.getvalue(), WHERE)
    assert b"secret" in photograph.data
    small = photograph.thumbnail(200)
    assert Image.open(BytesIO(small)).size == (80, 60)  # never enlarged
    assert small.startswith(b"\xff\xd8")
    assert b"secret" not in small


# Files that are not read.


def test_files_outside_the_folder_are_not_read(folder):
    words = ("expected a path within the data set's folder", str(folder))
    refused("../secret.png", *words, folder=folder)
    refused("pictures/../../secret.png", *words, folder=folder)
    refused(str(folder.parent / "secret.png"), *words, folder=folder)
    refused({"bytes": None, "path": "../secret.png"}, *words, folder=folder)
    refused("/etc/passwd", *words, folder=folder)
    # A folder whose name begins as this one's does.
    (folder.parent / "set2").mkdir()
    (folder.parent / "set2" / "red.png").write_bytes(png())
    refused("../set2/red.png", *words, folder=folder)


def test_symbolic_links_lead_nowhere_else(folder):
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "up").symlink_to(folder.parent)
    refused("link.png", "symbolic link", folder=folder)
    refused("up/secret.png", "symbolic link", folder=folder)
    (folder / "same.png").symlink_to(folder / "pictures" / "red.png")
    assert read_image("same.png", WHERE, folder=folder).width == 3
    (folder / "ring.png").symlink_to(folder / "ring.png")
    refused("ring.png", folder=folder)


def test_a_folder_that_is_a_link_itself_is_the_folder(folder):
    (folder.parent / "linked").symlink_to(folder)
    assert read_image("pictures/red.png", WHERE, folder=folder.parent / "linked").width == 3


def test_what_is_no_file_is_not_waited_for(folder):
    os.mkfifo(folder / "pipe.png")
    refused("pipe.png", "expected a file", folder=folder)
    refused("pictures", "Is a directory", folder=folder)
    refused("missing.png", "'missing.png'", "No such file", folder=folder)
    refused("a\0b", folder=folder)
    refused("a/" * 5_000, folder=folder)
    refused("\ud800.png", r"got '\ud800.png', expected a path", folder=folder)
    refused("a" * 300, "File name too long", folder=folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_a_file_without_permission_is_refused(folder):
    (folder / "pictures" / "red.png").chmod(0)
    refused("pictures/red.png", "Permission denied", folder=folder)


def test_a_huge_file_is_read_no_further_than_the_bound(folder, monkeypatch):
    with open(folder / "huge.png", "wb") as file:
        file.truncate(2**40)  # a terabyte of nothing, which takes no place on the disk
    refused("huge.png", "more than 32 MiB", folder=folder)


def test_without_a_folder_no_file_is_read(folder, monkeypatch):
    monkeypatch.chdir(folder)
    refused("pictures/red.png", "expected images without files")


# What is no image.


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", 3, [], {}, {"bytes": None, "path": None}, {"url": "x"}),
        # As a JSON file has them.
        *({"bytes": "iVBORw0KGgo="}, {"bytes": 7, "path": None}, {"bytes": [300], "path": "a"}),
        *({"bytes": b"x", "path": 7}, {"path": ["a"]}),
    ],
)
def test_other_values_are_refused(value, folder):
    refused(value, "expected a path, bytes, a data: URL or an image", folder=folder)


def test_bad_data_urls_are_refused(monkeypatch):
    refused("data:image/png;base64", "behind its comma")
    refused("data:image/png;base64,!!!", "expected base64 behind the comma")
    refused("data:image/png;base64,QUJD", "3 bytes of no kind that is known")
    refused("data:image/svg+xml,%3Csvg%3E%3C/svg%3E", "an SVG")
    monkeypatch.setattr(images, "MAX_BYTES", 1_000)
    refused("data:image/png;base64," + "A" * 3_000, "of 3022 characters")


def test_links_are_not_fetched_unless_allowed(monkeypatch):
    refused("https://example.com/a.png", "nothing is fetched", "allow_remote_images")
    refused("HTTP://example.com/a.png", "nothing is fetched")
    refused({"bytes": None, "path": "https://example.com/a.png"}, "nothing is fetched")
    monkeypatch.setattr(images, "fetch_image", lambda url, where: png())
    assert read_image("https://example.com/a.png", WHERE, allow_remote=True).width == 3


def test_other_schemes_are_paths_that_are_not_there(folder):
    for link in ("ftp://example.com/a.png", "file:///etc/passwd", "gopher://x", "//example.com/a"):
        with pytest.raises(InputError):
            read_image(link, WHERE, folder=folder, allow_remote=True)


def test_where_the_images_of_a_data_set_lie(folder, monkeypatch):
    (folder / "rows.jsonl").write_text("{}")
    assert image_folders(str(folder / "rows.jsonl")) == [folder]
    assert image_folders(str(folder)) == [folder]
    home = folder.parent
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(home / "datasets"))
    folders = image_folders("owner/name")
    assert folders == [home / "hub", home / "datasets"]
    # Either is read, what lies beside them is not.
    for one in folders:
        one.mkdir()
        (one / "red.png").write_bytes(png())
        assert read_image(str(one / "red.png"), WHERE, folder=folders).width == 3
    (home / "token").write_text("hf_SECRET")
    refused("../token", "expected a path within", folder=folders)
    refused(str(home / "token"), "expected a path within", folder=folders)


def test_bytes_of_what_is_no_image_are_not_shown(folder):
    (folder / "token").write_text("hf_SECRET")
    with pytest.raises(InputError) as error:
        read_image("token", WHERE, folder=folder)
    assert "hf_" not in str(error.value)
