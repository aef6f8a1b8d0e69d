"""Prompts as a curriculum chooses them, sampled, scored and refilled, with scripted completions."""

import pytest
from tiny_trainer import rows_of

from rl.training.curriculum.registry import build_curricula
from rl.training.curriculum.source import CurriculumSource

COMPLETIONS = [r"\boxed{1}", r"\boxed{2}", r"\boxed{1}", ""]
# Groups of equal rewards teach nothing.
SCORES = {
    "1+1=": [1.0, 1.0, 1.0, 1.0],
    "2+2=": [1.0, 0.0, 1.0, None],
    "3+3=": [None] * 4,
    "4+4=": [0.0, 0.0, 0.0, 1.0],
    "5+5=": [0.0, 1.0, 0.0, 0.0],
}


@pytest.fixture
def make(make_trainer):
    def build(curriculum, **settings):
        geometry = {"num_prompts": 2, "per_device_train_batch_size": 8, "shuffle_dataset": False}
        trainer = make_trainer(
            COMPLETIONS, SCORES, **{**geometry, "advantage": "centered", **settings}
        )
        source = CurriculumSource(
            trainer.source, trainer.train_dataset, trainer.args, build_curricula(curriculum)
        )
        trainer.source = trainer.sampling.source = source
        return trainer

    return build


def next_batch(trainer):
    return trainer.next_batch(rows_of(trainer)[:8])


def prompts_of(batch):
    return [row.prompt for row in batch.rows[::4]]


def test_further_prompts_take_the_places_of_silent_groups(make):
    trainer = make({"mixed_rewards": {"num_tries": 3}})
    batch = next_batch(trainer)
    # 1+1= is silent, and so is 3+3=, which is asked for it; 4+4= is not.
    assert prompts_of(batch) == ["4+4=", "2+2="]
    # Rewards 0, 0, 0, 1 of mean 1/4; and 1, 0, 1 of mean 2/3.
    expected = [-0.25, -0.25, -0.25, 0.75, 1 / 3, -2 / 3, 1 / 3, 0]
    assert batch.advantages.tolist() == pytest.approx(expected)
    assert batch.metrics["signal/curriculum_tries"] == 3
    assert batch.metrics["signal/curriculum_left_out_frac"] == 0.5
    assert batch.metrics["signal/curriculum_taught_frac"] == 1.0
    # What was sampled for nothing is counted and written.
    assert trainer.costs.finish_step()["cost/num_sampled_completions"] == 16
    lines = list(batch.rollout_lines)
    assert {line["prompt"]: line["trained"] for line in lines} == {
        "1+1=": False,
        "2+2=": True,
        "3+3=": False,
        "4+4=": True,
    }
    assert len(lines) == 16
    assert {line["advantage"] for line in lines if not line["trained"]} == {None}


def test_where_the_tries_end_the_batch_has_fewer_groups(make):
    trainer = make({"mixed_rewards": {"num_tries": 2}})
    batch = next_batch(trainer)
    assert prompts_of(batch) == ["1+1=", "2+2="]
    assert batch.metrics["signal/curriculum_taught_frac"] == 0.5
    assert batch.rewards[:4].isnan().all()
    # Their tokens are in no normaliser: only the four rows of the second group count.
    tensors = trainer.to_tensors(batch)
    assert tensors["completion_mask"][:4].sum() == 0
    assert tensors["num_items_in_batch"] == tensors["completion_mask"][4:].sum() > 0


def test_a_batch_in_which_nothing_teaches_is_no_error(make):
    trainer = make({"majority_band": {"low": 0.9}})
    batch = next_batch(trainer)  # the majority of 1, 2, 1, none is 2/4
    assert batch.metrics["signal/curriculum_left_out_frac"] == 1.0
    assert batch.advantages.tolist() == [0.0] * 8
    tensors = trainer.to_tensors(batch)
    assert tensors["num_items_in_batch"] == 0


def test_the_end_of_an_epoch_ends_the_tries(make):
    trainer = make({"mixed_rewards": {"num_tries": 10}}, num_prompts=2)
    next_batch(trainer)  # takes four of the five prompts
    batch = next_batch(trainer)  # one is no batch: the next epoch begins
    assert batch.metrics["signal/curriculum_epoch"] == 1
    assert prompts_of(batch) == ["4+4=", "2+2="]
    trainer = make({"majority_band": {"low": 0.9, "num_tries": 10}})
    batch = next_batch(trainer)
    # Two were due, two more and the last one are all there are, and a try of one is none of two.
    assert batch.metrics["signal/curriculum_tries"] == 3
    assert trainer.costs.finish_step()["cost/num_sampled_completions"] == 20


def test_the_order_alone_samples_nothing_further(make, tmp_path):
    ratios = [0.2, 0.4, 1.0, 0.6, 0.8]
    lines = [f'{{"id": {i}, "majority_ratio": {ratio}}}\n' for i, ratio in enumerate(ratios)]
    (tmp_path / "votes.jsonl").write_text("".join(lines))
    trainer = make({"easy_first": {"majority_ratios": str(tmp_path / "votes.jsonl")}})
    batches = [next_batch(trainer) for _ in range(3)]
    assert [prompts_of(batch) for batch in batches] == [
        ["3+3=", "5+5="],
        ["4+4=", "2+2="],
        ["3+3=", "5+5="],
    ]
    assert [batch.metrics["signal/curriculum_epoch"] for batch in batches] == [0, 0, 1]
    assert "signal/curriculum_tries" not in batches[0].metrics


def test_what_rules_and_the_stream_remember_belongs_into_checkpoints(make):
    trainer = make({"easy_first": {}, "majority_band": {}})
    assert {"curriculum easy_first", "prompt stream"} < set(trainer.signals)
    next_batch(trainer)
    remembered = trainer.signals["curriculum easy_first"].state_dict()["majority_ratios"]
    assert list(remembered.values()) == [0.5, 0.5]
