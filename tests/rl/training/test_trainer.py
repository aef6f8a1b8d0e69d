"""The trainer's own arithmetic, on a tiny real model with scripted completions."""

import pytest
import torch
from scripted_engine import ScriptedEngine

from rl.errors import InputError
from rl.training.config import LabelFreeConfig
from rl.training.prepare import add_prompt_ids
from rl.training.trainer import LabelFreeGRPOTrainer

COMPLETIONS = [r"\boxed{1}", r"\boxed{2}", r"1+1\boxed{1}", "", r"\boxed{1}", "=;="]
# Rewards of the six rollouts above for the first prompt, and for the second.
SCORES = {"1+1=": [1.0, 0.0, 0.5, None, 1.0, None], "2+2=": [None] * 6}


def scripted_reward(group):
    return SCORES[group.prompt][: len(group.rollouts)]


class WeighedReward:
    """Pays alike in every group, and weighs the second prompt's by a number of choice."""

    def __init__(self, weight):
        self.weight = weight

    def __call__(self, group):
        return [1.0, 0.0, 0.5, 0.0, 1.0, 0.0]

    def group_weight(self, group):
        return 1.0 if group.prompt == "1+1=" else self.weight


@pytest.fixture
def make_trainer(tiny_model_folder, tiny_tokenizer, tmp_path):
    from datasets import Dataset
    from transformers import AutoModelForCausalLM

    def make(
        prompts=("1+1=", "2+2="),
        logp=None,
        reward=scripted_reward,
        more_rewards=None,
        **settings,
    ):
        # Two prompts x six rollouts, in one forward pass unless a test says otherwise.
        geometry = {"num_prompts": len(prompts), "num_generations": 6}
        config = LabelFreeConfig(
            output_dir=str(tmp_path),
            model=tiny_model_folder,
            gradient_checkpointing=False,
            max_completion_length=16,
            **{**geometry, "per_device_train_batch_size": 6 * len(prompts), **settings},
        )
        dataset = Dataset.from_dict({"prompt": list(prompts), "row": list(range(len(prompts)))})
        return LabelFreeGRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(tiny_model_folder),
            config=config,
            rewards={"scripted": reward, **(more_rewards or {})},
            train_dataset=add_prompt_ids(dataset, tiny_tokenizer),
            tokenizer=tiny_tokenizer,
            engine=ScriptedEngine(tiny_tokenizer, COMPLETIONS, logp),
        )

    return make


def rows_of(trainer):
    return [row for row in trainer.train_dataset for _ in range(6)]


def gradient(trainer, inputs):
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = 1
    trainer._compute_loss(trainer.model, inputs).backward()
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters()])


def without_unscorable(output, advantages):
    """The batch as if the unscorable rows had never been sampled."""
    keep = torch.tensor([0, 1, 2, 4])
    kept = {name: value[keep] for name, value in output.items() if value.dim() > 0}
    kept["advantages"] = advantages
    kept["row_scale"] = torch.ones(4)
    kept["num_items_in_batch"] = kept["completion_mask"].sum()
    return kept


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dapo", "sapo"])
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_unscorable_rows_leave_no_trace_in_the_gradient(make_trainer, loss_type, beta):
    trainer = make_trainer(loss_type=loss_type, beta=beta, advantage="centered", entropy_coef=0.01)
    with torch.no_grad():  # away from the reference model, so that the KL term has a gradient
        for parameter in trainer.model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    output = trainer._generate_and_score_completions(rows_of(trainer))

    # Scorable rewards of the first group: 1, 0, 0.5, 1, mean 0.625; the second group has none.
    advantages = torch.tensor([0.375, -0.625, -0.125, 0.375])
    expected = gradient(trainer, without_unscorable(output, advantages))
    found = gradient(trainer, output)

    assert expected.norm() > 0
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6 * expected.norm().item())


def test_advantages_follow_the_groups_not_the_rows_order(make_trainer):
    trainer = make_trainer(advantage="centered", loss_type="bnpo")
    rows = rows_of(trainer)
    mixed = [rows[i] for i in (0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11)]
    output = trainer._generate_and_score_completions(mixed)
    expected = [0.375, -0.625, -0.125, 0.0, 0.375, 0.0]
    assert output["advantages"][0::2].tolist() == pytest.approx(expected)
    assert output["advantages"][1::2].tolist() == [0.0] * 6


