"""README's examples do what they say."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset

import rl
from rewards import get_reward_for_run, get_token_selector
from rl.plugins import allow_code
from rl.questions import Answered, Asked
from rl.rollouts.branching.contract import Fork, TokenRow
from rl.training.own_code import try_own_code
from rl.training.recipe import make_config, parse_overrides

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
REWARDS_PAGE = (ROOT / "rewards/README.md").read_text()
TASK_BLOCKS = re.findall(r"```python\n(.*?)```", REWARDS_PAGE, re.DOTALL)


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


def own_names(block):
    """What a block defines for itself, and with it."""
    names: dict = {}
    exec(block, names)
    return names


def shown(name):
    [example] = [
        b for b in [*BLOCKS, *TASK_BLOCKS] if re.search(rf"^(def|class) {name}\b", b, re.M)
    ]
    return own_names(example)[name]


def test_each_example_of_own_code_is_run_here():
    first = [re.search(r"^(?:def|class) (\w+)", block, re.M) for block in TASK_BLOCKS]
    tested = "Judge Late Likelier LongFirst Middle SmallRows as_before city early joint_vote"
    assert sorted(found[1] for found in first if found) == [*tested.split(), "program_vote"]


def test_the_example_of_a_reward_pays_short_votes_for_the_majority_more(make_group):
    texts = [r"\boxed{2}", r"It is \boxed{2}", r"\boxed{3}", ""]
    group = make_group(["2", "2", "3", None], completions=texts)
    # 10 and 16 tokens: 1.5 - 0.5 * 10 / 16 and 1.5 - 0.5.
    assert shown("shortest_right_vote")(group) == [1.1875, 1.0, 0.0, 0.0]


def test_the_example_that_weighs_votes_goes_by_the_place_of_the_answer(make_group):
    # "2" is character 7 of \boxed{2}.
    assert shown("early")(make_group(["2", None])) == [1 / 8, None]


def test_the_examples_of_views_reword_and_vote_over_all_wordings(make_views):
    [group, _] = make_views(["2", "3", None], ["3", None])
    assert shown("joint_vote")(group) == [0.0, 1.0, 0.0]
    block = next(block for block in TASK_BLOCKS if "def politely" in block)
    assert own_names(block)["politely"]("1+1=", {}) == ["Please work this out: 1+1="]


def test_the_example_of_a_teacher_pays_its_share(make_group):
    group = replace(make_group(["2", "3", None]), teacher=make_group(["2", "2", "3"]))
    assert shown("as_before")(group) == [2 / 3, 1 / 3, 0.0]
    assert shown("as_before").needs_teacher


def test_the_example_of_a_loss_term_makes_what_was_paid_likelier():
    term = shown("Likelier")()
    weights = term.weights(torch.tensor([[1, 1], [1, 0]]), torch.tensor([1.0, -1.0]))
    assert weights.tolist() == [[1, 1], [0, 0]]
    assert term.per_token(SimpleNamespace(logps=torch.tensor([[-0.5]]))).tolist() == [[0.5]]


def test_the_examples_of_what_comes_next_branches_and_is_updated(make_group):
    prompts = [SimpleNamespace(rendered="?" * length) for length in (1, 3, 2)]
    assert shown("LongFirst")().order([0, 1, 2], prompts) == [1, 2, 0]
    groups = [SimpleNamespace(group=make_group(answers)) for answers in (["2", "2"], ["2", "3"])]
    assert list(map(shown("LongFirst")().teaches, groups)) == [False, True]
    # Six tokens, the last of which ended the completion: five may be left, the middle is number 2.
    root = TokenRow(entropies=[0.1] * 6, confidences=[], is_over=True)
    assert shown("Middle")().forks(root) == [Fork(position=2, num_branches=1)]
    assert shown("Middle")().forks(replace(root, entropies=[0.1])) == []
    magnitudes = torch.tensor([1.0, 2.0, 6.0])  # their mean is 3
    assert shown("SmallRows")().keep(magnitudes, 0).tolist() == [True, True, False]


def test_runs_take_the_examples_by_the_commands_beside_them(tmp_path, monkeypatch):
    page = (ROOT / "README.md").read_text() + REWARDS_PAGE
    for name, block in re.findall(r"`(\w+\.py)`[^`]*```python\n(.*?)```", page, re.DOTALL):
        (tmp_path / name).write_text(block)
    monkeypatch.chdir(tmp_path)
    allow_code()
    columns = {"prompt_id": ["p"], "rendered_prompt": ["1+1="], "row": [0]}
    prompts = Dataset.from_dict(columns)
    commands = re.findall(r"`(--[a-z][^`]*'\{\"\w+\.py:[^`]*|--rewards '[^`]*\.py:[^`]*)`", page)
    named = {name for command in commands for name in re.findall(r"\w+\.py", command)}
    assert named == {path.name for path in tmp_path.iterdir()} - {"cities.py"}
    for command in commands:
        config = make_config({"num_votes": 8, **parse_overrides(shlex.split(command))})
        built = {
            name: get_reward_for_run(name, s or {}, {})[0] for name, s in config.rewards.items()
        }
        selectors = [get_token_selector(name) for name in config.token_selector or {}]
        try_own_code(config, built, selectors[0] if selectors else None, prompts)


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}
