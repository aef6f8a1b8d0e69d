"""The command as a user runs it: files in, files out, one line for bad input."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.medium  # every test starts the script
ROOT = Path(__file__).parents[2]


def run_vote(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "vote.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)


def write_lines(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def boxes(*answers: str) -> list[str]:
    return [rf"so \boxed{{{answer}}}" for answer in answers]


ROWS = [
    {"id": "halves", "completions": [*boxes("7", "0.5", r"\frac12", "7.0", ".5"), "no idea"]},
    {"id": 2, "completions": ["no idea", ""]},
    {"id": "empty", "completions": []},
]
# Of 6 completions 2 are in the class {7, 7.0} and 3 in {0.5, 1/2, .5}, shown by its first answer.
VOTES = [
    {
        "id": "halves",
        "pseudo_label": "0.5",
        "majority_ratio": 0.5,
        "num_votes": 6,
        "num_abstained": 1,
        "clusters": [{"answer": "0.5", "count": 3}, {"answer": "7", "count": 2}],
    },
    {
        "id": 2,
        "pseudo_label": None,
        "majority_ratio": 0.0,
        "num_votes": 2,
        "num_abstained": 2,
        "clusters": [],
    },
    {
        "id": "empty",
        "pseudo_label": None,
        "majority_ratio": 0.0,
        "num_votes": 0,
        "num_abstained": 0,
        "clusters": [],
    },
]


def test_votes_of_plain_and_compressed_files(tmp_path):
    plain = write_lines(tmp_path / "in.jsonl", ROWS)
    output = tmp_path / "out.jsonl"
    finished = run_vote(plain, "--output", output)
    assert finished.returncode == 0, finished.stderr
    assert [json.loads(line) for line in output.read_text().splitlines()] == VOTES
    # 3 prompts, 1 labelled; ratios 0.5, 0, 0; 3 of 8 completions have no answer.
    assert "3 (1 with a pseudo-label)" in finished.stdout
    assert "0.167" in finished.stdout
    assert "0.375 of 8 completions" in finished.stdout

    compressed = tmp_path / "in.jsonl.gz"
    compressed.write_bytes(gzip.compress(plain.read_bytes()))
    finished = run_vote(compressed, "--output", tmp_path / "out.jsonl.gz")
    assert finished.returncode == 0, finished.stderr
    with gzip.open(tmp_path / "out.jsonl.gz", "rt") as file:
        assert [json.loads(line) for line in file] == VOTES


def test_ties_choices_and_methods(tmp_path):
    rows = [{"id": 1, "completions": ["The answer is B.", r"\boxed{A}", "C because a proton"]}]
    path = write_lines(tmp_path / "in.jsonl", rows)
    labels = []
    for options in ([], ["--tie", "drop"], ["--answer_methods", "boxed"]):
        output = tmp_path / "out.jsonl"
        assert run_vote(path, "--output", output, "--choices", "ABCD", *options).returncode == 0
        labels.append(json.loads(output.read_text())["pseudo_label"])
    assert labels == ["B", None, "A"]


def test_hostile_completions_survive_the_whole_command(tmp_path):
    answers = [
        "9^{9^{9}}",
        "100000000!",
        f"__import__('os').system('touch {tmp_path}/executed')",
        "5\u0000",
        "\ud800",
        "\u202e12",
        r"\frac{1}{" * 100 + "2" + "}" * 100,
    ]
    completions = [*boxes(*answers), "{" * 1_000_000, r"\boxed{" * 1_000, r"\boxed{5}"]
    path = write_lines(tmp_path / "in.jsonl", [{"id": "\udfff", "completions": completions}])
    output = tmp_path / "out.jsonl"
    finished = run_vote(path, "--output", output)
    assert finished.returncode == 0, finished.stderr
    vote = json.loads(output.read_text())
    assert vote["id"] == "\udfff"
    assert vote["pseudo_label"] == "5\u0000"  # the same class as 5, first seen with a NUL
    assert vote["num_abstained"] == 2
    assert {"answer": "\ud800", "count": 1} in vote["clusters"]
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": 1, "completions": []}\n{"id": 2,\n', "line 2: got"),
        (b'{"id": 1, "completions": "text"}\n', "line 1: got"),
        (b'{"completions": ["text"]}\n', "line 1: got"),
        (b'{"id": 1, "completions": [null]}\n', "line 1: got"),
        (b"[1]\n", "line 1: got"),
        (b'{"id": 1, "completions": ["\xff"]}\n', "line 1: got"),
        (b"[" * 100_000 + b"\n", "line 1: got"),
    ],
)
def test_bad_line_is_named_and_leaves_no_output(tmp_path, content, message):
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    finished = run_vote(path, "--output", tmp_path / "out.jsonl")
    assert finished.returncode == 2
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in finished.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.jsonl"]


def test_broken_compression(tmp_path):
    whole = gzip.compress(json.dumps(ROWS[0]).encode() * 100)
    for content in (b"plain text", whole[: len(whole) // 2]):
        path = tmp_path / "in.jsonl.gz"
        path.write_bytes(content)
        finished = run_vote(path, "--output", tmp_path / "out.jsonl")
        assert finished.returncode == 2
        assert "expected a complete gzip file" in finished.stderr


def test_paths_are_checked_first(tmp_path):
    path = write_lines(tmp_path / "in.jsonl", ROWS)
    for source, output, message in (
        (tmp_path / "none.jsonl", tmp_path / "out.jsonl", "expected an existing file"),
        (path, tmp_path / "none" / "out.jsonl", "expected a file in an existing folder"),
        (path, path, "expected a file other than the input"),
        (path, tmp_path, "expected the name of a file, not of a folder"),
    ):
        finished = run_vote(source, "--output", output)
        assert finished.returncode == 2
        assert message in finished.stderr
    assert len(path.read_text().splitlines()) == len(ROWS)


def test_rollouts_of_a_run(tmp_path):
    # Two visits to one prompt, one to another; of the first visit two of three say 0.5.
    said = [("p", "1-0", "0.5"), ("p", "1-0", "7"), ("q", "1-1", "3"), ("p", "1-0", ".5")]
    said.append(("p", "2-0", "7"))
    rows = [
        {"prompt_id": name, "visit": visit, "prompt": "?", "completion": boxes(answer)[0]}
        for name, visit, answer in said
    ]
    path = tmp_path / "step_000001.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    finished = run_vote(path, "--output", tmp_path / "votes.jsonl")
    assert finished.returncode == 0, finished.stderr
    votes = [json.loads(line) for line in (tmp_path / "votes.jsonl").read_text().splitlines()]
    found = [(vote["id"], vote["pseudo_label"], vote["num_votes"]) for vote in votes]
    assert found == [("p", "0.5", 3), ("q", "3", 1), ("p", "7", 1)]


def test_rollouts_are_read_as_their_run_reads_them(tmp_path):
    said = ["The answer is B.\nCity: Oslo", "the answer is C", "A. City: Rome"]
    rows = [{"prompt_id": "p", "visit": "1-0", "completion": text} for text in said]
    (tmp_path / "rollouts").mkdir()
    path = write_lines(tmp_path / "rollouts" / "step_000001.jsonl", rows)
    config, output = tmp_path / "config.yaml", tmp_path / "votes.jsonl"
    config.write_text("settings: {answer_methods: [boxed], answer_choices: ABCD}\n")
    finished = run_vote(path, "--output", output)
    assert finished.returncode == 0, finished.stderr
    assert "answers              boxed, one of ABCD" in finished.stdout
    assert json.loads(output.read_text())["num_abstained"] == 3
    # The command line decides.
    options = ["--answer_methods", "final_answer_phrase", "--choices", "AB"]
    assert run_vote(path, "--output", output, *options).returncode == 0
    assert json.loads(output.read_text())["clusters"] == [{"answer": "B", "count": 1}]
    # Code that the run's file names is the user's to allow.
    (tmp_path / "cities.py").write_text(
        "def city(completion):\n    return completion.partition('City: ')[2]\n"
    )
    config.write_text(f"settings: {{answer_methods: ['{tmp_path}/cities.py:city']}}\n")
    finished = run_vote(path, "--output", output)
    assert finished.returncode == 2
    assert "Pass --allow_code" in finished.stderr
    assert run_vote(path, "--output", output, "--allow_code").returncode == 0
    assert json.loads(output.read_text())["clusters"][0] == {"answer": "Oslo", "count": 1}


def test_help_shows_both_line_formats():
    finished = run_vote("--help")
    assert finished.returncode == 0
    assert '"completions"' in finished.stdout
    assert '"pseudo_label"' in finished.stdout


def test_a_task_of_ones_own(tmp_path):
    (tmp_path / "cities.py").write_text(
        "def city(completion):\n    return completion.partition('city: ')[2]\n"
        "def same(left, right):\n    return left.lower() == right.lower()\n"
    )
    completions = ["city: Rome", "city: OSLO", "no idea", "city: Oslo"]
    rows = write_lines(tmp_path / "in.jsonl", [{"id": 1, "completions": completions}])
    task = tmp_path / "cities.py"
    own = ["--answer_methods", f"{task}:city", "--answer_comparer", f"{task}:same"]
    finished = run_vote(rows, "--output", tmp_path / "out.jsonl", *own)
    assert finished.returncode == 0, finished.stderr
    [vote] = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (vote["pseudo_label"], vote["majority_ratio"], vote["num_abstained"]) == ("OSLO", 0.5, 1)


def test_votes_that_weigh_differently(tmp_path):
    # Twice a short 2 against three long 3, by length and by what an earlier line with the id said.
    texts = [*boxes("2", "2"), *(f"because of much else {text}" for text in boxes("3", "3", "3"))]
    rows = write_lines(tmp_path / "in.jsonl", [{"id": 1, "completions": texts}] * 2)
    short = "{length: {power: -2}}"
    assert run_vote(rows, "--output", tmp_path / "v.jsonl", "--weight", short).returncode == 0
    found = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert [vote["pseudo_label"] for vote in found] == ["2", "2"]
    assert found[0]["clusters"][0]["weight"] > found[0]["clusters"][1]["weight"] == 3.0
    assert run_vote(rows, "--output", tmp_path / "v.jsonl", "--weight", "history").returncode == 0
    found = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    # 3 of 5 said 3 before: 3 (1 + 3/5) against 2 (1 + 2/5), of 4.8 + 2.8.
    assert [vote["clusters"][0]["weight"] for vote in found] == pytest.approx([3.0, 4.8])
    assert found[1]["majority_ratio"] == pytest.approx(4.8 / 7.6)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("borda", "expected a weight that needs text alone"),
        ("lenght", "--weight: got 'lenght', expected one of"),
        ("3", "--weight: got 3, expected a valid string"),
        ("{length: {power: far}}", "--weight.length.power: got 'far'"),
    ],
)
def test_weights_that_cannot_be_used(tmp_path, weight, message):
    rows = write_lines(tmp_path / "in.jsonl", ROWS)
    result = run_vote(rows, "--output", tmp_path / "v.jsonl", "--weight", weight)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr
    assert not (tmp_path / "v.jsonl").exists()
