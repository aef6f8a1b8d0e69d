"""The policy that has read the answer, in the trainer: its gradient is that of full passes."""

from contextlib import nullcontext

import pytest
import torch
from tiny_trainer import gradient, logged, micro_batches, move_away, rows_of, tensors_of

from rewards import get_reward
from rewards.confident_errors import ConfidentErrors
from rl.training.losses.self_distillation import forward_kl, soft_or
from rl.training.losses.terms import TERM_WEIGHTS

COMPLETIONS = [r"1+1=2\boxed{2}", r"\boxed{2}", r"2\boxed{3}", "3=3"]
TEMPLATE = "{{answer}};{{prompt}}"
LORA = {"r": 2, "target_modules": "all-linear", "init_lora_weights": False}


@pytest.fixture
def make(make_trainer):
    def make(term=None, **settings):
        term = {"prompt": TEMPLATE, "weights_of": "policy", **(term or {})}
        return make_trainer(
            COMPLETIONS,
            {"majority_vote": get_reward("majority_vote")},
            **{
                "advantage": {"disagreement": {"weight": 1e-9}},
                "loss_terms": {"self_distillation": term},
                **settings,
            },
        )

    return make


def all_logps(model, tensors, prompts, tokenizer):
    """Log-probabilities over the vocabulary at each token of the completions, (B, T, V)."""
    length = tensors["completion_ids"].shape[1]
    found = []
    for prompt, ids in zip(prompts, tensors["completion_ids"], strict=True):
        row = torch.cat([torch.tensor(tokenizer(prompt)["input_ids"]), ids])[None]
        found.append(torch.log_softmax(model(row).logits[0, -length - 1 : -1].float(), dim=-1))
    return torch.stack(found)


def expected_gradient(trainer, tensors, answers, teacher_context=nullcontext, teacher=None):
    """Written out, of the rows that agree: mean over all rows of the means over their tokens."""
    model, tokenizer = trainer.model, trainer.processing_class
    model.zero_grad()
    prompts = ["1+1="] * 4 + ["2+2="] * 4
    own = all_logps(model, tensors, prompts, tokenizer)
    told = [f"{answer};{prompt}" for answer, prompt in zip(answers, prompts, strict=True)]
    with torch.no_grad(), teacher_context():
        theirs = all_logps(teacher or model, tensors, told, tokenizer)
    clipped, unclipped = forward_kl(own, theirs, clip=0.05)
    mask = tensors["completion_mask"]
    weights = soft_or(-(own.exp() * own).sum(dim=-1).detach(), unclipped.detach(), mask)
    agrees = torch.tensor([1, 1, 0, 0] * 2)
    of_rows = (clipped * weights * mask).sum(dim=1) / mask.sum(dim=1)
    ((of_rows * agrees).sum() / 8).backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return torch.cat([g.flatten() for g in grads])


@pytest.mark.parametrize("shared_prompts", [False, True])
def test_the_gradient_is_that_of_full_passes(make, shared_prompts):
    trainer = make(shared_prompts=shared_prompts)
    tensors = tensors_of(trainer)
    assert tensors["teacher_states"].shape[:2] == tensors["completion_ids"].shape
    found = gradient(trainer, tensors)
    expected = expected_gradient(trainer, tensors, ["2"] * 8)
    assert expected.norm() > 0
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.norm().item())
    assert logged(trainer)["signal/self_distillation"] != 0


def test_neither_micro_batches_nor_packing_change_it(make):
    def step(**settings):
        trainer = make(**settings)
        return gradient(trainer, *micro_batches(trainer))

    whole = step()
    assert whole.norm() > 0
    for settings in (
        {"per_device_train_batch_size": 2},
        {"per_device_train_batch_size": 4, "shared_prompts": False, "skip_silent_rows": False},
    ):
        found = step(**settings)
        torch.testing.assert_close(found, whole, rtol=1e-3, atol=1e-4 * whole.norm().item())


