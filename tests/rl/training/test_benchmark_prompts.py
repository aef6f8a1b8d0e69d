"""A benchmark of the evaluator as a training set: the same texts, its labels split off."""

import json
from pathlib import Path

import pytest

from rl.data.chat_parts import in_parts
from rl.data.row_images import RowImages
from rl.errors import InputError
from rl.evaluation.problems.labelled import default_template, load_benchmark
from rl.training.benchmark_prompts import is_benchmark, load_benchmark_prompts
from rl.training.recipe import make_config

FIXTURES = Path(__file__).parents[1] / "evaluation/problems/fixtures"


def load(name, **settings):
    config = make_config({"model": "m", "output_dir": "runs/test", **settings})
    return load_benchmark_prompts(f"{name}={FIXTURES / name}.jsonl", config)


def test_what_is_a_benchmark(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_benchmark("medqa")
    assert is_benchmark("medqa=copy.jsonl")
    assert not is_benchmark("GBaker/MedQA-USMLE-4-options")
    assert not is_benchmark("train.jsonl")
    Path("medqa").write_text("")  # a file goes first, as in evaluations
    assert not is_benchmark("medqa")


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("medqa", "ABCD"),
        ("gpqa_diamond", "ABCD"),
        ("mmlu_pro", "ABCDEFGHIJ"),
        ("pubmedqa", None),
        ("gsm8k", None),
    ],
)
def test_a_problem_is_asked_as_it_is_evaluated(name, choices):
    path = f"{name}={FIXTURES / name}.jsonl"
    problems = load_benchmark(path, template=default_template(path)).problems
    found = load(name, answer_choices=choices)
    assert found.dataset["prompt"][:] == [problem.prompt for problem in problems]
    assert found.labels is None
    columns = load_benchmark(path).label_column
    labels = load(name, answer_choices=choices, label_column=columns).labels
    assert labels == {row: problem.label for row, problem in enumerate(problems)}
    assert set(found.dataset.column_names) == {"prompt", "row"}


@pytest.mark.parametrize(("name", "choices"), [("mmmu", "ABCD"), ("mmmu_pro", "ABCDEFGHIJ")])
def test_numbered_pictures_stand_where_an_evaluation_has_them(name, choices):
    path = f"{name}={FIXTURES / name}.jsonl"
    problems = load_benchmark(path, template=default_template(path)).problems
    data = load(name, answer_choices=choices).dataset
    found = RowImages(data).keep_readable(data).prompts
    assert [without_nothing(prompt) for prompt in found["prompt"]] == [p.prompt for p in problems]
    assert [tuple(digests) for digests in found["image_digests"]] == [
        problem.image_digests for problem in problems
    ]
    with pytest.raises(InputError, match="got options with <image> in them, expected texts"):
        load(name, answer_choices=choices, views={"option_shuffle": {"num": 1}})


def without_nothing(messages):
    """Messages without what Arrow fills their parts up with."""
    return [{**message, "content": in_parts(message["content"])} for message in messages]


def test_words_of_the_run_stand_in_place_of_the_template():
    found = load("medqa", answer_choices="ABCD", prompt_suffix=" Box a letter.", system_prompt="")
    [message] = found.dataset["prompt"][0]
    assert message["content"].endswith("C) Iron\nD) Iodine Box a letter.")
    assert load("medqa", answer_choices="ABCD", prompt_suffix="!").dataset["prompt"][0][-1] == "!"
    # Documents then stand before the question.
    text = load("pubmedqa", prompt_suffix="!").dataset["prompt"][1]
    assert text.startswith("BACKGROUND\nMoss grows in shade.\nRESULTS\n")
    assert text.endswith("\n\nIs shade bad for moss?!")


def test_options_in_other_orders_are_read_back():
    found = load(
        "medqa", answer_choices="ABCD", prompt_suffix="!", views={"option_shuffle": {"num": 1}}
    ).dataset
    own, other = found["prompt"][2], found["prompt"][3]
    assert (found["row"][2:4], found["view"][2:4]) == ([1, 1], [0, 1])
    assert "\nD) None of the above!" in own
    assert "\nD) None of the above!" in other
    # Letter i of `letters` is what the i-th option is called in the own order.
    texts = {line[0]: line[3:] for line in own.split("\n") if line[1:2] == ")"}
    shuffled = {line[0]: line[3:] for line in other.split("\n") if line[1:2] == ")"}
    for letter, called in zip("ABCD", found["letters"][3], strict=True):
        assert shuffled[letter] == texts[called]


