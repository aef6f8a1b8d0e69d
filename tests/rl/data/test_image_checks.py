import struct
import time
import zlib
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rl.data import image_checks
from rl.data.image_checks import checked_image
from rl.errors import InputError

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encoded(image, kind, **options):
    data = BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def red_and_blue(mode="RGB"):
    """8 x 4 pixels, the left half red, the right half blue."""
    image = Image.new("RGB", (8, 4), RED)
    image.paste(BLUE, (4, 0, 8, 4))
    return image.convert(mode)


def pixels(data):
    """The decoded image of `checked_image(data)`, and whether the bytes were kept."""
    kept, width, height, _ = checked_image(data, "picture", "row 0")
    image = Image.open(BytesIO(kept))
    assert image.size == (width, height)
    return image.convert("RGB"), kept == data


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of(width, height, body=b""):
    """A PNG that claims a size, whatever its body holds."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def tiff_with(tag, kind, count, value):
    """A little-endian TIFF of one pixel with one more tag than it needs."""
    tags = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    entries = [(name, 4, 1, number) for name, number in tags.items()] + [(tag, kind, count, value)]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return (
        b"II*\0"
        + struct.pack("<I", 12)
        + b"\x80\0\0\0"
        + struct.pack("<H", len(entries))
        + directory
        + bytes(4)
    )


def refused(data, *words):
    with pytest.raises(InputError) as error:
        checked_image(data, "picture", "images of row 3 (from 0)")
    message = str(error.value)
    assert message.startswith("images of row 3 (from 0): got picture")
    assert "\n" not in message
    for word in words:
        assert word in message


# What stays as it is, and what is settled.


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})]
)
def test_what_every_reader_sees_alike_keeps_its_bytes(kind, options):
    image, is_kept = pixels(encoded(red_and_blue(), kind, **options))
    assert is_kept
    assert image.size == (8, 4)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_become_png(kind):
    image, is_kept = pixels(encoded(red_and_blue(), kind))
    assert not is_kept
    assert (image.getpixel((0, 0)), image.getpixel((7, 3))) == (RED, BLUE)


def test_grey_keeps_its_bytes():
    image, is_kept = pixels(encoded(Image.new("L", (3, 2), 100), "PNG"))
    assert is_kept
    assert image.getpixel((0, 0)) == (100, 100, 100)


def test_cmyk_becomes_rgb():
    # No ink at all is white; full magenta and yellow are red.
    image = Image.new("CMYK", (8, 4), (0, 0, 0, 0))
    image.paste((0, 255, 255, 0), (4, 0, 8, 4))
    found, _ = pixels(encoded(image, "TIFF"))
    assert (found.getpixel((0, 0)), found.getpixel((7, 0))) == (WHITE, RED)
    assert pixels(encoded(image, "JPEG", quality=100))[0].getpixel((0, 0)) == WHITE


def test_transparent_pixels_are_laid_on_white():
    # The palette's colour 0 is black and transparent: what is seen is white, not black.
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((1, 0), 1)
    image, _ = pixels(encoded(palette, "PNG", transparency=0))
    assert (image.getpixel((0, 0)), image.getpixel((1, 0))) == (WHITE, RED)
    # Half of black on white: 255 * (1 - 128/255) = 127.
    half = pixels(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 128)), "PNG"))[0]
    assert half.getpixel((0, 0)) == (127, 127, 127)
    grey = pixels(encoded(Image.new("LA", (1, 1), (0, 0)), "PNG"))[0]
    assert grey.getpixel((0, 0)) == WHITE
    one_colour = pixels(encoded(Image.new("RGB", (1, 1), BLUE), "PNG", transparency=BLUE))[0]
    assert one_colour.getpixel((0, 0)) == WHITE


def test_of_sixteen_bits_the_upper_eight_are_taken():
    # 0x1234 >> 8 = 0x12 = 18, and 65535 >> 8 = 255.
    values = np.array([[0x1234, 65535]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        image, _ = pixels(encoded(Image.fromarray(values), kind))
        assert [image.getpixel((x, 0))[0] for x in (0, 1)] == [18, 255]


def test_pixels_without_a_known_range_are_refused():
    refused(encoded(Image.new("F", (2, 2), 0.5), "TIFF"), "32 bits")
    refused(encoded(Image.new("I", (2, 2), 70_000), "TIFF"), "32 bits")


def test_an_image_is_turned_as_its_camera_was_held():
    # Orientation 6: the stored image has to be turned clockwise by 90 degrees. Left becomes top.
    exif = Image.Exif()
    exif[0x0112] = 6
    image, is_kept = pixels(encoded(red_and_blue(), "PNG", exif=exif))
    assert image.size == (4, 8)
    assert not is_kept
    assert (image.getpixel((0, 0)), image.getpixel((0, 7))) == (RED, BLUE)


def test_orientations_without_a_meaning_are_left_alone():
    exif = Image.Exif()
    exif[0x0112] = 99
    image, _ = pixels(encoded(red_and_blue(), "PNG", exif=exif))
    assert image.size == (8, 4)


def test_nothing_but_pixels_is_encoded_anew():
    text = PngInfo()
    text.add_text("Comment", "secret")
    data = encoded(Image.new("RGBA", (1, 1)), "PNG", pnginfo=text)
    assert b"secret" in data
    assert b"secret" not in checked_image(data, "picture", "row 0")[0]


# Frames.


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_taken(kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    more = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **more)
    image, is_kept = pixels(data)
    assert not is_kept
    assert image.getpixel((0, 0)) == RED
    assert checked_image(data, "picture", "row 0").has_frames
    assert not checked_image(encoded(frames[0], kind), "picture", "row 0").has_frames


def test_a_hundred_thousand_frames_cost_no_more_than_one():
    still = encoded(Image.new("P", (1, 1)), "GIF")
    start = still.index(b"\x2c")  # the first frame's descriptor; the last byte ends the file
    data = still[:-1] + still[start:-1] * 100_000 + still[-1:]
    begun = time.perf_counter()
    assert pixels(data)[0].size == (1, 1)
    assert time.perf_counter() - begun < 1


# Bounds.


def test_size_is_checked_before_anything_is_decoded():
    # 0.12 terapixels, which a body of 20 bytes would be asked for.
    refused(png_of(400_000, 300_000), "120000000000 pixels", "expected at most 40,000,000 pixels")
    # Up to 179 million pixels Pillow itself would only warn.
    refused(png_of(9_000, 9_000), "9000 x 9000 pixels")
    refused(png_of(12_000, 12_000), "12000 x 12000 pixels")


def test_a_bomb_is_never_unpacked():
    # 100 MB of zeros in 100 kB, behind a header that claims ten pixels: only those are read.
    body = zlib.compressobj(9)
    bomb = b"".join(body.compress(bytes(10_000_000)) for _ in range(10)) + body.flush()
    begun = time.perf_counter()
    image, _ = pixels(png_of(5, 2, bomb))
    assert image.size == (5, 2)
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0)])
def test_an_image_without_pixels_is_refused(width, height):
    refused(png_of(width, height))


def test_a_gif_without_pixels_is_refused():
    data = encoded(Image.new("P", (1, 1)), "GIF")
    frame = data.index(b"\x2c") + 5  # where its width and height are, after those of the screen
    refused(data[:6] + bytes(4) + data[10:frame] + bytes(4) + data[frame + 4 :])


def test_strips_of_absurd_shape_are_refused():
    refused(encoded(Image.new("L", (1, 201)), "PNG"), "1 x 201", "factor of 200")
    refused(encoded(Image.new("L", (201, 1)), "PNG"), "201 x 1")
    assert pixels(encoded(Image.new("L", (1, 200)), "PNG"))[1]


def test_more_bytes_than_allowed_are_refused(monkeypatch):
    monkeypatch.setattr(image_checks, "MAX_BYTES", 2**20)
    refused(encoded(red_and_blue(), "PNG") + bytes(2**20), "1 MiB")


def test_what_grows_beyond_the_bound_as_png_is_refused(monkeypatch):
    # Noise of 50 x 50 takes 2 bytes a pixel and more as PNG, and much less in a rough JPEG.
    data = encoded(Image.effect_noise((50, 50), 100).convert("CMYK"), "JPEG", quality=1)
    monkeypatch.setattr(image_checks, "MAX_BYTES", len(data))
    refused(data, "picture as PNG of more than")


def test_a_jpeg_of_thousands_of_scans_is_refused():
    # A scan costs a few bytes and passes over all pixels: the last one, repeated.
    data = encoded(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    refused(data[:last] + data[last:-2] * 5_000 + data[-2:], "more than 100 scans")


def test_giant_texts_in_a_png_are_refused():
    text = PngInfo()
    text.add_text("Comment", "x" * 80_000_000, zip=True)
    data = encoded(red_and_blue(), "PNG", pnginfo=text)
    assert len(data) < 200_000
    refused(data, "a PNG")


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 12])
def test_a_tag_of_gigabytes_in_a_small_tiff_is_refused_or_left_out(kind):
    # 2^31 values of up to 8 bytes, where the file has 128 bytes.
    begun = time.perf_counter()
    with suppress(InputError):
        assert pixels(tiff_with(700, kind, 2**31, 8))[0].size == (1, 1)
    assert time.perf_counter() - begun < 1


def test_many_tags_that_share_their_values_are_refused():
    # 20,000 tags of the same 500 kB each would be 10 GB.
    entries = b"".join(struct.pack("<HHII", 1000 + n, 1, 500_000, 8) for n in range(20_000))
    refused(b"II*\0" + struct.pack("<IH", 8, 20_000) + entries + bytes(600_000))


def test_a_ring_of_pages_has_an_end():
    # The directory names itself as the next one.
    data = tiff_with(700, 1, 1, 0)
    data = data[:-4] + struct.pack("<I", 12)
    assert pixels(data)[0].size == (1, 1)


# What is no image.


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_image_is_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    for share in (0.0, 0.01, 0.3, 0.9):
        refused(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "an empty file"),
        (b"What is in the picture?", "23 bytes of no kind that is known"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "an SVG"),
        (b'<?xml version="1.0"?><svg/>', "XML or SVG"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%id) (w) file", "bytes of no kind that is known"),
        (b"<!DOCTYPE html><title>404</title>", "HTML"),
        (b"\0\0\0\x1cftypavif", "an AVIF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git LFS"),
        (b"P6\n99999 99999\n255\n", "bytes of no kind that is known"),
    ],
)
def test_other_kinds_of_files_are_refused(data, kind):
    refused(data, kind, "expected a whole image, one of PNG, JPEG")


def test_damaged_bytes_are_one_line_or_an_image():
    """Every byte of small files in turn is set to 0 and 255: no other error comes out."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8))
    num_refused = 0
    for kind in ("PNG", "GIF", "BMP", "TIFF", "WEBP"):
        data = encoded(image, kind)
        for place in range(0, min(len(data), 200)):
            for value in (0, 255):
                try:
                    pixels(data[:place] + bytes([value]) + data[place + 1 :])
                except InputError:
                    num_refused += 1
    assert num_refused > 100


def test_images_in_memory_are_checked_likewise():
    data, width, height, _ = checked_image(red_and_blue("RGBA"), "picture", "row 0")
    assert (width, height) == (8, 4)
    assert Image.open(BytesIO(data)).mode == "RGB"
    noise = encoded(Image.effect_noise((40, 40), 50), "PNG")
    refused(Image.open(BytesIO(noise[:600])), "PNG")
