import pytest

from rl.errors import InputError
from rl.evaluation.problems.registry import BENCHMARKS
from rl.evaluation.problems.rows import find_layout, read_rows, with_lists


def read(table, **settings):
    names = ("prompt_column", "label_column", "options_column", "documents_column", "kind")
    layout = find_layout(table, None, **{name: settings.get(name) for name in names})
    return read_rows(table, layout)


def test_an_own_multiple_choice_needs_only_its_options_column():
    table = {"question": ["Which?", "What?"], "answer": ["b", "B"], "options": [["a", "b"]] * 2}
    found = read(table, options_column="options")
    # A label may be the option's text or its letter.
    assert [(row.label, row.letters) for row in found] == [("B", "AB")] * 2
    assert found[0].question == "Which?\n\nA) a\nB) b"


def test_the_answer_after_hashes():
    table = {"question": ["q"], "answer": ["see #### 3 #### -1,234.5 "]}
    assert read(table, kind="hashes")[0].label == "-1234.5"


def test_a_kind_of_one_s_own(tmp_path):
    (tmp_path / "own.py").write_text(
        "from dataclasses import replace\n"
        "from rl.evaluation.problems.kinds import read_maths\n"
        "def halves(row):\n"
        "    return replace(read_maths(row), label=row.label.split('|')[1])\n"
    )
    table = {"question": ["q"], "answer": ["long way|7"]}
    assert read(table, kind=f"{tmp_path}/own.py:halves")[0].label == "7"


def test_lists_that_are_written_as_text():
    labels = ["['2', 'two']", "[3, 4]", "B", "[open", None]
    table = {"options": ["[]", "['a', 'b']", "[1, 2]", None, ["a"]], "answer": labels}
    found = with_lists(table, BENCHMARKS["mmmu"])
    assert found["options"] == [[], ["a", "b"], [1, 2], None, ["a"]]
    # Several right answers are texts, an interval is one answer.
    assert found["answer"] == [["2", "two"], "[3, 4]", "B", "[open", None]
    assert with_lists(table, BENCHMARKS["medqa"]) == table


def test_own_questions_over_documents_need_only_their_kind():
    table = {
        "question": [" q? "],
        "answer": [["a", "b", "", "a"]],
        "answer_aliases": [["c", None]],
        "context": ["text"],
    }
    [row] = read(table, kind="document_exact")
    assert (row.question, row.label, row.aliases) == ("q?", "a", ("b", "c"))
    assert (row.rule, row.documents, row.letters) == ("exact", "text", None)
    table["page"] = [["one", "two"]]
    assert read(table, kind="document_cover", documents_column="page")[0].documents == "one\ntwo"
    # No other kind minds such a column.
    assert read({"question": ["q"], "answer": ["1"], "context": [None]})[0].documents is None


@pytest.mark.parametrize(
    ("table", "settings", "message"),
    [
        ({"q": ["x"], "answer": ["1"]}, {"prompt_column": "p"}, "prompt_column: got 'p'"),
        ({"prompt": ["x"], "answer": ["1"]}, {"kind": "hashes"}, r"expected an answer after ####"),
        ({"prompt": ["x"], "answer": ["#### "]}, {"kind": "hashes"}, "expected an answer after"),
        ({"prompt": ["x"], "answer": ["A"]}, {"kind": "choice"}, "--options_column: got none"),
        (
            {"prompt": ["x"], "answer": ["A"]},
            {"documents_column": "d"},
            "--documents_column: got 'd'",
        ),
        ({"prompt": ["x"], "answer": ["A"]}, {"kind": "document_cover"}, "documents in row 0"),
        (
            {"prompt": ["x"], "answer": ["A"], "context": ["t"]},
            {"kind": "document_number"},
            "got 'A', expected a number",
        ),
        (
            {"prompt": [[{"role": "user", "content": "x"}]], "answer": ["1"], "context": ["t"]},
            {"kind": "document_number"},
            "expected a question as text",
        ),
        (
            {"prompt": ["x"], "answer": [[]], "context": ["t"]},
            {"kind": "document_exact"},
            "label in",
        ),
        ({"prompt": ["x"], "answer": ["A"]}, {"options_column": "o"}, "--options_column: got 'o'"),
        (
            {"prompt": ["x"], "answer": ["C"], "o": [["1", "2"]]},
            {"options_column": "o"},
            "got 'C', expected a letter up to B or one of the options",
        ),
        (
            {"prompt": ["x"], "answer": ["A"], "o": [["1"]]},
            {"options_column": "o"},
            "expected a list of 2 to 26 texts",
        ),
        ({"prompt": ["x"], "answer": ["1"]}, {"kind": "essay"}, "--answer_kind: got 'essay'"),
        ({"prompt": ["x"], "answer": [["1", "2"]]}, {}, "expected text or a number"),
    ],
)
def test_rows_that_cannot_be_read_are_refused(table, settings, message):
    with pytest.raises(InputError, match=message):
        read(table, **settings)


@pytest.mark.parametrize(
    "kind",
    ["maths", "hashes", "short_answer", "document_number", "document_word"],
)
def test_labels_that_are_not_needed_may_be_missing(kind):
    table = {"question": ["p?", "q?"], "answer": ["#### 1" if kind == "hashes" else "1", None]}
    table["context"] = ["text", "text"]

    def labels(table):
        columns = dict.fromkeys(("prompt_column", "label_column", "options_column"))
        layout = find_layout(table, None, **columns, kind=kind, needs_labels=False)
        return [row.label for row in read_rows(table, layout)]

    assert labels(table) == ["1", ""]
    assert labels({name: table[name] for name in ("question", "context")}) == ["", ""]
    with pytest.raises(InputError, match=r"label in row 1 .* got none"):
        read(table, kind=kind)
