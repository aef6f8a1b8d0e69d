import pytest
import tiny_vision
import torch
from tiny_vision import make_processor, picture
from transformers import AutoTokenizer

from rl.data import image_inputs
from rl.data.image_inputs import ImageInputs, join_pixels
from rl.data.images import read_image
from rl.data.model_files import load_image_inputs, load_model_config, load_tokenizer, takes_images
from rl.errors import InputError

SIZES = [(20, 12), (16, 16), (7, 40)]


@pytest.fixture(params=[False, True], ids=["whole", "tiles"])
def inputs(request):
    return ImageInputs(make_processor(splits=request.param))


def images(*sizes):
    return [read_image(picture(i, size), "test") for i, size in enumerate(sizes)]


def test_an_image_becomes_its_tokens(inputs):
    number = inputs.processor.tokenizer.convert_tokens_to_ids
    ids = inputs.prompt_ids("1<image>=", images(SIZES[1]))
    assert (ids[0], ids[-1]) == (number("1"), number("="))
    # 16 x 16 pixels are 16 patches of 4 x 4, and 2 x 2 of these one token: 4. In tiles the picture
    # is made 32 x 32 first: four tiles and the whole of it.
    num_views = 5 if inputs.processor.image_processor.do_image_splitting else 1
    assert ids.count(number("<image>")) == 4 * num_views
    assert inputs.prompt_ids("1=", []) == [number("1"), number("=")]


def test_tokens_are_counted_from_sizes_alone(inputs):
    for own in ([], images(SIZES[0]), images(*SIZES)):
        text = "1+" + "<image>=" * len(own)
        num_text = len(inputs.processor.tokenizer(text)["input_ids"])
        sizes = [(image.width, image.height) for image in own]
        assert inputs.num_tokens(num_text, sizes) == len(inputs.prompt_ids(text, own))


def test_placeholders_are_put_back(inputs):
    text, own = "<image>1<image>+<image>", images(*SIZES)
    plain = inputs.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert inputs.with_placeholders(inputs.prompt_ids(text, own), own) == plain
    with pytest.raises(ValueError, match="expected the image's tokens"):
        inputs.with_placeholders(inputs.prompt_ids(text, own), [*own, own[0]])


def test_pixels_are_those_of_the_processor_and_made_once(inputs):
    own = images(*SIZES)
    assert inputs.pixels([]) == {}
    found = inputs.pixels(own)
    expected = inputs.processor(
        text=["<image>" * 3], images=[[image.decode() for image in own]], return_tensors="pt"
    )
    assert found.keys() == {"pixel_values", "pixel_attention_mask"}
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert inputs.pixels(own)["pixel_values"] is found["pixel_values"]


def test_pixels_are_forgotten_when_they_take_too_much(monkeypatch):
    inputs = ImageInputs(make_processor())
    first, second = ([image] for image in images(*SIZES[:2]))
    kept = inputs.pixels(first)["pixel_values"]
    monkeypatch.setattr(image_inputs, "KEPT_BYTES", 1)
    inputs.pixels(second)
    assert inputs.pixels(first)["pixel_values"] is not kept
    assert torch.equal(inputs.pixels(first)["pixel_values"], kept)


def test_pixels_of_prompts_stand_behind_each_other():
    one = {"pixel_values": torch.ones(1, 2, 3), "sizes": torch.tensor([[4, 4]])}
    other = {"pixel_values": torch.full((1, 1, 3), 2.0), "sizes": torch.tensor([[5, 5]])}
    assert join_pixels([]) == {}
    assert join_pixels([{}, {}]) == {}
    joined = join_pixels([one, {}, other])
    assert joined["sizes"].tolist() == [[4, 4], [5, 5]]
    # The second has one image in place of two, and zeros behind it.
    assert joined["pixel_values"].tolist() == [[[1.0] * 3] * 2, [[2.0] * 3, [0.0] * 3]]


def test_a_processor_whose_tensors_the_update_does_not_know_is_refused():
    processor = make_processor()
    processor.image_processor.model_input_names = ["pixel_values", "aspect_ratio_ids"]
    with pytest.raises(InputError, match="images become aspect_ratio_ids, pixel_values"):
        ImageInputs(processor)


def test_token_types_are_said_to_models_that_ask():
    inputs = ImageInputs(make_processor())
    ids = torch.tensor([inputs.prompt_ids("1<image>", images(SIZES[1]))])
    assert inputs.token_types(ids) == {}
    inputs.token_type_names = ["mm_token_type_ids"]
    # 1, then the mark of an image and of a whole one, four tokens of it, the mark.
    assert inputs.token_types(ids)["mm_token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1, 1, 0]]


def test_they_are_loaded_from_a_folder_without_torchvision(tmp_path):
    tiny_vision.save(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path), "model")
    assert takes_images(load_model_config(str(tmp_path), "model"))
    inputs = load_image_inputs(str(tmp_path), "model", tokenizer)
    assert type(inputs.processor.image_processor).__name__ == "Idefics3ImageProcessorPil"
    assert inputs.processor.tokenizer is tokenizer
    assert len(tokenizer) == len(AutoTokenizer.from_pretrained(tmp_path))
