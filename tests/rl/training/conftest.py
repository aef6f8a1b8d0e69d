"""The trainer that the tests of this folder share."""

import pytest


@pytest.fixture
def make_trainer(tiny_model_folder, tiny_tokenizer, tmp_path):
    """Build a trainer of the tiny model; the arguments are those of `tiny_trainer.make_trainer`."""
    import tiny_trainer

    def make(completions, rewards, folder=tiny_model_folder, **settings):
        return tiny_trainer.make_trainer(
            folder, tiny_tokenizer, tmp_path, completions, rewards, **settings
        )

    return make
