"""Names of images become places, and the images come in their order."""

import pytest

from rl.errors import InputError
from rl.evaluation.problems.kinds import Row
from rl.evaluation.problems.numbered_images import place_numbered_images
from rl.evaluation.problems.rows import Layout

TABLE = {"image_1": ["a", "a"], "image_2": ["b", None], "image_3": ["", "c"]}
LAYOUT = Layout(
    prompt_column="question",
    label_column="answer",
    id_column=None,
    options_columns=(),
    shuffles_options=False,
    kind="maths",
    takes_first_label=True,
    numbered_images={number: f"image_{number}" for number in (1, 2, 3)},
)


def row(question):
    return Row(id="q", question=question, label="1", letters=None)


def placed(*questions):
    """The questions and their images."""
    table, rows, layout = place_numbered_images(TABLE, [*map(row, questions)], LAYOUT)
    assert layout.image_column == "images"
    return list(zip([found.question for found in rows], table["images"], strict=True))


def test_images_come_in_the_order_of_their_names():
    found = placed("<image 2>, <image 1> or <image 2>?", "Is <image  3> it?")
    assert found == [
        ("<image>, <image> or <image>?", ["b", "a", "b"]),
        ("Is <image> it?", ["c"]),
    ]


def test_a_text_that_names_none_has_all_of_them():
    messages = [{"role": "user", "content": "Which?"}]
    assert placed("Which?", messages) == [("Which?", ["a", "b"]), (messages, ["a", "c"])]


@pytest.mark.parametrize("name", ["<image 3>", "<image 4>"])
def test_an_image_that_is_not_there_is_refused(name):
    with pytest.raises(InputError, match=f"row 0 .* got none for {name}"):
        placed(name, "q")


def test_without_numbered_columns_all_stays_as_it_is():
    plain = Layout(**{**vars(LAYOUT), "numbered_images": {}})
    rows = [row("<image 1>")]
    assert place_numbered_images(TABLE, rows, plain) == (TABLE, rows, plain)
