import base64
import json
from io import BytesIO

import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

from rl.data import images
from rl.data.images import read_image
from rl.errors import InputError
from rl.evaluation.problems.labelled import load_benchmark
from rl.evaluation.problems.registry import BENCHMARKS, BenchmarkSpec

HERE = {"type": "image"}


def png(colour):
    data = BytesIO()
    Image.new("RGB", (4, 3), colour).save(data, "PNG")
    return data.getvalue()


def digest(colour):
    return read_image(png(colour), "here").digest


@pytest.fixture
def write(tmp_path):
    """Write rows beside a red, a green and a blue picture; return the file's name."""
    for colour in ("red", "green", "blue"):
        (tmp_path / f"{colour}.png").write_bytes(png(colour))

    def written(*rows):
        path = tmp_path / "benchmark.json"
        path.write_text(json.dumps(rows))
        return str(path)

    return written


def digests(benchmark):
    return [problem.image_digests for problem in benchmark.problems]


@pytest.mark.parametrize("name", ["images", "image"])
def test_a_column_of_images_is_found_and_stands_before_the_text(write, name):
    benchmark = load_benchmark(write({"prompt": "Which colour?", "label": "red", name: "red.png"}))
    [problem] = benchmark.problems
    assert problem.prompt == [
        {"role": "user", "content": [HERE, {"type": "text", "text": "Which colour?"}]}
    ]
    assert problem.question == "Which colour?"
    assert problem.images[0].decode().getpixel((0, 0)) == (255, 0, 0)


def test_several_images_keep_their_order_and_rows_without_any_their_form(write):
    rows = [
        {"prompt": "Which?", "label": "1", "images": ["blue.png", "red.png"]},
        {"prompt": "1+1=", "label": "2", "images": []},
        {"prompt": "2+2=", "label": "4", "images": None},
    ]
    benchmark = load_benchmark(write(*rows))
    assert digests(benchmark) == [(digest("blue"), digest("red")), (), ()]
    assert [problem.prompt[0]["content"][:2] for problem in benchmark.problems] == [
        [HERE, HERE],
        [{"type": "text", "text": "1+1="}],
        [{"type": "text", "text": "2+2="}],
    ]


def test_without_any_image_prompts_stay_text(write):
    benchmark = load_benchmark(write({"prompt": "1+1=", "label": 2, "images": []}))
    assert benchmark.problems[0].prompt == "1+1="


def test_images_of_messages_stand_where_the_messages_have_them(write):
    url = "data:image/png;base64," + base64.b64encode(png("green")).decode()
    content = [{"type": "text", "text": "A"}, HERE, {"type": "text", "text": "B"}]
    own = [{"type": "image", "image": url}, {"type": "text", "text": "C"}]
    rows = [
        {"prompt": [{"role": "user", "content": content}], "label": 1, "images": ["red.png"]},
        {"prompt": [{"role": "user", "content": own}], "label": 1, "images": []},
    ]
    benchmark = load_benchmark(write(*rows))
    assert digests(benchmark) == [(digest("red"),), (digest("green"),)]
    assert benchmark.problems[0].prompt == [{"role": "user", "content": content}]
    assert benchmark.problems[1].prompt[0]["content"][0] == HERE


def test_marks_in_a_text_are_the_places(write):
    rows = [
        {"prompt": "<image>Which?", "label": 1, "images": ["red.png"]},
        {"prompt": "A <image> or B <image>\n?", "label": 1, "images": ["red.png", "blue.png"]},
        {"prompt": "Is <image> a tag?", "label": 1, "images": ["red.png", "blue.png"]},
    ]
    found = [problem.prompt[0]["content"] for problem in load_benchmark(write(*rows)).problems]
    assert found[0] == [HERE, {"type": "text", "text": "Which?"}]
    assert found[1] == [
        {"type": "text", "text": "A "},
        HERE,
        {"type": "text", "text": " or B "},
        HERE,
        {"type": "text", "text": "\n?"},
    ]
    assert found[2] == [HERE, HERE, {"type": "text", "text": "Is <image> a tag?"}]


def test_words_and_templates_go_around_the_question_behind_the_images(write):
    path = write({"prompt": "Which?", "label": "red", "images": ["red.png"]})
    [problem] = load_benchmark(path, system_prompt="Look.", prompt_suffix=" Box it.").problems
    assert problem.prompt == [
        {"role": "system", "content": [{"type": "text", "text": "Look."}]},
        {"role": "user", "content": [HERE, {"type": "text", "text": "Which? Box it."}]},
    ]
    for template in ("qwen-boxed", "plain"):
        [problem] = load_benchmark(path, template=template).problems
        assert problem.prompt[-1]["content"][0] == HERE
        assert problem.prompt[-1]["content"][1]["text"].startswith("Which?")
        assert len(problem.prompt[-1]["content"]) == 2


