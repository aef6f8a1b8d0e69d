"""What does not go with a teacher that is the policy itself: one line each, before a model."""

from contextlib import nullcontext

import pytest

from rewards import get_reward
from rewards.majority_vote import MajorityVote
from rl.errors import InputError
from rl.training.checks import check_what_rewards_need
from rl.training.config import LabelFreeConfig


class Skips(MajorityVote):
    def group_weight(self, group):
        return 0.0


@pytest.mark.parametrize(
    ("settings", "rewards", "message"),
    [
        ({}, {"token_entropy": get_reward("token_entropy")}, r"prompt: got one beside token_entro"),
        ({"prompt": None}, {"token_entropy": get_reward("token_entropy")}, None),
        ({}, {"skips": Skips()}, "got it beside the reward 'skips', which weighs whole groups"),
        ({"coef": 0.0}, {"skips": Skips()}, None),
        ({}, {"majority_vote": get_reward("majority_vote")}, None),
    ],
)
def test_the_rewards_beside_it(settings, rewards, message):
    term = {"weights_of": "policy", **settings}
    config = LabelFreeConfig(loss_terms={"self_distillation": term})
    with nullcontext() if message is None else pytest.raises(InputError, match=message):
        check_what_rewards_need(config, rewards)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rewards": {}, "lora": {"r": 2}}, "self_distillation: got no reward"),
        (
            {"lora": {"r": 2}, "views": {"option_shuffle": {}}, "answer_choices": "ABCD"},
            "self_distillation: got it beside views.option_shuffle",
        ),
        (
            {"loss_terms": {"self_distillation": {"weights_of": "policy", "prompt": "{{label}}"}}},
            "prompt: got the slot {{label}}, expected answer, prompt",
        ),
    ],
)
def test_a_wrong_setting(settings, message):
    with pytest.raises(InputError, match=message):
        LabelFreeConfig(**{"loss_terms": {"self_distillation": None}, **settings})
