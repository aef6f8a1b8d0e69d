"""Images follow their rows: the gradient is that of each row alone, whatever becomes of a batch."""

import pytest
import torch
from tiny_trainer import gradient, micro_batches, move_away, tensors_of
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from rewards.entropy_band import EntropyBand
from rl.data.chat_parts import NO_IMAGES
from rl.questions import Question
from rl.training.layout import prompt_and_completion
from rl.training.resume import save_buffer
from rl.training.run_images import RunImages, image_row
from rl.training.vision_tower import freeze_vision

COMPLETIONS = [r"\boxed{1}", "2", r"1+1\boxed{1}", "=;="]
# One picture, two, none, and the first one again under another text.
ROWS = [("1+1=", [0]), ("2=", [1, 2]), ("3+3+3=", []), ("4=", [0])]
PAYS = [1.0, 0.0, 0.5, 0.0]


def pay(group):
    return PAYS if group.images or "3" in group.prompt else [0.0] * 4


def log_probabilities(trainer):
    """Of each row of a batch, run on its own."""
    tensors = tensors_of(trainer)
    found = []
    for i in range(len(tensors["prompt_ids"])):
        prompt = tensors["prompt_ids"][i][tensors["prompt_mask"][i].bool()]
        completion = tensors["completion_ids"][i][tensors["completion_mask"][i].bool()]
        row = tensors["image_row"][i].item()
        images = () if row == NO_IMAGES else trainer.images.rows.of_row(row)
        pixels = trainer.images.inputs.pixels(images)
        with torch.no_grad():
            ids = torch.cat([prompt, completion])[None]
            logits = trainer.model(input_ids=ids, **pixels).logits[0, len(prompt) - 1 : -1]
        found.append(logits.log_softmax(-1).gather(1, completion[:, None])[:, 0])
    return tensors, found


def test_an_example_without_images_has_no_row_of_them():
    assert image_row({"row": 3, "image_digests": ["a"]}) == 3
    assert image_row({"row": 3, "image_digests": []}) == NO_IMAGES
    assert image_row({"row": 3}) == NO_IMAGES


@pytest.mark.parametrize("size", [16, 3])
def test_rows_are_run_with_their_own_images(make_vision_trainer, size):
    trainer = make_vision_trainer(COMPLETIONS, {"pay": pay}, ROWS, per_device_train_batch_size=16)
    tensors, expected = log_probabilities(trainer)
    assert sorted(set(tensors["image_row"].tolist())) == [NO_IMAGES, 0, 1, 3]
    trainer.args.per_device_train_batch_size = size  # rows of a pass without gradient
    found = trainer._run(tensors, trainer.model)[0]
    for row, logps in zip(found, expected, strict=True):
        assert torch.allclose(row[: len(logps)], logps, atol=1e-5)


def test_a_picture_changes_what_is_said(make_vision_trainer):
    one, other = (
        log_probabilities(make_vision_trainer(COMPLETIONS, {"pay": pay}, [("1=", [number])]))[1]
        for number in (0, 1)
    )
    assert max((a - b).abs().max() for a, b in zip(one, other, strict=True)) > 1e-3


def test_groups_know_the_digests_of_their_images(make_vision_trainer):
    seen = {}

    def look(group):
        seen[group.prompt] = group.images
        return PAYS

    trainer = make_vision_trainer(COMPLETIONS, {"look": look}, ROWS)
    tensors_of(trainer)
    assert [len(images) for images in seen.values()] == [1, 2, 0, 1]
    assert seen["<image>1+1="] == seen["<image>4="]
    # The same text with another picture is another prompt.
    assert len(set(trainer.train_dataset["prompt_id"])) == 4


VARIANTS = {
    "micro-batches": {"per_device_train_batch_size": 4},
    "one row at a time": {"per_device_train_batch_size": 1},
    "positions": {"per_device_train_batch_size": 1, "max_tokens_per_micro_batch": 40},
    "nothing left out": {"skip_silent_rows": False, "trim_micro_batches": False},
}


@pytest.mark.parametrize(
    ("variant", "selector"),
    [*((name, None) for name in VARIANTS), ("micro-batches", EntropyBand())],
)
def test_the_gradient_does_not_depend_on_how_a_batch_is_cut_up(
    make_vision_trainer, variant, selector
):
    found = []
    for settings in ({}, VARIANTS[variant]):
        trainer = make_vision_trainer(
            COMPLETIONS, {"pay": pay}, ROWS, beta=0.1, selector=selector, **settings
        )
        # A reference that differs, so that the KL term has a gradient.
        batches = micro_batches(trainer)
        move_away(trainer)
        found.append(gradient(trainer, *batches))
    assert found[0].norm() > 0
    assert torch.allclose(found[0], found[1], rtol=1e-3, atol=1e-5 * found[0].norm().item())


