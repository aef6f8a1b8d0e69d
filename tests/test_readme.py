"""README's examples do what they say."""

import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import rl
from rl.questions import Answered, Asked

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
TASK_BLOCKS = re.findall(
    r"```python\n(.*?)```", (ROOT / "rewards/README.md").read_text(), re.DOTALL
)


def test_names_of_the_library_are_those_it_lists():
    assert sorted(rl._MODULES) == rl.__all__
    assert all(hasattr(rl, name) for name in rl.__all__)


def test_answers_load_no_engine():
    code = "import sys; from rl import Group, same_answer; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "False"


def test_the_example_of_the_api_votes_pays_and_compares(tmp_path):
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "rl/README.md").read_text(), re.DOTALL)
    result = subprocess.run(
        [sys.executable, "-c", example],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        check=True,
    )
    assert result.stdout.splitlines() == ["[1.0, 1.0, 0.0, 0.0]", "base 0.5", "trained 1.0", "0.5"]


@pytest.mark.medium
def test_the_library_example_trains(tmp_path, tiny_model_folder):
    [example] = [block for block in BLOCKS if "from rl import" in block]
    assert len(example.splitlines()) <= 10
    questions = [json.dumps({"prompt": f"{a}+{b}="}) for a in range(1, 5) for b in range(1, 5)]
    (tmp_path / "questions.jsonl").write_text("\n".join(questions))
    small = '"max_steps": 1, "num_generations": 2, "max_completion_length": 4, "model"'
    example = example.replace("MODEL", tiny_model_folder).replace('"model"', small, 1)
    command = [sys.executable, "-c", example]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    cost = result.stdout.strip().splitlines()[-1]
    assert ast.literal_eval(cost)["optimizer_steps"] == 1


def test_the_example_of_a_task_votes_on_cities(tmp_path):
    [example] = [block for block in TASK_BLOCKS if "City:" in block]
    (tmp_path / "cities.py").write_text(example)
    completions = ["I think. City: Paris", "City: PARIS.", "City: Rome", "no idea"]
    (tmp_path / "completions.jsonl").write_text(json.dumps({"id": 1, "completions": completions}))
    task = ["--answer_methods", "cities.py:city", "--answer_comparer", "cities.py:same"]
    script = [sys.executable, str(ROOT / "scripts/vote.py"), "completions.jsonl", *task]
    subprocess.run(
        [*script, "--output", "votes.jsonl"], cwd=tmp_path, env=environment(), check=True
    )
    [vote] = [json.loads(line) for line in (tmp_path / "votes.jsonl").read_text().splitlines()]
    assert (vote["majority_ratio"], vote["num_votes"], vote["num_abstained"]) == (0.5, 4, 1)
    assert vote["pseudo_label"].strip() == "Paris"


def test_the_example_that_asks_keeps_the_contract_and_pays_by_the_replies(make_group):
    from rewards.contract import check_reward, example_groups

    [example] = [block for block in TASK_BLOCKS if "class Judge" in block]
    names: dict = {}
    exec(example, names)
    groups = example_groups()
    problems = [f.problem for f in check_reward(names["Judge"](), groups) if f.check != "picklable"]
    assert problems == [None] * len(problems)
    group = make_group(["2", None])
    [question] = names["Judge"]().questions(group)
    replies = [
        Answered(completion=c, num_tokens=2, truncated=False) for c in ("Yes", " yes!", "no")
    ]
    asked = Asked(key=question.key, prompt=question.prompt, replies=tuple(replies))
    assert names["Judge"]()(replace(group, asked=[asked])) == [2 / 3, None]


def test_the_example_that_runs_programs_pays_what_most_of_them_print(make_group):
    from rewards.contract import check_reward, example_groups

    [example] = [block for block in TASK_BLOCKS if "def program_vote" in block]
    names: dict = {}
    exec(example, names)
    findings = check_reward(names["program_vote"], example_groups())
    problems = [f.problem for f in findings if f.check != "picklable"]
    assert problems == [None] * len(problems)
    texts = [f"```python\nprint({text})\n```" for text in ("1 + 1", "2", "3", "1 / 0")]
    group = make_group([None] * 5, completions=[*texts, "none"])
    assert names["program_vote"](group) == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_the_example_that_weighs_tokens_trains_the_second_halves():
    [example] = [block for block in TASK_BLOCKS if "class Late" in block]
    names: dict = {}
    exec(example, names)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    selection = names["Late"]()(torch.zeros(2, 4), mask, torch.zeros(2))
    # Four tokens: the third and the fourth; two: the second. 20 / 104 and 20 / 102.
    assert (selection.weights * mask).tolist() == [[0, 0, 1, 1], [0, 1, 0, 0]]
    assert selection.clip.tolist() == pytest.approx([20 / 104, 20 / 102])


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}
