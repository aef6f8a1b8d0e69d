import base64
import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from rl.data.images import read_image
from rl.data.saved_images import SavedImages
from rl.report import thumbnails as module
from rl.report.embedding import compress, to_json
from rl.report.folders import read_folders
from rl.report.packing import packed_bytes
from rl.report.shown_rollouts import choose_all_rollouts
from rl.report.thumbnails import Thumbnails, has_images, make_thumbnails
from rl.report.writing import write_report


def noise(seed, side=60):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return read_image(Image.fromarray(pixels), "here")


def plain(colour, size=(8, 6)):
    return read_image(Image.new("RGB", size, colour), "here")


@pytest.fixture
def run_with(tmp_path, write_run, make_line):
    """Write a run with a group for each list of images; those in `lost` have no file."""

    def write(*groups, lost=()):
        lines = [
            make_line(i, "1", 1.0, prompt_id=f"p{number}", images=[image.digest for image in group])
            for number, group in enumerate(groups)
            for i in range(2)
        ]
        write_run(tmp_path / "run", rollouts={1: lines})
        SavedImages(tmp_path / "run").save(i for group in groups for i in group if i not in lost)
        runs = read_folders([tmp_path / "run"])
        return runs, choose_all_rollouts(runs)

    return write


def decoded(thumbnail):
    url, width, height = thumbnail
    head, _, body = url.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    image = Image.open(BytesIO(base64.b64decode(body)))
    assert image.size == (width, height)
    assert image.format.lower() in head
    return image


def test_each_image_of_what_is_shown_is_there_once_and_small(run_with):
    red, wide = plain("red"), noise(1, 700)
    found = make_thumbnails(*run_with([red, wide], [red]), max_bytes=10**6)
    assert list(found.images) == [red.digest, wide.digest]
    assert decoded(found.images[red.digest]).size == (8, 6)
    assert decoded(found.images[wide.digest]).size == (512, 512)
    assert found.note == "Images are copies of at most 512 pixels a side."


