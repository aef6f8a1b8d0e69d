import logging
from io import BytesIO

from PIL import Image

from rl.data.image_reading import ImageSource, read_images
from rl.data.images import read_image
from rl.errors import InputError


def encoded(image, kind="PNG", **options):
    data = BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def test_images_come_in_order_as_the_process_would_read_them(tmp_path):
    pictures = [Image.new("RGB", (n, 1), (n, 0, 0)) for n in range(1, 100)]
    values = [encoded(picture) for picture in pictures]
    (tmp_path / "a.png").write_bytes(values[0])
    values[5], values[70], values[71], values[72] = "a.png", b"no image", "gone.png", pictures[0]
    sources = [ImageSource(value, f"row {i}", tmp_path) for i, value in enumerate(values)]
    found = list(read_images(sources))
    for number, (value, one) in enumerate(zip(values, found, strict=True)):
        if number in (70, 71):
            assert isinstance(one, InputError)
            assert str(one).startswith(f"row {number}: got")
        else:
            assert one == read_image(value, "here", folder=tmp_path)
    assert list(read_images([])) == []


def test_sources_are_read_as_they_are_needed():
    asked = []

    def sources():
        for number in range(1000):
            asked.append(number)
            yield ImageSource(encoded(Image.new("RGB", (1, 1))), f"row {number}")

    assert next(read_images(sources())).width == 1
    assert len(asked) < 100


def test_several_frames_are_said_once(caplog):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with caplog.at_level(logging.WARNING):
        found = list(read_images([ImageSource(data, f"row {number}") for number in range(3)]))
    assert {one.decode().getpixel((0, 0)) for one in found} == {(255, 0, 0)}
    [record] = caplog.records
    assert record.getMessage().startswith("row 0: ")
    assert "has several frames or pages" in record.getMessage()