@pytest.mark.parametrize("shared_prompts", [False, True])
@pytest.mark.parametrize("saved", [None, ["lm_head"]])
def test_the_base_teaches_where_adapters_are_trained(make, saved, shared_prompts):
    lora = {**LORA, "modules_to_save": saved}
    trainer = make({"weights_of": "base"}, lora=lora, shared_prompts=shared_prompts)
    with torch.no_grad():  # what is saved whole begins as the base has it
        for name, parameter in trainer.model.named_parameters():
            if "modules_to_save" in name:
                parameter += 0.1 * torch.randn_like(parameter)
    tensors = tensors_of(trainer)
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, dict(tensors)).backward()
    grads = [p.grad for p in trainer.model.parameters() if p.grad is not None]
    found = torch.cat([g.flatten() for g in grads])
    expected = expected_gradient(trainer, tensors, ["2"] * 8, trainer.model.disable_adapter)
    assert expected.norm() > 0
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.norm().item())


def test_the_base_teaches_where_all_weights_are_trained(make):
    trainer = make({"weights_of": "base"}, shared_prompts=False, per_device_train_batch_size=2)
    assert not any(p.requires_grad for p in trainer.self_teacher.base.parameters())
    move_away(trainer)
    tensors = tensors_of(trainer)
    found = gradient(trainer, tensors)
    base = trainer.self_teacher.base
    expected = expected_gradient(trainer, tensors, ["2"] * 8, teacher=base)
    assert expected.norm() > 0
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.norm().item())


def test_a_teacher_that_knows_no_more_than_the_policy_teaches_nothing(make):
    trainer = make({"prompt": None})
    assert gradient(trainer, tensors_of(trainer)).norm() < 1e-6
    # It is the policy of the batch, so it teaches one that has moved away.
    tensors = tensors_of(trainer)
    move_away(trainer)
    assert gradient(trainer, tensors).norm() > 1e-4


def test_only_confident_errors_of_what_disagrees_are_punished(make):
    """All of TTPO: rows that agree are distilled, of the others chosen tokens are punished."""
    settings = {"advantage": {"disagreement": {"weight": 1.0}}}
    trainer = make({"coef": 0.0}, selector=ConfidentErrors(), **settings)
    tensors = tensors_of(trainer)
    assert "teacher_states" not in tensors  # a coefficient of 0 leaves the term out
    # Two of four agree: m = 1/2, so -0.5 / 0.5 = -1 at half of the tokens.
    assert tensors["advantages"][:2].abs().sum() == 0
    selected = tensors["token_weights"]
    torch.testing.assert_close(tensors["advantages"][2:4], -selected[2:4], atol=1e-4, rtol=0)
    found = gradient(trainer, tensors)
    trainer.model.zero_grad()
    own = all_logps(trainer.model, tensors, ["1+1="] * 4 + ["2+2="] * 4, trainer.processing_class)
    logps = own.gather(2, tensors["completion_ids"][:, :, None])[:, :, 0]
    mask = tensors["completion_mask"]
    ((-tensors["advantages"] * logps * mask).sum() / mask.sum()).backward()
    expected = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.norm().item())


def test_rows_without_a_pseudo_label_have_no_part(make_trainer):
    trainer = make_trainer(
        ["3", "4"],
        {"majority_vote": get_reward("majority_vote")},
        advantage="disagreement",
        loss_terms={"self_distillation": {"prompt": TEMPLATE, "weights_of": "policy"}},
    )
    tensors = tensors_of(trainer)
    assert tensors["completion_mask"].sum() == 0
    assert tensors[f"{TERM_WEIGHTS}self_distillation"].sum() == 0


def test_where_the_answer_does_not_fit_the_teacher_reads_the_plain_prompt(make):
    # The answer with the prompt, 2;1+1=, is 6 tokens; the tiny model's context is 128.

    def read(num_filling):
        trainer = make({"prompt": "1" * num_filling + TEMPLATE})
        batch = trainer.next_batch(rows_of(trainer))
        rows = batch.rows[:4]
        own = [trainer.self_teacher._prompt_ids(row) == row.prompt_ids for row in rows]
        lengths = [len(row.sample.completion_ids) for row in rows]
        return own, lengths

    own, lengths = read(0)
    assert own == [False] * 4
    longest = max(lengths)
    own, _ = read(128 - 6 - longest)
    assert own == [False] * 4
    own, _ = read(128 - 6 - longest + 1)  # one token too many beside the longest
    assert own == [length == longest for length in lengths]
