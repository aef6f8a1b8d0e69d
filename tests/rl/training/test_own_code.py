"""Slips in code of one's own show before a model is loaded, each as one line that names it."""

import pytest
from datasets import Dataset

from rewards import get_reward_for_run, get_token_selector
from rl.errors import InputError
from rl.plugins import allow_code
from rl.training.own_code import made_up_group, try_own_code
from rl.training.recipe import make_config

PROMPTS = Dataset.from_dict({"prompt_id": ["p"], "rendered_prompt": ["1+1="]})
REWARD = "def f(group):\n    return "
ASKING = """
from rl.questions import Question
class f:
    def questions(self, group):
        return {}
    def __call__(self, group):
        return [1.0 for _ in group.rollouts]
"""
REMEMBERS = """
class f:
    def __call__(self, group):
        return [1.0 for _ in group.rollouts]
    def observe(self, groups):
        pass
"""
VOTES = """
class f:
    def __call__(self, group):
        return [1.0 for _ in group.rollouts]
    def vote(self, group):
        return 2
"""
TERM = """
class f:
    def __init__(self, coef=0.1, per="token"):
        self.coef, self.per = coef, per
    def weights(self, mask, advantages):
        return {}
    def per_token(self, tokens):
        return {}
"""
MASK = """
class f:
    def __init__(self, first_steps=0):
        self.first_steps = first_steps
    def keep(self, magnitudes, seed):
        return {}
"""
FORKS = """
from rl.rollouts.branching.contract import Fork
class f:
    num_roots = 2
    def forks(self, root):
        return {}
"""
CURRICULUM = "class f:\n    def teaches(self, scored):\n        return {}\n"
SELECTOR = """
import torch
from rl.training.token_selection import TokenSelection
class f:
    low_weight = high_weight = 0.0
    keep_silent_groups = False
    def __call__(self, entropies, mask, groups):
        zeros = torch.zeros(len(groups))
        return {}
"""
SELECTION = "TokenSelection(weights={}, low=zeros, high=zeros{})"


def tried(setting, text, tmp_path, **settings):
    (tmp_path / "own.py").write_text(text)
    name = f"{tmp_path / 'own.py'}:f"
    allow_code(name)
    given = {"by": name} if setting == "weighted_vote" else {}
    name, setting = ("weighted_vote", "rewards") if given else (name, setting)
    base = {"rewards": {}, "loss_terms": {"self_confidence": {}}, "num_generations": 4}
    config = make_config(base | {setting: {name: given}} | settings)
    rewards = {of: get_reward_for_run(of, s or {}, {})[0] for of, s in config.rewards.items()}
    selectors = [get_token_selector(of) for of in config.token_selector or {}]
    try_own_code(config, rewards, selectors[0] if selectors else None, PROMPTS)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("rewards", REWARD + "[None if r.answer is None else 1 for r in group.rollouts]"),
        ("rewards", ASKING.format("[Question(key='a', prompt=group.problem_text)]")),
        ("weighted_vote", REWARD + "[1.0 for r in group.rollouts]"),
        ("loss_terms", TERM.format("mask", "-tokens.logps")),
        ("gradient_mask", MASK.format("magnitudes > magnitudes.mean()")),
        ("branching", FORKS.format("[Fork(position=3, num_branches=1)]")),
        ("curriculum", CURRICULUM.format("scored.vote is None")),
        ("token_selector", SELECTOR.format(SELECTION.format("mask.float()", ", clip=zeros + 0.2"))),
    ],
)
def test_what_keeps_its_contract_passes(setting, text, tmp_path):
    tried(setting, text, tmp_path)


@pytest.mark.parametrize(
    ("setting", "text", "message"),
    [
        ("rewards", REWARD + "[1.0]", "got 1 values, expected a list with one value per rollout"),
        ("rewards", "import torch\n" + REWARD + "torch.ones(4)", r"got Tensor.* Return \.tolist"),
        ("rewards", REWARD + "[float('nan')] * 4", "got a value that is no finite number"),
        ("rewards", REWARD + "[1 / 0]", "got ZeroDivisionError.* at .*own.py:2"),
        ("rewards", REWARD + "[group.label] * 4", "'label' .*: a Group has prompt_id, prompt, "),
        ("rewards", ASKING.format("['Right?']"), "expected a list of rl.questions.Question"),
        ("rewards", REMEMBERS, "got observe without state_dict, expected both"),
        ("rewards", REMEMBERS + "    def state_dict(self):\n        return {1, 2}", "plain JSON"),
        ("rewards", VOTES, r"vote of reward .* got 2, expected a rl.answers.votes.GroupVote"),
        ("weighted_vote", REWARD + "[-1.0] * 4", "got -1.0, expected"),
        ("loss_terms", TERM.format("mask.sum(1)", "0"), r"weights: got a tensor \(2,\)"),
        ("loss_terms", TERM.format("-mask", "0"), "weights: got the weight -1"),
        ("loss_terms", TERM.format("mask", "tokens.logps.mean()"), r"per_token: got a tensor \(\)"),
        ("loss_terms", TERM.format("mask", "tokens.logps.detach()"), "without gradient"),
        ("loss_terms", TERM.replace("= coef, per", '= coef, "row"'), "per: got 'row', expected 't"),
        ("gradient_mask", MASK.format("magnitudes"), "got a tensor of torch.float32, expected"),
        ("gradient_mask", MASK.format("magnitudes[1:] > 0"), r"got a tensor \(63,\), expected"),
        ("branching", FORKS.format("[(3, 1)]"), r"got \[\(3, 1\)\] from f.forks, expected a list"),
        ("branching", FORKS.format("None"), "got None from f.forks, expected a list"),
        ("branching", FORKS.format("[Fork(position=63, num_branches=1)]"), r"positions \[63\]"),
        ("curriculum", CURRICULUM.format("None"), "got None, expected true or false"),
        ("token_selector", SELECTOR.format("mask"), "got a Tensor, expected a rl.training.token_"),
        ("token_selector", SELECTOR.replace("keep_silent", "x"), "got no keep_silent_groups"),
        ("token_selector", SELECTOR.format(SELECTION.format("zeros", "")), r"got a tensor \(4,\)"),
        (
            "token_selector",
            SELECTOR.format(SELECTION.format("mask.float()", ", clip=zeros - 1")),
            "clip: got -1, expected 0 or more",
        ),
    ],
)
def test_slips_are_named(setting, text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        tried(setting, text, tmp_path)


def test_the_made_up_group_has_what_the_run_has():
    # Eight votes on a choice of three letters, in two wordings, beside a teacher.
    config = make_config(
        {"num_votes": 8, "num_generations": 4, "answer_choices": "ABC", "teacher": {"kind": "ema"}}
    )
    group = made_up_group(config, "p", "1+1=", views=2, measured=True)
    assert [r.answer for r in group.rollouts] == ["A", "A", "B", None] * 2
    assert [r.cluster for r in group.rollouts] == [0, 0, 1, None] * 2
    assert [view.view for view in group.problem] == [0, 1]
    assert group.teacher is not None
    assert len(group.teacher.rollouts) == 8
    assert all(r.token_statistics is not None for r in group.rollouts)
