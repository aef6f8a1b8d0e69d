import random

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
    WORK_PROB,
    Picture,
    draw_picture,
    draw_problem,
    write_prompt,
    write_solution,
)
from rl.testbed.pictures_model import (
    IMAGE_TOKENS,
    make_picture_model,
    make_processor,
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
