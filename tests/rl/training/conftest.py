"""The trainer that the tests of this folder share."""

import pytest


@pytest.fixture(scope="session")
def vision_folder(tmp_path_factory):
    """A tiny vision-language model; read it, never write into it."""
    import tiny_vision

    folder = tmp_path_factory.mktemp("vision")
    tiny_vision.save(folder)
    return str(folder)


@pytest.fixture
def make_vision_trainer(vision_folder, tmp_path):
    """Build a trainer of it on rows of (text, numbers of pictures)."""
    import tiny_trainer
    import tiny_vision
    from transformers import AutoModelForImageTextToText

    from rl.data.image_inputs import ImageInputs
    from rl.data.prompts import load_prompts
    from rl.data.row_images import RowImages
    from rl.training.run_images import RunImages

    def make(completions, rewards, rows, model=None, **settings):
        inputs = ImageInputs(tiny_vision.make_processor())
        prompts = load_prompts(tiny_vision.write_dataset(tmp_path, rows)).dataset
        images = RowImages(prompts) if "images" in prompts.column_names else None
        dataset = images.keep_readable(prompts).prompts if images else prompts
        return tiny_trainer.make_trainer(
            vision_folder,
            inputs.processor.tokenizer,
            tmp_path / "run",
            completions,
            rewards,
            prompts=[text for text, _ in rows],
            model=model or AutoModelForImageTextToText.from_pretrained(vision_folder),
            dataset=dataset,
            images=RunImages(inputs, images),
            **settings,
        )

    return make


@pytest.fixture
def make_trainer(tiny_model_folder, tiny_tokenizer, tmp_path):
    """Build a trainer of the tiny model; the arguments are those of `tiny_trainer.make_trainer`."""
    import tiny_trainer

    def make(completions, rewards, folder=tiny_model_folder, **settings):
        return tiny_trainer.make_trainer(
            folder, tiny_tokenizer, tmp_path, completions, rewards, **settings
        )

    return make