@pytest.mark.parametrize("weight", [1.0, 0.35, 0.0])
def test_a_groups_weight_outlives_the_normalisation(make_trainer, weight):
    trainer = make_trainer(advantage="normalized", loss_type="bnpo", reward=WeighedReward(weight))
    output = trainer._generate_and_score_completions(rows_of(trainer))
    first, second = output["advantages"][:6], output["advantages"][6:]
    assert first.abs().min() > 0
    assert second.tolist() == pytest.approx((weight * first).tolist())
    # A weight of 0 teaches nothing, yet its tokens stay in the normaliser and the KL term.
    assert output["completion_mask"][6:].equal(output["completion_mask"][:6])
    assert output["num_items_in_batch"] == output["completion_mask"].sum()
    assert trainer._metrics["train"]["reward/scripted/group_weight"] == [(1 + weight) / 2]


def test_restrain_teaches_a_group_that_no_vote_paid(make_trainer):
    # Half of the votes agree. The second prompt's rewards are all None, as those of silence are.
    trainer = make_trainer(advantage={"restrain": {"threshold": 0.6}}, loss_type="bnpo")
    output = trainer._generate_and_score_completions(rows_of(trainer))
    assert output["advantages"].tolist() == [-1.0, -1.0, -1.0, 0.0, -1.0, 0.0] + [-1.0] * 6
    is_kept = output["completion_mask"].any(dim=1).tolist()
    assert is_kept == [True, True, True, False, True, False] + [True] * 6


def test_votes_that_are_not_trained_still_reach_the_reward(make_trainer):
    trainer = make_trainer(
        prompts=("1+1=",), num_generations=3, num_votes=6, per_device_train_batch_size=3
    )
    row = trainer.train_dataset[0]
    output = trainer._generate_and_score_completions([row] * 3)
    [scored] = trainer._scored
    assert [r.trained for r in scored.group.rollouts] == [True] * 3 + [False] * 3
    assert scored.reward == SCORES["1+1="]
    # Trained rewards 1, 0, 0.5: mean 0.5, sample deviation 0.5.
    assert output["advantages"].tolist() == pytest.approx([1.0, -1.0, 0.0], abs=1e-5)


def test_the_logged_reward_is_the_trained_one(make_trainer):
    second = {"second": lambda group: [-2.0, -1.0, -1.0, -1.0, None, None]}
    trainer = make_trainer(prompts=("1+1=",), more_rewards=second, advantage="centered")
    output = trainer._generate_and_score_completions([trainer.train_dataset[0]] * 6)
    # A missing part counts as its reward's least, 0 and -2: sums -1, -1, -0.5, -1, -1, none.
    expected = [-0.1, -0.1, 0.4, -0.1, -0.1, 0.0]
    assert output["advantages"].tolist() == pytest.approx(expected)
    logged = trainer._metrics["eval"]  # the mode of the tiny model
    assert logged["reward"] == [pytest.approx(-0.9)]
    assert logged["reward_std"] == [pytest.approx(0.05**0.5)]


def test_a_sampler_with_another_model_is_refused(make_trainer):
    # A random model over 21 tokens gives each about log(1/21) = -3; the engine claims -0.01.
    trainer = make_trainer(logp=-0.01, use_vllm=True)
    with pytest.raises(InputError, match="max_sampling_logp_gap: got a mean gap of"):
        trainer._generate_and_score_completions(rows_of(trainer))


def test_metrics_of_a_step_are_logged(make_trainer):
    trainer = make_trainer()
    trainer._generate_and_score_completions(rows_of(trainer))
    logged = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    # Answers 1, 2, 1, none, 1, none in both groups: 3 of 6 votes for the leader.
    assert logged["vote/majority_ratio"] == pytest.approx(0.5)
    assert logged["vote/num_clusters"] == 2
    assert logged["vote/abstained_frac"] == pytest.approx(1 / 3)
    assert logged["reward/unscorable_frac"] == pytest.approx(8 / 12)
    assert logged["reward/scripted/seconds"] >= 0
    assert logged["cost/num_sampled_completions"] == 12
    assert not any(name.startswith("audit/") for name in logged)
