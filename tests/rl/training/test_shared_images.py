"""Shared images: the values and gradients of full rows, in real models of many architectures."""

import logging
from types import SimpleNamespace

import pytest
import torch
from tiny_trainer import gradient as gradient_of
from tiny_trainer import logged, micro_batches, move_away
from vision_architectures import Pictures, build, make_rows

from rewards.entropy_band import EntropyBand
from rl.data.chat_parts import NO_IMAGES
from rl.training.shared_prompts import NEVER_SHARED, VISION_ARCHITECTURES, share_prompts, why_not
from rl.training.vision_tower import freeze_vision

MAIN = SimpleNamespace(is_main_process=True)
# The first two have the same tokens and other pictures, the third a picture of another size, the
# fourth none.
GROUPS = [
    (0, [3, 4], [5, 6], (4, 1, 3)),
    (1, [3, 4], [5, 6], (2, 5)),
    (2, [3], [8, 9, 10], (3, 3)),
    (NO_IMAGES, [11, 12], [], (1, 6)),
]


def loss(outputs, rows):
    weights = torch.linspace(-1, 1, outputs.log_probs.numel()).view_as(outputs.log_probs)
    scored = rows["labels"][:, 1:] != -100
    return (scored * (weights * outputs.log_probs + 0.3 * outputs.entropy)).sum()


def gradient(model, rows, **pixels):
    model.zero_grad()
    loss(model(**rows, **pixels, fused_lm_head=True), rows).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def whole_and_shared(architecture, groups=GROUPS):
    """A model that shares and one that does not, rows, and what both are given of pictures."""
    whole, shared = build(architecture), build(architecture)
    pictures = Pictures(architecture)
    assert share_prompts([shared], MAIN, images=pictures)
    rows, numbers = make_rows(whole, pictures, groups)
    return whole, shared, rows, numbers, pictures.pixels_of(numbers.tolist())


@pytest.mark.parametrize("architecture", VISION_ARCHITECTURES)
def test_values_and_gradients_are_those_of_full_rows(architecture):
    whole, shared, rows, numbers, pixels = whole_and_shared(architecture)
    scored = rows["labels"][:, 1:] != -100
    with torch.no_grad():
        expected = whole(**rows, **pixels, fused_lm_head=True)
        found = shared(**rows, pixel_values=numbers, fused_lm_head=True)
    for name in ("log_probs", "entropy"):
        torch.testing.assert_close(found[name][scored], expected[name][scored], atol=2e-5, rtol=0)
    # With the pictures of the first group in place of the second's, all else alike, it is not so.
    with torch.no_grad():
        other = shared(
            **rows, pixel_values=numbers.masked_fill(numbers == 1, 0), fused_lm_head=True
        )
    differences = (other.log_probs - expected.log_probs)[scored].abs()
    assert differences.max() > 1e-3
    for _ in ("trained", "frozen"):
        expected = gradient(whole, rows, **pixels)
        difference = gradient(shared, rows, pixel_values=numbers) - expected
        assert difference.norm() < 2e-5 * expected.norm()
        freeze_vision(whole)
        freeze_vision(shared)


@pytest.mark.parametrize("architecture", ["idefics3", "qwen2_5_vl"])
def test_the_same_tokens_with_other_pictures_are_another_prompt(architecture):
    _, shared, rows, numbers, _ = whole_and_shared(architecture, [(0, [3, 4], [5], (4, 4))])
    values = []
    for of_second in (0, 1):
        numbers[1] = of_second
        with torch.no_grad():
            found = shared(**rows, pixel_values=numbers, fused_lm_head=True)
        values.append(found.log_probs[rows["labels"][:, 1:] != -100].view(2, 4))
    # The row whose picture stays says the same; the other one does not.
    torch.testing.assert_close(values[0][0], values[1][0], atol=2e-5, rtol=0)
    assert (values[0][1] - values[1][1]).abs().max() > 1e-2


def test_a_picture_is_run_once_for_its_completions():
    _, shared, rows, numbers, _ = whole_and_shared("idefics3")
    in_tower, in_language_model = [], []
    model = shared.model
    model.vision_model.register_forward_hook(
        lambda m, a, output: in_tower.append(len(output.last_hidden_state))
    )
    model.text_model.layers[0].register_forward_hook(
        lambda m, a, output: in_language_model.append(output.shape[1])
    )
    gradient(shared, rows, pixel_values=numbers)
    # Two pictures of the first prompt, two of the second and one of the third; of tokens those of
    # four prompts, 14 + 14 + 9 + 2, and of completions all but the last ones, 5 + 5 + 4 + 5.
    assert in_tower == [5]
    assert in_language_model == [58]


def test_questions_about_the_same_picture_share_it():
    groups = [(0, [3, 4], [5, 6], (4, 1)), (0, [3, 4], [8], (2, 5))]
    whole, shared, rows, numbers, pixels = whole_and_shared("qwen2_vl", groups)
    patches = []
    shared.model.visual.register_forward_hook(lambda m, a, output: patches.append(len(a[0])))
    expected = gradient(whole, rows, **pixels)
    assert (gradient(shared, rows, pixel_values=numbers) - expected).norm() < 2e-5 * expected.norm()
    assert patches == [16 + 8]


