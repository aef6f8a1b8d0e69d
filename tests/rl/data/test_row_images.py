import json

import pytest
from datasets import Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image
from tiny_vision import picture

from rl.data import images as images_module
from rl.data.image_file import ImageFile
from rl.data.prompts import join_prompts, load_prompts
from rl.data.row_images import RowImages, images_of_rows, stored
from rl.data.tables import load_table
from rl.errors import InputError


def asked(*parts):
    return [{"role": "user", "content": list(parts)}]


IMAGE, TEXT = {"type": "image"}, {"type": "text", "text": "?"}


def test_a_source_without_images_has_none():
    assert images_of_rows({"prompt": ["a", "b"]}, "prompt") is None
    assert images_of_rows({"prompt": ["a", "b"], "images": [[], None]}, "prompt") is None


def test_the_column_is_found_by_its_name():
    table = {"prompt": ["a", "b"], "image": ["x.png", None], "photo": ["y.png", "z.png"]}
    assert images_of_rows(table, "prompt") == [["x.png"], []]
    assert images_of_rows(table, "prompt", "photo") == [["y.png"], ["z.png"]]
    assert images_of_rows(table, "prompt", "") is None
    with pytest.raises(InputError, match="image_column: got 'fotos'"):
        images_of_rows(table, "prompt", "fotos")


def test_images_stand_in_the_places_of_the_messages():
    with_own = asked({"type": "image", "image": "own.png"}, IMAGE, TEXT)
    table = {"prompt": [with_own, asked(TEXT)], "images": [["a.png"], ["b.png", "c.png"]]}
    assert images_of_rows(table, "prompt") == [["own.png", "a.png"], ["b.png", "c.png"]]


@pytest.mark.parametrize("name", ["image", "url", "path"])
def test_a_part_names_its_image_as_transformers_templates_know_it(name):
    part = {"type": "image", "image": None, "url": None, "path": None, name: "own.png"}
    assert images_of_rows({"prompt": [asked(part, TEXT)]}, "prompt") == [["own.png"]]


@pytest.mark.parametrize("given", [[], ["a.png", "b.png"]])
def test_places_and_images_must_be_as_many(given):
    with pytest.raises(InputError, match=rf"row 0 \(from 0\): got {len(given)} for 1 places"):
        images_of_rows({"prompt": [asked(IMAGE, TEXT)], "images": [given]}, "prompt")


def test_all_ways_to_have_an_image_are_one_when_stored(tmp_path):
    image = Image.new("RGB", (2, 2))
    found = stored(["a.png", b"x", {"bytes": b"y", "path": None}, image], str(tmp_path), "row 0")
    assert [bool(one["bytes"]) for one in found] == [False, True, True, True]
    assert {one["source"] for one in found} == {str(tmp_path)}


@pytest.mark.parametrize("value", [7, "\ud800.png", {"bytes": "iVBORw0KGgo="}, {"bytes": [300]}])
def test_what_is_no_image_is_refused_when_stored(tmp_path, value):
    with pytest.raises(InputError, match=r"row 0: got .*, expected an image"):
        stored([value], str(tmp_path), "row 0")


@pytest.fixture
def pictures(tmp_path):
    """Five prompts: a picture, two of them, none, one that is broken, and one that is missing."""
    for number in range(3):
        picture(number).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "0.png").read_bytes()[:60])
    images = [["0.png"], ["1.png", "2.png"], [], ["broken.png"], ["gone.png"]]
    rows = [{"prompt": f"{i}?", "images": names} for i, names in enumerate(images)]
    path = tmp_path / "pictures.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_prompts_whose_images_cannot_be_read_are_left_out_with_a_reason(pictures):
    prompts = load_prompts(pictures).dataset
    images = RowImages(prompts)
    found = images.keep_readable(prompts)
    assert found.prompts["row"][:] == [0, 1, 2]
    assert found.unreadable_rows == [3, 4]
    assert found.first_error.startswith("image 0 of row 3 (both from 0): got 'broken.png'")
    assert [len(digests) for digests in found.prompts["image_digests"]] == [1, 2, 0]
    assert "images" not in found.prompts.column_names
    assert [image.digest for image in images.of_row(1)] == found.prompts["image_digests"][1]


def test_the_same_pixels_have_the_same_digest_wherever_they_come_from(tmp_path, pictures):
    data = (tmp_path / "0.png").read_bytes()
    rows = {"prompt": ["0?"], "image": [{"bytes": data, "path": None}]}
    Dataset.from_dict(rows).to_parquet(tmp_path / "bytes.parquet")
    joined = join_prompts([load_prompts(pictures), load_prompts(str(tmp_path / "bytes.parquet"))])
    images = RowImages(joined.dataset)
    images.keep_readable(joined.dataset)
    assert images.of_row(0)[0].digest == images.of_row(5)[0].digest


def test_a_source_without_images_may_stand_beside_one_with_them(tmp_path, pictures):
    text = tmp_path / "text.jsonl"
    text.write_text('{"prompt": "9?"}\n')
    joined = join_prompts([load_prompts(str(text)), load_prompts(pictures)]).dataset
    assert [len(images) for images in joined["images"]] == [0, 1, 2, 0, 1, 1]
    first = joined["prompt"][0]
    assert [(m["role"], [p["text"] for p in m["content"]]) for m in first] == [("user", ["9?"])]
    images = RowImages(joined)
    images.keep_readable(joined)
    assert [len(images.of_row(row)) for row in (0, 1)] == [0, 1]


