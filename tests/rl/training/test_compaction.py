"""Compact micro-batches have the gradient of the full ones, on a tiny real model."""

import logging
from itertools import combinations

import pytest
import torch
from tiny_trainer import gradient, logged, micro_batches, move_away

from rewards.entropy_band import EntropyBand

COMPLETIONS = ["1+1=2;2+2=4", "2", "3=3;1", "=", "1+2=3=3", "7"]
# Two rewards in one group, an unscorable row among them; two groups without a signal.
SCORES = {
    "1+1=": [1.0, 0.0, 1.0, None, 0.5, 0.0],
    "2+2+2+2=": [1.0] * 6,
    "3=": [None] * 6,
    "4+4=": [0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
}
TERMS = {
    "beta": 0.1,
    "entropy_coef": 0.1,
    "top_entropy_quantile": 0.5,
    "router_aux_loss_coef": 0.1,
}
LOSSES = ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"]


@pytest.fixture(scope="module")
def mixture_folder(tiny_tokenizer, tmp_path_factory):
    """A tiny mixture of four experts, two to a token, whose router is not balanced."""
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=32,
        num_local_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=128,
        eos_token_id=tiny_tokenizer.eos_token_id,
        pad_token_id=tiny_tokenizer.pad_token_id,
        initializer_range=0.1,
    )
    folder = str(tmp_path_factory.mktemp("mixture"))
    MixtralForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def make_compact(make_trainer, mixture_folder):
    """A trainer of two optimizer steps of three micro-batches each."""

    def make(scores=SCORES, **settings):
        # TRL asks the router's loss of a mixture of experts alone.
        if "router_aux_loss_coef" in settings:
            settings["folder"] = mixture_folder
        geometry = {"per_device_train_batch_size": 4, "num_updates": 2}
        settings = {**geometry, "shared_prompts": False, **settings}
        return make_trainer(COMPLETIONS, scores, **settings)

    return make


def gradients(trainer, batches):
    """The gradient of each optimizer step, of a policy that has moved since it sampled."""
    move_away(trainer)
    size = trainer.args.gradient_accumulation_steps
    starts = range(0, len(batches), size)
    return torch.stack([gradient(trainer, *batches[start : start + size]) for start in starts])


def assert_same_gradients(make_compact, **settings):
    full = make_compact(skip_silent_rows=False, trim_micro_batches=False, **settings)
    compact = make_compact(**settings)
    full_batches, compact_batches = micro_batches(full), micro_batches(compact)
    expected, found = gradients(full, full_batches), gradients(compact, compact_batches)
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    return expected, full_batches, compact_batches


def num_positions(batches):
    """Of padded rows; where prompts are shared fewer are run."""
    return sum(b["completion_ids"].numel() + b["prompt_ids"].numel() for b in batches)


def num_packed(batch):
    """Its prompts once, its completions without their last token; padded where that is as good."""
    lengths = batch["completion_mask"].sum(dim=1)
    rows = zip(batch["prompt_ids"].tolist(), batch["prompt_mask"].tolist(), lengths, strict=True)
    prompts = {(*ids, *mask) for ids, mask, length in rows if length}
    width = batch["prompt_ids"].shape[1]
    packed = sum(sum(prompt[width:]) for prompt in prompts) + int((lengths - 1).clamp(min=0).sum())
    padded = num_positions([batch])
    return packed if 0 < packed + (lengths > 0).sum() < padded else padded


@pytest.mark.parametrize("loss_type", LOSSES)
def test_silent_rows_are_left_out_without_a_trace(make_compact, loss_type):
    expected, full, compact = assert_same_gradients(make_compact, loss_type=loss_type)
    assert expected.norm() > 0
    assert len(full) == len(compact) == 6
    # Of 24 rows 10 have an advantage: the groups of five scorable and of six rollouts, but for the
    # one whose reward is the mean, 0.5.
    assert sum((batch["completion_mask"].sum(dim=1) > 0).sum() for batch in compact) == 10
    assert num_positions(compact) < 0.6 * num_positions(full)