def test_the_gradient_does_not_depend_on_the_order_of_prompts(make_vision_trainer):
    found = []
    for rows in (ROWS, ROWS[::-1]):
        trainer = make_vision_trainer(COMPLETIONS, {"pay": pay}, rows)
        batches = micro_batches(trainer)
        found.append(gradient(trainer, *batches))
    assert torch.allclose(*found, rtol=1e-3, atol=1e-5 * found[0].norm().item())


def test_text_alone_trains_a_vision_language_model(make_vision_trainer):
    trainer = make_vision_trainer(COMPLETIONS, {"pay": pay}, [("3=", []), ("3+3=", [])])
    assert trainer.images.rows is None
    freeze_vision(trainer.model)  # which has no gradient then
    assert gradient(trainer, *micro_batches(trainer)).norm() > 0


def test_what_is_buffered_holds_no_pixels(make_vision_trainer):
    trainer = make_vision_trainer(COMPLETIONS, {"pay": pay}, ROWS, per_device_train_batch_size=4)
    batches = micro_batches(trainer)
    trainer._compute_loss(trainer.model, batches[0])
    assert max(value.dim() for batch in batches for value in batch.values()) == 2


def test_a_resumed_run_gets_the_pixels_of_rows_it_had_not_used(make_vision_trainer, tmp_path):
    settings = {"per_device_train_batch_size": 4, "num_updates": 2}
    found = []
    for trainer in (make_vision_trainer(COMPLETIONS, {"pay": pay}, ROWS, **settings) for _ in "ab"):
        if found:
            # `_prepare_inputs` of a trainer that begins anew reads what is left of the batch.
            trainer._resumed_from, trainer.state.global_step = tmp_path, 1
            rest = [trainer._prepare_inputs(None)]
        else:
            rest = micro_batches(trainer)[2:3]
            save_buffer(tmp_path, trainer.accelerator, trainer._buffered_inputs)
        found.append(gradient(trainer, *rest))
    assert found[0].norm() > 0
    assert torch.equal(*found)


def test_statistics_of_tokens_are_those_of_rows_with_their_images(make_vision_trainer):
    seen = {}

    class Look:
        needs_token_statistics = True

        def __call__(self, group):
            seen[group.prompt] = [r.token_statistics.logps for r in group.rollouts]
            return PAYS

    trainer = make_vision_trainer(COMPLETIONS, {"look": Look()}, ROWS)
    found = [torch.tensor(logps) for of_group in seen_by(trainer, seen) for logps in of_group]
    for logps, expected in zip(found, log_probabilities(trainer)[1], strict=True):
        assert torch.allclose(logps, expected, atol=1e-5)


def seen_by(trainer, seen):
    """What a reward saw of a batch, in the order of the prompts."""
    tensors_of(trainer)
    return list(seen.values())


@pytest.mark.parametrize("prompt", ["5=", [{"role": "system", "content": "5="}]])
def test_a_question_about_a_prompt_shows_its_images(make_vision_trainer, prompt):
    class Ask:
        def questions(self, group):
            return [Question(key="q", prompt=prompt, num_samples=1, max_tokens=4)]

        def __call__(self, group):
            assert len(group.replies("q")) == 1
            return PAYS

    trainer = make_vision_trainer(COMPLETIONS, {"ask": Ask()}, ROWS)
    asked = []
    generate = trainer.engine.generate

    def listen(prompt_ids, num_samples, seeds, first_sample=0, images=None):
        asked.append((prompt_ids, images))
        return generate(prompt_ids, num_samples, seeds, first_sample, images)

    trainer.engine.generate = listen
    tensors_of(trainer)
    (prompts, images), (questions, shown) = asked
    assert shown == images
    token = trainer.images.inputs.processor.image_token_id
    counts = [[ids.count(token) for ids in of_call] for of_call in (prompts, questions)]
    assert counts == [[4, 8, 0, 4]] * 2
    assert len({len(ids) - ids.count(token) for ids in questions[:1] + questions[3:]}) == 1


# Another architecture, whose pixels are patches of all images behind each other.


