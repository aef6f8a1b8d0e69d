import random
from functools import partial

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    Idefics3ForConditionalGeneration,
)

from rl.data.pil_processors import show_pil_processors
from rl.testbed.model import solution_targets
from rl.testbed.pictures import (
    DESCRIBE,
    WORK_PROB,
    Picture,
    describe,
    draw_picture,
    draw_problem,
    write_prompt,
    write_solution,
)
from rl.testbed.pictures_model import (
    IMAGE_TOKENS,
    make_picture_model,
    make_processor,
    pretrain_on_pictures,
)


@pytest.fixture(scope="module")
def processor():
    return make_processor()


def test_a_picture_is_read_pixel_by_pixel_and_a_cell_is_a_token(processor):
    image = draw_picture(Picture(("square", "7", *[""] * 7), look=0))
    read = processor(text=["<image>Hi"], images=[[image]], return_tensors="pt")
    expected = np.asarray(image).transpose(2, 0, 1) / 127.5 - 1
    assert read["pixel_values"].shape == (1, 1, 3, 24, 24)
    assert np.allclose(read["pixel_values"][0, 0], expected, atol=1e-6)
    ids = read["input_ids"][0].tolist()
    assert ids.count(processor.image_token_id) == IMAGE_TOKENS == 9
    assert processor.tokenizer.unk_token_id not in ids


@pytest.mark.parametrize("kind", list(WORK_PROB))
def test_every_choice_of_the_teacher_is_one_token(processor, kind):
    rng = random.Random(0)
    for way in ("guess", "rows", "columns"):
        problem = draw_problem(rng, kind)
        parts = write_solution(problem, rng, way)
        prompt = write_prompt(problem.kind, problem.shape)
        input_ids, targets = solution_targets(prompt, parts, processor.tokenizer)
        assert sum(len(target) > 1 for target in targets) == sum(
            bool(part.alternatives) for part in parts
        )
        assert all(sum(target.values()) == pytest.approx(1.0) for target in targets if target)
        assert processor.tokenizer.unk_token_id not in input_ids


def test_questions_are_a_token_a_word(processor):
    words = [len(processor.tokenizer.encode(write_prompt(kind, "ring"))) for kind in WORK_PROB]
    assert words == [6, 8, 8]  # How many rings are there ?


def test_the_model_size_is_stated(processor):
    assert make_picture_model(processor).num_parameters() == pytest.approx(0.80e6, rel=0.02)


def test_a_saved_folder_is_loaded_as_any_model_is(processor, tmp_path):
    model = make_picture_model(processor).eval()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    show_pil_processors()
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    loaded_processor = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(loaded, Idefics3ForConditionalGeneration)
    image = draw_picture(Picture(("square", *[""] * 8), look=0))
    logits = []
    for each_model, each in ((model, processor), (loaded, loaded_processor)):
        inputs = each(text=["<image>Hi"], images=[[image]], return_tensors="pt")
        with torch.no_grad():
            logits.append(each_model(**inputs).logits)
    assert torch.equal(*logits)


@pytest.mark.medium
def test_the_model_learns_to_see():
    # Descriptions alone, 250 steps: 15 s on a core. Asked about pictures that the corpus holds by
    # chance alone; the commonest mark, nothing, is in a quarter to two thirds of the cells.
    kinds = ("counting", "digits")
    model, processor = pretrain_on_pictures(
        lambda rng: draw_problem(rng, rng.choice(kinds)),
        seed=0,
        num_steps=250,
        describe_share=1.0,
        show_progress=False,
    )
    rng = random.Random("held out")
    problems = [draw_problem(rng, rng.choice(kinds)) for _ in range(24)]
    images = [[draw_picture(problem.pictures[0])] for problem in problems]
    ask = partial(processor, text=[f"<image>{DESCRIBE}"] * len(images), return_tensors="pt")
    texts = {}
    for name, shown in (("own", images), ("next", images[1:] + images[:1])):
        made = model.generate(**ask(images=shown), do_sample=False, max_new_tokens=13)
        texts[name] = processor.batch_decode(made[:, -12:])
    wanted = [describe(problem, "rows")[5:].replace("+", "") for problem in problems]

    def share(read, truths):
        pairs = [
            a == b
            for text, truth in zip(read, truths, strict=True)
            for a, b in zip(text, truth, strict=True)
        ]
        return sum(pairs) / len(pairs)

    assert share(texts["own"], wanted) > 0.8
    assert share(texts["next"], wanted[1:] + wanted[:1]) > 0.8
    assert share(texts["next"], wanted) < 0.6
