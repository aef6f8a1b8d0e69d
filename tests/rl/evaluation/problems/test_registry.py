"""Every named benchmark on a fixture of its schema, with rows of our own."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from rl.answers import extract_answer, same_answer
from rl.data.chat_parts import MARK, text_of
from rl.errors import InputError
from rl.evaluation.problems import labelled
from rl.evaluation.problems.kinds import CHOICE_KINDS
from rl.evaluation.problems.labelled import default_template, load_benchmark
from rl.evaluation.problems.prompt_templates import TEMPLATES
from rl.evaluation.problems.registry import BENCHMARKS, short_name, split_benchmarks, split_name
from rl.evaluation.problems.sources import Source

FIXTURES = Path(__file__).with_name("fixtures")
# The labels of the first two rows of each fixture, as they are graded.
LABELS = {
    "aime24": ["80", "024"],
    "aime25": ["6", "100"],
    "aime26": ["1", "999"],
    "amc23": ["5.0", "3.0"],
    "amc12_val83": ["12.0", "7.0"],
    "math500": [r"\frac{3}{4}", "3"],
    "minerva": ["10", "1e-15"],
    "olympiadbench": [r"$\sqrt{2}$", "23"],
    "hmmt_feb_2025": [r"2\sqrt{3}", r"\frac{5}{6}"],
    "hmmt_nov_2025": [r"9\pi", r"\frac{1}{4}"],
    "hmmt_feb_2026": ["-1", "10"],
    "brumo_2025": ["9", "5"],
    "cmimc_2025": ["12", r"\frac{5}{6}"],
    "smt_2025": [r"9\pi", "5"],
    "apex_2025": ["9", "35"],
    "apex_shortlist": ["24", "81"],
    "gsm8k": ["1200", "2"],
    "gpqa_diamond": None,
    "mmlu": ["D", "B"],
    "mmlu_pro": ["C", "C"],
    "supergpqa": ["B", "B"],
    "medqa": ["C", "A"],
    "pubmedqa": ["yes", "no"],
    "medxpertqa_text": ["D", "F"],
    "mathvision": ["B", "4"],
    "slake": ["Left Lung", "Yes"],
    "medxpertqa_mm": ["C", "D"],
    "mathvista": ["B", "3.2"],
    "mmmu": ["B", "2"],
    "mmmu_pro": ["J", "B"],
    "docmath": ["-3.0", "12.5"],
    "frames": ["Two towers", "1899"],
    "longbench_v2": ["C", "C"],
    "longbench_hotpotqa": ["yes", "Tom Oak"],
    "longbench_2wikimqa": ["Lund", "Ina"],
    "longbench_musique": ["River Lin", "1901"],
    "hotpotqa": ["Lake Orm", "The Orm valley"],
    "2wikimultihopqa": ["Lis Ek", "yes"],
    "musique": ["Kai Holm", "1,200"],
}
# Of the first row: what is right, too; the rule; the groups it is reported with; of its documents.
OVER_DOCUMENTS = {
    "docmath": ((), "docmath", {"subset": "simpshort"}, "\n| Tolls | 31.5 | 28.5 |\nTolls"),
    "frames": (
        (),
        "cover",
        {},
        "Ada_Stone\nAda Stone built the North Bridge in 1901.\nNorth_Bridge\n",
    ),
    "longbench_v2": (
        (),
        None,
        {"difficulty": "easy", "length": "short", "domain": "Single-Document QA"},
        "The house has three doors.",
    ),
    "longbench_hotpotqa": ((), "cover", {}, "Passage 1:\nMill\n"),
    "longbench_2wikimqa": ((), "cover", {}, "Passage 1:\nBlue Field\n"),
    "longbench_musique": (("the Lin", "Lin"), "cover", {}, "Passage 1:\nIna\n"),
    "hotpotqa": (
        (),
        "exact",
        {"type": "comparison"},
        "Ull\nLake Ull is 30 m deep. It is round.\nOrm",
    ),
    "2wikimultihopqa": (
        ("Lisa Ek",),
        "exact",
        {"type": "compositional"},
        "Snow (film)\nSnow is a film by Jan Ek.\nJan Ek\n",
    ),
    "musique": (
        ("K. Holm", "Holm"),
        "exact",
        {},
        "Ulm Press\nIt printed The Net.\nThe Net\nA book",
    ),
}


def load(name, **settings):
    return load_benchmark(f"{name}={FIXTURES / name}.jsonl", **settings)


def test_every_name_has_a_fixture_and_a_template():
    assert BENCHMARKS.keys() == LABELS.keys() == {path.stem for path in FIXTURES.iterdir()}
    assert {spec.template for spec in BENCHMARKS.values()} <= TEMPLATES.keys()


def test_the_two_amcs_are_two_benchmarks():
    assert (BENCHMARKS["amc23"].size, BENCHMARKS["amc12_val83"].size) == (40, 83)
    assert BENCHMARKS["amc23"].hub_id != BENCHMARKS["amc12_val83"].hub_id


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_local_copy_is_read_with_the_benchmark_s_own_columns(name):
    spec = BENCHMARKS[name]
    found = load(name, template=default_template(name))
    assert (found.prompt_column, found.label_column) == (spec.prompt_column, spec.label_column)
    assert (found.name, found.expected_size) == (name, spec.size)
    assert (found.revision, found.fingerprint) == (None, None)  # a file has none; none is made up
    if LABELS[name]:
        assert [problem.label for problem in found.problems[:2]] == LABELS[name]
    for problem in found.problems:
        assert problem.prompt[-1]["role"] == "user"
        shown = text_of(problem.prompt[-1]["content"])
        assert problem.question.replace(MARK, "") in shown
        assert bool(problem.images) == bool(spec.image_columns or spec.numbered_images)
        if spec.kind != "choice_or_maths":
            assert (problem.choices is not None) == (spec.kind in CHOICE_KINDS)


@pytest.mark.parametrize("name", OVER_DOCUMENTS)
def test_a_question_over_documents_has_them_in_its_prompt_and_nowhere_else(name):
    first = load(name, template=default_template(name)).problems[0]
    aliases, rule, strata, documents = OVER_DOCUMENTS[name]
    assert (first.aliases, first.rule, first.strata) == (aliases, rule, strata)
    [message] = first.prompt
    text = message["content"]
    assert documents in text[text.index("<text>\n") : text.index("\n</text>")]
    assert text.count(first.question) == 1
    assert documents not in first.question
    plain = load(name).problems[0].prompt
    assert documents in plain
    assert plain.endswith(f"\n\n{first.question}")


def test_what_spell_reports_is_there_in_its_sizes():
    names = ["docmath", "frames", "longbench_v2"]
    assert [BENCHMARKS[name].size for name in names] == [800, 824, 503]
    sets = [name for name in BENCHMARKS if BENCHMARKS[name].hub_id == "THUDM/LongBench"]
    assert [BENCHMARKS[name].config_name for name in sets] == ["hotpotqa", "2wikimqa", "musique"]
    assert {BENCHMARKS[name].size for name in sets} == {200}


def test_options_over_a_document_keep_their_order_and_letters():
    for problem in load("longbench_v2").problems:
        assert problem.question.endswith(
            "\nChoices:\n(A) The cook\n(B) The guest\n(C) The guard\n(D) Nobody"
        )
        assert (problem.label, problem.choices) == ("C", "ABCD")


def test_ids_are_the_benchmark_s_own():
    assert load("math500").problems[0].id == "test/prealgebra/own1.json"
    assert [p.id for p in load("aime25").problems] == ["1", "2"]
    assert [p.id for p in load("gsm8k").problems] == ["0", "1"]


def test_options_are_shuffled_by_a_seed_for_each_problem():
    problems = load("gpqa_diamond").problems
    assert problems == load("gpqa_diamond").problems
    letters = [problem.label for problem in problems]
    assert len(set(letters)) > 1  # the right option moves
    assert [p.label for p in load("gpqa_diamond", option_seed=1).problems] != letters
    first = problems[0]
    assert (first.id, first.choices) == ("rec0", "ABCD")
    assert f"\n{first.label}) Neutron" in first.prompt
    lines = re.findall(r"^([A-D])\) (.*)$", first.prompt, re.MULTILINE)
    assert [letter for letter, _ in lines] == list("ABCD")
    assert {text for _, text in lines} == {"Neutron", "Proton", "Electron", "Positron"}


def test_the_right_option_of_a_column_is_not_always_the_first(tmp_path):
    # Two capitals are elements here; the source's order is no order of letters.
    row = {"Question": "Which two?", "Correct Answer": "C, H", "Incorrect Answer 1": "A and B"}
    rows = [row | {f"Incorrect Answer {i}": f"x{i}" for i in (2, 3)} for _ in range(20)]
    path = tmp_path / "copy.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    problems = load_benchmark(f"gpqa_diamond={path}").problems
    assert {problem.label for problem in problems} == set("ABCD")


def test_the_order_of_one_problem_does_not_depend_on_the_others(tmp_path):
    lines = (FIXTURES / "gpqa_diamond.jsonl").read_text().splitlines()
    path = tmp_path / "turned.jsonl"
    path.write_text("\n".join(lines[::-1]))
    turned = load_benchmark(f"gpqa_diamond={path}").problems
    assert turned[::-1] == load("gpqa_diamond").problems


def test_options_that_have_an_order_keep_it():
    many, few = load("mmlu_pro").problems
    assert many.prompt.startswith("What is 6*7?\n\nA) 40\nB) 41\n")
    assert (many.choices, few.choices) == ("ABCDEFGHIJ", "ABC")


def test_a_letter_is_no_text_of_an_option_and_a_place_is_no_number():
    # Of "Which vitamin", whose options are C, A, D and none of them, A is the first; of the note
    # after C the second option, D, is right though the fourth letter is D; 5 - 3 has place 1, B.
    assert "\nA) C\nB) A\n" in load("medqa").problems[1].prompt
    assert load("supergpqa").problems[1].prompt.endswith("A) E\nB) D\nC) F\nD) G")
    assert load("mmlu").problems[1].prompt.endswith("A) 1\nB) 2\nC) 3\nD) 4")


def test_an_abstract_is_in_the_prompt_by_its_sections_and_the_label_is_a_word():
    problems = load("pubmedqa", template="abstract-word").problems
    text = problems[0].prompt[0]["content"]
    assert "\n\nBACKGROUND\nOld dogs sleep badly.\nMETHODS\nWe gave milk" in text
    assert "Question: Does warm milk help old dogs sleep?" in text
    assert [problem.label for problem in problems] == ["yes", "no", "maybe"]
    assert "Milk helped" not in text
    right = [r"Sure. \boxed{Yes}", r"\boxed{\text{no}}.", "The final answer is **maybe**."]
    for problem, completion in zip(problems, right, strict=True):
        assert same_answer(extract_answer(completion), problem.label)


def test_options_that_a_question_repeats_stand_in_it_once():
    first = load("medxpertqa_text").problems[0]
    assert first.question.count("Fever") == 1
    assert "Answer Choices" not in first.question
    assert first.question.startswith("A girl fell on her arm. Which sign is expected?\n\nA) Fever")
    assert first.choices == "ABCDEFGHIJ"


def test_pictures_stand_before_the_question_in_their_order():
    first, second = load("medxpertqa_mm", template="choice-letter").problems
    assert [len(problem.images) for problem in (first, second)] == [2, 1]
    parts = first.prompt[0]["content"]
    assert [part["type"] for part in parts] == ["image", "image", "text"]
    assert [image.decode().getpixel((0, 0)) for image in first.images] == [
        (255, 0, 0),
        (0, 0, 255),
    ]
    # The label is the letter C, not the option whose text is C.
    assert (first.label, first.choices) == ("C", "ABCDE")
    assert parts[-1]["text"].endswith("A) C\nB) D\nC) A\nD) B\nE) None of the above")


def test_a_set_may_mix_choices_and_answers():
    for name, choices in (("mathvision", ["ABCDE", None]), ("mathvista", ["AB", None])):
        problems = load(name).problems
        assert [problem.choices for problem in problems] == choices
    assert load("mathvision").problems[1].strata == {
        "level": "2",
        "subject": "metric geometry - length",
    }


def test_pictures_of_mmmu_stand_where_question_and_options_name_them():
    first, second, third = load("mmmu", template="mathvision").problems
    assert [p.choices for p in (first, second, third)] == ["ABC", None, "ABCD"]
    assert shown_of(first)[1:] == [
        *("red", " shows one colour. Which picture shows another one of the three?\n\nA) "),
        *("red", "\nB) ", "green", "\nC) neither of ", "red"),
    ]
    assert shown_of(second)[-4:] == ["yellow", " and ", "blue", " together?"]
    assert (second.label, second.aliases) == ("2", ("two",))
    assert first.strata == {
        "subject": "Art",
        "topic_difficulty": "Easy",
        "question_type": "multiple-choice",
    }
    many, few = load("mmmu_pro").problems
    assert (many.choices, few.choices) == ("ABCDEFGHIJ", "ABC")
    assert shown_of(few) == ["Which one is blue?\n\nA) ", "green", "\nB) ", "blue", "\nC) none"]
    assert few.strata["subject"] == "Art"


@pytest.mark.parametrize("name", ["mmmu", "mmmu_pro"])
def test_pictures_go_with_the_options_that_name_them(name, monkeypatch):
    spec = replace(BENCHMARKS[name], shuffles_options=True)
    monkeypatch.setitem(BENCHMARKS, name, spec)
    place = {"mmmu": 0, "mmmu_pro": 1}[name]
    right = {"mmmu": "green", "mmmu_pro": "blue"}[name]
    orders = set()
    for seed in range(12):
        problem = load(name, option_seed=seed).problems[place]
        shown = shown_of(problem)
        at = next(i for i, part in enumerate(shown) if part.endswith(f"{problem.label}) "))
        assert shown[at + 1] == right
        orders.add(problem.label)
    assert orders == set("ABC")


def test_a_text_that_names_a_picture_that_is_not_there_is_refused(tmp_path):
    row = json.loads((FIXTURES / "mmmu.jsonl").read_text().splitlines()[0]) | {"image_2": None}
    (tmp_path / "copy.jsonl").write_text(json.dumps(row))
    with pytest.raises(InputError, match=r"images of row 0 .* got none for <image 2>"):
        load_benchmark(f"mmmu={tmp_path}/copy.jsonl")


def shown_of(problem):
    """The parts of a prompt in order: texts, and the colour of each picture."""
    colours = {
        (255, 0, 0): "red",
        (0, 128, 0): "green",
        (0, 0, 255): "blue",
        (255, 255, 0): "yellow",
    }
    images = iter(problem.images)
    return [
        part["text"] if part["type"] == "text" else colours[next(images).decode().getpixel((0, 0))]
        for part in problem.prompt[-1]["content"]
    ]


def test_of_slake_the_english_questions_are_read_and_answered_in_words():
    problems = load("slake").problems
    assert [problem.id for problem in problems] == ["2", "3"]
    assert [problem.strata["answer_type"] for problem in problems] == ["OPEN", "CLOSED"]
    assert {problem.rule for problem in problems} == {"exact"}


def test_a_table_without_a_row_that_belongs_is_refused(tmp_path):
    (tmp_path / "de.jsonl").write_text('{"question": "q", "answer": "a", "q_lang": "de"}')
    with pytest.raises(InputError, match="got no row with q_lang 'en'"):
        load_benchmark(f"slake={tmp_path}/de.jsonl")


def test_a_pinned_revision_is_asked_for_unless_another_or_a_file_is_named(monkeypatch):
    asked = []
    empty = Source(table={}, place="")
    monkeypatch.setattr(
        labelled, "load_source", lambda place, **settings: asked.append(settings) or empty
    )
    for name, settings in (
        ("mmlu", {}),
        ("mmlu", {"revision": "v2"}),
        ("mmlu=mmlu.jsonl", {}),
        ("aime24", {}),
    ):
        labelled.load_named(name, settings)
    pinned = BENCHMARKS["mmlu"].revision
    assert [settings["revision"] for settings in asked] == [pinned, "v2", None, None]
    pins = [spec.revision for spec in BENCHMARKS.values() if spec.revision]
    assert all(re.fullmatch("[0-9a-f]{40}", pin) for pin in pins)


def test_a_template_for_letters_names_those_there_are():
    [_, few] = load("mmlu_pro", template="choice-letter").problems
    assert "LETTER is one of ABC. " in few.prompt[0]["content"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["aime24"], ["aime24"]),
        (["aime24,math500", "gsm8k"], ["aime24", "math500", "gsm8k"]),
        (["aime24=a.json, own/set"], ["aime24=a.json", "own/set"]),
    ],
)
def test_several_benchmarks_are_named_with_commas_or_one_by_one(texts, expected):
    assert split_benchmarks(texts) == expected


def test_a_file_may_have_a_comma_or_a_benchmark_s_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a,b.json", "gsm8k", "x=y.json"):
        Path(name).write_text("[]")
    assert split_benchmarks(["a,b.json"]) == ["a,b.json"]
    assert split_name("gsm8k") == (None, "gsm8k")
    assert split_name("x=y.json") == (None, "x=y.json")
    assert split_benchmarks(["aime24=a,b.json"]) == ["aime24=a,b.json"]


@pytest.mark.parametrize("texts", [["a/x.json", "b/x.json"], ["aime24", "aime24=a.json"], [","]])
def test_two_benchmarks_of_one_name_are_refused(texts):
    with pytest.raises(InputError, match="expected benchmarks with different names"):
        split_benchmarks(texts)


@pytest.mark.parametrize(
    ("text", "name"),
    [("own.v2.jsonl", "own"), ("data/own", "own"), ("o/n.parquet", "n"), ("math500=b", "math500")],
)
def test_what_a_benchmark_s_folder_is_called(text, name):
    assert short_name(text) == name
