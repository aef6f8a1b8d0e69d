"""Whatever an image does to its decoder, it costs that image alone, and a bounded time."""

from concurrent.futures.process import BrokenProcessPool
from io import BytesIO

import bad_decoders
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rl.data.image_checks import CheckedImage, checked_image
from rl.data.image_workers import ImageWorkers, UncheckedImage
from rl.errors import InputError


def png(does="", size=(3, 2)):
    text, data = PngInfo(), BytesIO()
    text.add_text("does", does)
    Image.new("RGB", size).save(data, "PNG", pnginfo=text)
    return data.getvalue()


def image(does=""):
    return UncheckedImage(png(does), f"a {does}", "row 0")


def check(workers, images):
    return list(workers.check(images))


@pytest.fixture(scope="module")
def workers():
    workers = ImageWorkers(
        max_seconds=1.0, max_memory_bytes=2**28, prepare=bad_decoders.break_decoders
    )
    check(workers, [image()])  # a worker takes a while to start
    yield workers
    workers.close()


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("hang in C", "which takes more than 1 seconds to decode"),
        ("take memory", "which takes too much memory to decode"),
        ("crash", "of which its decoder dies"),
    ],
)
def test_a_bad_image_costs_itself_alone(workers, does, reason):
    found = check(workers, [image(), image(does), image()])
    assert [type(one) for one in found] == [CheckedImage, InputError, CheckedImage]
    assert str(found[1]) == f"row 0: got a {does}, {reason}, expected a whole image. Replace it."


def test_a_worker_that_is_killed_for_no_fault_of_an_image_costs_nothing(workers, tmp_path):
    (tmp_path / "killed").touch()
    found = check(workers, [image(), image(f"die once: {tmp_path / 'killed'}")])
    assert [type(one) for one in found] == [CheckedImage, CheckedImage]


def test_bad_images_in_several_batches_leave_the_others_in_order(workers):
    sizes = list(range(1, 21))
    images = [UncheckedImage(png(size=(n, 1)), "picture", "row 0") for n in sizes]
    images[3], images[12] = image("die"), image("take memory")
    found = check(workers, images)
    expected = [None if n in (4, 13) else n for n in sizes]
    assert [getattr(one, "width", None) for one in found] == expected


def test_an_image_larger_than_the_memory_is_refused_and_a_smaller_one_is_not():
    workers = ImageWorkers(max_memory_bytes=2**26)
    # As RGB 75 MB, in a file of 73 kB.
    images = [UncheckedImage(png(size=(n, n)), "a square", "row 0") for n in (5000, 500)]
    found = check(workers, images)
    workers.close()
    assert str(found[0]).startswith("row 0: got a square, which takes too much memory to decode")
    assert found[1] == CheckedImage(b"", 500, 500, has_frames=False)


def test_what_the_workers_say_is_what_the_process_would_say(workers):
    kept, broken = png(), png()[:40]
    laid_on_white = BytesIO()
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(laid_on_white, "PNG")
    images = [UncheckedImage(d, "it", "here") for d in (kept, broken, laid_on_white.getvalue())]
    found = check(workers, images)
    assert found[0] == CheckedImage(b"", 3, 2, has_frames=False)  # the bytes are with who asked
    with pytest.raises(InputError) as raised:
        checked_image(broken, "it", "here")
    assert str(found[1]) == str(raised.value)
    assert found[2] == checked_image(laid_on_white.getvalue(), "it", "here")
    assert check(workers, []) == []


def test_where_no_worker_starts_no_image_is_blamed():
    workers = ImageWorkers(prepare=bad_decoders.cannot_start)
    with pytest.raises(BrokenProcessPool):
        check(workers, [image()])
    workers.close()