class Patches:
    """Qwen2.5-VL's inputs by hand: images of 4 patches each, which make one token."""

    token = 9

    def pixels(self, images):
        if not images:
            return {}
        rows = [torch.randn(4, 3 * 2 * 4 * 4, generator=seeded(n)) for n in images]
        grid = torch.tensor([[1, 2, 2]] * len(images))
        return {"pixel_values": torch.cat(rows), "image_grid_thw": grid}

    def token_types(self, prompt_ids):
        return {"mm_token_type_ids": (prompt_ids == self.token).long()}


class Numbers:
    """Images that are numbers: those of row r are given as a table."""

    def __init__(self, rows):
        self.of_row = rows.__getitem__


def seeded(number):
    return torch.Generator().manual_seed(number)


def make_qwen():
    text = {
        **{"vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2},
        **{"num_attention_heads": 2, "num_key_value_heads": 1, "pad_token_id": 0},
        **{"eos_token_id": 1, "bos_token_id": None},
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
    }
    vision = {
        **{"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2},
        **{"patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2},
        **{"out_hidden_size": 16, "window_size": 8, "fullatt_block_indexes": [0]},
    }
    torch.manual_seed(0)
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=Patches.token,
        video_token_id=10,
        vision_start_token_id=7,
        vision_end_token_id=8,
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def test_patches_of_images_go_with_their_rows(make_vision_trainer):
    # As TRL hands pixels to a model: one that shares prompts takes the numbers of rows.
    settings = {"model": make_qwen(), "shared_prompts": False}
    trainer = make_vision_trainer(COMPLETIONS, {"pay": pay}, [("1=", [])], **settings)
    trainer.images = RunImages(Patches(), Numbers({0: (1,), 1: (2, 3)}))
    image = [7, Patches.token, 8]
    prompts = [[3, *image, 4], [*image, 5, *image], [11, 12]]
    longest = max(map(len, prompts))
    rows = {
        "prompt_ids": torch.tensor([[0] * (longest - len(p)) + p for p in prompts]),
        "prompt_mask": torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts]),
        "completion_ids": torch.tensor([[5, 6], [5, 7], [6, 1]]),
        "completion_mask": torch.ones(3, 2).long(),
        "image_row": torch.tensor([0, 1, NO_IMAGES]),
    }
    whole = trainer._run(rows, trainer.model)[0]
    for i, prompt in enumerate(prompts):
        of_row = {name: value[i : i + 1] for name, value in rows.items()}
        of_row["prompt_ids"], of_row["prompt_mask"] = torch.tensor([prompt]), torch.ones(1, 1)
        of_row["prompt_mask"] = torch.ones(1, len(prompt)).long()
        alone = trainer._run(of_row, trainer.model)[0]
        assert torch.allclose(whole[i : i + 1], alone, atol=1e-5)
    swapped = {**rows, "image_row": torch.tensor([0, 0, NO_IMAGES])}
    ids, _, _ = prompt_and_completion(swapped)
    assert (ids == Patches.token).sum(dim=1).tolist() == [1, 2, 0]
    with pytest.raises(ValueError, match="tokens"):  # one image for two places
        trainer._run(swapped, trainer.model)


def test_tiles_are_counted_where_an_image_has_several():
    class Tiles(Patches):
        def pixels(self, images):
            return {"pixel_values": torch.ones(3 * len(images), 3, 2, 2)} if images else {}

    images = RunImages(Tiles(), Numbers({0: (1,), 1: (2, 3)}))
    rows = {
        "prompt_ids": torch.full((3, 2), 4),
        "completion_mask": torch.ones(3, 1).long(),
        "image_row": torch.tensor([1, NO_IMAGES, 0]),
    }
    found = images.inputs_of(rows)
    assert (found["num_images"], found["num_tiles"]) == ([2, 0, 1], [6, 0, 3])
    assert found["pixel_values"].shape == (9, 3, 2, 2)
    assert images.pixels_of([1, NO_IMAGES, 0])["pixel_values"].shape == (9, 3, 2, 2)
    # In their place the numbers of rows, one each, as TRL cuts them up; none where no row has any.
    numbers = images.inputs_of(rows, as_numbers=True)
    assert numbers["pixel_values"].tolist() == [1, NO_IMAGES, 0]
    assert numbers["num_images"] == [1, 1, 1]
    rows["image_row"] = torch.full((3,), NO_IMAGES)
    assert "pixel_values" not in images.inputs_of(rows, as_numbers=True)