def test_a_multiple_choice_has_its_options_below_the_question(write):
    row = {"prompt": "Which?", "label": "B", "options": ["red", "blue"], "image": "blue.png"}
    [problem] = load_benchmark(write(row), options_column="options").problems
    assert problem.prompt[0]["content"][1]["text"] == "Which?\n\nA) red\nB) blue"
    assert problem.choices == "AB"


def test_named_benchmarks_have_columns_of_their_own(write, monkeypatch):
    spec = BenchmarkSpec(hub_id="a/b", size=2, template="chat", image_columns=("one", "two"))
    monkeypatch.setitem(BENCHMARKS, "seen", spec)
    # Copies call the column of pictures by one name or the other; of both the first counts.
    both = {"problem": "Which?", "answer": 1, "one": "red.png", "two": "red.png"}
    benchmark = load_benchmark("seen=" + write(both), template="chat")
    assert digests(benchmark) == [(digest("red"),)]
    several = {"problem": "Which?", "answer": 1, "two": ["blue.png", "green.png", "", None]}
    with pytest.raises(InputError, match=r"image 2 of row 0"):
        load_benchmark("seen=" + write(several))
    benchmark = load_benchmark("seen=" + write(several | {"two": ["blue.png", "green.png"]}))
    assert digests(benchmark) == [(digest("blue"), digest("green"))]


def test_another_column_is_named_or_none(write):
    path = write({"prompt": "Which?", "label": 1, "image": "red.png", "picture": "blue.png"})
    assert digests(load_benchmark(path, image_column="picture")) == [(digest("blue"),)]
    assert digests(load_benchmark(path, image_column="")) == [()]
    with pytest.raises(InputError, match=r"--image_column: got 'pictures'.*Did you mean 'picture'"):
        load_benchmark(path, image_column="pictures")
    # A column that is named for several sources counts where it is.
    for name, colour in (("pictures", "red"), ("picture", "blue")):
        found = load_benchmark(path, image_column=name, must_have_image_column=False)
        assert digests(found) == [(digest(colour),)]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("missing.png", r"image 1 of row 1 \(both from 0\): got 'missing.png'.*No such file"),
        ("../secret.png", r"image 1 of row 1 .*within the data set's folder"),
        ("https://example.com/a.png", r"image 1 of row 1 .*allow_remote_images"),
        ("benchmark.json", r"image 1 of row 1 .*expected a whole image"),
    ],
)
def test_an_image_that_cannot_be_read_is_refused_by_its_row(write, image, message):
    rows = [{"prompt": "A", "label": 1, "images": ["red.png", name]} for name in ("red.png", image)]
    with pytest.raises(InputError, match=message):
        load_benchmark(write(*rows))


def test_as_many_images_as_places(write):
    messages = [{"role": "user", "content": [HERE, {"type": "text", "text": "Which?"}]}]
    path = write({"prompt": messages, "label": 1, "images": ["red.png", "blue.png"]})
    with pytest.raises(InputError, match=r"images of row 0 .* got 2 for 1 places"):
        load_benchmark(path)


def test_parquet_and_hub_columns_are_read_undecoded(tmp_path, monkeypatch):
    cell = {"bytes": png("red"), "path": "elsewhere/red.png"}
    table = {"prompt": ["Which?"], "label": ["red"], "image": [cell]}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "rows.parquet")
    assert digests(load_benchmark(str(tmp_path / "rows.parquet"))) == [(digest("red"),)]
    content = List({"type": Value("string"), "text": Value("string"), "image": ImageFeature()})
    rows = Dataset.from_dict(
        {
            "prompt": [[{"role": "user", "content": [{"type": "image", "image": cell}]}]],
            "label": ["red"],
        },
        features=Features(
            {
                "prompt": List({"role": Value("string"), "content": content}),
                "label": Value("string"),
            }
        ),
    )
    monkeypatch.setattr("rl.evaluation.problems.sources._resolve", lambda *_: (None, True))
    monkeypatch.setattr("rl.data.tables.load_dataset", lambda *_, **__: rows)
    assert digests(load_benchmark("owner/name")) == [(digest("red"),)]


def test_an_image_of_several_rows_is_held_once(write):
    row = {"prompt": "A", "label": 1, "image": "red.png"}
    first, second = load_benchmark(write(row, row)).problems
    assert first.images[0] is second.images[0]


def test_a_link_that_several_rows_have_is_fetched_once(write, monkeypatch):
    asked = []
    monkeypatch.setattr(images, "fetch_image", lambda url, where: asked.append(url) or png("red"))
    links = ["https://x.org/a.png", "https://x.org/b.png", "https://x.org/a.png"]
    rows = [{"prompt": f"{i}?", "label": "1", "image": link} for i, link in enumerate(links)]
    found = load_benchmark(write(*rows), allow_remote_images=True)
    assert sorted(asked) == sorted(set(links))
    assert digests(found) == [(digest("red"),)] * 3