def test_gradient_checkpointing_keeps_the_gradient():
    for architecture in ("smolvlm", "qwen2_5_vl"):
        whole, shared, rows, numbers, pixels = whole_and_shared(architecture)
        expected = gradient(whole, rows, **pixels)
        shared.train()
        shared.gradient_checkpointing_enable({"use_reentrant": False})
        found = gradient(shared, rows, pixel_values=numbers)
        assert (found - expected).norm() < 2e-5 * expected.norm()


NOT_PACKED = {
    "a group of one": [(0, [3, 4], [5, 6], (4,))],
    "different prompts": [(number, [3, 4], [5, 6], (4,)) for number in (0, 1)],
}


@pytest.mark.parametrize("groups", NOT_PACKED.values(), ids=NOT_PACKED)
def test_where_nothing_is_repeated_rows_are_run_as_they_are(groups):
    whole, shared, rows, numbers, pixels = whole_and_shared("qwen2_5_vl", groups)
    # There is padding in a row of Qwen's only where rows are of several lengths.
    assert rows["attention_mask"].all()
    assert torch.equal(
        gradient(shared, rows, pixel_values=numbers), gradient(whole, rows, **pixels)
    )


def test_pixels_stay_where_no_row_with_some_is_scored():
    whole, shared, rows, numbers, pixels = whole_and_shared("idefics3")
    rows["labels"][numbers != NO_IMAGES] = -100
    runs = []
    shared.model.vision_model.register_forward_hook(lambda *_: runs.append(True))
    expected = gradient(whole, rows, **pixels)
    assert (gradient(shared, rows, pixel_values=numbers) - expected).norm() < 2e-5 * expected.norm()
    assert runs


def test_pixels_are_taken_as_they_come():
    whole, shared, rows, _, pixels = whole_and_shared("idefics3")
    assert torch.equal(gradient(shared, rows, **pixels), gradient(whole, rows, **pixels))
    text = [(NO_IMAGES, [3, 4], [5, 6], (4, 2, 3))]
    whole, shared, rows, _, pixels = whole_and_shared("qwen2_vl", text)
    assert pixels == {}
    expected = gradient(whole, rows)
    assert (gradient(shared, rows) - expected).norm() < 2e-5 * expected.norm()


def test_architectures_that_cannot_say_why(caplog):
    def model_of(architecture, language_model="llama", attention="sdpa"):
        text = SimpleNamespace(model_type=language_model, _attn_implementation=attention)
        config = SimpleNamespace(model_type=architecture, get_text_config=lambda: text)
        return SimpleNamespace(config=config)

    assert why_not(model_of("idefics3")) is None
    assert "attend to those behind them" in why_not(model_of("gemma3", "gemma3_text"))
    assert "in both directions" in why_not(model_of("paligemma", "gemma"))
    assert "join tokens with the image" in why_not(model_of("mllama", "mllama_text_model"))
    assert "the architecture blip-2" in why_not(model_of("blip-2"))
    assert "the architecture mamba" in why_not(model_of("llava", "mamba"))
    assert "attn_implementation is eager" in why_not(model_of("llava", attention="eager"))
    assert not set(NEVER_SHARED) & set(VISION_ARCHITECTURES)
    with caplog.at_level(logging.WARNING):
        assert not share_prompts([model_of("gemma3", "gemma3_text")], MAIN)
    assert caplog.text.count("a prompt is computed for each of its completions: in the arch") == 1


# One picture, two, none; and of the third group all rows are silent.
COMPLETIONS = [r"\boxed{1}", "2", r"1+1\boxed{1}", "=;="]
ROWS = [("1+1=", [0]), ("1+1=", [1]), ("2=", [1, 2]), ("3+3=", []), ("4=", [0])]
RUNS = {
    "plain": {},
    "few positions, KL": {
        **{"per_device_train_batch_size": 1, "max_tokens_per_micro_batch": 60, "beta": 0.1}
    },
    "few rows, a trained tower": {"per_device_train_batch_size": 5, "freeze_vision_tower": False},
    "LoRA": {"lora": {"r": 2, "target_modules": ["q_proj", "v_proj"]}},
    "SPINE": {"selector": EntropyBand(), "beta": 0.1},
}


def pay(group):
    return [1.0, 0.0, 0.5, 0.0] if "4" not in group.prompt else [0.0] * 4


@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
def test_an_update_is_that_of_full_rows(make_vision_trainer, settings):
    found = []
    for shares in (False, True):
        trainer = make_vision_trainer(
            COMPLETIONS, {"pay": pay}, ROWS, shared_prompts=shares, **settings
        )
        if trainer.args.freeze_vision_tower:
            freeze_vision(trainer.accelerator.unwrap_model(trainer.model))
        assert trainer.compact.shares_prompts == shares
        batches = micro_batches(trainer)
        move_away(trainer)
        found.append((gradient_of(trainer, *batches), logged(trainer)))
    (whole, _), (shared, metrics) = found
    assert (shared - whole).norm() < 2e-5 * whole.norm()
    assert metrics["cost/positions_run_frac"] < found[0][1]["cost/positions_run_frac"]
