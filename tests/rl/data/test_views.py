"""Other wordings of prompts: made, checked, and put behind each prompt."""

import json

import pytest

from rl.data.prompts import load_prompts
from rl.data.views import (
    Column,
    OptionShuffle,
    Template,
    View,
    get_view_maker,
    num_views,
    read_back,
)
from rl.errors import InputError

CHOICE = "Which is even?\nA) 3\nB) 4\nC) 5"


def written(folder, rows):
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def load(folder, rows, maker, **settings):
    return load_prompts(written(folder, rows), views=maker, **settings)


# Makers.


def test_column_takes_the_first_texts():
    maker = Column(name="other", num=2)
    assert maker("p", {"other": ["a", "b", "c"]}) == ["a", "b"]
    assert Column(name="other")("p", {"other": "a"}) == ["a"]


@pytest.mark.parametrize("value", [None, [], ["a"], "a", 5])
def test_a_row_with_too_few_texts_is_refused(value):
    with pytest.raises(InputError, match=r"column 'other': got .*, expected 2 or more texts"):
        Column(name="other", num=2)("p", {"other": value})


def test_an_unknown_column_names_the_known_ones():
    with pytest.raises(InputError, match=r"otter.*other"):
        Column(name="otter")("p", {"other": ["a"]})


def test_template_fills_in_the_prompt_as_it_is():
    maker = Template(texts=["{prompt} {x}?", "Again: {prompt}"])
    assert maker("1+1={prompt}", {}) == ["1+1={prompt} {x}?", "Again: 1+1={prompt}"]


@pytest.mark.parametrize("texts", [[], ["no place"]])
def test_a_template_needs_a_place_for_the_prompt(texts):
    with pytest.raises(InputError, match=r"views.template.texts: got .*\{prompt\}"):
        Template(texts=texts)


def test_shuffled_options_keep_their_letters_and_are_read_back():
    [view] = OptionShuffle()(CHOICE, {})
    assert view.letters != "ABC"
    lines = view.prompt.split("\n")
    assert [line[:3] for line in lines[1:]] == ["A) ", "B) ", "C) "]
    shown = {line[0]: line[3:] for line in lines[1:]}
    own = {line[0]: line[3:] for line in CHOICE.split("\n")[1:]}
    for letter, text in shown.items():
        assert own[str(read_back(letter, view.letters))] == text
    assert read_back("D", view.letters) == "D"  # no option of this prompt


def test_an_order_follows_from_prompt_and_seed_alone():
    first = OptionShuffle(num=3)(CHOICE, {})
    assert OptionShuffle(num=3)(CHOICE, {"row": 1}) == first
    assert all(view.letters != "ABC" for view in first)
    orders = {OptionShuffle(seed=seed)(CHOICE, {})[0].letters for seed in range(20)}
    assert len(orders) > 2


@pytest.mark.parametrize("prompt", ["1+1=", "A. alone", "B. 3\nC. 4", "a. x\nb. y"])
def test_options_that_are_not_there(prompt):
    with pytest.raises(InputError, match=r"views\.option_shuffle: got the prompt"):
        OptionShuffle()(prompt, {})


def test_the_last_list_of_options_is_shuffled():
    [view] = OptionShuffle()("A. first list\nB. of facts\nAsked:\nA. x\nB. y", {})
    assert view.prompt == "A. first list\nB. of facts\nAsked:\nA. y\nB. x"


# By their names.


def test_names_and_settings():
    assert get_view_maker({"column": {"name": "other"}}) == Column(name="other")
    assert get_view_maker({"option_shuffle": None}) == OptionShuffle()


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ({}, "views: got 0 names, expected one"),
        ({"column": {"name": "a"}, "template": {}}, "views: got 2 names"),
        ({"colunm": {}}, "colunm.*column"),
        ({"column": {}}, "views.column.name: got none"),
        ({"column": {"name": "Gold_Answer"}}, "views.column.name: got 'Gold_Answer', expected a"),
        ({"column": {"name": "a", "num": 0}}, "views.column.num: got 0"),
        ({"template": {"texts": 5}}, "views.template.texts"),
        ({"option_shuffle": {"sed": 1}}, "sed.*seed"),
        ({"here.py:own": {}}, "expected an existing file"),
    ],
)
def test_wrong_names_and_settings(views, message):
    with pytest.raises(InputError, match=message):
        get_view_maker(views)


