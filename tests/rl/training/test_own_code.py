"""Slips in code of one's own show before a model is loaded, each as one line that names it."""

import pytest
from datasets import Dataset

from rewards import get_reward_for_run, get_token_selector
from rl.errors import InputError
from rl.plugins import allow_code
from rl.training.own_code import made_up_group, try_own_code
from rl.training.recipe import make_config

PROMPTS = Dataset.from_dict(
    {"prompt_id": ["p", "q"], "rendered_prompt": ["1+1=", "2+2="], "row": [0, 1]}
)
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
STANDARDISES = """
import statistics
class f:
    needs_token_statistics = True
    def __call__(self, group):
        lengths = [r.num_tokens for r in group.rollouts]
        logps = [statistics.mean(r.token_statistics.logps) for r in group.rollouts]
        return [(n - x) / statistics.stdev(lengths) / statistics.stdev(logps)
                for n, x in zip(lengths, logps)]
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
ORDERS = """
import numpy as np
class f:
    def {}(self, rows, prompts):
        self.first = rows[-1]
        return np.array(rows[::-1])
    def teaches(self, scored):
        return np.bool_(scored.row == self.first)
"""
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


def tried(setting, text, tmp_path, prompts=PROMPTS, **settings):
    (tmp_path / "own.py").write_text(text)
    name = f"{tmp_path / 'own.py'}:f"
    allow_code(name)
    given = {"by": name} if setting == "weighted_vote" else {}
    name, setting = ("weighted_vote", "rewards") if given else (name, setting)
    base = {"rewards": {}, "loss_terms": {"self_confidence": {}}, "num_generations": 4}
    config = make_config(base | {setting: {name: given}} | settings)
    rewards = {of: get_reward_for_run(of, s or {}, {})[0] for of, s in config.rewards.items()}
    selectors = [get_token_selector(of) for of in config.token_selector or {}]
    try_own_code(config, rewards, selectors[0] if selectors else None, prompts)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("rewards", REWARD + "[None if r.answer is None else 1 for r in group.rollouts]"),
        ("rewards", ASKING.format("[Question(key='a', prompt=group.problem_text)]")),
        ("rewards", REMEMBERS),
        ("rewards", STANDARDISES),
        ("weighted_vote", REWARD + "[1.0 for r in group.rollouts]"),
        ("loss_terms", TERM.format("mask", "-tokens.logps")),
        ("gradient_mask", MASK.format("magnitudes > magnitudes.mean()")),
        ("branching", FORKS.format("[Fork(position=3, num_branches=1)]")),
        ("curriculum", CURRICULUM.format("scored.vote is None")),
        ("curriculum", ORDERS.format("order")),
        ("curriculum", ORDERS.format("prepare")),
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
        ("rewards", REWARD + "[1 / 0]", "got ZeroDivisionError.* at .*own.py:2"),
        ("rewards", REWARD + "[group.label] * 4", "'label' .*: a Group has prompt_id, prompt, "),
        ("rewards", ASKING.format("['Right?']"), "expected a list of rl.questions.Question"),
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


def test_what_a_run_counts_as_none_is_a_warning(tmp_path, caplog):
    tried("rewards", REWARD + "[float('nan')] * 4", tmp_path)
    assert "4 values of a made-up group are no finite numbers" in caplog.text


def test_images_are_those_of_the_prompt(tmp_path):
    prompts = PROMPTS.add_column("image_digests", [["a"], ["b"]])
    tried("rewards", REWARD + "[{'a': 1.0}[group.images[0]]] * 4", tmp_path, prompts)


def test_a_curriculum_beside_a_reward_that_asks_is_not_asked(tmp_path):
    (tmp_path / "asks.py").write_text(ASKING.format("[]"))
    allow_code(name := f"{tmp_path / 'asks.py'}:f")
    text = CURRICULUM.format(f"scored.rewards[{name!r}] is not None")
    tried("curriculum", text, tmp_path, rewards={name: {}})


def test_a_method_of_ones_own_reads_the_answers(tmp_path):
    (tmp_path / "reads.py").write_text("def f(completion):\n    return completion[-2]\n")
    allow_code(name := f"{tmp_path / 'reads.py'}:f")
    text = REWARD + "[float('230'[r.cluster] == r.answer or r.answer == 'w') for r in g]"
    text = text.replace(
        "    return", "    g = group.rollouts\n    assert g[0].answer == '}'\n    return"
    )
    tried("rewards", text, tmp_path, answer_methods=[name])


def test_a_method_of_ones_own_is_tried_without_a_reward_of_ones_own(tmp_path):
    (tmp_path / "wrong.py").write_text("def f(completion):\n    return 1\n")
    allow_code(wrong := f"{tmp_path / 'wrong.py'}:f")
    with pytest.raises(InputError, match="got 1, expected text or None"):
        tried("loss_terms", TERM.format("mask", "-tokens.logps"), tmp_path, answer_methods=[wrong])


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
    assert all(len(r.token_statistics.logps) == r.num_tokens for r in group.rollouts)
    assert len({r.num_tokens for r in group.rollouts}) == 8


def test_no_made_up_completion_is_longer_than_the_run_has_them():
    config = make_config({"num_generations": 8, "max_completion_length": 3})
    group = made_up_group(config, "p", "1+1=", views=1, measured=True)
    assert [r.num_tokens for r in group.rollouts] == [3, 2] * 4
