"""The command as whoever writes a reward runs it."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rewards import get_reward
from rl.groups.scoring import score_group
from rl.groups.visits import VisitKey
from rl.questions import Answered, Asked
from rl.training.files import RunFiles, rollout_lines

pytestmark = pytest.mark.medium  # every test starts the script
ROOT = Path(__file__).parents[2]
REWARDS = '''
from dataclasses import dataclass


def by_position(group):
    """Breaks the contract: pays the first rollout, not the first answer."""
    return [float(g == 0) for g in range(len(group.rollouts))]


def too_few(group):
    return [1.0]


def trained_only(group):
    return [float(rollout.trained) for rollout in group.rollouts]


@dataclass(frozen=True, kw_only=True)
class Short:
    max_completion_length: int
    scale: float

    def __call__(self, group):
        limit = self.max_completion_length
        return [self.scale * (1 - r.num_tokens / limit) for r in group.rollouts]

    def explain(self, group):
        return [{"scale": self.scale, "tokens saved": None} for _ in group.rollouts]


def by_length(group):
    return [r.num_tokens for r in group.rollouts]


class Sure:
    needs_token_statistics = True

    def __call__(self, group):
        return [-max(r.token_statistics.entropies, default=0.0) for r in group.rollouts]


class Supervised:
    sees_labels = True

    def set_labels(self, labels):
        self.labels = labels

    def __call__(self, group):
        label = self.labels.get(group.prompt_id)
        return [None if label is None else float(r.answer == label) for r in group.rollouts]
'''


def check(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "check_reward.py", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "160"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=ROOT, env=environment
    )


def cells(output: str) -> list[list[str]]:
    """Return the cells of every line of every table."""
    lines = [line for line in output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def results(output: str) -> dict[str, str]:
    return {row[0]: row[1] for row in cells(output) if row[1] in ("pass", "FAIL", "warn")}


@pytest.fixture
def rewards_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(REWARDS)
    return path


@pytest.fixture
def rollouts_file(tmp_path, make_group):
    """A file as a run writes it: two visits, the second one's last rollout not trained."""
    scored = [
        score_group(
            make_group(answers, prompt_id=prompt_id, visit="0-1", trained=trained),
            0,
            {"majority_vote": get_reward("majority_vote")},
            {"majority_vote": 1.0},
        )
        for prompt_id, answers, trained in (
            ("first", ["[/red]", "\x00", None], None),
            ("second", ["7", "7", "8"], {0, 1}),
        )
    ]
    advantages = {("first", "0-1"): [0.0] * 3, ("second", "0-1"): [0.0] * 2}
    lines = rollout_lines(scored, advantages)  # type: ignore[arg-type]
    RunFiles(tmp_path).write_rollouts(1, lines)
    return tmp_path / "rollouts" / "step_000001.jsonl.gz"


def test_code_that_a_setting_names_is_run(rewards_file):
    settings = json.dumps({"by": f"{rewards_file}:by_length"})
    process = check("weighted_vote", "--settings", settings)
    assert process.returncode == 0, process.stderr


def test_a_good_reward_passes():
    process = check("majority_vote")
    assert process.returncode == 0, process.stderr
    assert set(results(process.stdout).values()) == {"pass"}
    assert len(results(process.stdout)) == 11
    # Group 0 is "majority": nine 2s are paid, four 3s, two 5s and the silent one are not.
    paid = [row[1] for row in cells(process.stdout)[-16:]]
    assert paid == ["1"] * 9 + ["0"] * 7
    assert "ms a group" in process.stdout


def test_a_reward_that_asks_is_told_a_few_words_or_what_its_run_was_told(tmp_path, make_group):
    process = check("self_verification")
    assert process.returncode == 0, process.stderr
    assert set(results(process.stdout).values()) == {"pass"}
    assert "it asks the policy, and there is none here" in process.stdout
    # A saved group: the policy said yes once of two times.
    group = make_group(["7", "7", None])
    [question] = get_reward("self_verification").questions(group)  # type: ignore[attr-defined]
    replies = [Answered(completion=c, num_tokens=2, truncated=False) for c in ("Yes", "No", "?")]
    asked = Asked(key=question.key, prompt=question.prompt, replies=tuple(replies))
    lines = rollout_lines(
        [score_group(group, 0, {}, {})],
        {VisitKey("p", "0-0"): [0.0] * 3},
        {VisitKey("p", "0-0"): {"self_verification": (asked,)}},
    )
    RunFiles(tmp_path).write_rollouts(1, lines)
    path = tmp_path / "rollouts" / "step_000001.jsonl.gz"
    process = check("self_verification", "--groups", path)
    assert process.returncode == 0, process.stderr
    assert [row[1:4] for row in cells(process.stdout)[-3:]] == [
        ["1", "1", "0.5"],
        ["1", "1", "0.5"],
        ["0", "0", "0"],
    ]


@pytest.mark.parametrize(
    ("reward", "check_name", "result", "reason"),
    [
        ("by_position", "order of rollouts plays no part", "FAIL", "in another order"),
        ("too_few", "one value per rollout", "FAIL", "returned 1 values for 16 rollouts"),
        ("trained_only", "trained or not plays no part", "warn", "changed the values"),
    ],
)
def test_a_broken_rule_is_named(rewards_file, reward, check_name, result, reason):
    process = check(f"{rewards_file}:{reward}")
    assert process.returncode == (1 if result == "FAIL" else 0), process.stderr
    assert results(process.stdout)[check_name] == result
    assert reason in process.stdout