@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize(
    "extra", [{"num_iterations": 2}, *({name: value} for name, value in TERMS.items())]
)
def test_other_terms_keep_their_gradient(make_compact, loss_type, extra):
    expected, full, compact = assert_same_gradients(make_compact, loss_type=loss_type, **extra)
    assert expected.norm() > 0
    run = sum((batch["completion_mask"].sum(dim=1) > 0).sum() for batch in compact)
    # All scorable rows have a KL divergence and an entropy: 5 + 6 + 6.
    assert run == (10 if "num_iterations" in extra else 17)
    assert num_positions(compact) <= num_positions(full)


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dapo"])
@pytest.mark.parametrize("names", list(combinations(TERMS, 2)), ids="+".join)
def test_every_pair_of_terms_keeps_its_gradient(make_compact, loss_type, names):
    pair = {name: TERMS[name] for name in names}
    expected, full, compact = assert_same_gradients(make_compact, loss_type=loss_type, **pair)
    assert expected.norm() > 0
    assert num_positions(compact) <= num_positions(full)


@pytest.mark.parametrize("keep_silent_groups", [False, True])
def test_selected_tokens_keep_their_gradient(make_compact, keep_silent_groups):
    selector = EntropyBand(preset="v2", high_weight=0.5, keep_silent_groups=keep_silent_groups)
    expected, _, compact = assert_same_gradients(
        make_compact, selector=selector, beta=0.1, loss_type="dapo"
    )
    assert expected.norm() > 0
    run = sum((batch["completion_mask"].sum(dim=1) > 0).sum() for batch in compact)
    # Of the two groups with an advantage all scorable rows, also the one at its mean: 5 + 6.
    assert run == (17 if keep_silent_groups else 11)


def test_selected_tokens_of_a_mixture_keep_their_gradient(make_compact):
    terms = {"beta": 0.1, "router_aux_loss_coef": 0.1}
    assert_same_gradients(make_compact, selector=EntropyBand(high_weight=0.5), **terms)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_a_batch_in_which_everything_is_silent(make_compact, loss_type):
    scores = {"1+1=": [1.0] * 6, "2+2=": [None] * 6}
    expected, full, compact = assert_same_gradients(
        make_compact, scores=scores, loss_type=loss_type, per_device_train_batch_size=3
    )
    assert expected.norm() == 0
    # One row and one token of each micro-batch are left, which keeps ranks in step.
    assert len(compact) == len(full)
    assert all(batch["completion_ids"].shape == (1, 1) for batch in compact)


def assert_prompts_shared(make_compact, **settings):
    """The same micro-batches have the same gradient, whether their prompts are shared or not."""
    shared, whole = make_compact(shared_prompts=True, **settings), make_compact(**settings)
    batches = micro_batches(shared)
    found, expected = gradients(shared, batches), gradients(whole, batches)
    assert expected.norm() > 0
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    return batches


@pytest.mark.parametrize(
    "settings",
    [
        *({"loss_type": loss} for loss in LOSSES),
        {"num_iterations": 2, "beta": 0.1},
        {"entropy_coef": 0.1, "top_entropy_quantile": 0.5},
    ],
    ids=str,
)
def test_shared_prompts_keep_the_gradient(make_compact, settings):
    batches = assert_prompts_shared(make_compact, **settings)
    # Groups of six in micro-batches of four: few prompts in each.
    runs = [batch["prompt_number"][batch["completion_mask"].any(dim=1)] for batch in batches]
    assert max(len(set(numbers.tolist())) for numbers in runs) <= 2


def test_shared_prompts_of_selected_tokens_keep_the_gradient(make_compact):
    selector = EntropyBand(preset="v2", high_weight=0.5)
    assert_prompts_shared(make_compact, selector=selector, beta=0.1, temperature=0.9)


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dapo"])
def test_each_switch_alone(make_compact, loss_type, skip, trim):
    full = make_compact(skip_silent_rows=False, trim_micro_batches=False, loss_type=loss_type)
    other = make_compact(skip_silent_rows=skip, trim_micro_batches=trim, loss_type=loss_type)
    batches = micro_batches(full), micro_batches(other)
    expected, found = gradients(full, batches[0]), gradients(other, batches[1])
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    if not (skip or trim):
        assert num_positions(batches[1]) == num_positions(batches[0])