# In a training set.


def test_wordings_stand_behind_their_prompt(tmp_path):
    rows = [{"prompt": "1+1=", "other": ["a", "b"], "label": 2}, {"prompt": "2+1=", "other": "cd"}]
    rows[1]["other"] = ["c", "d"]
    found = load(tmp_path, rows, Column(name="other", num=2), label_column="label")
    assert found.dataset["prompt"] == ["1+1=", "a", "b", "2+1=", "c", "d"]
    assert found.dataset["row"] == [0, 0, 0, 1, 1, 1]
    assert found.dataset["view"] == [0, 1, 2, 0, 1, 2]
    assert found.labels == {0: "2"}
    assert num_views(found.dataset) == 3


def test_without_views_there_are_two_columns(tmp_path):
    found = load(tmp_path, [{"prompt": "1+1="}], None)
    assert found.dataset.column_names == ["prompt", "row"]
    assert num_views(found.dataset) == num_views([1, 2]) == 1


def test_a_chat_is_asked_in_other_words(tmp_path):
    chat = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "1+1="},
    ]
    maker = Template(texts=["Say it first: {prompt}"])
    found = load(tmp_path, [{"prompt": chat}], maker, system_prompt="Be brief", prompt_suffix="!")
    own, other = found.dataset["prompt"]
    assert [m["content"] for m in own] == ["Be brief", "Hello", "Hi", "1+1=!"]
    assert [m["content"] for m in other] == ["Be brief", "Hello", "Hi", "Say it first: 1+1=!"]


def test_a_maker_never_sees_a_label(tmp_path):
    seen = []

    def maker(prompt, columns):
        seen.append((prompt, dict(columns)))
        return ["x"]

    rows = [{"prompt": "1+1=", "target": "2", "level": 3}]
    load(tmp_path, rows, maker, label_column="target")
    assert seen == [("1+1=", {"level": 3})]
    # Nor where nothing says which column it is, but the column's name.
    rows = [{"prompt": "1+1=", "label": "2", "Answer": "2", "final_answer": "2", "level": 3}]
    load(tmp_path, rows, maker)
    assert seen[1:] == [("1+1=", {"level": 3})]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([["a"], ["b", "c"]], r"views of row 1 \(from 0\): got 2, expected 1 as of row 0"),
        ([["a"], []], r"views of row 1 \(from 0\): got \[\], expected a list of texts"),
        ([["a"], "b"], r"views of row 1 \(from 0\): got 'b', expected a list of texts"),
        ([["a"], [5]], r"views of row 1 \(from 0\): got \[5\], expected a list of texts"),
        ([["a"], [" "]], r"prompt in row 1 \(from 0\), column 'view 1': got empty text"),
        ([["a"], None], r"views of row 1 \(from 0\): got None"),
    ],
)
def test_what_a_maker_may_not_return(tmp_path, made, message):
    waiting = iter(made)
    with pytest.raises(InputError, match=message):
        load(tmp_path, [{"prompt": "p"}, {"prompt": "q"}], lambda prompt, columns: next(waiting))


def test_a_maker_that_raises_is_named(tmp_path):
    with pytest.raises(InputError, match=r"views of row 0 \(from 0\), view maker: got ZeroDiv"):
        load(tmp_path, [{"prompt": "p"}], lambda prompt, columns: [1 / 0])


def test_options_that_speak_of_others_are_shuffled_as_everywhere():
    shuffle = OptionShuffle(num=8, seed=3)
    views = shuffle("Which?\nA. 3\nB. None of the above\nC. 4", {})
    # The second option stands last in each; the others in both orders.
    assert {view.letters for view in views} == {"ACB", "CAB"}
    assert {view.prompt.split("\n")[3] for view in views} == {"C. None of the above"}
    [same] = OptionShuffle()("Which?\nA. 3\nB. 4\nC. Both A and B", {})
    assert same == View("Which?\nA. 3\nB. 4\nC. Both A and B", "ABC")
