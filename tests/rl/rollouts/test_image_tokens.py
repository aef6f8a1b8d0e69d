from types import SimpleNamespace

import pytest
import torch
from tiny_vision import make_processor, picture

from rl.data.image_inputs import ImageInputs
from rl.data.images import read_image
from rl.errors import InputError
from rl.rollouts.image_tokens import image_tensors, image_token_ids, with_placeholders


def test_the_tokens_of_images_are_those_the_configuration_names():
    assert image_token_ids(SimpleNamespace()) == []
    assert image_token_ids(SimpleNamespace(image_token_id=9, video_token_id=4)) == [4, 9]
    assert image_token_ids(SimpleNamespace(image_token_index=7, video_token_id=None)) == [7]


def test_pixels_of_the_prompts_that_have_some():
    inputs = ImageInputs(make_processor())
    images = [[read_image(picture(0), "test")], [], [read_image(picture(1), "test")]]
    found = image_tensors(inputs, images, torch.zeros(3, 5).long())
    assert found["pixel_values"].shape == (2, 1, 3, 16, 16)
    assert image_tensors(inputs, None, torch.zeros(3, 5).long()) == {}


def test_a_model_of_text_alone_gets_none():
    assert image_tensors(None, [[], []], torch.zeros(2, 1).long()) == {}
    with pytest.raises(InputError, match="images: got prompts with some for a model of text alone"):
        image_tensors(None, [[], ["image"]], torch.zeros(2, 1).long())
    assert with_placeholders(None, [1, 2], ()) == [1, 2]
    with pytest.raises(InputError, match="images: got prompts with some for a model of text alone"):
        with_placeholders(None, [1, 2], ["image"])


def test_an_engine_that_puts_an_image_s_tokens_in_gets_one_for_each():
    inputs = ImageInputs(make_processor())
    images = [read_image(picture(number), "test") for number in (0, 1)]
    ids = inputs.prompt_ids("<image>1<image>", images)
    [one] = inputs.prompt_ids("1", ())
    image = inputs.placeholder_id
    assert len(ids) == 15  # of each image four tokens, and three around them
    assert with_placeholders(inputs, ids, images) == [image, one, image]
