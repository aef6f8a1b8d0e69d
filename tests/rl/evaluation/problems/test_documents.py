import pytest

from rl.errors import InputError
from rl.evaluation.problems.documents import document_text

SENTENCES = [["It is wet.", " It falls. "], ["It is cold."]]
TEXT = "Rain\nIt is wet. It falls.\nSnow\nIt is cold."


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (" a\nb ", "a\nb"),
        (["a", "| 1 | 2 |"], "a\n| 1 | 2 |"),
        (["", "b"], "b"),
        ([{"title": "Rain", "text": "It is wet. It falls."}, {"text": "b"}], TEXT[:25] + "\nb"),
        ([{"title": "Rain", "paragraph_text": "Wet.", "idx": 0}], "Rain\nWet."),
        ([["Rain", SENTENCES[0]], ["Snow", SENTENCES[1]]], TEXT),
        ({"title": ["Rain", "Snow"], "sentences": SENTENCES}, TEXT),
        ({"title": ["Rain", "Snow"], "content": SENTENCES}, TEXT),
    ],
)
def test_every_shape_of_documents(cell, text):
    assert document_text(cell, "row 0") == text


@pytest.mark.parametrize(
    "cell",
    [
        None,
        "",
        " \n",
        [],
        [""],
        7,
        [7],
        [None, "a"],
        {"title": "Rain", "text": "a"},
        {"title": ["Rain"]},
        [{"title": "Rain"}],
        [["Rain", None]],
        [["a", "b", "c"]],
    ],
)
def test_what_holds_no_text_is_refused(cell):
    with pytest.raises(InputError, match=r"documents in row 0: got .*--documents_column"):
        document_text(cell, "row 0")