def test_rows_of_one_length_share_a_micro_batch(make_compact):
    trainer = make_compact(loss_type="dapo", skip_silent_rows=False)
    for start in (0, 3):
        widths = [b["completion_ids"].shape[1] for b in micro_batches(trainer)[start : start + 3]]
        assert widths == sorted(widths)
        assert widths[0] < widths[-1]


@pytest.mark.parametrize("extra", [{}, {"beta": 0.1}, {"num_iterations": 2}])
@pytest.mark.parametrize(
    ("loss_type", "shares"),
    [*((loss, False) for loss in sorted({*LOSSES} - {"bnpo"})), ("dapo", True), ("grpo", True)],
)
def test_micro_batches_of_a_token_budget_keep_the_gradient(make_compact, loss_type, extra, shares):
    shared = {"shared_prompts": shares}
    budget = {"max_tokens_per_micro_batch": 60, "per_device_train_batch_size": 1}
    full = make_compact(skip_silent_rows=False, loss_type=loss_type, **shared, **extra)
    compact = make_compact(loss_type=loss_type, **budget, **shared, **extra)
    batches = micro_batches(full), micro_batches(compact)
    expected, found = gradients(full, batches[0]), gradients(compact, batches[1])
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    count = num_packed if shares else lambda batch: num_positions([batch])
    sizes = [count(batch) for batch in batches[1]]
    assert len(sizes) == 24
    assert max(sizes) <= 60
    assert max(len(batch["completion_ids"]) for batch in batches[1]) > 3


def test_prompts_that_begin_alike_share_a_micro_batch(make_compact):
    alike = "1+" * 32  # 64 tokens, a block
    rewards = [1.0, 0.0, 0.5, 0.0, 0.0, 1.0]
    scores = dict.fromkeys([f"{alike}2=", f"{'3+' * 32}2=", f"{alike}3="], rewards)
    settings = {"loss_type": "dapo", "num_updates": 1, "per_device_train_batch_size": 1}
    full = make_compact(scores, **settings)
    compact = make_compact(scores, **settings, shared_prompts=True, max_tokens_per_micro_batch=150)
    batches = micro_batches(full), micro_batches(compact)
    expected, found = gradients(full, batches[0]), gradients(compact, batches[1])
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    used = [batch for batch in batches[1] if batch["completion_mask"].any()]
    # The third prompt begins as the first: 64 + 2 + 2 tokens; the other one has 66.
    prompts = [len(set(map(tuple, batch["prompt_ids"].tolist()))) for batch in used]
    assert sorted(prompts) == [1, 2]
    of_prompts = {1: 66, 2: 68}
    run = sum(
        of_prompts[number] + int((batch["completion_mask"].sum(dim=1) - 1).clamp(min=0).sum())
        for number, batch in zip(prompts, used, strict=True)
    )
    padded = 18 * (66 + 12)  # the longest completion has 11 characters and an end
    left_over = num_positions(batches[1]) - num_positions(used)
    share = logged(compact)["cost/positions_run_frac"]
    assert share == pytest.approx((run + left_over) / padded)


def test_a_token_budget_with_nothing_to_run(make_compact):
    trainer = make_compact(
        scores={"1+1=": [1.0] * 6}, per_device_train_batch_size=3, max_tokens_per_micro_batch=50
    )
    batches = micro_batches(trainer)
    assert all(batch["completion_ids"].shape == (1, 1) for batch in batches)
    assert gradients(trainer, batches).norm() == 0


def test_savings_are_logged_and_so_is_why_there_are_none(make_compact, caplog):
    # 24 rows of a prompt of 8 and a completion of 12 positions.
    trainer = make_compact(loss_type="dapo")
    batches = micro_batches(trainer)
    metrics = logged(trainer)
    assert metrics["cost/rows_skipped_frac"] == pytest.approx(14 / 24)
    assert metrics["cost/positions_run_frac"] == pytest.approx(num_positions(batches) / 480)
    trainer = make_compact(loss_type="dapo", shared_prompts=True)
    packed = sum(map(num_packed, micro_batches(trainer)))
    assert logged(trainer)["cost/positions_run_frac"] == pytest.approx(packed / 480)
    assert packed < 0.8 * num_positions(batches)
    with caplog.at_level(logging.WARNING):
        micro_batches(make_compact(loss_type="dapo", beta=0.1))
    assert "rows without an advantage are run too, for beta" in caplog.text