def test_nothing_but_pixels_of_the_original_reaches_the_page(run_with, tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "secret"
    data = BytesIO()
    Image.new("RGB", (8, 8)).save(data, "JPEG", exif=exif, comment=b"secret")
    kept = read_image(data.getvalue(), "here")
    assert b"secret" in kept.data
    found = make_thumbnails(*run_with([kept]), max_bytes=10**6)
    image = decoded(found.images[kept.digest])
    assert not image.getexif()
    assert b"secret" not in base64.b64decode(found.images[kept.digest][0].partition(",")[2])


def test_a_thin_image_gets_shorter_too(run_with):
    thin = plain("red", (400, 2))
    found = make_thumbnails(*run_with([thin, noise(1, 300)]), max_bytes=20_000)
    assert decoded(found.images[thin.digest]).size == (found.side, 1)
    assert found.side < 400


def test_sides_get_shorter_until_all_fit(run_with):
    groups = [[noise(seed, 600)] for seed in range(3)]
    runs, shown = run_with(*groups)
    large, small = (make_thumbnails(runs, shown, max_bytes=size) for size in (10**7, 40_000))
    assert (large.side, small.side) == (512, 128)
    assert len(small.images) == 3
    assert decoded(small.images[groups[0][0].digest]).size == (128, 128)
    # What they say they take is what they take, or a little more.
    for found in (large, small):
        packed = packed_bytes({"": compress(to_json(found.images))})
        assert packed <= found.num_bytes <= 1.15 * packed


def test_what_does_not_fit_at_the_least_side_is_left_out_and_said(run_with):
    runs, shown = run_with(*([noise(seed, 200)] for seed in range(5)))
    everything = make_thumbnails(runs, shown, max_bytes=10**7)
    smallest = [read_image(noise(seed, 200).thumbnail(128), "here") for seed in range(5)]
    one = max(module._cost(image.data_url) for image in smallest)
    assert len(everything.images) == 5
    found = make_thumbnails(runs, shown, max_bytes=2 * one)
    assert 0 < len(found.images) < 5
    assert found.num_bytes <= 2 * one
    assert f"{len(found.images)} of 5 have room here." in found.note
    none = make_thumbnails(runs, shown, max_bytes=0)
    assert (none.images, none.num_left_out) == ({}, 5)


def test_a_bounded_number_is_looked_at(run_with, monkeypatch):
    monkeypatch.setattr(module, "MAX_THUMBNAILS", 2)
    runs, shown = run_with(*([plain((shade, 0, 0))] for shade in range(5)))
    found = make_thumbnails(runs, shown, max_bytes=10**6)
    assert (len(found.images), found.num_left_out, found.num_missing) == (2, 3, 0)


def test_images_that_were_lost_or_are_none_are_counted(run_with, tmp_path):
    red, blue = plain("red"), plain("blue")
    runs, shown = run_with([red], [blue], lost=[blue])
    (tmp_path / "run" / "images" / f"{blue.digest}.png").write_text("<svg onload=alert(1)>")
    found = make_thumbnails(runs, shown, max_bytes=10**6)
    assert list(found.images) == [red.digest]
    assert found.note.endswith("Not kept, or not readable: 1.")


def test_digests_that_lead_elsewhere_are_missing(tmp_path, write_run, make_line):
    hostile = ["../../../etc/passwd", "<script>", "", 3, None, {"a": 1}]
    write_run(tmp_path / "run", rollouts={1: [make_line(0, "1", 1.0, images=hostile)]})
    runs = read_folders([tmp_path / "run"])
    found = make_thumbnails(runs, choose_all_rollouts(runs), max_bytes=10**6)
    assert (found.images, found.num_missing) == ({}, 3)


def test_without_images_nothing_is_said(tmp_path, write_run, make_line):
    write_run(tmp_path / "run", rollouts={1: [make_line(0, "1", 1.0, images="none")]})
    runs = read_folders([tmp_path / "run"])
    assert not has_images(runs)
    found = make_thumbnails(runs, choose_all_rollouts(runs), max_bytes=10**6)
    assert found == Thumbnails()
    assert (found.note, found.num_bytes) == ("", 0)


def test_an_evaluation_has_the_images_of_its_problems(tmp_path):
    red = plain("red")
    folder = tmp_path / "evaluation"
    folder.mkdir()
    SavedImages(folder).save([red])
    content = [{"type": "image"}, {"type": "text", "text": "Which colour?"}]
    problem = {"problem_id": "a", "prompt": [{"role": "user", "content": content}]}
    problem |= {"question": None, "label": "red", "images": [red.digest]}
    sample = {"problem_id": "a", "sample": 0, "completion": "red", "images": [red.digest]}
    (folder / "problems.jsonl").write_text(json.dumps(problem) + "\n")
    (folder / "samples.jsonl").write_text(json.dumps(sample) + "\n")
    (folder / "manifest.json").write_text(
        json.dumps({"settings": {}, "num_problems": 1, "num_samples": 1, "k": [1]})
    )
    runs = read_folders([folder])
    [shown] = choose_all_rollouts(runs)
    assert shown.problems[0].prompt == "[image]Which colour?"
    assert shown.problems[0].images == [red.digest]
    assert "images" not in shown.problems[0].rollouts[0]
    assert list(make_thumbnails(runs, [shown], max_bytes=10**6).images) == [red.digest]


def test_a_page_shows_them_beside_the_prompt_and_enlarges_one(
    open_report, run_with, tmp_path, write_run, make_line
):
    red, wide, lost = plain("red"), noise(1, 700), plain("blue")
    run_with([red, wide], [lost], lost=[lost])
    hostile = '"><img src=x onerror="window.hacked=1">'
    lines = [make_line(0, "1", 1.0, images=[hostile])]
    write_run(tmp_path / "other", rollouts={1: lines})
    path = tmp_path / "report.html"
    told = write_report([tmp_path / "run", tmp_path / "other"], path)
    assert "Images are copies of at most 512 pixels a side. Not kept, or not readable: 2." in told
    page = open_report(path, width=375)
    drawn = page.locator(".pictures img")
    assert [drawn.nth(i).get_attribute("alt") for i in range(2)] == [
        "Image 1 of 2, 8 by 6 pixels here",
        "Image 2 of 2, 512 by 512 pixels here",
    ]
    assert drawn.evaluate_all("all => all.every((one) => one.complete && one.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.get_by_role("button", name="Image 2 of 2").click()
    assert page.locator("dialog[open] img").bounding_box()["width"] > 300
    page.keyboard.press("Escape")
    assert page.locator("dialog").count() == 0
    page.get_by_role("button", name="Next prompt").click()
    page.locator(".no-picture", has_text=f"The prompt's image ({lost.digest}) is not").wait_for()
    page.select_option("#run", label="other")
    page.locator(".no-picture", has_text=hostile).wait_for()
    assert page.evaluate("window.hacked") is None
    assert page.noise == []