def test_settings_and_parts_are_shown(rewards_file):
    name = f"{rewards_file}:Short"
    process = check(name, "--settings", '{"scale": 2.0}')
    assert process.returncode == 0, process.stdout + process.stderr
    assert "max_completion_length is 256" in process.stdout
    # Rollout 0 has 4 words and 4 tokens of answer: 2 (1 - 8/256) = 1.9375.
    assert ["0", "2", "None", "1.938", "0", "8", "2"] in cells(process.stdout)
    process = check(name, "--settings", '{"scale": 2.0, "max_completion_length": 16}')
    # 2 (1 - 8/16) = 1.
    assert ["0", "2", "None", "1", "0", "8", "2"] in cells(process.stdout)
    assert "note" not in process.stdout


def test_saved_rollouts_come_first(rollouts_file):
    process = check("majority_vote", "--groups", rollouts_file, "--show", 1)
    assert process.returncode == 0, process.stderr
    assert "saved 1, second visit 0-1" in process.stdout
    assert [row[1] for row in cells(process.stdout)[-3:]] == ["1", "1", "0"]
    # Text of a model is neither markup nor control characters.
    process = check("majority_vote", "--groups", rollouts_file, "--max_groups", 1)
    assert [row[-1] for row in cells(process.stdout)[-3:]] == ["[/red]", r"\x00", "(none)"]
    assert "Group 0 of 17" in process.stdout


def test_saved_completions_are_grouped(tmp_path):
    path = tmp_path / "completions.jsonl"
    rows = [
        {"id": "a", "completions": [r"so \boxed{0.5}", r"\boxed{1/2}", "no idea"]},
        {"id": "a", "completions": []},
    ]
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    process = check("majority_vote", "--groups", path)
    assert process.returncode == 0, process.stderr
    # Words and one end token: 2 + 1, 1 + 1, 2 + 1.
    rows = cells(process.stdout)[-3:]
    assert rows == [
        ["0", "1", "0", "3", "0.5"],
        ["1", "1", "0", "2", "1/2"],
        ["2", "0", "-", "3", "(none)"],
    ]
    assert "Group 0 of 18" in process.stdout
    # A task of one's own finds other answers, and calls all of them the same.
    (tmp_path / "task.py").write_text(
        "def last(completion):\n    return completion.split()[-1]\n"
        "def same(left, right):\n    return True\n"
    )
    task = tmp_path / "task.py"
    own = ("--answer_methods", f"{task}:last", "--answer_comparer", f"{task}:same")
    rows = cells(check("boxed_format", "--groups", path, *own).stdout)[-3:]
    assert [row[-1] for row in rows] == [r"\boxed{0.5}", r"\boxed{1/2}", "idea"]


def test_rewards_with_needs_get_what_they_need(rewards_file, rollouts_file):
    process = check(f"{rewards_file}:Sure", "--groups", rollouts_file)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "token statistics that saved groups lack are made up" in process.stdout
    process = check(f"{rewards_file}:Supervised", "--show", 1)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "supervised control" in process.stdout
    # The first answer, 0.5, is the label: this reward compares texts.
    assert [row[1] for row in cells(process.stdout)[-6:]] == ["1"] + ["0"] * 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["majorty_vote"], "Did you mean 'majority_vote'?"),
        (["majority_vote", "--settings", "{tie: drop}"], "--settings: got '{tie: drop}'"),
        (["majority_vote", "--settings", "[]"], "--settings: got '[]'"),
        (["majority_vote", "--settings", '{"tei": 1}'], "Did you mean 'tie'?"),
        (["majority_vote", "--settings", '{"tie": "last"}'], "expected 'first' or 'drop'"),
        (["majority_vote", "--show", "99"], "--show: got 99, expected 0 to"),
        (["majority_vote", "--groups", "none.jsonl"], "expected an existing file"),
        (["{file}:Short"], "scale: got none, expected a value"),
    ],
)
def test_bad_input_is_one_line(rewards_file, arguments, message):
    process = check(*(argument.replace("{file}", str(rewards_file)) for argument in arguments))
    assert process.returncode == 2, process.stdout + process.stderr
    assert message in process.stderr
    assert process.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"{", "line 1"),
        (b"\xff", "line 1"),
        (b"[]", "line 1"),
        (b'{"completions": ["a", 1]}', "line 1"),
        (b'\n{"completion": 1}', "line 2"),
        (b'{"completion": "a", "num_tokens": "many"}', "line 1"),
        (b'{"completion": "a", "token_statistics": {"logps": [0.0]}}', "line 1"),
        (gzip.compress(b'{"completions": []}\n', mtime=0)[:-4], "after line 1"),
    ],
)
def test_bad_groups_name_the_line(tmp_path, content, where):
    path = tmp_path / ("groups.jsonl.gz" if content[:1] == b"\x1f" else "groups.jsonl")
    path.write_bytes(content)
    process = check("majority_vote", "--groups", path)
    assert process.returncode == 2, process.stdout + process.stderr
    assert f"{path.name} {where}: got" in process.stderr
    assert process.stderr.count("\n") == 1


def test_help_teaches():
    output = check("--help").stdout
    assert "python scripts/check_reward.py majority_vote" in output
    assert "exit status" in output


def test_saved_wordings_of_a_problem_see_each_other(make_group):
    from check_reward import with_views

    visits = ("0-1", "0-2", "0-1.1", "0-3.1")
    saved = [make_group(["7"], prompt_id=visit, visit=visit) for visit in visits]
    found = {group.visit: [view.visit for view in group.views] for group in with_views(saved)}
    # The first wording of problem 0-3 is not in the file.
    assert found == {"0-1": ["0-1.1"], "0-1.1": ["0-1"], "0-2": [], "0-3.1": []}