@pytest.mark.parametrize(
    ("choices", "got"), [(None, "none"), ("ABC", "ABC"), ("ABCDEFGHI", "ABCDEFGHI")]
)
def test_letters_that_are_no_answers_are_refused(choices, got):
    name = "mmlu_pro" if choices == "ABCDEFGHI" else "medqa"
    letter = "J" if name == "mmlu_pro" else "D"
    message = rf"answer_choices: got {got} for {name}, whose problems have options up to {letter}"
    with pytest.raises(InputError, match=message):
        load(name, answer_choices=choices)


def test_columns_of_ones_own_copy(tmp_path):
    row = {"ask": "Which?", "options": {"A": "x", "B": "y"}, "right": "B"}
    (tmp_path / "own.jsonl").write_text(json.dumps(row))
    settings = {"model": "m", "output_dir": "runs/test", "answer_choices": "AB"}
    config = make_config({**settings, "prompt_column": "ask", "label_column": "right"})
    found = load_benchmark_prompts(f"medqa={tmp_path}/own.jsonl", config)
    assert found.labels == {0: "B"}
    with pytest.raises(InputError, match="prompt_column: got 'asked'"):
        load_benchmark_prompts(
            f"medqa={tmp_path}/own.jsonl",
            make_config({**settings, "prompt_column": "asked", "label_column": "right"}),
        )


def test_pictures_come_with_their_prompts():
    found = load("medxpertqa_mm", answer_choices="ABCDE").dataset
    assert [len(images) for images in found["images"]] == [2, 1]
    parts = found["prompt"][0][0]["content"]
    assert [part["type"] for part in parts] == ["image", "image", "text"]
    # A set in which some problems have options has no letters of its own.
    assert len(load("mathvision").dataset) == 2
    assert "images" not in load("medqa", answer_choices="ABCD").dataset.column_names


def load_rows(tmp_path, name, rows, **settings):
    path = tmp_path / "copy.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    config = make_config({"model": "m", "output_dir": "runs/test", **settings})
    return load_benchmark_prompts(f"{name}={path}", config)


def test_the_run_names_the_column_of_pictures(tmp_path):
    row = {"question": "Which?", "q_lang": "en", "image": "a.png", "img_name": "a.png"}
    rows = [row | {"other": "b.png"}]

    def pictures(**settings):
        found = load_rows(tmp_path, "slake", rows, **settings).dataset
        return found["images"][0] if "images" in found.column_names else []

    # Both names of a copy's column are of one picture.
    assert [image["path"] for image in pictures()] == ["a.png"]
    assert [image["path"] for image in pictures(image_column="other")] == ["b.png"]
    assert pictures(image_column="") == []
    with pytest.raises(InputError, match="image_column: got 'nothere'"):
        pictures(image_column="nothere")


def test_views_are_made_of_further_columns_but_of_no_answer(tmp_path):
    row = {"question": "Which?", "answer_idx": "A", "answer": "x", "options": {"A": "x", "B": "y"}}
    rows = [row | {"other": "In other words?", "cot_content": "So A."}]
    settings = {"answer_choices": "AB", "prompt_suffix": ""}

    def other(name, **more):
        views = {"column": {"name": name}}
        return load_rows(tmp_path, "medqa", rows, **settings, views=views, **more).dataset[1]

    assert other("other")["prompt"] == "In other words?"
    for name in ("label", "answer", "answer_idx", "options", "cot_content"):
        for labels in ({}, {"label_column": "answer_idx"}):
            with pytest.raises(InputError, match=f"got '{name}', expected (one of other|a name)"):
                other(name, **labels)


def test_labels_are_not_needed(tmp_path):
    row = {"question": "Which?", "options": {"A": "x", "B": "y"}}
    assert len(load_rows(tmp_path, "medqa", [row], answer_choices="AB").dataset) == 1
    rows = [row | {"answer_idx": None}, row | {"answer_idx": "B"}]
    found = load_rows(tmp_path, "medqa", rows, answer_choices="AB", label_column="answer_idx")
    assert found.labels == {1: "B"}
    # The right option is the label's column alone.
    wrong = {f"Incorrect Answer {i}": f"x{i}" for i in (1, 2, 3)}
    with pytest.raises(InputError, match="options in row 0"):
        load_rows(
            tmp_path, "gpqa_diamond", [{"Question": "Which?", **wrong}], answer_choices="ABCD"
        )
