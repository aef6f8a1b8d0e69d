from rl.data.chat_parts import (
    in_parts,
    num_images,
    text_of,
    with_images_in_front,
    with_more_text,
    with_text,
)

IMAGE = {"type": "image"}


def text(words):
    return {"type": "text", "text": words}


MIXED = [text("Left: "), IMAGE, text(" right: "), IMAGE]


def test_the_text_of_a_content():
    assert text_of("") == ""
    assert text_of([IMAGE]) == ""
    assert text_of(MIXED) == "Left:  right: "


def test_other_text_keeps_the_images():
    assert with_text("a", "b") == "b"
    assert with_text([IMAGE], "b") == [IMAGE, text("b")]
    # One text in the place of the first; the images behind it stay behind it.
    assert with_text(MIXED, "b") == [text("b"), IMAGE, IMAGE]


def test_more_text_goes_behind_the_last_text():
    assert with_more_text("a", "b") == "ab"
    assert with_more_text([IMAGE], "b") == [IMAGE, text("b")]
    assert with_more_text(MIXED, "b") == [text("Left: "), IMAGE, text(" right: b"), IMAGE]


def test_parts_lose_what_arrow_fills_up_with():
    assert in_parts("a") == [text("a")]
    assert in_parts([{"type": "image", "text": None}, text("a")]) == [IMAGE, text("a")]


def test_images_go_in_front_of_the_first_user_message():
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {"role": "user", "content": "v"},
    ]
    assert num_images(messages) == 0
    found = with_images_in_front(messages, 2)
    assert [message["content"] for message in found] == [
        [text("s")],
        [IMAGE, IMAGE, text("u")],
        [text("v")],
    ]
    assert num_images(found) == 2


def test_images_go_into_the_last_message_where_none_is_the_user_s():
    found = with_images_in_front([{"role": "system", "content": "s"}], 1)
    assert found == [{"role": "system", "content": [IMAGE, text("s")]}]


def test_places_that_are_there_stay():
    messages = [{"role": "user", "content": MIXED}]
    assert with_images_in_front(messages, 2) == messages
