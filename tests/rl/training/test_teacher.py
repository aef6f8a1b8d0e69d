"""A copy of the policy that follows it: numbers by hand, and what a checkpoint gives back."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model
from tiny_trainer import rows_of
from transformers import AutoModelForCausalLM

from rl.rollouts.engine import SamplingSettings
from rl.rollouts.transformers_engine import TransformersEngine
from rl.rollouts.weights import trained_parameters
from rl.training.teacher import TEACHER_FILE, WeightsTeacher, move
from rl.training.teacher_settings import TeacherSettings

COMPLETIONS = [r"\boxed{1}", r"\boxed{2}", ""]


class Main:
    is_main_process = True


def run_of(model):
    """The policy that a teacher follows."""
    return SimpleNamespace(model=model, accelerator=Accelerator(cpu=True))


def newest(model):
    return trained_parameters(model, Accelerator(cpu=True))


def two(values, trained=True):
    model = torch.nn.Linear(2, 1, bias=False)
    model.weight.data = torch.tensor([values])
    model.weight.requires_grad_(trained)
    return model


def make_teacher(model, tokenizer=None, **settings):
    engine = TransformersEngine.__new__(TransformersEngine)
    engine.model = model
    if tokenizer is not None:
        engine = TransformersEngine(model, tokenizer, SamplingSettings(max_completion_length=4))
    return WeightsTeacher(TeacherSettings(**{"kind": "ema", **settings}), engine, 3, 10)


def test_the_average_by_hand():
    teacher = two([1.0, 2.0], trained=False)
    move(teacher, newest(two([3.0, -2.0])), 0.75)
    assert teacher.weight.tolist() == [[1.5, 1.0]]  # 0.75 * 1 + 0.25 * 3, 0.75 * 2 - 0.25 * 2
    move(teacher, newest(two([3.0, -2.0])), 0.0)
    assert teacher.weight.tolist() == [[3.0, -2.0]]


def test_parameters_that_are_not_trained_stay():
    teacher = two([1.0, 2.0], trained=False)
    move(teacher, newest(two([3.0, -2.0], trained=False)), 0.5)
    assert teacher.weight.tolist() == [[1.0, 2.0]]


def test_a_low_precision_policy_moves_a_float32_average():
    teacher, policy = two([1.0, 1.0], trained=False), two([1.0078125, 1.0])
    policy.weight.data = policy.weight.data.bfloat16()
    move(teacher, newest(policy), 0.99)
    # bfloat16 has steps of 1/128 here, and could not hold 1 + 0.01 / 128.
    assert teacher.weight[0, 0].item() == pytest.approx(1 + 0.01 / 128, abs=1e-7)


def test_it_is_the_policy_first_and_then_follows():
    teacher, policy = (
        make_teacher(two([0.0, 0.0], trained=False), decay=0.5, every=2),
        two([4.0, 8.0]),
    )
    weight = teacher.engine.model.weight
    teacher.follow(run_of(policy), 0)
    assert weight.tolist() == [[4.0, 8.0]]
    policy.weight.data = torch.tensor([[0.0, 0.0]])
    teacher.follow(run_of(policy), 1)  # every second batch
    assert weight.tolist() == [[4.0, 8.0]]
    teacher.follow(run_of(policy), 2)
    assert weight.tolist() == [[2.0, 4.0]]
    teacher.follow(run_of(policy), 2)  # a batch that is sampled again moves nothing
    assert weight.tolist() == [[2.0, 4.0]]


def test_a_checkpoint_gives_it_back_to_the_bit(tmp_path):
    teacher, policy = make_teacher(two([0.0, 0.0], trained=False), decay=0.9), two([0.1, 0.7])
    teacher.save(tmp_path, Main())  # before the first batch there is nothing to save
    assert not (tmp_path / TEACHER_FILE).exists()
    teacher.follow(run_of(policy), 0)
    policy.weight.data = torch.tensor([[1 / 3, -0.2]])
    teacher.follow(run_of(policy), 1)
    teacher.save(tmp_path, Main())
    other = make_teacher(two([9.0, 9.0], trained=False), decay=0.9)
    other.load(tmp_path)
    assert other.engine.model.weight.equal(teacher.engine.model.weight)
    for one in (teacher, other):
        one.follow(run_of(policy), 1)
        one.follow(run_of(policy), 2)
    assert other.engine.model.weight.equal(teacher.engine.model.weight)


def test_a_checkpoint_from_before_the_first_batch_starts_anew(tmp_path):
    teacher, policy = make_teacher(two([0.0, 0.0], trained=False)), two([1.0, 2.0])
    teacher.follow(run_of(policy), 3)
    policy.weight.data = torch.tensor([[5.0, 6.0]])
    teacher.load(tmp_path)
    teacher.follow(run_of(policy), 4)
    assert teacher.engine.model.weight.tolist() == [[5.0, 6.0]]


def test_of_adapters_nothing_else_is_saved(tmp_path, tiny_model_folder):
    def adapted():
        model = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
        return get_peft_model(model, LoraConfig(r=2, target_modules="all-linear"))

    policy, teacher = adapted(), make_teacher(adapted().requires_grad_(False))
    for name, parameter in policy.named_parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
        assert parameter.requires_grad == ("lora_" in name)
    teacher.follow(run_of(policy), 0)
    own = dict(teacher.engine.model.named_parameters())
    assert all(own[name].equal(parameter) for name, parameter in policy.named_parameters())
    teacher.save(tmp_path, Main())
    size = sum(p.numel() for p in policy.parameters() if p.requires_grad) * 4
    assert size < (tmp_path / TEACHER_FILE).stat().st_size < size + 20_000


class SeesTeacher:
    """Pays what the teacher's first completion answers."""

    needs_teacher = True

    def __init__(self):
        self.seen = []

    def __call__(self, group):
        self.seen.append(group.teacher)
        return [float(r.cluster == group.teacher.rollouts[0].cluster) for r in group.rollouts]


def test_a_reward_sees_the_teacher_s_group(make_trainer, tiny_tokenizer, tiny_model_folder):
    reward = SeesTeacher()
    trainer = make_trainer(COMPLETIONS, {"taught": reward})
    model = AutoModelForCausalLM.from_pretrained(tiny_model_folder).requires_grad_(False)
    trainer.source.teacher = make_teacher(model, tiny_tokenizer)
    batch = trainer.next_batch(rows_of(trainer))
    assert [len(teacher.rollouts) for teacher in reward.seen] == [3, 3]
    assert all(teacher.prompt_id for teacher in reward.seen)
    tokens = sum(r.num_tokens for teacher in reward.seen for r in teacher.rollouts)
    spent = trainer.costs.finish_step()
    assert spent["cost/num_teacher_tokens"] == tokens
    assert spent["cost/num_sampled_completions"] == 2 * 3 + 2 * 3
    assert 0 <= batch.metrics["vote/teacher_agrees_frac"] <= 1
    # The same prompt again: other seeds by visit, the same by prompt, visit and run.
    trainer.next_batch(rows_of(trainer))
    first, again = reward.seen[0], reward.seen[2]
    assert [r.completion for r in first.rollouts] == [r.completion for r in again.rollouts]