def test_images_of_a_hub_data_set_stay_encoded(tmp_path):
    # A folder is read as the hub's data sets are; with `Image` columns, one image and a list.
    columns = {"prompt": ["a"], "image": [picture(0)], "images": [[picture(1), picture(2)]]}
    kinds = {"prompt": Value("string"), "image": ImageFeature(), "images": List(ImageFeature())}
    Dataset.from_dict(columns, features=Features(kinds)).to_parquet(tmp_path / "train.parquet")
    table = load_table(str(tmp_path))
    assert set(table["image"][0]) == {"bytes", "path"}
    assert [set(image) for image in table["images"][0]] == [{"bytes", "path"}] * 2
    prompts = load_prompts(str(tmp_path)).dataset
    images = RowImages(prompts)
    images.keep_readable(prompts)
    found = images.of_row(0)
    assert [image.decode().tobytes() for image in found] == [
        picture(number).tobytes() for number in (1, 2)
    ]


@pytest.fixture
def linked(tmp_path, monkeypatch):
    """Three prompts with a link each, and the list of what was fetched; the first link is dead."""
    rows = [{"prompt": f"{i}?", "image": f"https://x.org/{i}.png"} for i in range(3)]
    (tmp_path / "links.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    picture(0).save(tmp_path / "0.png")
    asked = []

    def fetch(url, where):
        asked.append(url)
        if url.endswith("0.png"):
            raise InputError(f"{where}: dead")
        return (tmp_path / "0.png").read_bytes()

    monkeypatch.setattr(images_module, "fetch_image", fetch)
    return load_prompts(str(tmp_path / "links.jsonl")).dataset, asked


def test_a_link_is_fetched_once_in_a_run(linked):
    prompts, asked = linked
    images = RowImages(prompts, allow_remote=True)
    found = images.keep_readable(prompts).prompts
    assert [images.of_row(row)[0].digest for row in found["row"]] == [
        digest for [digest] in found["image_digests"]
    ]
    assert sorted(asked) == [f"https://x.org/{i}.png" for i in range(3)]


def test_sizes_are_known_without_reading_an_image_again(pictures):
    prompts = load_prompts(pictures).dataset
    images = RowImages(prompts)
    images.keep_readable(prompts)
    sizes = {row: [(i.width, i.height) for i in images.of_row(row)] for row in range(3)}
    assert images.sizes == sizes


def test_a_link_that_several_rows_have_is_fetched_once(tmp_path, linked):
    _, asked = linked
    rows = [{"prompt": f"{i}?", "image": f"https://x.org/{i % 2 + 1}.png"} for i in range(6)]
    (tmp_path / "same.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompts = load_prompts(str(tmp_path / "same.jsonl")).dataset
    images = RowImages(prompts, allow_remote=True)
    assert images.keep_readable(prompts).unreadable_rows == []
    assert sorted(asked) == ["https://x.org/1.png", "https://x.org/2.png"]
    assert images.of_row(5) == images.of_row(1)


def test_rows_have_all_their_images_wherever_reading_stops_for_a_while(tmp_path):
    # Of one image and then of two, row after row: every even number of images ends within a row.
    rows = [[0], *([n, n + 1] for n in range(1, 160, 2))]
    for n in range(161):
        Image.new("RGB", (n + 1, 200)).save(tmp_path / f"{n}.png")
    lines = [{"prompt": "?", "images": [f"{n}.png" for n in row]} for row in rows]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    prompts = load_prompts(str(path)).dataset
    images = RowImages(prompts)
    images.keep_readable(prompts)
    assert [[image.width - 1 for image in images.of_row(row)] for row in range(len(rows))] == rows


def test_an_error_of_an_image_is_that_of_all_rows_that_have_it(tmp_path, pictures):
    rows = [{"prompt": f"{i}?", "images": ["0.png", "broken.png"][: i + 1]} for i in range(2)]
    rows += [{"prompt": "2?", "images": ["broken.png"]}]
    (tmp_path / "twice.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompts = load_prompts(str(tmp_path / "twice.jsonl")).dataset
    found = RowImages(prompts).keep_readable(prompts)
    assert (found.prompts["row"][:], found.unreadable_rows) == ([0], [1, 2])
    assert found.first_error.startswith("image 1 of row 1")


@pytest.mark.parametrize("has_copies", [False, True])
def test_another_rank_has_what_the_main_process_read(pictures, has_copies):
    """It reads nothing itself; on another machine it writes a file of its own."""
    prompts = load_prompts(pictures).dataset
    main = ImageFile(has_copies=has_copies)
    sent = []
    images = RowImages(prompts)
    on_main = images.keep_readable(
        prompts, file=main, share=lambda rows: (sent.append(row) or row for row in rows)
    )
    other = ImageFile() if has_copies else ImageFile(main.path)
    main.remove_name()
    received = RowImages(prompts)
    found = received.keep_readable(prompts, file=other, share=lambda rows: sent)
    other.remove_name()
    assert found.prompts["image_digests"][:] == on_main.prompts["image_digests"][:]
    assert (found.unreadable_rows, found.first_error) == (
        on_main.unreadable_rows,
        on_main.first_error,
    )
    assert [received.of_row(row) for row in range(3)] == [images.of_row(row) for row in range(3)]
    assert received.sizes == images.sizes
